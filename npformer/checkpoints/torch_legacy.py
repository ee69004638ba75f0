"""Read the files that ``torch.save`` wrote before PyTorch 1.6, without running them.

PyTorch still writes them with ``_use_new_zipfile_serialization=False``. Such a file is a stream:

    a pickle   0x1950a86a20f9469cfc6c, by which the format is recognized
    a pickle   1001, the version of the format
    a pickle   the sizes of C's integers where the file was written; not needed
    a pickle   the object that was saved: dicts, and for each tensor the storage it is a view of
    a pickle   the keys of all storages, in order
    storages   for each key its length, 8 bytes, and its numbers, always little-endian

The pickles are read by the machine of `torch_pickle`, as those of newer files are. Source:
``torch/serialization.py`` (``_legacy_load``) and ``torch/csrc/serialization.cpp`` of PyTorch.
"""

from __future__ import annotations

from contextlib import suppress
from os import SEEK_END
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..checks import shortened
from ..errors import UnsafeCheckpointError, WeightsError
from .torch_objects import StorageRef
from .torch_pickle import Interpreted, Pickled, interpret

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001


class Legacy:
    """A checked file of this format.

    Parameters
    ----------
    stream : file
        At its beginning.
    source : str
        What error messages call the file.

    Raises
    ------
    UnsafeCheckpointError
        If it is a pickle that ``torch.save`` did not write.
    WeightsError
        If the file is damaged or cut off.
    """

    def __init__(self, stream: IO[bytes], source: str) -> None:
        self.stream, self.source = stream, source
        magic = None
        with suppress(WeightsError):  # whatever else is in a pickle that somebody else wrote
            magic = self._next().value
        if magic != MAGIC:
            raise UnsafeCheckpointError(
                f"{source}: a bare pickle that torch.save did not write; reading it would mean "
                "running code. If you trust it, load it with what wrote it, and save the weights "
                "by torch.save(model.state_dict(), path)"
            )
        version = self._next().value
        if version != VERSION:
            # Nothing but a number is shown: text of a structure can be without end.
            found = shortened(version) if type(version) is int else "a " + type(version).__name__
            raise self._refuse(f"its format has version {found} instead of {VERSION}")
        self._next()
        self.saved: Interpreted = self._next()
        self.places = self._find(self._next().value)
        """where the numbers of each storage begin, by key"""

    def _next(self) -> Interpreted:
        return interpret(Pickled(self.stream), self.source)

    def _refuse(self, found: str) -> WeightsError:
        return WeightsError(f"{self.source}: {found}; expected what torch.save writes")

    def _find(self, keys: Any) -> dict[str, int]:
        """Walk over the storages, and note where each begins."""
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise self._refuse("it has no list of its storages")
        place = self.stream.tell()
        end = self.stream.seek(0, SEEK_END)
        places = {}
        for key in keys:
            lengths = self.saved.storages.get(key, set())
            if len(lengths) != 1 or key in places:
                raise self._refuse(f"its tensors do not agree about storage {shortened(key)}")
            ((itemsize, numel),) = lengths
            self.stream.seek(place)
            told = int.from_bytes(self.stream.read(8), "little", signed=True)
            place += 8 + numel * itemsize
            if place > end:
                raise WeightsError(
                    f"{self.source}: cut off: it has {end} bytes, and storage {shortened(key)} "
                    f"would end at byte {place}; download it again"
                )
            if told != numel:
                raise self._refuse(
                    f"storage {shortened(key)} has {told} numbers instead of {numel}"
                )
            places[key] = place - numel * itemsize
        return places

    def storage(self, storage: StorageRef) -> NDArray[Any]:
        """Return all numbers of a storage.

        Raises
        ------
        WeightsError
            If the file does not have it.
        """
        if storage.key not in self.places:
            raise self._refuse(f"it lacks storage {shortened(storage.key)}")
        self.stream.seek(self.places[storage.key])
        return np.frombuffer(
            self.stream.read(storage.numel * storage.dtype.itemsize), storage.dtype
        )
