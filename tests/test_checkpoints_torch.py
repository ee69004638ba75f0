"""Reading torch's files: correct for what PyTorch writes, and an error for everything else."""

from __future__ import annotations

import argparse
import datetime
import io
import os
import pickle
import random
import struct
import zipfile
from collections import Counter, OrderedDict, defaultdict, deque
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_cases import same, to_bfloat16
from golden import torch_file as golden
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from npformer.checkpoints import torch_file, torch_pickle, torch_writer
from npformer.checkpoints.dtypes import Tensors, widen
from npformer.checkpoints.prefixes import unwrap
from npformer.checkpoints.torch_writer import _global, _ordered_dict, _text, _tuple, _whole
from npformer.errors import UnsafeCheckpointError, WeightsError


def contents(path: Path, entry: str | None = None) -> Tensors:
    """The tensors of a file, under the names that they have in their own model."""
    return unwrap(torch_file.read(path, entry).tensors, str(path)).tensors


def refused(path: Path, message: str, kind: type[WeightsError] = WeightsError) -> None:
    with pytest.raises(kind, match=message) as error:
        contents(path)
    assert str(path) in str(error.value)


# What PyTorch writes


@pytest.mark.parametrize("file", [golden.GOLDEN, golden.LEGACY], ids=lambda path: path.stem)
def test_pytorch_s_own_file(file: Path) -> None:
    found = contents(file)
    expected = golden.expected()
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert name == "bfloat16" or found[name].dtype == array.dtype
        np.testing.assert_array_equal(widen(found[name]), array)
        assert not found[name].flags.writeable


@pytest.mark.parametrize("file", [golden.GOLDEN, golden.LEGACY], ids=lambda path: path.stem)
def test_another_entry_and_the_wrapper_s_prefix(file: Path) -> None:
    found = contents(file, "model_ema")
    assert list(found) == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert found["num_batches_tracked"] == 1
    with pytest.raises(WeightsError, match=r"no weights under 'mean': 'model', 'model_ema'"):
        contents(file, "mean")


TENSORS: Tensors = {
    "a": np.arange(6, dtype="f4").reshape(2, 3),
    "b": to_bfloat16(np.ones(4)),
    "c": np.array(3),
    "d": np.arange(4, dtype=">f8"),
}


@pytest.mark.parametrize("entry", [None, "model", "state_dict", "model_ema", "state_dict_ema"])
def test_what_is_written_is_read(entry: str | None, tmp_path: Path) -> None:
    path = tmp_path / "wéights.pth"
    torch_writer.write(path, TENSORS, entry)
    assert same(contents(path), TENSORS | {"d": np.arange(4, dtype="<f8")})


