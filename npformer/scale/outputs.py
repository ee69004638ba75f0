"""Outputs that are whole at any moment: an interrupted run is continued where it stopped.

================= ================================================================================
``.parquet``      a folder of closed files, ``part-000000000000.parquet`` …, each named after the
                  number of its first row, and ``_npformer.json``, which says what run they belong
                  to. Readers of Parquet take the folder for one table, and skip the latter.
``.csv, .jsonl``  one file, to which whole batches of lines are appended, and beside it
                  ``.NAME.npformer.json``, which says also how many of its bytes count. What
                  follows them, after a run that was killed, is cut off.
================= ================================================================================

Photographs whose rows were not yet written are looked at again.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, ClassVar, Protocol

from ..errors import ConfigError
from ..files.atomic import write_json
from ..files.finite import finite
from ..files.optional import optional
from ..files.paths import is_address
from ..files.strict_json import read_object
from .identity import check_same
from .parts import RUN, Parts, gaps
from .pipeline import Row
from .tables import Table, plain

SUFFIXES = (".parquet", ".csv", ".jsonl")


class Output(Protocol):
    """A table on disk that grows."""

    most: ClassVar[int]
    """how many rows are written at once, at most; until then they are in memory"""

    @property
    def rows(self) -> int:
        """How many rows are there for good."""

    @property
    def unreadable(self) -> int:
        """How many of them are errors."""

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows, so that either all of them are there or none."""

    def close(self) -> None:
        """Let other processes write."""


def open_output(path: str, table: Table, run: dict[str, Any]) -> Output:
    """Begin an output, or continue it.

    Parameters
    ----------
    path : str
        Its suffix says the format.
    table : Table
    run : dict
        Of `npformer.scale.identity.identity`.

    Returns
    -------
    Output

    Raises
    ------
    ConfigError
        If the suffix is unknown, or there is something else: the output of another run, or no
        output of npformer.
    MissingPackage
        If Parquet is asked for, and pyarrow is not installed.
    OSError
        If it cannot be written.
    """
    kind = check_output(path)
    return ParquetFolder(path, table, run) if kind == ".parquet" else Lines(path, kind, table, run)


def check_output(path: str) -> str:
    """Return the suffix of an output.

    Raises
    ------
    ConfigError
        If it is unknown.
    MissingPackage
        If it needs pyarrow, which is not installed.
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in SUFFIXES:
        raise ConfigError(f"output is {path}; expected a name that ends in {', '.join(SUFFIXES)}")
    if suffix == ".parquet":
        with optional("pyarrow", "writing Parquet", "npformer[parquet]"):
            import pyarrow.parquet  # noqa: F401
    return suffix


class ParquetFolder:
    """A folder of Parquet files; arguments as in `open_output`.

    Raises
    ------
    ConfigError, OSError
        As `open_output`; also if a part is damaged or missing.
    """

    most: ClassVar[int] = 10_000

    def __init__(self, path: str, table: Table, run: dict[str, Any]) -> None:
        self._parts, self._table = Parts(path), table
        begun = self._parts.begin(run)
        self._held = None if is_address(path) else hold(Path(path) / RUN, path)
        try:
            check_same(path, begun, run)
            found = self._parts.found()
            for missing, _ in gaps(found, max((part.first for part in found), default=0), 1):
                raise ConfigError(
                    f"{path}: row {missing} is missing, but later ones are there, as after a run "
                    "on a cluster (--dask), which can fill the gap; continue it so, or delete it"
                )
        except BaseException:
            self.close()
            raise
        self.rows = sum(part.rows for part in found)
        self.unreadable = sum(part.unreadable for part in found)

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows as one file."""
        self._parts.write(self.rows, self._table.arrow(rows))
        self.rows += len(rows)
        self.unreadable += sum(row.error is not None for row in rows)

    def close(self) -> None:
        """Let other processes write."""
        if self._held is not None:
            self._held.close()


class Lines:
    """A file of lines, CSV or JSON; arguments as in `open_output`.

    Raises
    ------
    ConfigError, OSError
        As `open_output`; also if the file has lost lines.
    """

    most: ClassVar[int] = 500

    def __init__(self, path: str, kind: str, table: Table, run: dict[str, Any]) -> None:
        self._path, self._csv, self._table = Path(path), kind == ".csv", table
        self._journal = self._path.with_name(f".{self._path.name}.npformer.json")
        self._state: dict[str, Any] = {"run": run, "rows": 0, "unreadable": 0, "bytes": 0}
        self._held = hold(self._path, path)
        try:
            if self._path.stat().st_size:
                self._continue(path, run)
            else:
                write_json(self._journal, self._state)
                self._append(self._line(table.columns) if self._csv else b"", [])
        except BaseException:
            self._held.close()
            raise

    def _continue(self, path: str, run: dict[str, Any]) -> None:
        """Take over what is there."""
        if not self._journal.exists():
            raise ConfigError(
                f"{path}: is there already, and {self._journal.name} beside it, which would say "
                "how to continue it, is not; delete it, or choose another name"
            )
        self._state = read_object(self._journal)
        check_same(path, self._state["run"], run)
        there = self._path.stat().st_size
        if there < self._state["bytes"]:
            raise ConfigError(
                f"{path}: has {there:,} bytes, but {self._state['bytes']:,} were written; "
                "restore it, or delete it to begin again"
            )
        os.truncate(self._path, self._state["bytes"])

    @property
    def rows(self) -> int:
        """How many rows are there for good."""
        return int(self._state["rows"])

    @property
    def unreadable(self) -> int:
        """How many of them are errors."""
        return int(self._state["unreadable"])

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows."""
        table = self._table
        if self._csv:
            lines = [self._line(map(plain, table.cells(row))) for row in rows]
        else:
            lines = [(json.dumps(finite(table.record(row))) + "\n").encode() for row in rows]
        self._append(b"".join(lines), rows)

    def close(self) -> None:
        """Let other processes write."""
        self._held.close()

    def _line(self, cells: Any) -> bytes:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(cells)
        return text.getvalue().encode("utf-8")

    def _append(self, data: bytes, rows: Sequence[Row]) -> None:
        """Append bytes, and only when the disk has them say so in the journal."""
        try:
            with open(self._path, "ab") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from error
        state = self._state | {
            "rows": self._state["rows"] + len(rows),
            "unreadable": self._state["unreadable"] + sum(r.error is not None for r in rows),
            "bytes": self._state["bytes"] + len(data),
        }
        write_json(self._journal, state)
        self._state = state


def hold(file: Path, output: str) -> IO[bytes]:
    """Open a file, made if need be, so that no second process writes the same output.

    Parameters
    ----------
    file : Path
    output : str
        What the message calls it.

    Returns
    -------
    file
        The output is held until it is closed, or the process ends.

    Raises
    ------
    ConfigError
        If another process holds it.
    OSError
        If it cannot be opened.
    """
    held = open(file, "ab")  # noqa: SIM115 - until the output is closed
    with suppress(ImportError):  # Windows: two processes at once are the user's business
        import fcntl

        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            held.close()
            raise ConfigError(
                f"{output}: another process is writing it; wait for it, or choose another name"
            ) from error
    return held
