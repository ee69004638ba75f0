"""Read the files that ``torch.save`` writes, without PyTorch and without running them.

Such a file (``.bin``, ``.pth``, ``.pt``) is an uncompressed zip archive:

    name/data.pkl       a pickle: dicts, and for each tensor the storage that it is a view of
    name/data/0, 1, …   the storages: numbers
    name/byteorder      "little" or "big"
    name/version, …     not needed

`torch_pickle` reads the pickle, `entries` chooses the weights, this module reads the archive.
Archives that are compressed, contain overlapping records or two of the same name, or have another
length than they claim are refused: PyTorch never writes them, and programs disagree about their
contents. Files from before PyTorch 1.6 are bare pickles, and are refused too. Source:
``torch/serialization.py``.
"""

from __future__ import annotations

import math
import struct
from os import SEEK_END
from pathlib import Path
from typing import IO, Any, NamedTuple
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo
from zlib import crc32

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from ..errors import UnsafeCheckpointError, WeightsError
from ..files.sniff import what_is
from .dtypes import Tensors
from .entries import choose
from .torch_pickle import StorageRef, TensorRef, interpret

MAX_RECORDS = 100_000
"""A limit far above the 2,500 of L7 with averaged weights and the state of its optimizer."""

MAX_UNFOLDED = 2 << 30
"""Limit in bytes of tensors that share numbers, far above the 0.7 GB of L7 in float64. Without it,
a small file could claim to hold terabytes."""


class Contents(NamedTuple):
    """What `read` returns."""

    tensors: Tensors
    """read-only views of the file's numbers, with the strides that they were saved with"""
    entry: str | None
    """the key under which the weights are in the file"""
    others: tuple[str, ...]
    """keys of other sets of weights in the file"""


def read(path: Path, entry: str | None = None) -> Contents:
    """Read the tensors of a checkpoint.

    Parameters
    ----------
    path : Path
    entry : str, optional
        Which set of weights to read if there are several, such as ``"model_ema"``; by default as
        `entries.choose` does.

    Returns
    -------
    Contents

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
                return _Archive(archive, stream, str(path)).contents(entry)
        except WeightsError:
            raise
        except (
            BadZipFile, NotImplementedError, EOFError, OSError, ValueError, struct.error,
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
        self.archive, self.stream, self.source = archive, stream, source
        self.starts: dict[str, int] = {}
        """where the bytes of each record begin"""
        self.records = self._check(stream)
        self.storages: dict[str, NDArray[Any]] = {}
        self.big_endian = "byteorder" in self.records and self._record("byteorder") == b"big"

    def refuse(self, found: str) -> WeightsError:
        return WeightsError(f"{self.source}: {found}; expected what torch.save writes")

    def contents(self, entry: str | None) -> Contents:
        """Read the pickle, choose a set of weights, and make views of its storages."""
        if "constants.pkl" in self.records:
            raise self.refuse("this is a TorchScript program, not a checkpoint")
        if "data.pkl" not in self.records:
            raise self.refuse("it has no record data.pkl")
        chosen = choose(interpret(self._record("data.pkl"), self.source), entry, self.source)
        tensors = {name: self._view(name, tensor) for name, tensor in chosen.tensors.items()}
        unfolded = sum(tensor.nbytes for tensor in tensors.values())
        if unfolded > max(MAX_UNFOLDED, sum(storage.nbytes for storage in self.storages.values())):
            raise self.refuse(
                f"its tensors share numbers, and would be {unfolded} bytes without sharing, more "
                f"than {MAX_UNFOLDED}"
            )
        return Contents(tensors, chosen.name, chosen.others)

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
            if info.flag_bits & 1:
                raise self.refuse(f"record {name!r} is encrypted")
            if info.header_offset < end or (not records and info.header_offset):
                raise self.refuse(f"record {name!r} overlaps another or comes after other data")
            self.starts[rest] = _start_of(info, stream)
            end = self.starts[rest] + info.file_size
            records[rest] = info
        if end > self.archive.start_dir:
            raise self.refuse("its last record overlaps the list of records")
        return records

    def _record(self, name: str) -> bytes:
        """Return the bytes of a record, after comparing their check sum if there is one."""
        info = self.records[name]
        self.stream.seek(self.starts[name])
        data = self.stream.read(info.file_size)
        # PyTorch writes 0 if it was told not to compute check sums.
        if info.CRC and crc32(data) != info.CRC:
            raise BadZipFile(f"bad CRC-32 of record {name!r}")
        return data

    def _view(self, name: str, tensor: TensorRef) -> NDArray[Any]:
        """Return a tensor as a view of its storage, after checking that it lies inside."""
        numbers = self._storage(tensor.storage)
        shape, strides = tensor.shape, tensor.strides
        last = tensor.offset - (0 in shape)  # of no numbers none needs a place
        if len(shape) == len(strides) and 0 not in shape:
            # Along an axis of one number nobody steps, however large the stride.
            strides = tuple(s if n > 1 else 0 for n, s in zip(shape, strides, strict=True))
            last += sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        if len(shape) != len(strides) or last >= len(numbers):
            raise self.refuse(
                f"tensor {name!r} of shape {shape} and strides {tensor.strides} from number "
                f"{tensor.offset} does not lie in its storage of {len(numbers)} numbers"
            )
        size = math.prod(shape) * numbers.itemsize
        if size > max(MAX_UNFOLDED, numbers.nbytes):
            raise self.refuse(
                f"tensor {name!r} of shape {shape} repeats the numbers of its storage and would be "
                f"{size} bytes, more than {MAX_UNFOLDED}"
            )
        if 0 in shape:
            return np.zeros(shape, numbers.dtype)
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
            self.storages[storage.key] = np.frombuffer(self._record(f"data/{storage.key}"), "u1")
        numbers = self.storages[storage.key].view(storage.dtype)
        if not self.big_endian:
            return numbers
        swapped = numbers.view(storage.dtype.newbyteorder(">")).astype(storage.dtype)
        swapped.flags.writeable = False
        return swapped


def _escapes(name: str) -> bool:
    """Whether a name would lead out of the folder into which an archive is unpacked."""
    return "\\" in name or any(part in ("", ".", "..") for part in name.split("/"))


def _start_of(info: ZipInfo, stream: IO[bytes]) -> int:
    """Return where a record begins, whose own header must agree with the list of records."""
    stream.seek(info.header_offset)
    header = stream.read(30)
    signature, name_length, extra_length = struct.unpack("<4s22xHH", header)
    name = stream.read(name_length)
    if signature != b"PK\x03\x04" or name != info.orig_filename.encode():
        raise BadZipFile(f"the header of {info.filename!r} is not at its place")
    return info.header_offset + 30 + name_length + int(extra_length)
