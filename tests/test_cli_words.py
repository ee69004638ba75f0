"""Streams, words and errors that the command line meets: said in words, never with a traceback."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from photo_cases import network, photographs
from PIL import Image

import npformer
from npformer.commands import main as cli
from npformer.errors import WeightsError
from npformer.files.describing import describe
from npformer.learn.evaluation import ClassScore, Evaluation

IMAGES = Path(__file__).parents[1] / "notebooks" / "images"
COFFEE = str(IMAGES / "coffee.png")


@pytest.fixture(scope="module", autouse=True)
def kernels() -> None:
    """Compile them before, which is told on standard error, if they are not there yet."""
    npformer.load("tiny").classify(COFFEE)


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = cli.main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def spawn(*words: object, shell: str = "", **environment: str) -> Any:
    """Run a command in a process of its own; `shell` redirects its streams."""
    command = [sys.executable, "-m", "npformer", *map(str, words)]
    if shell:
        command = ["/bin/sh", "-c", f'exec "$@" {shell}', "sh", *command]
    return subprocess.run(
        command, capture_output=True, check=False, env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


# Output ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", cli.COMMANDS)
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_help_in_any_encoding(monkeypatch: pytest.MonkeyPatch, name: str, encoding: str) -> None:
    """Each command's, with the letters that its encoding lacks in plain ones."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    assert cli.main([name, "--help"]) == 0
    stream.flush()
    text = stream.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
    assert "usage:" in text
    assert "\\u" not in text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_tables_in_any_encoding(encoding: str, tmp_path: Path) -> None:
    model = network(tmp_path / "model")
    photos = photographs(tmp_path / "photos", 1)
    (photos / "lime").rename(photos / "LABEL_0")
    (photos / "plum").rename(photos / "LABEL_1")
    commands: list[list[object]] = [
        ["classify", COFFEE],
        ["info", "tiny"],
        ["evaluate", photos, "--model", model],
        ["train", photos, "--from", model, "--epochs", 1, "--out", tmp_path / "out"],
        ["profile", "--model", "tiny", "--passes", 1],
    ]
    if encoding == "ascii":
        commands += [
            ["info", "tiny", "--classes"], ["download", "tiny"],
            ["convert", "tiny", tmp_path / "timm.safetensors", "--to", "timm"],
            ["bench", "--model", "tiny", "--turns", 1],
        ]  # fmt: skip
        if find_spec("matplotlib"):
            commands.append(["explain", COFFEE, "-o", tmp_path / "page.html"])
    for words in commands:
        done = spawn(*words, PYTHONIOENCODING=encoding)
        text = done.stdout.decode(encoding)
        assert (done.returncode, done.stderr.count(b"Traceback")) == (0, 0), done.stderr
        assert "\\u" not in text, text
        if words[0] == "classify":
            assert "####" in text
        if words == ["info", "tiny"]:
            assert "---" in text
            assert ("128x128" in text or "32x32" in text) == (encoding == "ascii")


def test_names_that_cannot_be_shown_are_escaped(tmp_path: Path) -> None:
    for name in (b"a.png", b"b\xff.png", "日.png".encode()):
        path = os.path.join(os.fsencode(tmp_path), name)
        try:
            with open(path, "wb") as file:
                Image.new("RGB", (32, 32), "red").save(file, "PNG")
        except OSError:
            pytest.skip("this file system takes only names in UTF-8")
    for encoding, shown in (
        ("utf-8:strict", ["b\\udcff", "日"]),
        ("ascii", ["\\udcff", "\\u65e5"]),
    ):
        done = spawn("classify", tmp_path, "--top", 1, PYTHONIOENCODING=encoding)
        text = done.stdout.decode(encoding.partition(":")[0])
        assert (done.returncode, done.stderr) == (0, b"")
        assert text.count(".png") == 3
        assert all(part in text for part in shown)
    done = spawn("classify", tmp_path / "missing 日.png", PYTHONIOENCODING="ascii")
    assert b"missing \\u65e5.png: No such file or directory" in done.stderr


