"""Files from before PyTorch 1.6: read as they are, without running them, and refused if damaged."""

from __future__ import annotations

import os
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden import torch_file as golden
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from npformer.checkpoints import read, torch_file, torch_pickle
from npformer.checkpoints.dtypes import STORAGES, Tensors, widen
from npformer.checkpoints.torch_legacy import MAGIC, VERSION
from npformer.checkpoints.torch_writer import _global, _ordered_dict, _text, _tuple, _whole
from npformer.errors import UnsafeCheckpointError, WeightsError

pytestmark = pytest.mark.case(84)

NUMBERS = np.arange(12, dtype="<f4")
START = b"".join(pickle.dumps(value, 2) for value in (MAGIC, VERSION, {"little_endian": True}))


def tensor(
    key: str = "7", numel: int = 12, view: bytes = b"N", name: str = "FloatStorage",
    offset: int = 0, shape: tuple[int, ...] = (3, 4), strides: tuple[int, ...] = (4, 1),
) -> bytes:  # fmt: skip
    """The call that makes a tensor."""
    identifier = [_text("storage"), _global("torch", name), _text(key), _text("cpu"), _whole(numel)]
    sizes = [_tuple(map(_whole, size)) for size in (shape, strides)]
    arguments = [_tuple([*identifier, view]) + b"Q", _whole(offset), *sizes]
    return (
        _global("torch._utils", "_rebuild_tensor_v2")
        + _tuple([*arguments, b"\x89", _ordered_dict()])
        + b"R"
    )


def stored(data: bytes, numel: int) -> bytes:
    """A storage."""
    return numel.to_bytes(8, "little") + data


def file(
    path: Path, keys: Any = ("7",), storages: bytes = stored(NUMBERS.tobytes(), 12),
    start: bytes = START, **tensors: bytes,
) -> Path:  # fmt: skip
    """Write a file by hand."""
    items = b"".join(_text(name) + value for name, value in (tensors or {"x": tensor()}).items())
    saved = b"\x80\x02}(" + items + b"u."
    path.write_bytes(start + saved + pickle.dumps(list(keys), 2) + storages)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights.pth"


def contents(path: Path) -> Tensors:
    return torch_file.read(path).tensors


def refused(path: Path, message: str, kind: type[WeightsError] = WeightsError) -> None:
    with pytest.raises(kind, match=message) as error:
        contents(path)
    assert str(path) in str(error.value)


def test_the_file_by_hand_is_good(path: Path) -> None:
    (found,) = contents(file(path)).values()
    np.testing.assert_array_equal(found, NUMBERS.reshape(3, 4))
    assert not found.flags.writeable


@pytest.mark.parametrize("suffix", ["pth", "pth.tar", "ckpt", "model"])
def test_whatever_the_file_is_called(suffix: str, tmp_path: Path) -> None:
    """Programs of that time liked ``model_best.pth.tar``."""
    path = file(tmp_path / f"model_best.{suffix}")
    with pytest.raises(WeightsError, match="not those of an EfficientFormer: 'x'"):
        read(path)


def test_tensors_share_their_storage(path: Path) -> None:
    found = contents(file(path, x=tensor(), y=tensor(shape=(4, 3), strides=(1, 4))))
    np.testing.assert_array_equal(found["y"], found["x"].T)
    assert np.shares_memory(found["x"], found["y"])


def test_views_of_storages(path: Path) -> None:
    """PyTorch before 0.4 had storages that were parts of others."""
    view = _tuple([_text("8"), _whole(2), _whole(6)])
    part = tensor(view=view, shape=(2, 3), strides=(3, 1))
    found = contents(file(path, x=tensor(), y=part))
    np.testing.assert_array_equal(found["y"], NUMBERS[2:8].reshape(2, 3))
    assert np.shares_memory(found["x"], found["y"])
    refused(file(path, x=tensor(view=view)), "does not lie in its storage of 6 numbers")
    beyond = tensor(view=_tuple([_text("8"), _whole(7), _whole(6)]))
    refused(file(path, x=beyond), "a view of a storage does not lie in it")


@pytest.mark.parametrize("name", STORAGES)
def test_every_type(name: str, path: Path) -> None:
    numbers = NUMBERS.view("u1").view(STORAGES[name])
    found = contents(
        file(path, x=tensor(name=name, numel=len(numbers), shape=(2,), strides=(1,)),
             storages=stored(numbers.tobytes(), len(numbers)))
    )["x"]  # fmt: skip
    assert widen(found).tobytes() == widen(numbers[:2]).tobytes()