def test_equal_tensors_make_equal_files(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        torch_writer.write(tmp_path / folder / "x.pth", TENSORS)
    assert (tmp_path / "a" / "x.pth").read_bytes() == (tmp_path / "b" / "x.pth").read_bytes()


# Archives made by hand

STORAGE = np.arange(12, dtype="<f4").tobytes()


def tensor(
    offset: bytes = _whole(0),
    shape: bytes = _tuple([_whole(3), _whole(4)]),
    strides: bytes = _tuple([_whole(4), _whole(1)]),
    numel: bytes = _whole(12),
    storage: bytes = _global("torch", "FloatStorage"),
    kind: str = "storage",
    key: bytes = _text("0"),
    more: bytes = b"",
) -> bytes:
    """The call that makes a tensor."""
    identifier = _tuple([_text(kind), storage, key, _text("cpu"), numel]) + b"Q"
    arguments = _tuple([identifier, offset, shape, strides, b"\x89", _ordered_dict(), more])
    return _global("torch._utils", "_rebuild_tensor_v2") + arguments + b"R"


def weights(value: bytes) -> bytes:
    """The pickle of ``{"x": value}``."""
    return b"\x80\x02}" + _text("x") + value + b"s."


def records(**changes: bytes | None) -> dict[str, bytes]:
    """The records of a good archive, with changes; None omits one."""
    usual = {"data.pkl": weights(tensor()), "byteorder": b"little", "data/0": STORAGE}
    everything: dict[str, bytes | None] = {**usual, **changes}
    return {f"x/{name}": data for name, data in everything.items() if data is not None}


def archive(path: Path, contents: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in contents.items():
            file.writestr(zipfile.ZipInfo(name), data, method)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights.pth"


def read(path: Path, value: bytes) -> Any:
    return contents(archive(path, records(**{"data.pkl": weights(value)})))["x"]


def test_the_archive_by_hand_is_good(path: Path) -> None:
    expected = np.arange(12, dtype="f4").reshape(3, 4)
    np.testing.assert_array_equal(contents(archive(path, records()))["x"], expected)


def test_files_of_older_versions_have_fewer_records(path: Path) -> None:
    assert contents(archive(path, records(byteorder=None)))["x"].shape == (3, 4)


@pytest.mark.case(86)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.pkl": None}, "no record data.pkl"),
        ({"data/0": None}, "no record data/0"),
        ({"data/0": STORAGE[:-1]}, "has 47 bytes instead of 48"),
        ({"data/0": STORAGE + b"x"}, "has 49 bytes instead of 48"),
        ({"constants.pkl": b""}, "TorchScript"),
        ({"../evil": b""}, "with the name 'x/../evil'"),
        ({"a\\evil": b""}, "with the name"),
        ({"./data.pkl": b""}, "with the name"),
        ({"/evil": b""}, "with the name"),
        ({"folder/": b""}, "with the name"),
    ],
)
def test_wrong_records(path: Path, changes: dict[str, bytes | None], message: str) -> None:
    refused(archive(path, records(**changes)), message)


@pytest.mark.case(86)
@pytest.mark.parametrize("name", ["y/data/1", "evil", "/evil", "../evil"])
def test_records_outside_of_the_folder(path: Path, name: str) -> None:
    refused(archive(path, records() | {name: b""}), "name|another folder")


@pytest.mark.case(86)
@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_archives(path: Path, method: int) -> None:
    refused(archive(path, records(), method), "compressed")


@pytest.mark.case(86)
def test_two_records_of_one_name(path: Path) -> None:
    archive(path, records())
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as file:
        file.writestr("x/data.pkl", b"")
    refused(path, "two records with the name 'x/data.pkl'")


def listed(data: bytes, name: bytes) -> int:
    """Where a record is in the list of records."""
    (start,) = struct.unpack("<I", data[-6:-2])
    return data.index(name, start) - 46


@pytest.mark.case(86)
def test_a_record_inside_another(path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as file:
        file.writestr("x/byteorder", b"little")
    archive(path, records(**{"data/1": inner.getvalue()}))
    data = bytearray(path.read_bytes())
    inside = data.index(b"PK\x03\x04", data.index(b"x/data/1"))
    place = listed(data, b"x/byteorder")
    data[place + 42 : place + 46] = struct.pack("<I", inside)
    path.write_bytes(data)
    refused(path, "overlaps another")


@pytest.mark.case(86)
@pytest.mark.parametrize(("compressed", "size", "message"), [(-1, 0, "is comp"), (9, 9, "list of")])
def test_wrong_lengths(path: Path, compressed: int, size: int, message: str) -> None:
    data = bytearray(archive(path, records()).read_bytes())
    place = listed(data, b"x/data/0")
    lengths = struct.pack("<II", 48 + compressed, 48 + size)
    data[place + 20 : place + 28] = lengths
    path.write_bytes(data)
    refused(path, message)


def test_the_header_of_a_record_must_be_its_own(path: Path) -> None:
    data = bytearray(archive(path, records()).read_bytes())
    data[data.index(b"x/byteorder")] = ord("y")
    path.write_bytes(data)
    refused(path, "header of 'x/byteorder' is not at its place")


@pytest.mark.case(86)
def test_data_around_the_archive(path: Path) -> None:
    data = archive(path, records()).read_bytes()
    path.write_bytes(data + b"x")
    refused(path, "does not end with its list")
    path.write_bytes(b"PK\x03\x04" + data)
    refused(path, "comes after other data")


def test_wrong_checksum(path: Path) -> None:
    data = bytearray(archive(path, records()).read_bytes())
    data[data.index(STORAGE)] ^= 1
    path.write_bytes(data)
    refused(path, "damaged or cut off.*CRC")


def test_encrypted_records(path: Path) -> None:
    data = bytearray(archive(path, records()).read_bytes())
    for place in range(len(data)):
        if data[place : place + 4] == b"PK\x01\x02":
            data[place + 8] |= 1
    path.write_bytes(data)
    refused(path, "encrypted")


def test_too_many_records(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_file, "MAX_RECORDS", 2)
    refused(archive(path, records()), "3 records, more than 2")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"<html>", "HTML"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs"),
        (b"PK\x05\x06" + bytes(18), "zip archive"),
        (b"\x1f\x8b" + bytes(9), "compressed"),
        (b"ustar", "does not begin like a zip archive"),
    ],
)
def test_other_files(path: Path, data: bytes, message: str) -> None:
    path.write_bytes(data)
    refused(path, message)


