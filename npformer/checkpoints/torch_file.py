"""Read the files that ``torch.save`` writes, without PyTorch and without running them.

Such a file (``.bin``, ``.pth``, ``.pt``) is an uncompressed zip archive:

    name/data.pkl       a pickle: dicts, and for each tensor the storage that it is a view of
    name/data/0, 1, …   the storages: numbers
    name/byteorder      "little" or "big"
    name/version, …     not needed

`torch_pickle` reads the pickle, `entries` chooses the weights, `torch_views` makes arrays of them,
this module reads the archive. Archives that are compressed, contain overlapping records or two of
the same name, or have another length than they claim are refused: PyTorch never writes them, and
programs disagree about their contents. Files from before PyTorch 1.6 are no archives, but streams
(`torch_legacy`). Source: ``torch/serialization.py``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from os import SEEK_END
from pathlib import Path
from typing import IO, Any, NamedTuple
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ..errors import WeightsError
from ..files.sniff import LENGTH, PICKLES, what_is
from .dtypes import Tensors
from .entries import choose
from .torch_legacy import Legacy
from .torch_objects import StorageRef
from .torch_pickle import Interpreted, interpret
from .torch_views import make_views

MAX_RECORDS = 100_000
"""A limit far above the 2,500 of L7 with averaged weights and the state of its optimizer."""


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
    source = str(path)
    with path.open("rb") as stream:
        start = stream.read(LENGTH)
        stream.seek(0)
        if start.startswith(PICKLES):
            legacy = Legacy(stream, source)
            return _contents(legacy.saved, legacy.storage, entry, source)
        if not start.startswith(b"PK\x03\x04"):
            kind = what_is(start)
            found = f"this is {kind}" if kind else "it does not begin like a zip archive"
            raise WeightsError(f"{source}: {found}; expected a file written by torch.save")
        try:
            with ZipFile(stream) as opened:
                archive = _Archive(opened, stream, source)
                return _contents(archive.saved(), archive.storage, entry, source)
        except WeightsError:
            raise
        except (
            BadZipFile, NotImplementedError, EOFError, OSError, ValueError, struct.error,
        ) as error:  # fmt: skip
            raise WeightsError(
                f"{source}: the archive is damaged or cut off ({error}); download it again"
            ) from error


def _contents(
    saved: Interpreted,
    storage: Callable[[StorageRef], NDArray[Any]],
    entry: str | None,
    source: str,
) -> Contents:
    """Choose a set of weights, and make views of its storages."""
    chosen = choose(saved, entry, source)
    return Contents(make_views(chosen.tensors, storage, source), chosen.name, chosen.others)


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

    def saved(self) -> Interpreted:
        """Read the pickle."""
        if "constants.pkl" in self.records:
            raise self.refuse("this is a TorchScript program, not a checkpoint")
        if "data.pkl" not in self.records:
            raise self.refuse("it has no record data.pkl")
        return interpret(self._record("data.pkl"), self.source)

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

    def storage(self, storage: StorageRef) -> NDArray[Any]:
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
