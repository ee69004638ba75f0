"""The names of many photographs in little memory."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterable, Iterator

from ..errors import ImageError

BLOCK = 4096
"""Names that are compressed together. Names in one folder have most of their letters in common."""


class Paths:
    """A sequence of names that can only grow, compressed.

    Parameters
    ----------
    names : iterable of str
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._blocks: list[bytes] = []
        self._open: list[str] = []
        self.extend(names)

    def extend(self, names: Iterable[str]) -> None:
        """Add names.

        Raises
        ------
        ImageError
            If one cannot be the name of a file.
        """
        for name in names:
            if "\0" in name:
                raise ImageError(f"{name!r} is not a path: it contains a null character")
            self._open.append(name)
            if len(self._open) == BLOCK:
                self._blocks.append(zlib.compress(self._bytes(), 1))
                self._open = []

    def __len__(self) -> int:
        return BLOCK * len(self._blocks) + len(self._open)

    def __iter__(self) -> Iterator[str]:
        return self.since(0)

    def since(self, first: int) -> Iterator[str]:
        """Yield the names from one of them on."""
        for block in self._blocks[first // BLOCK :]:
            names = zlib.decompress(block).split(b"\0")
            yield from map(os.fsdecode, names[first % BLOCK :])
            first = 0
        yield from self._open[max(0, first - BLOCK * len(self._blocks)) :]

    def digest(self) -> str:
        """Return a hash of all names in their order."""
        whole = hashlib.sha256()
        for name in self:
            whole.update(os.fsencode(name) + b"\0")
        return whole.hexdigest()

    def _bytes(self) -> bytes:
        return b"\0".join(map(os.fsencode, self._open))