@pytest.mark.case(84)
def test_bare_pickles_are_not_run(path: Path) -> None:
    path.write_bytes(pickle.dumps({"x": 1}, 2))
    refused(path, "a bare pickle that torch.save did not write", UnsafeCheckpointError)


def test_directories_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        contents(tmp_path)
    with pytest.raises(FileNotFoundError):
        contents(tmp_path / "nothing")


# Views


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (12,), (1,)), (11, (1,), (1,)), (11, (), ()), (0, (4, 3), (1, 4)), (1, (2, 2), (6, 3)),
        (0, (1, 12), (999, 1)), (0, (2, 3, 2), (1, 4, 2)), (2, (1, 1, 1), (0, 0, 0)),
        (0, (1,), (2**62,)), (0, (0, 4), (4, 1)), (12, (0,), (1,)), (3, (7,), (0,)),
        (0, (3, 4), (1, 1)), (0, (3, 3), (2, 1)),
    ],
)  # fmt: skip
def test_views(path: Path, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
    value = tensor(_whole(offset), _tuple(map(_whole, shape)), _tuple(map(_whole, strides)))
    x = np.arange(12, dtype="f4")
    steps = [4 * s * (n > 1) for n, s in zip(shape, strides, strict=True)]
    expected = np.lib.stride_tricks.as_strided(x[offset:], shape, steps)
    np.testing.assert_array_equal(read(path, value), expected)


@pytest.mark.case(85)
@pytest.mark.parametrize(
    ("offset", "shape", "strides", "message"),
    [
        (0, (13,), (1,), "does not lie in its storage of 12"),
        (12, (), (), "does not lie"),
        (9, (2, 2), (2, 1), "does not lie"),
        (2**62, (1,), (1,), "does not lie"),
        (0, (2, 2), (2**62, 1), "does not lie"),
        (0, (10**12,), (0,), "repeats the numbers of its storage"),
        (0, (10**6, 10**6), (0, 0), "repeats the numbers of its storage"),
        (0, (2**62,), (1,), "does not lie"),
        (13, (0, 4), (4, 1), "does not lie"),
        (0, (3, 4), (4,), "does not lie"),
        (-1, (2,), (1,), "not a whole number from 0"),
        (0, (-2,), (1,), "not a whole number from 0"),
        (11, (12,), (-1,), "not a whole number from 0"),
    ],
)
def test_views_that_lie(
    path: Path, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], message: str
) -> None:
    value = tensor(_whole(offset), _tuple(map(_whole, shape)), _tuple(map(_whole, strides)))
    refused(archive(path, records(**{"data.pkl": weights(value)})), message)


