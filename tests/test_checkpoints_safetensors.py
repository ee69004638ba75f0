"""Reading ``.safetensors``: intact files bit for bit; errors for others name the tensor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_cases import same, to_bfloat16
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from npformer.checkpoints import safetensors_file, torch_writer
from npformer.checkpoints.dtypes import BFLOAT16, DTYPES, Tensors, widen
from npformer.errors import WeightsError

RNG = np.random.default_rng(0)
NUMPY = {name: dtype for name, dtype in DTYPES.items() if name != "BF16"}


def contents() -> Tensors:
    some = {name: (RNG.random((2, 3)) * 90).astype(dtype) for name, dtype in NUMPY.items()}
    return some | {"scalar": np.array(7), "empty": np.zeros((0, 3), "f4")}


def packed(header: Any, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def entry(shape: Any = (2,), offsets: Any = (0, 8), dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def test_what_the_library_writes_is_read(tmp_path: Path) -> None:
    save_file(contents(), tmp_path / "x.safetensors", {"format": "pt", "note": "é"})
    tensors, metadata = safetensors_file.read(tmp_path / "x.safetensors")
    assert same(tensors, load_file(tmp_path / "x.safetensors"))
    assert metadata == {"format": "pt", "note": "é"}


def test_what_is_written_the_library_reads(tmp_path: Path) -> None:
    tensors = contents() | {"big": np.arange(3, dtype=">f4"), "turned": np.ones((2, 3)).T}
    safetensors_file.write(tmp_path / "x.safetensors", tensors)
    found = load_file(tmp_path / "x.safetensors")
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(found[name], tensor)
    assert safetensors_file.read(tmp_path / "x.safetensors")[1] == {"format": "pt"}
    assert [path.name for path in tmp_path.iterdir()] == ["x.safetensors"]


@pytest.mark.case(68)
def test_bfloat16_is_kept_and_widens_exactly(tmp_path: Path) -> None:
    numbers = np.array([[1.0, -2.5, 3.0e38], [1e-40, 0.0, np.inf]], "f4")
    numbers = (numbers.view("u4") & 0xFFFF0000).view("f4")  # what bfloat16 can hold
    safetensors_file.write(tmp_path / "x.safetensors", {"x": to_bfloat16(numbers)})
    found = safetensors_file.read(tmp_path / "x.safetensors")[0]["x"]
    assert found.dtype == BFLOAT16
    np.testing.assert_array_equal(widen(found), numbers)
    np.testing.assert_array_equal(widen(found.T), numbers.T)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    safetensors_file.write(path, {"x": np.ones(2)})
    before = path.read_bytes()
    with pytest.raises(KeyError):
        safetensors_file.write(path, {"x": np.ones(2, complex)})
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("writer", [safetensors_file, torch_writer])
def test_an_interrupted_write_leaves_nothing(
    writer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        writer.write(tmp_path / "x", {"x": np.ones(2)})
    assert not list(tmp_path.iterdir())


GOOD = packed({"a": entry(), "b": entry((), (8, 12), "I32")}, bytes(12))

DAMAGED = {
    "empty": (b"", "empty"),
    "seven bytes": (b"1234567", "7 bytes"),
    "HTML page": (b"<!DOCTYPE html><html><body>Sign in</body></html>", "a web page"),
    "LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(99), "TensorFlow"),
    "zip": (b"PK\x03\x04" + bytes(99), "zip archive"),
    "gzip": (b"\x1f\x8b\x08" + bytes(99), "compressed"),
    "random": (bytes(range(255, 200, -1)), "truncated or another kind of file"),
    "header longer than the file": (GOOD[:20], "truncated"),
    "bad UTF-8": (packed(b'{"\xff": 1}'), "not JSON"),
    "no JSON": (packed(b"{'a': 1}"), "not JSON"),
    "NUL padding": (packed(json.dumps({"a": entry()}).encode() + b"\0\0", bytes(8)), "not JSON"),
    "array": (packed([entry()], bytes(8)), "another kind of file"),
    "nesting": (packed(b'{"a":' * 50_000), "not JSON"),
    "endless number": (packed(b'{"a": ' + b"9" * 5000 + b"}"), "not JSON"),
    "truncated": (GOOD[:-1], r"truncated: \d+ bytes found, \d+ expected"),
    "trailing": (GOOD + b"x", "belong to no tensor"),
    "overlap": (packed({"a": entry(), "b": entry((2,), (4, 12))}, bytes(12)), "'b' overlaps"),
    "alias": (packed({"a": entry(), "b": entry()}, bytes(8)), "'b' overlaps"),
    "hole": (packed({"a": entry(), "b": entry((1,), (12, 16))}, bytes(16)), "'b' leaves a gap"),
    "start": (packed({"a": entry((1,), (4, 8))}, bytes(8)), "'a' leaves a gap"),
    "backwards": (packed({"a": entry((2,), (8, 0))}, bytes(8)), "'a' has data_offsets"),
    "three offsets": (packed({"a": entry((2,), (0, 4, 8))}, bytes(8)), "'a' has data_offsets"),
    "float offset": (packed({"a": entry((2,), (0, 8.0))}, bytes(8)), "'a' has data_offsets"),
    "negative shape": (packed({"a": entry((-2,))}, bytes(8)), "'a' has shape"),
    "float shape": (packed({"a": entry((2.0,))}, bytes(8)), "'a' has shape"),
    "boolean shape": (packed({"a": entry((True, 2))}, bytes(8)), "'a' has shape"),
    "text shape": (packed({"a": entry("22")}, bytes(8)), "'a' has shape"),
    "huge shape": (packed({"a": entry((2**62, 8))}, bytes(8)), "'a' has shape"),
    "many dimensions": (packed({"a": entry([1] * 100, (0, 4))}, bytes(4)), "'a' has shape"),
    "wrong size": (packed({"a": entry((3,))}, bytes(8)), r"'a' has 8 bytes; shape \[3\] of F32"),
    "unknown dtype": (packed({"a": entry(dtype="F128")}, bytes(8)), "'a' has dtype 'F128'"),
    "float8": (packed({"a": entry((8,), dtype="F8_E4M3")}, bytes(8)), "'F8_E4M3'; npformer reads"),
    "dtype a list": (packed({"a": entry(dtype=["F32"])}, bytes(8)), "'a' has dtype"),
    "no dtype": (packed({"a": {"shape": [2], "data_offsets": [0, 8]}}, bytes(8)), "'a' has no"),
    "entry a list": (packed({"a": [1]}), "'a' has no dtype"),
    "metadata of numbers": (packed({"__metadata__": {"a": 1}}), "__metadata__"),
    "metadata a list": (packed({"__metadata__": ["a"]}), "__metadata__"),
    "surrogate": (
        packed(b'{"\\ud800": ' + json.dumps(entry()).encode() + b"}", bytes(8)),
        "header is not JSON .*surrogates",
    ),
    "surrogate in the metadata": (
        packed(b'{"__metadata__": {"a": "\\udfff"}}'),
        "header is not JSON .*surrogates",
    ),
    "huge and empty": (packed({"a": entry((2**62, 0, 8), (0, 0))}), "'a' has shape"),
}


@pytest.mark.case(57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67, 68)
@pytest.mark.parametrize("kind", DAMAGED)
def test_damage_is_refused(kind: str, tmp_path: Path) -> None:
    data, message = DAMAGED[kind]
    path = tmp_path / "weights.safetensors"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=message) as error:
        safetensors_file.read(path)
    assert str(path) in str(error.value)


@pytest.mark.case(69)
def test_a_name_that_appears_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    one = json.dumps(entry())
    path.write_bytes(packed(f'{{"a": {one}, "b": {one}, "a": {one}}}'.encode(), bytes(8)))
    with pytest.raises(WeightsError, match="names 'a' twice"):
        safetensors_file.read(path)


@pytest.mark.case(74)
def test_too_many_tensors_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(GOOD)
    monkeypatch.setattr(safetensors_file, "MAX_TENSORS", 2)
    assert len(safetensors_file.read(path)[0]) == 2
    monkeypatch.setattr(safetensors_file, "MAX_TENSORS", 1)
    with pytest.raises(WeightsError, match="2 tensors; expected at most 1"):
        safetensors_file.read(path)


@pytest.mark.case(73)
def test_directories_and_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match="weights"):
        safetensors_file.read(Path(tmp_path, "weights").mkdir() or tmp_path / "weights")
    with pytest.raises(FileNotFoundError, match="nothing"):
        safetensors_file.read(tmp_path / "nothing")


@pytest.mark.case(70, 71, 72)
@pytest.mark.parametrize("name", ["", "a\0b", "π"])
def test_odd_names_and_empty_tensors_are_read(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    extra = {**entry(), "whatever": 1}
    path.write_bytes(packed({name: extra, "none": entry((0, 4), (8, 8))}, bytes(8)))
    tensors, metadata = safetensors_file.read(path)
    assert {n: t.shape for n, t in tensors.items()} == {name: (2,), "none": (0, 4)}
    assert metadata == {}


def read_bytes(data: bytes, path: Path) -> Tensors | None:
    """Read, and accept only tensors or a `WeightsError` that names the file."""
    path.write_bytes(data)
    try:
        return safetensors_file.read(path)[0]
    except WeightsError as error:
        if str(path) not in str(error):
            raise
        return None


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, len(GOOD) - 1), byte=st.integers(0, 255))
def test_a_changed_byte_gives_tensors_or_an_error(place: int, byte: int, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    whole = read_bytes(GOOD, path)
    changed = read_bytes(GOOD[:place] + bytes([byte]) + GOOD[place + 1 :], path)
    if byte == GOOD[place]:
        assert changed is not None
        assert same(changed, whole)
    elif place < 8:
        assert changed is None
    elif place >= len(GOOD) - 12:  # numbers have no checksum
        assert changed is not None
        assert not same(changed, whole)


@pytest.mark.case(62)
@pytest.mark.parametrize("length", range(len(GOOD)))
def test_every_truncation_is_refused(length: int, tmp_path: Path) -> None:
    assert read_bytes(GOOD[:length], tmp_path / "x.safetensors") is None


SIZES = st.lists(st.integers(-1, 4) | st.sampled_from([2**31, 2**62, 2**64, 1.5, None]), max_size=3)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    header=st.dictionaries(
        st.sampled_from(["a", "b", "", "__metadata__"]),
        st.fixed_dictionaries(
            {
                "dtype": st.sampled_from(["F32", "BF16", "U8", "F4", 3]),
                "shape": SIZES,
                "data_offsets": SIZES,
            }
        )
        | st.dictionaries(st.text(max_size=2), st.text(max_size=2)),
    ),
    body=st.binary(max_size=32),
)
def test_any_header_gives_tensors_or_an_error(header: Any, body: bytes, tmp_path: Path) -> None:
    read_bytes(packed(header, body), tmp_path / "x.safetensors")
