"""`fit`: train a network on a folder of photographs."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable
from dataclasses import asdict
from os import PathLike, fspath
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import ConfigError
from ..files.paths import as_path
from .class_folders import DataError, Photographs, check_place, find_photographs, split
from .data import Unreadable
from .progress import Progress
from .recipe import Recipe
from .results import check_folder
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


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C, after the training so far has been saved; `fit` with ``resume=True`` goes on."""


def fit(
    folder: str | PathLike[str],
    out: str | PathLike[str],
    recipe: Recipe | None = None,
    *,
    model: str | PathLike[str] = "tiny",
    entry: str | None = None,
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
        With one sub-folder for each class, or with such folders ``train`` and ``val``. A sub-folder
        that is `out`, or holds another network, is no class.
    out : str or path
        Receives the network, ``log.jsonl`` and, for resuming, ``training.safetensors`` after each
        epoch, and ``curves.png`` at the end.
    recipe : Recipe, optional
        By default ``Recipe()``.
    model : str or path
        The network to start from, as in `npformer.load`. If it has other classes, its heads are
        replaced by new ones.
    entry : str, optional
        Which weights to read if `model` is a PyTorch file that has several, such as
        ``"model_ema"``.
    scratch : bool
        Take only the architecture of `model`, and random weights.
    teacher : str or path, optional
        A trained network, as in `npformer.load`: the second head learns its answers while the first
        learns the labels (see `Recipe.distillation`). It must have the same classes and image size.
    val : str or path, optional
        Photographs to evaluate on after each epoch; by default ``val`` in `folder`, if it exists.
    resume : bool
        Continue the training in `out`; if there is none, begin a new one, with a warning.
        Everything else must be the same.
    unreadable : {"refuse", "skip"}
        What to do with a file that cannot be read; those left out are told to `callback`, once.
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
        If a folder has fewer than two classes, a class has no photographs, `val` has other classes,
        sub-folders are parts of a data set, or no photograph of an epoch could be read; if a folder
        is an address.
    ConfigError
        If `out` is an address or inside a class, `freeze` matches nothing or everything, the
        teacher does not fit, the image processor makes images of different sizes, `engine` cannot
        run this training, or the training to resume was begun with other settings.
    WeightsError, OfflineError, MissingPackage
        If `model` or `teacher` cannot be read, as in `npformer.load`, or the state to resume is
        damaged.
    FileExistsError
        If `out` is not empty and there is nothing to resume, or `resume` is not set.
    LearningError
        If the loss, or what the network answers after an epoch, is no longer a finite number. What
        was saved before stays as it is.
    ImageError
        If a file cannot be read and `unreadable` is ``"refuse"``.
    OSError
        If `out` cannot be written to, or no space is left. What was saved before can be resumed.
    TrainingInterrupted
        On Ctrl-C, after everything has been saved. It is a KeyboardInterrupt.
    KeyboardInterrupt
        On Ctrl-C before training has begun, or again while everything is being saved.

    Warns
    -----
    UserWarning
        If there is nothing to resume, a class has no photographs in `val`, or something beside the
        classes is not used (see `find_photographs`).
    """
    recipe, place = recipe or Recipe(), as_path(out, "out", ConfigError)
    train_folder, val_folder = split(
        as_path(folder, "folder", DataError),
        None if val is None else as_path(val, "val", DataError),
    )
    check_place(place, [train_folder] if val_folder is None else [train_folder, val_folder])
    check_folder(place, resume)
    photos = find_photographs(train_folder, leave_out=place)
    val_photos = None if val_folder is None else _find_val(val_folder, photos.classes, place)
    student = prepare_student(model, photos.classes, recipe.seed, scratch, entry)
    guide = None if teacher is None else read_teacher(teacher, student, engine)
    trainer = Trainer(
        place,
        recipe,
        student,
        photos,
        val_photos,
        settings=_settings(recipe, model, entry, scratch, photos, guide),
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
        raise TrainingInterrupted(f"saved in {place}") from error
    return Fitted(trainer.out, now.history, trainer.draw_curves(now))


def _find_val(folder: Path, classes: tuple[str, ...], out: Path) -> Photographs:
    """List the photographs to evaluate on, and say which classes have none."""
    photos = find_photographs(folder, classes, leave_out=out)
    missing = [repr(name) for i, name in enumerate(classes) if i not in photos.labels]
    if missing:
        warnings.warn(
            f"{folder}: no photographs of {', '.join(missing[:3])}: {len(missing)} of the "
            f"{len(classes)} classes are not evaluated",
            stacklevel=3,
        )
    return photos


def _settings(
    recipe: Recipe,
    model: str | PathLike[str],
    entry: str | None,
    scratch: bool,
    photos: Photographs,
    teacher: Teacher | None,
) -> dict[str, Any]:
    """Return what a resumed training must share, in the types that JSON gives back."""
    names = [path.relative_to(photos.root).as_posix() for path in photos.paths]
    settings = {
        **asdict(recipe),
        "model": fspath(model),
        "entry": entry,
        "scratch": scratch,
        "teacher": None if teacher is None else teacher.name,
        "photographs": f"{len(names)}, {hashlib.sha256(json.dumps(names).encode()).hexdigest()}",
    }
    as_json: dict[str, Any] = json.loads(json.dumps(settings))
    return as_json