@pytest.mark.case(85)
@pytest.mark.parametrize("stride", [2**61, 2**62])
def test_enormous_strides_of_a_side_of_one(path: Path, stride: int) -> None:
    """They do not matter, so the tensor is read."""
    value = tensor(shape=_tuple([_whole(1), _whole(12)]), strides=_tuple(map(_whole, (stride, 1))))
    archive(path, records(**{"data.pkl": weights(value)}))
    assert contents(path)["x"].shape == (1, 12)


@pytest.mark.case(87)
@pytest.mark.parametrize(
    "value",
    [
        tensor(shape=_whole(3)),
        tensor(strides=_text("4")),
        tensor(offset=_text("0")),
        tensor(offset=b"\x88"),  # True
        tensor(offset=b"G" + struct.pack(">d", 1.0)),
        tensor(offset=b"\x8a\x09" + (2**63).to_bytes(9, "little")),
        tensor(numel=_text("12")),
        tensor(numel=_whole(-12)),
        tensor(kind="module"),
        tensor(key=_whole(0)),
        tensor(storage=_text("FloatStorage")),
        tensor(storage=_global("collections", "OrderedDict")),
        tensor(more=b"NN"),  # two arguments too many
        _global("torch._utils", "_rebuild_tensor_v2") + b")R",
        _global("torch._utils", "_rebuild_parameter") + _tuple([_whole(1)]) + b"R",
        _global("torch._utils", "_rebuild_parameter") + b")R",
        _global("torch", "FloatStorage") + _tuple([_whole(10**9)]) + b"R",
        _global("collections", "OrderedDict") + _tuple([_tuple([])]) + b"R",
        _global("argparse", "Namespace") + _tuple([_whole(1)]) + b"R",
        _global("collections", "OrderedDict") + _whole(1) + b"R",
        _whole(1) + b")R",
        tensor() + b"}b",  # state of a tensor
        tensor() + _text("a") + _whole(1) + b"s",  # item of a tensor
        tensor() + _whole(1) + b"a",  # append to a tensor
        b"}(" + _text("a") + b"u",  # a key without a value
        b"h\x07",  # something never remembered
        b"\x85\x86",  # tuples of an empty stack
        b"\x87",
        b"t",
        b"Q",
        b"b",
        b"R",
        _text("os") + _whole(1) + b"\x93",  # STACK_GLOBAL
        b"X\xff\xff\xff\x7f",  # text longer than the pickle
        b"J",
        b"\xff",
        b"(",
        b"NN",
    ],
    ids=count(),
)
def test_damaged_pickles(path: Path, value: bytes) -> None:
    refused(archive(path, records(**{"data.pkl": weights(value)})), "its pickle is")


GOOD = weights(tensor())[:-1]


@pytest.mark.parametrize(
    "data", [b"", GOOD, GOOD + b"N.", b"\x80\x02(" + GOOD[2:] + b".", b"\x80\x02N\x86.", b"."]
)
def test_pickles_that_do_not_leave_one_value(path: Path, data: bytes) -> None:
    refused(archive(path, records(**{"data.pkl": data})), "its pickle is damaged")


# Nothing runs


