"""Whole files or none."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from npformer.files.atomic import replacing, write_json
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


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(error), replacing(path) as temporary:  # noqa: PT012 - two steps
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


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
