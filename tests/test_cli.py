"""The command line, mostly in this process; in one of its own where the process matters."""

import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from stored_answers import COFFEE_IS

from npformer.commands import main as cli

IMAGES = Path(__file__).parents[1] / "notebooks" / "images"
COFFEE = str(IMAGES / "coffee.png")


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = cli.main(words)
    out, err = capsys.readouterr()
    return code, out, err


def spawn(*words: str, **options: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "npformer", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]


def test_classify_prints_a_table(capsys):
    code, out, err = run(capsys, "classify", COFFEE, "--top", "3")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(COFFEE_IS)
    assert "█" in lines[0]
    assert "%" in lines[2]


def test_many_images_are_told_apart(capsys):
    code, out, _ = run(capsys, "classify", str(IMAGES), "--top", "1", "--batch-size", "3")
    paths = [line for line in out.splitlines() if line.startswith(str(IMAGES))]
    assert code == 0
    assert paths == sorted(str(p) for p in IMAGES.iterdir() if p.suffix in (".png", ".jpg"))


def test_what_macos_leaves_beside_photographs_is_skipped(capsys, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "1.png")
    (tmp_path / "._1.png").write_bytes(b"no picture")
    code, out, err = run(capsys, "classify", str(tmp_path), "--json")
    assert (code, err) == (0, "")
    assert [json.loads(line)["image"] for line in out.splitlines()] == [str(tmp_path / "1.png")]


def test_json_lines(capsys):
    code, out, _ = run(capsys, "classify", COFFEE, COFFEE, "--json", "--top", "2")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert rows[0] == rows[1]
    assert rows[0]["image"] == COFFEE
    first, second = rows[0]["predictions"]
    assert first["label"] == COFFEE_IS
    assert first["score"] > second["score"] > 0
    assert set(first) == {"label", "score", "index"}


def test_patterns_are_expanded_where_no_shell_does_it(capsys):
    code, out, _ = run(capsys, "classify", str(IMAGES / "c*.png"), "--json")
    assert code == 0
    assert [Path(json.loads(line)["image"]).name for line in out.splitlines()] == [
        "cat.png",
        "coffee.png",
    ]


def test_standard_input(capsys, monkeypatch):
    stdin = io.TextIOWrapper(io.BytesIO(Path(COFFEE).read_bytes()))
    monkeypatch.setattr(sys, "stdin", stdin)
    code, out, _ = run(capsys, "classify", "-", "--top", "1")
    assert code == 0
    assert out.startswith(COFFEE_IS)


