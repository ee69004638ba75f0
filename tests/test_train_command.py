"""``npformer train`` and ``npformer evaluate``, mostly in this process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from photo_cases import network, photographs

from npformer import checkpoints
from npformer.commands import main as cli
from npformer.commands.train import line
from npformer.engine.machine_code import unavailable_reason
from npformer.learn import TrainingInterrupted


@pytest.fixture(autouse=True)
def no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)


@pytest.fixture(autouse=True, scope="module")
def kernels() -> None:
    """Compile them before, which is told on standard error, if they are not there yet."""
    unavailable_reason()


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(network(tmp_path / "model"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    photographs(tmp_path / "photos" / "train", 3)
    photographs(tmp_path / "photos" / "val", 2)
    return tmp_path / "photos"


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = cli.main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def options(model: str, out: Path, *more: object) -> list[object]:
    return ["--from", model, "--out", out, "--epochs", 2, "--batch-size", 3, *more]


def test_train_evaluate_classify(capsys: Any, model: str, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "result"
    code, said, err = run(capsys, "train", photos, *options(model, out, "--lr", "0.03"))
    assert code == 0
    lines = said.splitlines()
    assert [text.split("  ")[0] for text in lines[:2]] == ["epoch 1/2", "epoch 2/2"]
    assert "top-1" in lines[1]
    assert lines[2] == f"{out}: npformer classify IMAGE --model {out}"
    assert err == 'no picture of the curves: pip install "npformer[plot]"\n'
    config = json.loads((out / "config.json").read_text())
    assert config["id2label"] == {"0": "lime", "1": "plum"}

    code, said, err = run(capsys, "evaluate", photos / "val", "--model", out, "--engine", "numpy")
    assert (code, err) == (0, "")
    assert {text.split()[0] for text in said.splitlines()[1:3]} == {"lime", "plum"}
    assert said.splitlines()[-1].startswith("4 photographs: top-1 ")

    code, said, _ = run(
        capsys, "evaluate", photos / "val", "--model", out, "--engine", "numpy", "--json"
    )
    values = json.loads(said)
    last = json.loads((out / "log.jsonl").read_text().splitlines()[-1])
    assert values["images"] == 4
    assert values["top1"] == last["val_top1"]
    assert values["classes"][0]["label"] == "lime"

    code, said, _ = run(
        capsys, "classify", photos / "val" / "lime" / "0.png", "--model", out, "--engine", "numpy"
    )
    assert code == 0
    assert {text.split()[0] for text in said.splitlines()} == {"lime", "plum"}


def test_options_reach_the_recipe(
    capsys: Any, model: str, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def fit(folder: str, out: str, recipe: Any, **others: Any) -> None:
        seen.update(vars(recipe) | others | {"folder": folder, "out": out})
        raise TrainingInterrupted("saved in O")

    monkeypatch.setattr("npformer.learn.fit", fit)
    words = (
        "train DIR --val V --from M --entry E --scratch --out O --resume --epochs 3 --batch-size 5 "
        "--lr 0.5 --optimizer sgd --weight-decay 0.1 --label-smoothing 0.2 --drop-path 0.3 "
        "--mixup 0.4 --erase 0.6 --average 0.7 --freeze stem.* body --seed 8 --skip-unreadable "
        "--warmup 0.9 --teacher T --distillation soft --alpha 0.25 --temperature 2"
    )
    code, _, err = run(capsys, *words.split())
    assert code == 130
    assert "saved in O; go on with --resume" in err
    seen.pop("callback")
    augmentation = seen.pop("augmentation")
    assert (augmentation.mixup, augmentation.erase) == (0.4, 0.6)
    assert seen == {
        "folder": "DIR", "val": "V", "model": "M", "entry": "E", "scratch": True, "out": "O",
        "resume": True,
        "epochs": 3, "batch_size": 5, "lr": 0.5, "optimizer": "sgd", "weight_decay": 0.1,
        "label_smoothing": 0.2, "drop_path": 0.3, "average": 0.7, "freeze": ("stem.*", "body"),
        "seed": 8, "unreadable": "skip", "dropout": 0.0, "warmup": 0.9, "clip": 1.0,
        "teacher": "T", "distillation": "soft", "alpha": 0.25, "temperature": 2.0,
    }  # fmt: skip


def test_defaults_are_those_of_python(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from npformer.learn import Recipe

    seen: list[Any] = []

    def fit(folder: str, out: str, recipe: Any, **others: Any) -> None:
        seen.append(recipe)
        raise KeyboardInterrupt

    monkeypatch.setattr("npformer.learn.fit", fit)
    run(capsys, "train", "DIR")
    assert seen == [Recipe()]


def test_bad_files_are_told(capsys: Any, model: str, photos: Path, tmp_path: Path) -> None:
    bad = photos / "train" / "lime" / "1.png"
    bad.write_bytes(b"no picture")
    (photos / "val" / "plum" / "0.png").write_bytes(b"no picture")
    code, _, err = run(capsys, "train", photos, *options(model, tmp_path / "a"))
    assert code == 1
    assert f"{bad}: this is damaged or not an image" in err
    assert "--skip-unreadable" in err
    code, _, err = run(
        capsys, "train", photos, *options(model, tmp_path / "b", "--skip-unreadable")
    )
    assert code == 0
    assert err.count(f"npformer: left out: {bad}") == 1
    assert err.count(f"npformer: left out: {photos / 'val'}") == 1
    code, said, err = run(
        capsys, "evaluate", photos / "val", "--model", tmp_path / "b", "--skip-unreadable"
    )
    assert code == 0
    assert "left out" in err
    assert "3 photographs" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lr", "-1"], "lr is -1.0"),
        (["--freeze", "nothing.*"], "matches no path"),
        (["--from", "no-such-model"], "no-such-model"),
        (["--val", "missing"], "missing"),
        (["--mixup", "-1"], "mixup is -1.0"),
        (["--erase", "3"], "erase is 3.0"),
        (["--average", "1"], "average is 1.0"),
    ],
)
def test_mistakes_are_one_line(
    capsys: Any, model: str, photos: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    code, _, err = run(capsys, "train", photos, *options(model, tmp_path / "out", *words))
    assert code == 1
    assert message in err
    assert err.count("\n") == 1


def test_ctrl_c_saves_exits_130_and_resumes(
    capsys: Any, model: str, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "cut"
    words = ["train", photos, *options(model, out), "--epochs", 400, "--freeze", "body"]
    process = subprocess.Popen(
        [sys.executable, "-m", "npformer", *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines() == [
        f"npformer: saved in {out}; go on with --resume", "npformer: interrupted",
    ]  # fmt: skip
    done = len((out / "log.jsonl").read_text().splitlines())
    assert 1 <= done < 400
    assert checkpoints.read(out).config.num_labels == 2


def test_the_bar_counts_photographs(
    capsys: Any, model: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from npformer.learn import fit

    def stop(progress: Any) -> None:
        if progress.epoch == 2:
            raise KeyboardInterrupt

    from npformer.learn import Recipe

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        fit(photos, out, Recipe(epochs=2, batch_size=3), model=model, callback=stop)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    code, _, err = run(capsys, "train", photos, *options(model, out, "--resume"))
    assert code == 0
    assert "12/12" in err
    assert "epoch 2, loss" in err


def test_a_line_on_an_epoch() -> None:
    row = {"epoch": 3, "loss": 1.23456, "seconds": 61.4}
    assert line(row, 10) == "epoch  3/10  loss 1.235  61 s"
    row |= {"val_loss": 0.5, "val_top1": 0.755, "val_top5": 1.0}
    assert line(row, 3) == "epoch 3/3  loss 1.235  val loss 0.500  top-1 75.5%  top-5 100.0%  61 s"
    assert line({"epoch": 1, "loss": None, "seconds": 0}, 1) == "epoch 1/1  loss –  0 s"