class Calls:
    """Pickles as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __str__(self) -> str:  # the name of a test, which has to be the same in every process
        return self.call[0].__name__

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.case(83)
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Calls(os.system, "touch evil"), f"{os.name}.system"),
        (Calls(eval, "open('evil', 'w')"), "builtin.*eval"),
        (Calls(exec, "open('evil', 'w')"), "builtin.*exec"),
        (Calls(getattr, OrderedDict, "fromkeys"), "getattr"),
        (Calls(open, "evil", "w"), "open"),
        (np.ones(2), r"numpy\."),
        (np.float64(1), "numpy.*scalar"),
        (Path("evil"), "pathlib.*Path"),
        (partial(print), "functools.partial"),
    ],
    ids=str,
)
def test_globals_are_named_and_not_called(
    path: Path, value: Any, name: str, protocol: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    data = pickle.dumps({"args": argparse.Namespace(x=value)}, protocol)
    refused(archive(path, records(**{"data.pkl": data})), name, UnsafeCheckpointError)
    assert [file.name for file in path.parent.iterdir()] == ["weights.pth"]


@pytest.mark.case(83)
@pytest.mark.parametrize(
    "opcodes",
    [
        b"(ios\nsystem\n",  # INST
        b"(cos\nsystem\no",  # OBJ
        b"Pid\n",  # PERSID
        b"\x82\x01",  # EXT1
        b"\x8b\x00\x00\x00\x00",  # LONG4
        b"0",  # POP
        b"2",  # DUP
        b"1",  # POP_MARK
        b"I1\n",  # INT
        b"S'text'\n",  # STRING
    ],
)
def test_opcodes_that_pytorch_does_not_write(path: Path, opcodes: bytes) -> None:
    data = b"\x80\x02" + opcodes + b"."
    refused(archive(path, records(**{"data.pkl": data})), "opcode|would run", UnsafeCheckpointError)


@pytest.mark.case(83)
@pytest.mark.parametrize("name", ["torch.nn.Module", "torch.FloatStorage.x", "torch.", "os\nx"])
def test_names_near_the_allowed_ones(path: Path, name: str) -> None:
    module, _, attribute = name.rpartition(".")
    value = _text(module) + _text(attribute) + b"\x93"
    data = archive(path, records(**{"data.pkl": weights(value)}))
    refused(data, "would run code", UnsafeCheckpointError)


BESIDE = {
    "set": {1, 2},
    "frozenset": frozenset({3}),
    "bytes": b"bytes",
    "bytearray": bytearray(b"bytes"),
    "complex": 1 + 2j,
    "Counter": Counter("aab"),
    "defaultdict": defaultdict(list, a=[1]),
    "OrderedDict": OrderedDict(a=1),
    "keys": {(1, 2): 0.5, 3.5: 1, None: 2, True: 3, (): {b"k": 1}},
    "NumPy's scalar": np.float64(3.2),
    "NumPy's array": np.arange(3),
    "NumPy's dtype": np.dtype("f4"),
    "NumPy's generator": np.random.default_rng(0),
    "Python's generator": random.Random(0).getstate(),
    "path": Path("somewhere"),
    "date": datetime.date(2026, 1, 1),
    "namespace": argparse.Namespace(a=1, path=Path("somewhere"), rate=np.float32(1)),
    "partial": partial(print),
    "deque": deque([1, 2], maxlen=3),
    "large": [2**70, -(2**70), 2**31],
    "call": Calls(os.system, "touch evil"),
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("value", BESIDE.values(), ids=BESIDE)
def test_what_is_not_needed_is_not_built_and_in_nobody_s_way(
    path: Path, value: Any, protocol: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    beside = pickle.dumps({"before": value, "also": [value]}, protocol)
    # pickletools knows where a pickle ends; framing of protocol 4 allows to go on behind it
    data = beside[:-1] + _text("model") + weights(tensor())[2:-1] + b"s."
    (name,) = contents(archive(path, records(**{"data.pkl": data})))
    assert name == "x"
    assert [file.name for file in path.parent.iterdir()] == ["weights.pth"]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (tensor(more=b"}" + _text("neg") + b"\x88s"), "conjugated or negated"),
        (tensor(storage=_global("torch", "ComplexFloatStorage")), "torch.ComplexFloatStorage"),
        (tensor(storage=_global("torch.storage", "UntypedStorage")), "UntypedStorage"),
        (_global("torch._utils", "_rebuild_qtensor") + b")R", "_rebuild_qtensor"),
        (_global("torch._utils", "_rebuild_sparse_tensor") + b")R", "_rebuild_sparse_tensor"),
    ],
    ids=count(),
)
def test_other_tensors_are_named_and_in_nobody_s_way(path: Path, value: bytes, kind: str) -> None:
    refused(
        archive(path, records(**{"data.pkl": weights(value)})), f"tensor 'x' is .*{kind}.*not read"
    )
    both = b"\x80\x02}(" + _text("a") + value + _text("model") + weights(tensor())[2:-1] + b"u."
    assert list(contents(archive(path, records(**{"data.pkl": both})))) == ["x"]


def test_tensors_with_attributes(path: Path) -> None:
    build = _global("torch._utils", "_rebuild_parameter_with_state")
    value = build + _tuple([tensor(), b"\x88", _ordered_dict(), b"}"]) + b"R"
    assert read(path, value).shape == (3, 4)
    plain = tensor()
    function, arguments = plain[: plain.index(b"(")], plain[plain.index(b"(") : -1]
    again = _global("torch._tensor", "_rebuild_from_type_v2")
    kind = _global("torch", "Tensor")
    value = again + _tuple([function, kind, arguments, b"}"]) + b"R"
    assert read(path, value).shape == (3, 4)
    strange = again + _tuple([function, _global("other", "Tensor"), arguments, b"}"]) + b"R"
    refused(archive(path, records(**{"data.pkl": weights(strange)})), "_rebuild_from_type_v2")


def test_big_endian_numbers(path: Path) -> None:
    data = np.arange(12, dtype=">f4").tobytes()
    found = contents(archive(path, records(byteorder=b"big", **{"data/0": data})))["x"]
    np.testing.assert_array_equal(found, np.arange(12, dtype="f4").reshape(3, 4))
    assert not found.flags.writeable


def test_archives_without_check_sums(path: Path) -> None:
    data = bytearray(archive(path, records()).read_bytes())
    for place in range(len(data)):
        if data[place : place + 4] == b"PK\x01\x02":
            data[place + 16 : place + 20] = bytes(4)
    path.write_bytes(data)
    assert contents(path)["x"].shape == (3, 4)


def test_a_small_file_does_not_unfold_to_a_large_one(path: Path) -> None:
    value = tensor(shape=_tuple([_whole(2**28)]), strides=_tuple([_whole(0)]))
    several = b"".join(_text(f"{i}") + value for i in range(3))
    data = archive(path, records(**{"data.pkl": b"\x80\x02}(" + several + b"u."}))
    refused(data, "would be 3221225472 bytes without sharing")


@pytest.mark.case(83)
def test_a_namespace_is_inert(path: Path) -> None:
    arguments = pickle.dumps(argparse.Namespace(a=1, b=[2, (3.5, None, True)]), 2)[2:-1]
    data = b"\x80\x02}(" + _text("model") + weights(tensor())[2:-1]
    data += _text("args") + arguments + b"u."
    found = contents(archive(path, records(**{"data.pkl": data})))
    assert list(found) == ["x"]


def test_an_ordered_dict_with_attributes(path: Path) -> None:
    items = _ordered_dict() + b"(" + _text("x") + tensor() + b"u"
    state = b"}" + _text("_metadata") + _ordered_dict() + b"sb"
    found = contents(archive(path, records(**{"data.pkl": b"\x80\x02" + items + state + b"."})))
    assert list(found) == ["x"]


def test_parameters_are_tensors(path: Path) -> None:
    call = _tuple([tensor(), b"\x88", _ordered_dict()]) + b"R"
    assert read(path, _global("torch._utils", "_rebuild_parameter") + call).shape == (3, 4)


def test_one_storage_is_read_once_and_shared(path: Path) -> None:
    data = b"\x80\x02}(" + _text("a") + tensor() + _text("b") + tensor(offset=_whole(0)) + b"u."
    found = contents(archive(path, records(**{"data.pkl": data})))
    assert np.shares_memory(found["a"], found["b"])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x80\x02].", "no dict"),
        (b"\x80\x02}.", "nothing"),
        (weights(b"}"), "no weights under any of model"),
        (b"\x80\x02}" + _text("model") + b"]s.", "no weights under any of model.*'model'"),
        (b"\x80\x02}(" + _text("x") + tensor() + _text("y") + b"]u.", "'y' is a list"),
        (b"\x80\x02}(" + _whole(1) + tensor() + b"u.", "1 is a TensorRef among"),
        (b"\x80\x02" + tensor() + b".", "no dict"),
    ],
)
def test_no_weights(path: Path, data: bytes, message: str) -> None:
    refused(archive(path, records(**{"data.pkl": data})), message)


# Bombs


@pytest.mark.case(87)
def test_a_tuple_of_tuples_is_not_walked_through(path: Path) -> None:
    laughs = b")q\x00" + b"".join(b"h%ch%c\x86q%c" % (i, i, i + 1) for i in range(200))
    data = archive(path, records(**{"data.pkl": weights(laughs)}))
    refused(data, "no weights|its pickle is damaged")


@pytest.mark.case(87)
def test_deep_nesting(path: Path) -> None:
    refused(archive(path, records(**{"data.pkl": weights(b"]" + b"\x85" * 200_000)})), "no weights")
    refused(archive(path, records(**{"data.pkl": weights(b"(" * 200_000)})), "damaged")


@pytest.mark.case(87)
def test_the_length_of_a_pickle_is_bounded(path: Path) -> None:
    data = weights(b"]" * torch_pickle.MAX_PICKLE)
    refused(
        archive(path, records(**{"data.pkl": data})), "its pickle has .* bytes; expected at most"
    )


def test_the_number_of_steps_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_pickle, "MAX_OPCODES", 30)
    contents(archive(path, records(**{"data.pkl": weights(tensor())})))
    refused(
        archive(path, records(**{"data.pkl": weights(tensor() + b"N" * 30)})), "more than 30 steps"
    )


# Random damage


def outcome(path: Path, data: bytes) -> Tensors | None:
    """Read, and accept only tensors or a `WeightsError` that names the file."""
    path.write_bytes(data)
    try:
        found = contents(path)
        return {name: np.array(tensor) for name, tensor in found.items()}
    except WeightsError as error:
        if str(path) not in str(error):
            raise
        return None


SMALL = {
    "w": np.arange(6, dtype="f4").reshape(2, 3),
    "h": to_bfloat16(np.ones(3)),
    "n": np.array(1),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("good") / "x.pth"
    torch_writer.write(path, SMALL, "model")
    return path.read_bytes()


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10**6), flip=st.integers(1, 255))
def test_a_changed_byte_gives_equal_tensors_or_an_error(
    place: int, flip: int, path: Path, good: bytes
) -> None:
    data = bytearray(good)
    data[place % len(data)] ^= flip
    found = outcome(path, bytes(data))
    assert found is None or same(found, SMALL)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(length=st.integers(0, 10**6))
def test_a_truncation_is_refused(length: int, path: Path, good: bytes) -> None:
    assert outcome(path, good[: length % len(good)]) is None


OPCODES = [
    b"}", b"]", b")", b"(", b"t", b"u", b"s", b"a", b"e", b"b", b"R", b"Q", b"N", b"\x81", b"\x85",
    b"\x86", b"\x87", b"\x88", b"\x93", b"q\x00", b"h\x00", b"\x94", _text("x"), _text("storage"),
    _whole(1), _whole(0), _global("torch", "FloatStorage"), _global("collections", "OrderedDict"),
    _global("torch._utils", "_rebuild_tensor_v2"), _global("argparse", "Namespace"), tensor(),
]  # fmt: skip


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(program=st.lists(st.sampled_from(OPCODES), max_size=12).map(b"".join))
def test_any_program_of_allowed_opcodes_ends_well(program: bytes, path: Path) -> None:
    outcome(path, archive(path, records(**{"data.pkl": weights(program)})).read_bytes())


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(program=st.binary(max_size=40))
def test_any_bytes_for_a_pickle_end_well(program: bytes, path: Path) -> None:
    outcome(path, archive(path, records(**{"data.pkl": program + b"."})).read_bytes())
