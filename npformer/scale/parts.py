"""A table as a folder of Parquet files, on a disk or in any store that fsspec knows.

Each part is named after the number of its first row, and is there whole or not at all. Beside them
``_npformer.json`` says what run they belong to. Readers of Parquet take the folder for one table.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import ConfigError
from ..files.atomic import json_text, replacing, write_json
from ..files.paths import is_address
from ..files.strict_json import parse_object, read_object
from .reading import filesystem

RUN = "_npformer.json"
"""The file that says what run the parts belong to."""


class Part(NamedTuple):
    """Some rows that are written."""

    first: int
    """number of the first row"""
    rows: int
    unreadable: int
    """how many of them are errors"""

    @property
    def name(self) -> str:
        """Of its file."""
        return part_name(self.first)


def part_name(first: int) -> str:
    """Name the file whose first row has this number."""
    return f"part-{first:012d}.parquet"


def gaps(parts: Sequence[Part], total: int, most: int) -> list[tuple[int, int]]:
    """Return the rows that are missing, as pairs of the first and the one after the last.

    Parameters
    ----------
    parts : sequence of Part
        Sorted.
    total : int
        How many rows there should be.
    most : int
        How many a pair has at most.

    Returns
    -------
    list of (int, int)
    """
    missing = []
    start = 0
    for part in [*parts, Part(total, 0, 0)]:
        missing += [(i, min(i + most, part.first)) for i in range(start, part.first, most)]
        start = max(start, part.first + part.rows)
    return missing


class Parts(NamedTuple):
    """A folder of parts. It can be sent to other processes, which see the same place.

    Parameters
    ----------
    place : str
        A path, or an address such as ``s3://bucket/answers.parquet``.
    """

    place: str

    def begin(self, run: dict[str, Any]) -> dict[str, Any]:
        """Say what run the parts will belong to, or return what it was said to be.

        Parameters
        ----------
        run : dict

        Returns
        -------
        dict
            That of the run that has begun here.

        Raises
        ------
        ConfigError
            If there is something else than a folder of npformer's.
        OSError
            If it cannot be written.
        """
        if is_address(self.place):
            files, root = filesystem(self.place)
            names = [name.rsplit("/", 1)[-1] for name in _listed(files, root)]
        else:
            folder = Path(self.place)
            if folder.exists() and not folder.is_dir():
                raise ConfigError(
                    f"{folder}: a file; Parquet is written as a folder of files, so that it can be "
                    "continued: delete it, or choose another name"
                )
            folder.mkdir(exist_ok=True)
            names = [entry.name for entry in folder.iterdir()]
        if RUN not in names:
            others = [name for name in names if not name.startswith(".")]
            if others:
                raise ConfigError(
                    f"{self.place}: a folder with {others[0]!r} but without {RUN}, so npformer did "
                    "not write it; choose another name"
                )
            if is_address(self.place):
                files.pipe_file(f"{root}/{RUN}", json_text(run).encode())
            else:
                write_json(folder / RUN, run)
        if is_address(self.place):
            text = files.cat_file(f"{root}/{RUN}").decode("utf-8")
            return parse_object(text, f"{self.place}/{RUN}")
        return read_object(folder / RUN)

    def found(self) -> list[Part]:
        """Return the parts that are there, sorted.

        Raises
        ------
        ConfigError
            If one cannot be read.
        """
        if is_address(self.place):
            files, root = filesystem(self.place)
            paths = [name for name in _listed(files, root) if name.endswith(".parquet")]
            return sorted(_counted(files.open(path, "rb"), path) for path in paths)
        folder = Path(self.place)
        for left_over in folder.glob(".part-*"):  # of a process that was killed
            left_over.unlink(missing_ok=True)
        return sorted(_counted(path, str(path)) for path in folder.glob("part-*.parquet"))

    def write(self, first: int, table: Any) -> None:
        """Write a ``pyarrow.Table`` as the part that begins with row `first`.

        Written twice, as when a worker is lost before it could say that it was done, it replaces
        itself.

        Parameters
        ----------
        first : int
        table : pyarrow.Table

        Raises
        ------
        OSError
            If it cannot be written.
        """
        import pyarrow.parquet as pq

        if is_address(self.place):  # a store shows a file when it is closed
            files, root = filesystem(self.place)
            with files.open(f"{root}/{part_name(first)}", "wb") as file:
                pq.write_table(table, file, compression="zstd")
            return
        path = Path(self.place) / part_name(first)
        with replacing(path) as temporary, open(temporary, "wb") as file:
            pq.write_table(table, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())  # before it gets its name


def _listed(files: Any, root: str) -> list[str]:
    try:
        files.invalidate_cache()
        return [str(name) for name in files.ls(root, detail=False)]
    except FileNotFoundError:
        return []


def _counted(source: Any, name: str) -> Part:
    """Count the rows of a part."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        errors = pq.read_table(source, columns=["error"])["error"]
    except pa.ArrowInvalid as error:
        raise ConfigError(
            f"{name}: damaged ({error}); delete it to look at its photographs again"
        ) from error
    first = int(name.rsplit("part-", 1)[1].removesuffix(".parquet"))
    return Part(first, len(errors), len(errors) - errors.null_count)
