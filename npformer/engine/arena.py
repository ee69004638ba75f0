"""Memory: an arena of float32 for each call, the buffers in it, and images on their way into it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ..kernels.layout import LANES, PLACE
from ..layers import Array
from . import machine_code
from .entries import arguments
from .threads import run

RELEASED = 2**62
"""Value of all counters after an error, so that no thread waits for work that will not be done."""

Gate: TypeAlias = tuple[int, Callable[[], None]]
"""A step, and what the first thread does before it while the others wait."""


def empty_aligned(count: int) -> Array:
    """Allocate `count` uninitialized float32 that start at a cache line."""
    raw = np.empty(count + LANES, np.float32)
    start = -raw.ctypes.data % (4 * LANES) // 4
    return raw[start : start + count]


def flatten_images(images: Array) -> Array:
    """Return images, (B, H, W, C), as flat float32: a view where that is possible, else a copy."""
    flags = images.flags
    if not (images.dtype == np.float32 and flags.c_contiguous and flags.aligned):
        images, source = np.empty(images.shape, np.float32), images
        np.copyto(images, source, "same_kind")
    return images.reshape(-1)


class Workspace:
    """Reusable memory that grows to the largest size ever asked for."""

    def __init__(self) -> None:
        self._numbers = empty_aligned(0)

    def __call__(self, count: int) -> Array:
        """Return `count` float32, as `empty_aligned`; earlier results must not be used any more."""
        if len(self._numbers) < count:
            self._numbers = empty_aligned(0)  # freed first, so that there are never two
            self._numbers = empty_aligned(count)
        return self._numbers[:count]


@dataclass(eq=False)
class Buffer:
    """A matrix in the arena: some rows of `channels` numbers for each image."""

    rows: int
    channels: int
    step: int
    """numbers from one row to the next"""
    outside: bool = False
    """whether it lies elsewhere than in the arena"""
    runs: int = 1
    """of how many runs of `channels` numbers, each filled up to whole vectors, a row consists"""
    shared: bool = False
    """whether all images share the rows"""
    first_use: int = -1
    """the step that writes it first; −1 if it is filled before the first step"""
    last_use: int = 0
    """the last step that reads or writes it"""
    at: int = -1
    """index of its first number in the arena"""

    def like(self) -> Buffer:
        """Return another buffer of the same shape."""
        return Buffer(self.rows, self.channels, self.step)


class Arena:
    """The memory of one call.

    Parameters
    ----------
    size : int
        Numbers in all buffers.
    scratch : int
        Numbers of scratch for each thread; they follow the buffers.
    threads : int
    allocate : callable
        ``allocate(count)`` returns flat float32.
    """

    def __init__(
        self,
        size: int,
        scratch: int,
        threads: int,
        allocate: Callable[[int], Array] = empty_aligned,
    ) -> None:
        self.threads = threads
        self._size, self._scratch = size, scratch
        self.memory = allocate(size + threads * scratch)

    def execute(
        self,
        table: Array,
        weights: Array,
        images: int,
        pixels: Array | None = None,
        gates: Iterable[Gate] = (),
        alone: bool = False,
    ) -> None:
        """Run steps of a plan, with all threads or with this one alone.

        Parameters
        ----------
        table : ndarray of `npformer.engine.steps.STEP`
        weights : ndarray of float32, flat
        images : int
            Number of images.
        pixels : ndarray of float32, flat, optional
            The images, if they are not in the arena.
        gates : iterable of (int, callable)
            Indices of steps, ascending, and what this thread does before each of them.
        alone : bool
            Whether to use this thread only.

        Raises
        ------
        IndexError
            If a kernel reaches outside of its memory; seen with ``NPFORMER_BOUNDSCHECK=1`` only.
        """
        entry = machine_code.entry()
        threads = 1 if alone else self.threads
        end = len(table)
        places = threads * PLACE
        counters = np.zeros(places + end * (threads + 2), np.int64)
        status = np.zeros((threads, 2), np.int64)
        pixels = self.memory if pixels is None else pixels
        arrays = [table, counters, self.memory, weights, pixels]
        values = [number for array in arrays for number in arguments(array)]

        def enter(thread: int, first: int, last: int, alive: list[Array] = arrays) -> None:
            result = status[thread].ctypes.data
            scratch = self._size + thread * self._scratch
            where = images, first, last, threads, thread, scratch
            if entry(result, result + 8, *values, *where):
                raise IndexError("a kernel reached outside of its memory")

        def work(thread: int) -> None:
            first = 0
            if thread == 0:
                for gate, function in gates:
                    enter(0, first, gate)
                    function()
                    first = gate
            enter(thread, first, end)

        def release() -> None:
            counters[places:] = RELEASED

        # When this thread has gone through all steps, no part is left, and helpers that are late
        # read nothing any more but the table and the counters, which `enter` keeps alive.
        run(work, threads, release, waits=False)
