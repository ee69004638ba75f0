"""Whole files or none; files of another kind; packages that are not installed."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from pathlib import Path

import pytest

from npformer.errors import MissingPackage
from npformer.files.atomic import remove_left_over, replacing, write_json
from npformer.files.optional import optional
from npformer.files.sniff import what_is
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
    with pytest.raises(FileNotFoundError, match=r"no such folder: '.*nowhere'$"):
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
