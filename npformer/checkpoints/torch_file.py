"""Read the files that ``torch.save`` writes, without PyTorch and without running them.

Such a file (``.bin``, ``.pth``, ``.pt``) is an uncompressed zip archive:

    name/data.pkl       a pickle: dicts, and for each tensor the storage that it is a view of
    name/data/0, 1, …   the storages: numbers, little-endian
    name/byteorder      "little"
    name/version, …     not needed

`torch_pickle` reads the pickle, this module the archive. Archives that are compressed, contain
overlapping records or two of the same name, or have another length than they claim are refused:
PyTorch never writes them, and programs disagree about their contents. Files from before PyTorch 1.6
are bare pickles with other opcodes, and are refused too. Source: ``torch/serialization.py``.
"""

from __future__ import annotations

import struct
from os import SEEK_END
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from ..errors import UnsafeCheckpointError, WeightsError
from ..files.sniff import what_is
from .dtypes import Tensors
from .torch_pickle import StorageRef, TensorRef, interpret

MAX_RECORDS = 100_000
"""A limit far above the 2,500 of L7 with averaged weights and the state of its optimizer."""

ENTRIES = ("model", "state_dict", "model_ema", "state_dict_ema")
"""Keys under which training programs store weights; the first that exists is read."""

WRAPPER = "module."
"""What DataParallel prepends to every name."""


