"""What a training leaves in its folder: after a kill, after Ctrl-C, and without space."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photo_cases import network, photographs

from npformer import checkpoints
from npformer.errors import ImageError
from npformer.files import atomic
from npformer.learn import (
    NONE,
    DataError,
    Fitted,
    LearningError,
    Progress,
    Recipe,
    TrainingInterrupted,
    fit,
    trainer,
)
from npformer.network.tree import leaves

RECIPE = Recipe(epochs=2, batch_size=4, lr=3e-3, augmentation=NONE)


@pytest.fixture(autouse=True)
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("npformer.learn.curves.draw", lambda history, path: None)


@pytest.fixture
def learn(tmp_path: Path) -> Callable[..., Fitted]:
    model, photos = network(tmp_path / "model"), photographs(tmp_path / "photos")

    def run(recipe: Recipe = RECIPE, out: str = "out", **options: Any) -> Fitted:
        options = {"model": model, "engine": "numpy", **options}
        return fit(options.pop("folder", photos), tmp_path / out, recipe, **options)

    return run


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files but the state; of the log without the seconds."""
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    del found["training.safetensors"]
    rows = found["log.jsonl"].decode().splitlines()
    found["log.jsonl"] = "\n".join(row.partition(', "seconds"')[0] for row in rows).encode()
    return found


class Killed(BaseException):
    """As SIGKILL: nothing that would clear up afterwards runs."""


def test_killed_at_any_file_of_the_last_save_it_resumes(
    learn: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Network, log and state agree afterwards, and nothing else is left."""
    whole = contents(learn(out="whole").folder)
    moves: list[str] = []
    move = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (moves.append(b), move(a, b)))
    learn(out="counted")
    half = len(moves) // 2
    for moment in range(half, 2 * half):
        count = 0

        def dies(a: Any, b: Any, moment: int = moment) -> None:
            nonlocal count
            if count == moment:
                raise Killed
            count += 1
            move(a, b)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", dies)
            patch.setattr(Path, "unlink", lambda path, missing_ok=False: None)
            with pytest.raises(Killed):
                learn(out="cut")
        assert any(path.name.startswith(".") for path in (tmp_path / "cut").iterdir())
        fitted = learn(out="cut", resume=True)
        assert contents(fitted.folder) == whole, moves[moment]
        shutil.rmtree(fitted.folder)


@pytest.mark.parametrize("val", [True, False])
def test_the_network_of_the_last_step_is_looked_at(
    learn: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, val: bool
) -> None:
    """A step that leaves the range of numbers after its own loss was finite."""
    recipe = replace(RECIPE, epochs=1)
    step = trainer.Trainer.train_step

    def overflows(self: Any, now: Any, *more: Any) -> Any:
        now = step(self, now, *more)
        if now.step < 3:
            return now
        norm = now.params.norm._replace(weight=np.full_like(now.params.norm.weight, np.nan))
        return now._replace(params=now.params._replace(norm=norm))

    monkeypatch.setattr(trainer.Trainer, "train_step", overflows)
    folder = {"val": tmp_path / "photos"} if val else {}
    with pytest.raises(LearningError, match=r"after step 3 .* not finite .*lower the"):
        learn(recipe, **folder)
    assert list((tmp_path / "out").iterdir()) == []


def test_ctrl_c_says_saved_only_after_saving(
    learn: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt

    def again(*more: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("npformer.learn.fitting.prepare_student", again)
        with pytest.raises(KeyboardInterrupt) as before:
            learn()
    assert type(before.value) is KeyboardInterrupt
    assert not (tmp_path / "out").exists()
    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "save", again)
        with pytest.raises(KeyboardInterrupt) as second:
            learn(callback=stop)
    assert type(second.value) is KeyboardInterrupt
    with pytest.raises(TrainingInterrupted, match=r"^saved in .*out$"):
        learn(callback=stop)
    assert (tmp_path / "out" / "training.safetensors").is_file()


def test_resuming_nothing_is_told(learn: Any) -> None:
    with pytest.warns(UserWarning, match="out: nothing to resume; training begins anew"):
        learn(resume=True)
    learn(resume=True)  # there is something now


def test_without_space_the_training_before_is_whole(
    learn: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = learn(out="whole")
    written = []
    write = checkpoints.write

    def full(*args: Any) -> None:
        written.append(1)
        if len(written) == 2:
            with atomic.replacing(tmp_path / "out" / "model.safetensors"):
                raise OSError(errno.ENOSPC, "No space left on device")
        write(*args)

    monkeypatch.setattr(checkpoints, "write", full)
    with pytest.raises(OSError, match=r"No space left on device: .*out.model\.safetensors"):
        learn()
    fitted = learn(resume=True)
    of_whole, of_fitted = (dict(leaves(checkpoints.read(f.folder).params)) for f in (whole, fitted))
    assert all(np.array_equal(of_whole[path], of_fitted[path]) for path in of_whole)


def test_an_epoch_without_a_photograph_is_refused(learn: Any, tmp_path: Path) -> None:
    for path in (tmp_path / "photos").rglob("*.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(DataError, match="no photograph of this epoch could be read"):
        learn(unreadable="skip")
    with pytest.raises(ImageError, match="--skip-unreadable"):
        learn()
