"""Write tensors as ``torch.save`` does, so that ``torch.load(path, weights_only=True)`` reads them.

The pickle is assembled by hand from a few opcodes, because Python's pickler would have to import
PyTorch's classes. `torch_file` describes the format.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import numpy as np

from ..files.atomic import replacing
from .dtypes import STORAGES, Tensors, little_endian

_STORAGE_NAMES = {dtype: name for name, dtype in STORAGES.items()}


def write(path: Path, tensors: Tensors, entry: str | None = None) -> None:
    """Write tensors; the file appears whole or not at all.

    Parameters
    ----------
    path : Path
    tensors : dict of str to ndarray
    entry : str, optional
        Key under which to put the tensors, as training programs do.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    folder = path.stem if path.stem.isascii() else "archive"  # as PyTorch names it

    def add(record: str, data: bytes) -> None:
        # ZipInfo's time is constant, so that equal tensors make equal files.
        archive.writestr(ZipInfo(f"{folder}/{record}"), data)

    with replacing(path) as temporary, ZipFile(temporary, "w") as archive:
        add("data.pkl", _pickle(tensors, entry))
        add("byteorder", b"little")
        for i, array in enumerate(tensors.values()):
            add(f"data/{i}", array.astype(little_endian(array.dtype), copy=False).tobytes())
        add("version", b"3\n")


def _pickle(tensors: Tensors, entry: str | None) -> bytes:
    """Return ``data.pkl``: a dict of tensors, the i-th of which is the whole storage i."""
    items = b"".join(
        _text(name) + _tensor(i, array.shape, _STORAGE_NAMES[little_endian(array.dtype)])
        for i, (name, array) in enumerate(tensors.items())
    )
    value = _ordered_dict() + b"(" + items + b"u"  # MARK, SETITEMS
    if entry is not None:
        value = b"}" + _text(entry) + value + b"s"  # EMPTY_DICT, SETITEM
    return b"\x80\x02" + value + b"."  # PROTO 2, STOP


def _tensor(i: int, shape: tuple[int, ...], storage: str) -> bytes:
    """Call ``_rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks)``."""
    numel = int(np.prod(shape, dtype=np.int64))
    identifier = [_text("storage"), _global("torch", storage), _text(str(i)), _text("cpu")]
    strides = [int(np.prod(shape[axis + 1 :], dtype=np.int64)) for axis in range(len(shape))]
    arguments = [
        _tuple([*identifier, _whole(numel)]) + b"Q",  # BINPERSID
        _whole(0),
        _tuple(map(_whole, shape)),
        _tuple(map(_whole, strides)),
        b"\x89",  # NEWFALSE
        _ordered_dict(),
    ]
    return _global("torch._utils", "_rebuild_tensor_v2") + _tuple(arguments) + b"R"  # REDUCE


def _text(text: str) -> bytes:
    data = text.encode()
    return b"X" + struct.pack("<I", len(data)) + data  # BINUNICODE


def _whole(number: int) -> bytes:
    if number < 2**31:
        return b"J" + struct.pack("<i", number)  # BININT
    return b"\x8a\x08" + struct.pack("<q", number)  # LONG1


def _tuple(items: Iterable[bytes]) -> bytes:
    return b"(" + b"".join(items) + b"t"  # MARK, TUPLE


def _global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()  # GLOBAL


def _ordered_dict() -> bytes:
    return _global("collections", "OrderedDict") + b")R"  # EMPTY_TUPLE, REDUCE