def test_other_types_are_passed_over(path: Path) -> None:
    """Their length must be known, or nothing behind them would be found."""
    other = tensor(key="3", name="ComplexDoubleStorage", numel=2, shape=(2,), strides=(1,))
    storages = stored(bytes(32), 2) + stored(NUMBERS.tobytes(), 12)
    good = b"}" + _text("x") + tensor() + b"s"
    found = contents(file(path, ("3", "7"), storages, a=other, model=good))
    np.testing.assert_array_equal(found["x"], NUMBERS.reshape(3, 4))


def test_names_of_python_2_and_tensors_of_the_first_versions(path: Path) -> None:
    identifier = _tuple([_text("storage"), _global("torch.cuda", "FloatStorage"), _text("7"),
                         _text("cuda:0"), _whole(12), b"N"]) + b"Q"  # fmt: skip
    sizes = [_tuple([_whole(12)]), _tuple([_whole(1)])]
    value = _global("torch._utils", "_rebuild_tensor") + _tuple([identifier, _whole(0), *sizes])
    name = "größe".encode()
    saved = b"\x80\x02}U" + bytes([len(name)]) + name + value + b"Rs."
    data = START + saved + pickle.dumps(["7"], 2) + stored(NUMBERS.tobytes(), 12)
    path.write_bytes(data)
    np.testing.assert_array_equal(contents(path)["größe"], NUMBERS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"storages": stored(NUMBERS.tobytes()[:-1], 12)}, "cut off: it has .* storage '7' would"),
        ({"storages": b""}, "cut off"),
        ({"storages": stored(NUMBERS.tobytes(), 11)}, "storage '7' has 11 numbers instead of 12"),
        ({"keys": ()}, "it lacks storage '7'"),
        ({"keys": ("7", "8")}, "do not agree about storage '8'"),
        ({"keys": ("7", "7")}, "do not agree about storage '7'"),
        ({"keys": (7,)}, "no list of its storages"),
        ({"x": tensor(), "y": tensor(numel=11)}, "do not agree about storage '7'"),
        ({"x": tensor(numel=2**62)}, "cut off"),
        ({"x": tensor(offset=1)}, "does not lie in its storage of 12"),
        ({"x": tensor(name="FloatTensor")}, "is no storage"),
        ({"start": START.replace(pickle.dumps(VERSION, 2), pickle.dumps(1000, 2))}, "version 1000"),
        ({"start": pickle.dumps(MAGIC, 2)}, "has version a dict instead of 1001"),
    ],
)
def test_damaged_files(path: Path, changes: dict[str, Any], message: str) -> None:
    refused(file(path, **changes), message)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_bare_pickles_are_not_run(
    protocol: int, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    for value in ({"x": 1}, [print], MAGIC + 1, float(MAGIC), Touch()):
        path.write_bytes(pickle.dumps(value, protocol))
        refused(path, "a bare pickle that torch.save did not write", UnsafeCheckpointError)
    path.write_bytes(START + pickle.dumps({"x": Touch()}, protocol) + pickle.dumps([], 2))
    refused(path, "wants .*system, which would run code", UnsafeCheckpointError)
    path.write_bytes(START + pickle.dumps({}, protocol) + pickle.dumps(Touch(), 2))
    refused(path, "no list of its storages")
    assert [file.name for file in path.parent.iterdir()] == ["weights.pth"]


class Touch:
    """Pickles as a call of a function."""

    def __reduce__(self) -> Any:
        return os.system, ("touch evil",)


def test_tar_archives_of_the_first_versions_are_named(path: Path) -> None:
    """PyTorch, too, reads them only if it may run what is in them."""
    with tarfile.open(path, "w") as archive:
        archive.add(__file__, "storages")
    refused(path, "a tar archive, as PyTorch wrote before 0.1.10")


def test_pickles_are_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file(path)
    monkeypatch.setattr(torch_pickle, "MAX_PICKLE", 100)
    refused(path, "its pickle is damaged|longer")


def outcome(path: Path, data: bytes) -> Tensors | None:
    """Read, and accept only tensors or a `WeightsError` that names the file."""
    path.write_bytes(data)
    try:
        return {name: np.array(tensor) for name, tensor in contents(path).items()}
    except WeightsError as error:
        if str(path) not in str(error):
            raise
        return None


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10**6), flip=st.integers(1, 255))
@example(place=94466, flip=1)  # a backslash in a name
def test_a_changed_byte_gives_tensors_or_an_error(place: int, flip: int, path: Path) -> None:
    data = bytearray(golden.LEGACY.read_bytes())
    data[place % len(data)] ^= flip
    outcome(path, bytes(data))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(length=st.integers(0, 10**6))
def test_a_truncation_is_refused(length: int, path: Path) -> None:
    data = golden.LEGACY.read_bytes()
    assert outcome(path, data[: length % len(data)]) is None