@pytest.mark.case(18)
def test_bad_files_are_named_and_the_others_still_run(capsys, tmp_path):
    bad, missing = tmp_path / "bad.png", tmp_path / "missing.png"
    bad.write_text("no picture")
    code, out, err = run(capsys, "classify", str(bad), COFFEE, str(missing), "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 1
    assert [row["image"] for row in rows] == [str(bad), COFFEE, str(missing)]
    assert ["error" in row for row in rows] == [True, False, True]
    assert err.count(str(bad)) == err.count(str(missing)) == 1
    assert "Traceback" not in err


@pytest.mark.case(93)
@pytest.mark.parametrize(
    "words",
    [
        (),
        ("classify",),
        ("classify", COFFEE, "--top", "0"),
        ("classify", COFFEE, "--top", "many"),
        ("classify", "nothing/*.png"),
        ("nonsense",),
        ("classify", COFFEE, "--engine", "steam"),
    ],
)
def test_wrong_usage_exits_2(capsys, words):
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert "usage:" in err


@pytest.mark.case(93)
def test_an_empty_folder_is_wrong_usage(capsys, tmp_path):
    code, _, err = run(capsys, "classify", str(tmp_path))
    assert code == 2
    assert str(tmp_path) in err


def test_unknown_model_exits_1_and_says_what_there_is(capsys):
    code, _, err = run(capsys, "classify", COFFEE, "--model", "no-such-model")
    assert code == 1
    assert "no-such-model" in err
    assert "tiny" in err


def test_version_and_help(capsys):
    assert run(capsys, "--version")[1].startswith("npformer ")
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert all(name in out for name in cli.COMMANDS)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_itself(capsys, name):
    code, out, _ = run(capsys, name, "--help")
    assert code == 0
    assert "usage:" in out


@pytest.mark.parametrize(
    ("model", "parameters", "macs"),
    [
        ("l1", 12_289_928, 1_291_284_736),
        ("l3", 31_406_000, 3_906_573_312),
        ("l7", 82_229_328, 10_119_325_696),
    ],
)
def test_info_counts_as_published(capsys, model, parameters, macs):
    code, out, _ = run(capsys, "info", model)
    assert code == 0
    assert f"{parameters:,}" in out.splitlines()[-1]
    assert f"{macs:,}" in out.splitlines()[-1]
    table = json.loads(run(capsys, "info", model, "--json")[1])
    assert (table["parameters"], table["macs"]) == (parameters, macs)


def test_info_of_a_folder_is_that_of_its_name(capsys):
    folder = str(IMAGES.parents[1] / "weights" / "tiny")
    assert run(capsys, "info", folder) == run(capsys, "info", "tiny")
    assert run(capsys, "info", folder, "--json") == run(capsys, "info", "tiny", "--json")


@pytest.mark.parametrize(("model", "count"), [("tiny", 200), ("l1", 1000)])
def test_info_lists_the_classes_by_kind(capsys, model, count):
    code, out, err = run(capsys, "info", model, "--classes")
    assert (code, err) == (0, "")
    first, *parts = out.strip().split("\n\n")
    assert first == f"{count} classes"
    listed = {}
    for part in parts:
        kind, number, names = re.fullmatch(r"(.+) \((\d+)\)\n(.+)", part, re.S).groups()
        listed[kind] = names.replace("\n", "").strip().split(",")
        listed[kind] = [" ".join(name.split()) for name in listed[kind]]
        assert len(listed[kind]) == int(number)
    assert sum(map(len, listed.values())) == count
    assert "espresso" in listed["food and drink"]
    assert "Egyptian cat" in listed["animals"]

    rows = json.loads(run(capsys, "info", model, "--json")[1])["classes"]
    assert [row["index"] for row in rows] == list(range(count))
    assert {row["label"]: row["kind"] for row in rows} == {
        name: kind for kind, names in listed.items() for name in names
    }
    (cat,) = [row for row in rows if row["label"] == "Egyptian cat"]
    assert cat["wordnet_id"] == "n02124075"


@pytest.mark.case(94)
@pytest.mark.skipif(os.name != "posix", reason="signals and pipes of POSIX")
def test_ctrl_c_exits_130():
    command = [sys.executable, "-m", "npformer", "classify", "-"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    # The process waits for its standard input: by then the interpreter handles signals.
    while not _reads_standard_input(process.pid):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in err


def _reads_standard_input(pid: int) -> bool:
    """Whether the main thread of a process sleeps in a read of a pipe."""
    return Path(f"/proc/{pid}/wchan").read_text().strip() in (
        "pipe_read",
        "pipe_wait",
        "anon_pipe_read",
    )


@pytest.mark.case(93)
@pytest.mark.skipif(os.name != "posix", reason="signals and pipes of POSIX")
def test_a_closed_pipe_is_quiet():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "npformer", "info", "l7"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert done.returncode == 141
    assert done.stderr == b""


def test_progress_goes_to_a_terminal_only(capsys, tmp_path):
    for i in range(3):
        Image.new("RGB", (8, 8), (i, i, i)).save(tmp_path / f"{i}.png")
    assert run(capsys, "classify", str(tmp_path))[2] == ""


def test_on_a_terminal_there_is_a_bar(capsys, tmp_path, monkeypatch):
    for i in range(3):
        Image.new("RGB", (8, 8), (i, i, i)).save(tmp_path / f"{i}.png")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    code, out, err = run(capsys, "classify", str(tmp_path), "--json", "--batch-size", "2")
    assert code == 0
    assert len(out.splitlines()) == 3
    assert "3/3" in err
    assert "img" in err
