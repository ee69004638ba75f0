"""The functions for users: `classify` and `embed`."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from typing import Any

from ..checks import require
from ..classification import load
from ..errors import ImageError
from ..images.files import words_about
from ..images.settings import DECODE
from . import task as tasks
from .cluster import frame_on
from .paths import Paths
from .reading import absolute, expand
from .run import run, write


def classify(
    paths: str | PathLike[str] | Iterable[str | PathLike[str]],
    model: str | PathLike[str] = "tiny",
    *,
    top: int = 5,
    decode: str = "exact",
    engine: str = "auto",
    batch_size: int = 8,
    output: str | PathLike[str] | None = None,
    client: Any = None,
    callback: Callable[[int, Sequence[str]], None] = lambda done, errors: None,
) -> Any:
    """Name what is on many photographs.

    Parameters
    ----------
    paths : str, path, or iterable of them
        Files, folders, patterns, and addresses that fsspec knows, such as ``s3://bucket/``.
    model : str or path
        As in `npformer.load`.
    top : int
        How many answers to give.
    decode : {"exact", "fast"}
        As in `npformer.Classifier.preprocess`.
    engine : {"auto", "numba", "numpy"}
    batch_size : int
        How many images to run at a time; does not change the answers.
    output : str or path, optional
        Where to write a table: ``.parquet``, ``.csv`` or ``.jsonl``. An interrupted run is
        continued by the same call.
    client : distributed.Client, optional
        A cluster of Dask, whose workers look at the photographs. They must see the same paths, and
        `output`, which is Parquet, too.
    callback : callable
        If there is an output: called with the number of rows that are done, and new messages about
        photographs that could not be read.

    Returns
    -------
    Written, iterator of Row, or dask.dataframe.DataFrame
        What was written, if there is an `output`. Otherwise the rows, as they are computed; with a
        `client` as a DataFrame, which is computed when it is asked for.

    Raises
    ------
    ImageError
        If there are no photographs. One that cannot be read is a row with its error.
    ConfigError
        If an argument is impossible, or the output belongs to another run.
    MissingPackage
        If an optional package is not installed.
    OSError
        If the output cannot be written.
    MissingWeights, WeightsError, UnsafeCheckpointError, OfflineError
        As in `npformer.load`.
    """
    require(isinstance(top, int) and top >= 1, "top", top, "a whole number, 1 or more")
    task = tasks.answers(load(model, engine=engine), top, decode)
    return _look(task, paths, batch_size, output, client, callback)


def embed(
    paths: str | PathLike[str] | Iterable[str | PathLike[str]],
    model: str | PathLike[str] = "tiny",
    *,
    dtype: str = "float32",
    decode: str = "exact",
    engine: str = "auto",
    batch_size: int = 8,
    output: str | PathLike[str] | None = None,
    client: Any = None,
    callback: Callable[[int, Sequence[str]], None] = lambda done, errors: None,
) -> Any:
    """Compute the features of many photographs: one vector for each, to search and compare them.

    Parameters
    ----------
    paths, model
        As in `classify`.
    dtype : {"float32", "float16"}
        Type of the numbers that are written.
    decode, engine, batch_size, output, client, callback
        As in `classify`.

    Returns
    -------
    Written, iterator of Row, or dask.dataframe.DataFrame
        As `classify` does.

    Raises
    ------
    ImageError, ConfigError, MissingPackage, OSError
    MissingWeights, WeightsError, UnsafeCheckpointError, OfflineError
        As in `classify`.
    """
    require(dtype in ("float32", "float16"), "dtype", dtype, "'float32' or 'float16'")
    task = tasks.features(load(model, engine=engine), dtype, decode)
    return _look(task, paths, batch_size, output, client, callback)


def _look(
    task: tasks.Task,
    paths: str | PathLike[str] | Iterable[str | PathLike[str]],
    batch_size: int,
    output: str | PathLike[str] | None,
    client: Any,
    callback: Callable[[int, Sequence[str]], None],
) -> Any:
    whole = isinstance(batch_size, int) and batch_size >= 1
    require(whole, "batch_size", batch_size, "a whole number, 1 or more")
    require(task.decode in DECODE, "decode", task.decode, f"one of {DECODE}")
    words = [paths] if isinstance(paths, (str, PathLike)) else paths
    left_out: Counter[str] = Counter()
    found = (image for word in words for image in expand(os.fsdecode(word), left_out))
    images = Paths(found if client is None else map(absolute, found))
    if left_out:
        warnings.warn(words_about(left_out), stacklevel=3)
    if not images:
        raise ImageError("no photographs found in paths; expected files, or folders with some")
    if output is not None:
        return write(
            task, images, os.fspath(output), batch_size=batch_size, client=client,
            callback=callback,
        )  # fmt: skip
    if client is not None:
        return frame_on(client, task, images)
    return run(task, images, batch_size=batch_size)
