"""From many files to their answers, on all cores, in order, within bounded memory.

Each thread takes a few photographs, decodes and resizes them one after the other, and sends them
through the network by itself. So no thread ever waits for another, whether decoding takes long, as
of large JPEGs, or the network does. Decoding and the network's kernels both run without Python's
lock. Answers do not depend on which photographs share a batch, nor on the number of threads: they
have the bits of one photograph at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, NamedTuple, TypeAlias

from ..engine.threads import get_num_threads, limited
from ..errors import ConfigError, ImageError
from ..files.describing import describe
from ..images.layout import stacks
from ..images.memory import reused
from ..layers.arrays import Array
from ..learn.parallel import map_in_order

Read: TypeAlias = Callable[[str], Array]
"""From the name of a photograph to pixel values, (3, H, W). Raises ImageError or OSError."""
Ask: TypeAlias = Callable[[Array], Iterable[Any]]
"""From pixel values, (B, 3, H, W), to B answers. Raises ConfigError or ImageError if the network
takes no images of this size."""


class Row(NamedTuple):
    """What is known about one photograph."""

    image: str
    answer: Any
    """None if there is an error"""
    error: str | None = None
    """why it could not be read, or not be run"""


def rows(
    images: Iterable[str],
    read: Read,
    ask: Ask,
    *,
    batch_size: int = 8,
    total: int | None = None,
    threads: int | None = None,
) -> Iterator[Row]:
    """Answer photographs, in order.

    Parameters
    ----------
    images : iterable of str
        Their names. No more of them are taken than a few batches for each thread.
    read, ask : callable
        Are called in several threads.
    batch_size : int
        How many images go through the network at a time, at most.
    total : int, optional
        How many images there are, so that a few are shared among the threads.
    threads : int, optional
        By default as many as the network would use.

    Yields
    ------
    Row
        A file that cannot be read is a row too.
    """
    threads = threads or get_num_threads()
    if total is not None:
        batch_size = min(batch_size, max(1, -(-total // (SHARES * threads))))
    remaining = iter(images)
    batches = iter(lambda: list(islice(remaining, batch_size)), [])
    if threads == 1 or total == 1:  # one photograph: the network uses all threads
        with reused():
            for batch in batches:
                yield from answered(batch, read, ask)
        return
    stopped = threading.Event()
    work = partial(_alone, read=read, ask=ask, stopped=stopped)
    try:
        # Whoever stops early, as with Ctrl-C, does not wait for batches that are under way.
        with reused():
            for batch_rows in map_in_order(work, batches, threads, 2 * threads, wait=False):
                yield from batch_rows
    finally:
        stopped.set()


SHARES = 4
"""Into how many batches for each thread a few photographs are divided, so that all end together."""


def answered(
    images: Sequence[str], read: Read, ask: Ask, stopped: threading.Event | None = None
) -> list[Row]:
    """Answer one batch, in this thread; what is `stopped` ends before the next photograph.

    Parameters
    ----------
    images : sequence of str
    read, ask : callable
        As in `rows`.
    stopped : threading.Event, optional

    Returns
    -------
    list of Row
    """
    errors: list[Exception | None] = []
    pixels: list[Array] = []
    for image in images:
        if stopped is not None and stopped.is_set():
            return []
        try:
            pixels.append(read(image))
            errors.append(None)
        except (ImageError, OSError) as error:
            errors.append(error)
    answers: list[Any] = []
    for x in stacks(pixels):
        try:
            answers.extend(ask(x))
        except (ConfigError, ImageError) as error:  # the network takes no images of this size
            answers += len(x) * [error]
    rest = iter(answers)
    found = [next(rest) if error is None else error for error in errors]
    return [
        Row(image, None, message(image, answer))
        if isinstance(answer, Exception)
        else Row(image, answer)
        for image, answer in zip(images, found, strict=True)
    ]


def message(image: str, error: Exception) -> str:
    """Say why a photograph has no answer; the message names it."""
    text = describe(error) if isinstance(error, OSError) else str(error)
    return text if image in text else f"{image}: {text}"


def _alone(images: Sequence[str], read: Read, ask: Ask, stopped: threading.Event) -> list[Row]:
    """Answer one batch with this thread alone, as the others are busy with theirs."""
    with limited(1):
        return answered(images, read, ask, stopped)