def read(path: Path, entry: str | None = None) -> Tensors:
    """Read the tensors of a checkpoint.

    Parameters
    ----------
    path : Path
    entry : str, optional
        Which set of weights to read if there are several, such as ``"model_ema"``; by default the
        only one, or the first of `ENTRIES`.

    Returns
    -------
    dict of str to ndarray
        Read-only views of the file's numbers, with the strides that they were saved with.

    Raises
    ------
    UnsafeCheckpointError
        If reading the file would mean running code.
    WeightsError
        If the file is damaged, contradicts itself, has no such entry, or is another kind of file.
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as stream:
        start = stream.read(200)
        if not start.startswith(b"PK\x03\x04"):
            raise _not_an_archive(start, str(path))
        try:
            with ZipFile(stream) as archive:
                return _Archive(archive, stream, str(path)).tensors(entry)
        except WeightsError:
            raise
        except (
            BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError,
            struct.error,
        ) as error:  # fmt: skip
            raise WeightsError(
                f"{path}: the archive is damaged or cut off ({error}); download it again"
            ) from error


def _not_an_archive(start: bytes, source: str) -> WeightsError:
    if start[:1] == b"\x80":
        return UnsafeCheckpointError(
            f"{source}: a bare pickle, as PyTorch wrote before 1.6; reading it would mean running "
            "code. If you trust it, save it again: torch.save(torch.load(path, weights_only=True), "
            "path)"
        )
    kind = what_is(start)
    found = f"this is {kind}" if kind else "it does not begin like a zip archive"
    return WeightsError(f"{source}: {found}; expected a file written by torch.save")


class _Archive:
    """A checked archive and its records, by name without the common folder."""

    def __init__(self, archive: ZipFile, stream: IO[bytes], source: str) -> None:
        self.archive, self.source = archive, source
        self.records = self._check(stream)
        self.storages: dict[str, bytes] = {}

    def refuse(self, found: str) -> WeightsError:
        return WeightsError(f"{self.source}: {found}; expected what torch.save writes")

    def tensors(self, entry: str | None) -> Tensors:
        """Read the pickle, choose a set of weights, and make views of its storages."""
        order = self.records.get("byteorder")
        if order and self.archive.read(order) != b"little":
            raise self.refuse("its numbers are big-endian")
        if "constants.pkl" in self.records:
            raise self.refuse("this is a TorchScript program, not a checkpoint")
        if "data.pkl" not in self.records:
            raise self.refuse("it has no record data.pkl")
        value = interpret(self.archive.read(self.records["data.pkl"]), self.source)
        chosen = self._choose(value, entry)
        for name, tensor in chosen.items():
            if not isinstance(name, str) or not isinstance(tensor, TensorRef):
                raise self.refuse(f"{name!r} is a {type(tensor).__name__} among tensors")
        if all(name.startswith(WRAPPER) for name in chosen):
            chosen = {name.removeprefix(WRAPPER): tensor for name, tensor in chosen.items()}
        return {name: self._view(name, tensor) for name, tensor in chosen.items()}

    def _check(self, stream: IO[bytes]) -> dict[str, ZipInfo]:
        """Refuse an archive that torch.save would not have written."""
        stream.seek(-22, SEEK_END)
        if stream.read(4) != b"PK\x05\x06":
            raise self.refuse("the archive does not end with its list of records")
        entries = sorted(self.archive.infolist(), key=lambda record: record.header_offset)
        if len(entries) > MAX_RECORDS:
            raise self.refuse(f"it has {len(entries)} records, more than {MAX_RECORDS}")
        records: dict[str, ZipInfo] = {}
        end = 0
        for info in entries:
            name = info.orig_filename
            folder, _, rest = name.partition("/")
            if not rest or rest.endswith("/") or name != info.filename or _escapes(name):
                raise self.refuse(f"it has a record with the name {name!r}")
            if records and not entries[0].filename.startswith(f"{folder}/"):
                raise self.refuse(f"record {name!r} is in another folder than the first")
            if rest in records:
                raise self.refuse(f"it has two records with the name {name!r}")
            if info.compress_type != ZIP_STORED or info.compress_size != info.file_size:
                raise self.refuse(f"record {name!r} is compressed")
            if info.header_offset < end or (not records and info.header_offset):
                raise self.refuse(f"record {name!r} overlaps another or comes after other data")
            end = _end_of(info, stream)
            records[rest] = info
        if end > self.archive.start_dir:
            raise self.refuse("its last record overlaps the list of records")
        return records

    def _choose(self, value: Any, entry: str | None) -> dict[Any, Any]:
        """Return the set of weights that is wanted."""
        if isinstance(value, dict) and entry is not None:
            chosen = value.get(entry)
        elif isinstance(value, dict) and not any(isinstance(v, TensorRef) for v in value.values()):
            chosen = next((value[name] for name in ENTRIES if name in value), None)
        else:
            chosen = value
        if isinstance(chosen, dict) and chosen:
            return chosen
        wanted = repr(entry) if entry is not None else f"any of {', '.join(ENTRIES)}"
        found = ", ".join(map(repr, list(value)[:5])) if isinstance(value, dict) else "no dict"
        raise self.refuse(f"it holds no weights under {wanted}: {found or 'nothing'}")

    def _view(self, name: str, tensor: TensorRef) -> NDArray[Any]:
        """Return a tensor as a view of its storage, after checking that it lies inside."""
        numbers = self._storage(tensor.storage)
        shape, strides = tensor.shape, tensor.strides
        last = tensor.offset + sum(
            (size - 1) * stride for size, stride in zip(shape, strides, strict=False)
        )
        if len(shape) != len(strides) or 0 in shape or last >= len(numbers):
            raise self.refuse(
                f"tensor {name!r} of shape {shape} and strides {strides} from number "
                f"{tensor.offset} does not lie in its storage of {len(numbers)} numbers"
            )
        if _overlaps(shape, strides):
            raise self.refuse(
                f"tensor {name!r} of shape {shape} and strides {strides} overlaps itself"
            )
        steps = [stride * numbers.itemsize for stride in strides]
        return as_strided(numbers[tensor.offset :], shape, steps)

    def _storage(self, storage: StorageRef) -> NDArray[Any]:
        """Return all numbers of a storage."""
        record = self.records.get(f"data/{storage.key}")
        if record is None:
            raise self.refuse(f"it has no record data/{storage.key}")
        size = storage.numel * storage.dtype.itemsize
        if record.file_size != size:
            raise self.refuse(
                f"record {record.filename!r} has {record.file_size} bytes instead of {size}"
            )
        if storage.key not in self.storages:
            self.storages[storage.key] = self.archive.read(record)
        return np.frombuffer(self.storages[storage.key], storage.dtype)


def _escapes(name: str) -> bool:
    """Whether a name would lead out of the folder into which an archive is unpacked."""
    return "\\" in name or any(part in ("", ".", "..") for part in name.split("/"))


def _end_of(info: ZipInfo, stream: IO[bytes]) -> int:
    """Return the offset after a record, whose own header must agree with the list of records."""
    stream.seek(info.header_offset)
    header = stream.read(30)
    signature, name_length, extra_length = struct.unpack("<4s22xHH", header)
    name = stream.read(name_length)
    if signature != b"PK\x03\x04" or name != info.orig_filename.encode():
        raise BadZipFile(f"the header of {info.filename!r} is not at its place")
    return info.header_offset + 30 + name_length + int(extra_length) + info.file_size


def _overlaps(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether two elements may share a place: sorted, each stride must exceed all before it."""
    reach = 0
    for stride, size in sorted(zip(strides, shape, strict=True)):
        if size > 1 and stride <= reach:
            return True
        reach += (size - 1) * stride
    return False
