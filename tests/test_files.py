"""Whole files or none; files of another kind; packages that are not installed."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import stat
import time
from pathlib import Path

import checkpoint_cases as cases
import numpy as np
import pytest

import npformer
from npformer import checkpoints
from npformer.errors import (
    ConfigError,
    MissingPackage,
    MissingWeights,
    OfflineError,
    WeightsError,
)  # fmt: skip
from npformer.files.atomic import remove_left_over, replacing, write_json
from npformer.files.optional import optional
from npformer.files.sniff import what_is
from npformer.files.strict_json import read_object
from npformer.images.processor import EfficientFormerImageProcessor
from npformer.network.configuration import EfficientFormerConfig


def test_a_file_is_replaced_only_when_the_block_has_ended(tmp_path: Path):
    path = tmp_path / "a"
    path.write_text("old")
    with replacing(path) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.read_text() == ""
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.case(91)
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(error), replacing(path) as temporary:  # noqa: PT012 - two steps
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_names_the_file_that_was_to_be_written(tmp_path: Path):
    path, other, nowhere = tmp_path / "a", tmp_path / "other", tmp_path / "nowhere"
    path.write_text("old")
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match=r"No space left") as raised, replacing(path):
        raise full
    assert raised.value.filename == str(path)
    with pytest.raises(OSError, match=r"a: short of 3 bytes$"), replacing(path):
        raise OSError("short of 3 bytes")
    with pytest.raises(FileNotFoundError) as missing, replacing(path):
        other.read_text()
    assert missing.value.filename == str(other)  # another file than the one that is written
    with pytest.raises(FileNotFoundError, match=r"create the folder .*nowhere first"):
        write_json(nowhere / "a", {})
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_kill_left_over_is_deleted_and_nothing_else(tmp_path: Path):
    left_over = tmp_path / ".a.0123456789abcdef"
    kept = [tmp_path / name for name in ("a", ".a.txt", ".b.0123456789abcdef", "0123456789abcdef")]
    for path in [left_over, *kept]:
        path.write_text("")
    remove_left_over(tmp_path / "a", older_than=3600)
    assert left_over.exists()  # another process may be writing it
    os.utime(left_over, (0, 0))
    remove_left_over(tmp_path / "a", older_than=3600)
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_two_writers_have_files_of_their_own(tmp_path: Path):
    path = tmp_path / "a"
    with replacing(path) as one, replacing(path) as two:
        one.write_text("one")
        two.write_text("two")
    assert path.read_text() == "one"  # whose block ended last
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_permissions(tmp_path: Path):
    old = os.umask(0o022)
    try:
        for mode, expected in ((0o666, 0o644), (0o600, 0o600)):
            with replacing(tmp_path / "a", mode) as temporary:
                assert stat.S_IMODE(temporary.stat().st_mode) == expected
                temporary.write_text("a")
            assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == expected
    finally:
        os.umask(old)


NO_ROOM = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_told_by_the_name_of_the_file(tmp_path: Path):
    path = tmp_path / "a"
    for old in (False, True):
        with pytest.raises(OSError, match=r"No space left.*free space") as error, replacing(path):
            raise NO_ROOM
        assert (error.value.errno, error.value.filename) == (errno.ENOSPC, str(path))
        assert ("the old file is as it was" in str(error.value)) is old
        assert f".{path.name}." not in str(error.value)
        path.write_text("old")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_no_temporary_name_is_told(tmp_path: Path):
    (tmp_path / "file").touch()
    for path, kind, remedy in (
        (tmp_path / "gone" / "a", FileNotFoundError, f"create the folder {tmp_path / 'gone'}"),
        (tmp_path / "file" / "a", NotADirectoryError, "choose a folder that exists"),
        (tmp_path / ("a" * 300), OSError, "choose a shorter name"),
    ):
        with pytest.raises(kind, match=re.escape(remedy)) as error, replacing(path):
            raise AssertionError("not reached")
        assert error.value.filename == str(path)
        assert re.search(r"\.[0-9a-f]{16}", str(error.value)) is None
    (tmp_path / "folder").mkdir()
    with (
        pytest.raises(IsADirectoryError, match="choose the name of a file") as error,
        replacing(tmp_path / "folder"),
    ):
        pass
    assert error.value.filename == str(tmp_path / "folder")
    assert len(list(tmp_path.iterdir())) == 2


def test_errors_about_other_files_are_their_own(tmp_path: Path):
    with pytest.raises(FileNotFoundError) as error, replacing(tmp_path / "a"):
        (tmp_path / "other").read_text()
    assert error.value.filename == str(tmp_path / "other")
    assert "Remedy" not in str(error.value)


WRITERS = "page.html", "page.png", "page.pdf", "a.safetensors", "a.pth", "a.json"
"""Files that their users name, one of each writer."""


def writer(name: str, tmp_path: Path):
    """What writes the file of `WRITERS` with that name."""
    if name.startswith("page"):
        pytest.importorskip("matplotlib")
        return npformer.explain(np.zeros((64, 64, 3), np.uint8)).save
    c = cases.config()
    if name.endswith("json"):
        return c.to_json_file
    model = cases.folder(tmp_path / "model", c, cases.tensors(c))
    return lambda path: checkpoints.convert(model, path, to="hf")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_keeps_the_old_file_when_there_is_no_room(name: str, tmp_path: Path):
    resource = pytest.importorskip("resource")
    write, path = writer(name, tmp_path), tmp_path / name
    write(path)
    before = path.read_bytes()
    others = {other.name for other in tmp_path.iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, limits[1]))
    try:
        with pytest.raises(OSError, match="the old file is as it was") as error:
            write(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert error.value.filename == str(path)
    assert path.read_bytes() == before
    assert {other.name for other in tmp_path.iterdir()} == others


def test_a_key_that_occurs_often_takes_linear_time(tmp_path: Path):
    path = tmp_path / "a.json"
    for text, message in (
        (
            "{" + ",\n".join(['"a": 1'] * 200_000) + "}",
            "line 1 and 2: the key 'a' appears 200000 times",
        ),
        ("{" + ",\n".join(f'"{i}": NaN' for i in range(200_000)) + "}", "line 1 and 2: NaN is not"),
    ):
        path.write_text(text)
        start = time.process_time()
        with pytest.raises(ConfigError, match=message) as error:
            read_object(path)
        assert len(str(error.value)) < 200
        assert time.process_time() - start < 5  # it was minutes


@pytest.mark.parametrize("kind", [ConfigError, WeightsError, MissingWeights, OfflineError])
def test_messages_have_a_limit(kind: type[Exception]):
    assert str(kind("short")) == "short"
    text = str(kind("a" * 10**6 + "the end"))
    assert len(text) <= 2000
    assert text.startswith("aaa")
    assert text.endswith("the end")


def test_long_names_in_files_do_not_make_long_messages(tmp_path: Path):
    long = "n" * 10**6
    for name, text in (
        ("a.json", f'{{"{long}": 1, "{long}": 2}}'), ("b.json", f'{{"pool_size": "{long}"}}'),
        ("c.json", f'{{"model_type": "{long}"}}'), ("d.json", f'{{"id2label": {{"{long}": "a"}}}}'),
    ):  # fmt: skip
        (tmp_path / name).write_text(text)
        with pytest.raises(ConfigError) as error:
            EfficientFormerConfig.from_json_file(tmp_path / name)
        assert len(str(error.value)) <= 2000
        assert str(tmp_path / name) in str(error.value)
    path = tmp_path / "a.safetensors"
    checkpoints.safetensors_file.write(path, {long: np.ones(1)})
    with pytest.raises(WeightsError) as weights:
        checkpoints.read(path)
    assert len(str(weights.value)) <= 2000


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "a.json"
    write_json(path, {"b": 1, "a": [2]})
    assert path.read_text() == '{\n  "a": [\n    2\n  ],\n  "b": 1\n}\n'
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json(path, {"a": {3}})
    assert json.loads(path.read_text()) == {"a": [2], "b": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_configuration_is_written_whole_or_not_at_all(tmp_path: Path):
    config = EfficientFormerConfig()
    config.save_pretrained(tmp_path)
    config.license = {"a set"}
    with pytest.raises(TypeError, match="not JSON serializable"):
        config.save_pretrained(tmp_path)
    assert EfficientFormerConfig.from_pretrained(tmp_path) == EfficientFormerConfig()
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_a_processor_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(source: Path, target: Path) -> None:
        raise OSError("No space left on device")

    old = EfficientFormerImageProcessor(size=10)
    (written,) = old.save_pretrained(tmp_path)
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        EfficientFormerImageProcessor(size=20).save_pretrained(tmp_path)
    assert EfficientFormerImageProcessor.from_json_file(written).to_dict() == old.to_dict()
    assert [str(path) for path in tmp_path.iterdir()] == [written]


def test_a_package_that_is_there_is_imported():
    with optional("math", "this test", "math"):
        import math
    assert math.pi > 3


def test_a_package_that_is_missing_is_named_with_how_to_install_it():
    with (
        pytest.raises(MissingPackage, match=re.escape("a test needs nothing")) as error,
        optional("nothing", "a test", "npformer[some]"),
    ):
        import npformer.nothing  # type: ignore[import-not-found]  # noqa: F401
    assert str(error.value).endswith('pip install "npformer[some]"')
    assert "No module named 'npformer.nothing'" in str(error.value)
    assert isinstance(error.value, ModuleNotFoundError)


def test_other_errors_of_a_package_are_its_own():
    with pytest.raises(ZeroDivisionError), optional("nothing", "a test", "npformer[some]"):
        _ = 1 / 0


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf\r\n <!doctype html>", "web page"),
        (b"<svg>", "XML"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"\x1f\x8b\x08", "compressed"),
        (b"BZh9", "compressed"),
        (b"PK\x03\x04", "zip archive"),
        (b"\x89HDF\r\n", "TensorFlow"),
        (b"%!PS-Adobe", "PostScript"),
        (b"\xc5\xd0\xd3\xc6", "PostScript"),
        (b"%PDF-1.7", "PDF"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
    ],
)
def test_a_file_is_recognized_by_its_first_bytes(data: bytes, kind: str):
    found = what_is(data)
    assert found is not None
    assert kind in found


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"hello", b"   "])
def test_a_file_of_an_unknown_kind(data: bytes):
    assert what_is(data) is None