def test_labels_that_cannot_be_shown_are_escaped(tmp_path: Path) -> None:
    folder = network(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {str(i): f"\ud800{i}" for i in range(4)}
    config["label2id"] = {f"\ud800{i}": i for i in range(4)}
    (folder / "config.json").write_text(json.dumps(config))
    done = spawn("classify", COFFEE, "--model", folder, PYTHONIOENCODING="utf-8:strict")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.count(b"\\ud800") == 4


def test_json_has_no_nan(capsys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a network whose answers are not numbers: null in JSON, no bar in a table."""
    order = np.arange(200)[None]
    nan = np.full((1, 200), np.nan)
    monkeypatch.setattr("npformer.classification.ranked", lambda logits: (nan, order))
    code, out, _ = run(capsys, "classify", COFFEE, "--json")
    assert code == 0
    strict = json.loads(out, parse_constant=pytest.fail)
    assert [answer["score"] for answer in strict["predictions"]] == [None] * 5
    code, out, err = run(capsys, "classify", COFFEE)
    assert (code, err) == (0, "")
    assert out.count("nan%\n") == 5
    found = Evaluation(1, np.nan, 0.0, 0.0, (ClassScore("a", 1, 0.0),), (), (), ())
    monkeypatch.setattr("npformer.learn.evaluate", lambda *words, **more: found)
    code, out, _ = run(capsys, "evaluate", tmp_path, "--json")
    assert code == 0
    assert json.loads(out, parse_constant=pytest.fail)["loss"] is None


def test_warnings_are_one_line_each_and_told_once(capsys: Any, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    path = tmp_path / "moving.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        code, _, err = run(capsys, "classify", path, path, "--batch-size", "1")
    assert code == 0
    assert err == f"npformer: warning: {path}: has 2 frames; only the first is used\n"


# Words -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["classify", ""],
        ["classify", COFFEE, "--model", ""],
        ["classify", COFFEE, "--model="],
        ["explain", ""],
        ["explore", ""],
        ["explore", "-o", ""],
        ["train", ""],
        ["train", "photos", "--out", ""],
        ["evaluate", ""],
        ["info", ""],
        ["convert", "", "out.pth", "--to", "hf"],
        ["convert", "tiny", "", "--to", "hf"],
        ["download", ""],
        ["profile", "--model", ""],
        ["bench", "--model", ""],
        ["vectors", ""],
        ["compare", "tiny", ""],
        ["compare", "", "port.onnx"],
        ["compare", "tiny", "port.onnx", "--image", ""],
    ],
)
def test_an_empty_word_is_no_folder(
    capsys: Any, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "1.png")
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert "an argument is empty" in err
    assert f"usage: npformer {words[0]}" in err


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", "file:///photos"],
        ["train", "s3://photos", "--out", "x"],
        ["explain", "HTTP://example.org/cat.jpg"],
        ["explore", "https://example.org/cat.jpg"],
        ["info", "https://example.org/model"],
        ["vectors", "https://example.org/out"],
        ["compare", "tiny", "https://example.org/port.onnx"],
        ["classify", COFFEE, "--model=https://example.org/model"],
    ],
)
def test_an_address_is_no_path(capsys: Any, words: list[str]) -> None:
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert "://" in err
    assert "is an address; expected a file or folder: download it first" in err


def test_an_address_of_a_photograph_needs_fsspec(
    capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    code, out, err = run(capsys, "classify", "https://example.org/cat.jpg")
    assert (code, out) == (1, "")
    assert "https://example.org/cat.jpg is an address, which needs fsspec" in err
    assert 'pip install "npformer[dask]"' in err


# Streams and files -------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="a shell of POSIX")
def test_closed_streams() -> None:
    done = spawn("classify", "-", shell="<&-")
    assert done.returncode == 1
    assert done.stderr.startswith(b"npformer: -: standard input is closed; expected a photograph")
    assert done.stderr.count(b"\n") == 1
    for shell in (">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"):
        done = spawn("classify", COFFEE, "--top", 1, shell=shell)
        assert (done.returncode, done.stderr) == (0, b""), shell
        assert done.stdout.startswith(b"espresso") == (shell == "2>&-")
        done = spawn("classify", "missing.png", "--json", shell=shell)
        assert done.returncode == 1
        assert b"npformer:" not in done.stdout  # standard error does not end up there


LIMITED = """
import resource, sys
from npformer.commands.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_without_space_the_path_is_named_and_files_stay(tmp_path: Path) -> None:
    """Played by a limit on the size of files."""
    model, photos = network(tmp_path / "model"), photographs(tmp_path / "photos", 2)
    out = tmp_path / "big.safetensors"
    out.write_text("old")
    words = [sys.executable, "-c", LIMITED, "convert", "tiny", str(out), "--to", "timm"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        f"npformer: {out}: File too large: not written; the old file is as it was. Remedy: "
        "raise the limit on the size of files (ulimit -f), or name another place\n"
    )
    assert out.read_text() == "old"
    words = [*words[:3], "train", str(photos), "--from", str(model), "--out", str(tmp_path / "o")]
    done = subprocess.run([*words, "--epochs", "1"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"{tmp_path / 'o' / 'training.safetensors'}: File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "o").iterdir()) == []


def test_a_training_that_was_saved_before_is_named(
    capsys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "o"
    out.mkdir()
    (out / "training.safetensors").write_text("")

    def fit(*args: Any, **more: Any) -> None:
        raise OSError(28, "No space left on device", str(out / "model.safetensors"))

    monkeypatch.setattr("npformer.learn.fit", fit)
    code, _, err = run(capsys, "train", "DIR", "--out", out)
    assert code == 1
    assert err.splitlines() == [
        f"npformer: {out / 'model.safetensors'}: No space left on device; free space on the disk, "
        "or name another place",
        f"npformer: what was saved in {out} before is whole; go on with --resume",
    ]


def test_errors_of_the_system_are_told_in_words(capsys: Any, tmp_path: Path) -> None:
    told = "/a: Read-only file system; name another place, which can be written to"
    assert describe(OSError(30, "Read-only file system", "/a")) == told
    assert describe(OSError(30, told[4:], "/a")) == told
    assert describe(OSError("in words")) == "in words"
    assert describe(OSError(28, "No space left on device")) == "No space left on device"
    missing = tmp_path / "missing.png"
    for words in (["classify", missing], ["train", missing], ["evaluate", missing]):
        code, _, err = run(capsys, *words)
        assert code == 1
        assert err == f"npformer: {missing}: No such file or directory\n"
    code, _, err = run(capsys, "convert", "tiny", tmp_path / "no" / "a.pth", "--to", "hf")
    assert code == 1
    assert err == (
        f"npformer: {tmp_path / 'no' / 'a.pth'}: No such file or directory: not written. "
        f"Remedy: create the folder {tmp_path / 'no'} first, or choose another\n"
    )


def test_images_of_different_sizes_in_one_batch(capsys: Any, tmp_path: Path) -> None:
    """Whichever the size of the batch; what the network cannot take is named."""
    folder = network(tmp_path / "model")
    processor = json.loads((folder / "preprocessor_config.json").read_text())
    processor |= {"do_center_crop": False, "do_resize": False}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    sizes = [(16, 16), (15, 16), (200, 16), (16, 16)]
    paths = [tmp_path / f"{i}.png" for i in range(len(sizes))]
    for path, size in zip(paths, sizes, strict=True):
        Image.new("RGB", size, "red").save(path)
    found = []
    for batch in (1, 4):
        words = ["classify", *paths, "--model", folder, "--engine", "numpy", "--json"]
        code, out, err = run(capsys, *words, "--batch-size", batch)
        rows = [json.loads(row) for row in out.splitlines()]
        assert code == 1
        assert ["error" in row for row in rows] == [False, False, True, False]
        assert str(paths[2]) in err
        found.append([[a["label"] for a in row.get("predictions", [])] for row in rows])
    assert found[0] == found[1]
    classifier = npformer.load(folder, engine="numpy")
    some = [str(paths[i]) for i in (0, 1, 3)]
    assert classifier.classify(some) == [classifier.classify(path) for path in some]


# Which weights of a file

ENTRY_COMMANDS = {
    "classify": ["classify", "photos/a/0.png", "--model", "x.pth"],
    "evaluate": ["evaluate", "photos", "--model", "x.pth"],
    "explain": ["explain", "photos/a/0.png", "--model", "x.pth"],
    "explore": ["explore", "--model", "x.pth"],
    "info": ["info", "x.pth"],
    "info of a named network": ["info", "tiny"],
    "train": ["train", "photos", "--from", "x.pth"],
    "train from scratch": ["train", "photos", "--from", "tiny", "--scratch"],
    "convert": ["convert", "x.pth", "y.pth", "--to", "hf"],
    "convert to a graph": ["convert", "x.pth", "y.onnx"],
    "bench": ["bench", "--model", "x.pth"],
    "profile": ["profile", "--model", "tiny"],
    "quantize": ["quantize", "x.pth", "y"],
    "embed": ["embed", "photos", "--output", "y.csv"],
}


@pytest.mark.parametrize("words", ENTRY_COMMANDS.values(), ids=ENTRY_COMMANDS)
def test_every_command_that_reads_weights_takes_an_entry(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    if words[-1] == "y.onnx":
        pytest.importorskip("onnx")
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "photos" / name / "0.png")
    (tmp_path / "x.pth").touch()
    seen: list[str | None] = []

    def read_weights(file: Path, entry: str | None = None) -> NoReturn:
        seen.append(entry)
        raise WeightsError("seen")

    monkeypatch.setattr("npformer.checkpoints.folder.read_weights", read_weights)
    assert cli.main([*words, "--entry", "model_ema"]) == 1
    assert capsys.readouterr().err == "npformer: seen\n"
    assert seen == ["model_ema"]
    assert not (tmp_path / "trained").exists()


def test_no_command_that_takes_a_model_lacks_the_option() -> None:
    for name in cli.COMMANDS:
        parser = cli.make_parser([name])
        (commands,) = (a for a in parser._actions if isinstance(a.choices, dict))
        command = commands.choices[name]
        takes_model = {"--model", "--from", "model", "source", "reference"} & {
            word for a in command._actions for word in (a.option_strings or [a.dest])
        }
        assert ("--entry" in command._option_string_actions) == bool(takes_model), name
