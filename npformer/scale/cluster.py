"""Many machines: the same run on the workers of a Dask cluster.

The model is sent once to each worker process, by a plugin, which the scheduler also gives to
workers that join later. A task is a part of the output: the names of some photographs go to a
worker, and a Parquet file, whole or not at all, is what it leaves. If a worker is lost, its tasks
run again elsewhere, and write the same files. The scheduler knows a limited number of tasks at a
time, so that its memory does not grow with the number of photographs.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..engine.threads import limited
from ..errors import ConfigError
from ..files.optional import optional
from ..images.memory import reused
from .identity import check_same
from .parts import Parts, gaps
from .paths import Paths
from .pipeline import Row, answered
from .reading import absolute

if TYPE_CHECKING:
    from .task import Task

PART = 512
"""Photographs of a task, and rows of a part, at most."""
SHARES = 8
"""Into how many tasks for each thread of the cluster a few photographs are divided."""
BATCH_SIZE = 8
"""Images that go through a worker's network at a time."""
AHEAD = 3
"""Tasks for each thread of the cluster that the scheduler knows at a time."""


def connect(address: str) -> Any:
    """Return a client of the cluster whose scheduler has this address.

    Raises
    ------
    MissingPackage
        If Dask is not installed.
    ConfigError
        If there is no cluster.
    """
    with optional("Dask", "a run on several machines", "npformer[dask]"):
        from distributed import Client
    try:
        return Client(address, timeout=10)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(
            f"dask is {address}: no scheduler answers there ({error}); expected an address such as "
            "tcp://10.0.0.1:8786, which dask scheduler prints"
        ) from error


def write_on(
    client: Any,
    task: Task,
    images: Paths,
    output: str,
    callback: Callable[[int, Sequence[str]], None],
) -> tuple[int, int, int]:
    """Write a row for each photograph, in parts, by the workers of a cluster.

    Parameters
    ----------
    client : distributed.Client
    task : Task
    images : Paths
    output : str
        A folder that all workers see under this path, or an address that fsspec knows.
    callback : callable
        As in `npformer.scale.run.write`.

    Returns
    -------
    (int, int, int)
        Rows, those of them that are errors, and those that an earlier run had written.

    Raises
    ------
    ConfigError
        If the output belongs to another run, or there is something else.
    """
    with optional("Dask", "a run on several machines", "npformer[dask]"):
        from distributed import as_completed
    parts, run = Parts(absolute(output)), task.identity(images)
    check_same(output, parts.begin(run), run)
    found = parts.found()
    before = done = sum(part.rows for part in found)
    unreadable = sum(part.unreadable for part in found)
    callback(before, [])
    threads = _threads(client)
    pieces = _pieces(images, gaps(found, len(images), _part_size(len(images) - before, threads)))
    name = f"npformer-{os.urandom(8).hex()}"
    _lend(client, name, task)

    def submit(piece: tuple[int, bytes]) -> Any:
        return client.submit(_write_part, name, parts, *piece, key=f"{name}-{piece[0]}", pure=False)

    try:
        first = islice(pieces, AHEAD * threads)
        running = as_completed([submit(piece) for piece in first])
        for future in running:
            rows, errors = future.result()
            done, unreadable = done + rows, unreadable + len(errors)
            for piece in islice(pieces, 1):
                running.add(submit(piece))
            callback(done, errors)
    finally:
        client.unregister_worker_plugin(name)
    return done, unreadable, before


def frame_on(client: Any, task: Task, images: Paths) -> Any:
    """Return a Dask DataFrame with a row for each photograph, computed when it is asked for.

    Parameters
    ----------
    client : distributed.Client
    task : Task
    images : Paths

    Returns
    -------
    dask.dataframe.DataFrame
        Its columns have the types of Arrow, since pandas' own have no missing whole numbers.

    Raises
    ------
    MissingPackage
        If Dask is not installed.
    """
    with optional("Dask", "a run on several machines", "npformer[dask]"):
        import dask.dataframe as dd
    # Whoever has the frame may ask for it any time: the plugin stays.
    name = f"npformer-{os.urandom(8).hex()}"
    _lend(client, name, task)
    size = _part_size(len(images), _threads(client))
    pieces = [names for _, names in _pieces(images, gaps([], len(images), size))]
    empty = _pandas(task.table.arrow([]))
    return dd.from_map(partial(_frame, name), pieces or [_packed([])], meta=empty)


def _pieces(images: Paths, where: list[tuple[int, int]]) -> Iterator[tuple[int, bytes]]:
    """Yield the number of the first row of a task, and the names of its photographs."""
    for first, stop in where:
        yield first, _packed(islice(images.since(first), stop - first))


def _threads(client: Any) -> int:
    """How many threads the workers have that are there now."""
    return max(1, sum(client.nthreads().values()))


def _part_size(count: int, threads: int) -> int:
    """How many photographs a task has, so that a few occupy all threads to the end."""
    return min(PART, max(1, -(-count // (SHARES * threads))))


def _packed(names: Any) -> bytes:
    """Compress names: a list of many strings would be slow to send."""
    return zlib.compress(b"\0".join(map(os.fsencode, names)), 1)


def _lend(client: Any, name: str, task: Task) -> None:
    """Give a task to all workers, those to come included, under a name."""
    from distributed.diagnostics.plugin import WorkerPlugin

    class Lent(WorkerPlugin):  # type: ignore[misc]  # of a package without types
        """What the tasks of a run need; one for each worker process."""

    plugin = Lent()
    plugin.name, plugin.task = name, task
    client.register_plugin(plugin)


def _rows(name: str, packed: bytes) -> tuple[Task, list[Row]]:
    """Look at the photographs of a task, with this thread alone."""
    from distributed import get_worker

    task: Task = get_worker().plugins[name].task
    names = [os.fsdecode(n) for n in zlib.decompress(packed).split(b"\0") if n]
    rows: list[Row] = []
    with limited(1), reused():
        for i in range(0, len(names), BATCH_SIZE):
            rows += answered(names[i : i + BATCH_SIZE], task.read, task.ask)
    return task, rows


def _write_part(name: str, parts: Parts, first: int, packed: bytes) -> tuple[int, list[str]]:
    """Write a part; return the number of its rows, and its errors."""
    task, rows = _rows(name, packed)
    parts.write(first, task.table.arrow(rows))
    return len(rows), [row.error for row in rows if row.error is not None]


def _frame(name: str, packed: bytes) -> Any:
    """Return the rows of a task as a pandas DataFrame."""
    task, rows = _rows(name, packed)
    return _pandas(task.table.arrow(rows))


def _pandas(table: Any) -> Any:
    import pandas as pd

    return table.to_pandas(types_mapper=pd.ArrowDtype)
