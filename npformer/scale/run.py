"""Runs over many photographs: where the rows go."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, NamedTuple

from ..errors import ConfigError
from .cluster import write_on
from .outputs import Output, check_output, open_output
from .paths import Paths
from .pipeline import Row, rows
from .task import Task

PART_SECONDS = 60.0
"""How long a row waits for its part. So much work, at most, is done again after a killed run."""


class Written(NamedTuple):
    """What a run has written."""

    output: str
    photographs: int
    unreadable: int
    """how many of these rows are errors"""
    before: int
    """how many of the rows an earlier, interrupted run had written"""


def write(
    task: Task,
    images: Paths,
    output: str,
    *,
    batch_size: int = 8,
    client: Any = None,
    callback: Callable[[int, Sequence[str]], None] = lambda done, errors: None,
) -> Written:
    """Write a row for each photograph, or the rows that an interrupted run has left to do.

    Parameters
    ----------
    task : Task
    images : Paths
    output : str
        See `npformer.scale.outputs`.
    batch_size : int
    client : distributed.Client, optional
        The cluster of Dask whose workers look at the photographs.
    callback : callable
        Called with the number of rows that are done, first those of an earlier run, and with new
        messages about photographs that could not be read.

    Returns
    -------
    Written

    Raises
    ------
    ConfigError, MissingPackage, OSError
        As `open_output`; OSError also if the disk is full.
    """
    if client is not None:
        if check_output(output) != ".parquet":
            raise ConfigError(
                f"output is {output}; expected a name that ends in .parquet, since many machines "
                "cannot append to one file"
            )
        return Written(output, *write_on(client, task, images, output, callback))
    out = open_output(output, task.table, task.identity(images))
    before = out.rows
    callback(before, [])
    buffer = _Buffer(out)
    try:
        for i, row in enumerate(run(task, images, before, batch_size), before + 1):
            buffer.add(row)
            callback(i, [] if row.error is None else [row.error])
    finally:  # after Ctrl-C too, so that nothing is lost
        buffer.flush()
        out.close()
    return Written(output, out.rows, out.unreadable, before)


def run(task: Task, images: Paths, first: int = 0, batch_size: int = 8) -> Iterator[Row]:
    """Yield a row for each photograph from the one with number `first` on."""
    total = len(images) - first
    return rows(images.since(first), task.read, task.ask, batch_size=batch_size, total=total)


@dataclass
class _Buffer:
    """Rows on their way to an output, which gets them many at a time."""

    output: Output
    waiting: list[Row] = field(default_factory=list)
    since: float = field(default_factory=monotonic)

    def add(self, row: Row) -> None:
        """Add a row, and write all if it is time."""
        self.waiting.append(row)
        if len(self.waiting) >= self.output.most or monotonic() - self.since > PART_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what is there."""
        rows, self.waiting, self.since = self.waiting, [], monotonic()
        if rows:
            self.output.write(rows)
