"""`fit`: train a network on a folder of photographs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from os import PathLike, fspath
from pathlib import Path
from typing import Any, NamedTuple

from .data import Photographs, Unreadable, find_photographs
from .progress import Progress
from .recipe import Recipe
from .student import prepare_student
from .teacher import Teacher, read_teacher
from .trainer import Trainer


class Fitted(NamedTuple):
    """What `fit` returns."""

    folder: Path
    """can be loaded by `npformer.load` and by transformers"""
    history: tuple[dict[str, Any], ...]
    """the log: a row for each epoch"""
    curves: Path | None
    """a picture of it; None without matplotlib"""


def fit(
    folder: str | PathLike[str],
    out: str | PathLike[str],
    recipe: Recipe | None = None,
    *,
    model: str | PathLike[str] = "tiny",
    scratch: bool = False,
    teacher: str | PathLike[str] | None = None,
    val: str | PathLike[str] | None = None,
    resume: bool = False,
    unreadable: Unreadable = "refuse",
    engine: str = "auto",
    callback: Callable[[Progress], None] | None = None,
) -> Fitted:
    """Train a network on photographs.

    Parameters
    ----------
    folder : str or path
        With one sub-folder for each class, or with such folders ``train`` and ``val``.
    out : str or path
        Receives the network, ``log.jsonl`` and, for resuming, ``training.safetensors`` after each
        epoch, and ``curves.png`` at the end.
    recipe : Recipe, optional
        By default ``Recipe()``.
    model : str or path
        The network to start from, as in `npformer.load`. If it has other classes, its heads are
        replaced by new ones.
    scratch : bool
        Take only the architecture of `model`, and random weights.
    teacher : str or path, optional
        A trained network, as in `npformer.load`: the second head learns its answers while the first
        learns the labels (see `Recipe.distillation`). It must have the same classes and image size.
    val : str or path, optional
        Photographs to evaluate on after each epoch; by default ``val`` in `folder`, if it exists.
    resume : bool
        Continue the training in `out`, if there is one. Everything else must be the same.
    unreadable : {"refuse", "skip"}
        What to do with a file that cannot be read.
    engine : {"auto", "numba", "numpy"}
        See `npformer.engine.make_gradients`; training with dropout runs on the plain layers.
    callback : callable, optional
        Called with a `Progress` after each step and after each epoch.

    Returns
    -------
    Fitted

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If a folder of photographs does not exist.
    DataError
        If a folder has no classes, a class has no photographs, or `val` has other classes.
    ConfigError
        If `freeze` matches nothing or everything, the teacher does not fit, the image processor
        makes images of different sizes, `engine` cannot run this training, or the training to
        resume was begun with other settings.
    WeightsError, OfflineError, MissingPackage
        If `model` or `teacher` cannot be read, as in `npformer.load`, or the state to resume is
        damaged.
    FileExistsError
        If `out` is not empty and there is nothing to resume, or `resume` is not set.
    LearningError
        If the loss is no longer a finite number.
    ImageError, OSError
        If a file cannot be read and `unreadable` is ``"refuse"``.
    KeyboardInterrupt
        On Ctrl-C, after everything has been saved.
    """
    recipe = recipe or Recipe()
    train_folder, val_folder = split(Path(folder), None if val is None else Path(val))
    photos = find_photographs(train_folder)
    val_photos = None if val_folder is None else find_photographs(val_folder, photos.classes)
    student = prepare_student(model, photos.classes, recipe.seed, scratch)
    guide = None if teacher is None else read_teacher(teacher, student, engine)
    trainer = Trainer(
        Path(out),
        recipe,
        student,
        photos,
        val_photos,
        settings=_settings(recipe, model, scratch, photos, guide),
        teacher=guide,
        unreadable=unreadable,
        engine=engine,
        callback=callback,
    )
    now = trainer.initial_state(resume)
    try:
        while len(now.history) < recipe.epochs:
            for after_step in trainer.run_epoch(now):
                now = after_step
            now = trainer.finish_epoch(now)
            lr = trainer.learning_rate(now.step - 1)
            trainer.report(now, trainer.steps_per_epoch, lr, finished=now.history[-1])
    except (KeyboardInterrupt, RuntimeError) as error:
        # Ctrl-C while Python acquires a lock surfaces as the RuntimeError of releasing it.
        if not any(isinstance(e, KeyboardInterrupt) for e in (error, error.__context__)):
            raise
        trainer.save(now)
        raise KeyboardInterrupt from error
    return Fitted(trainer.out, now.history, trainer.draw_curves(now))


def split(folder: Path, val: Path | None) -> tuple[Path, Path | None]:
    """Return the folder to learn from and the folder to evaluate on, if there is one."""
    if not (folder / "train").is_dir():
        return folder, val
    if val is None and (folder / "val").is_dir():
        val = folder / "val"
    return folder / "train", val


def _settings(
    recipe: Recipe,
    model: str | PathLike[str],
    scratch: bool,
    photos: Photographs,
    teacher: Teacher | None,
) -> dict[str, Any]:
    """Return what a resumed training must share, in the types that JSON gives back."""
    names = [path.relative_to(photos.root).as_posix() for path in photos.paths]
    settings = {
        **asdict(recipe),
        "augmentation": recipe.augmentation._asdict(),
        "model": fspath(model),
        "scratch": scratch,
        "teacher": None if teacher is None else teacher.name,
        "photographs": f"{len(names)}, {hashlib.sha256(json.dumps(names).encode()).hexdigest()}",
    }
    as_json: dict[str, Any] = json.loads(json.dumps(settings))
    return as_json
