"""How a plan is built: its steps are added one after the other, then each buffer gets its place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..kernels.layout import LANES, padded
from .arena import Buffer
from .steps import OPTIONAL, STEP, WRITTEN, Kind

TILE_ROWS, TILE_PANELS = 7, 2
"""Rows and panels of 16 columns in whole tiles of the micro-kernel (`npformer.kernels.linear`)."""


@dataclass
class PendingStep:
    """A step whose buffers have no places yet."""

    numbers: dict[str, int]
    """fields that are known"""
    buffers: dict[str, Buffer]
    """fields that will be the place of a buffer"""


def image_fields(grid: tuple[int, int], channels: int) -> dict[str, int]:
    """Fields of a step that say how large an image is: (rows, columns) of pixels, and channels."""
    return {"height": grid[0], "width": grid[1], "channels": channels}


def window_fields(
    grid: tuple[int, int], channels: int, size: int, stride: int, padding: int
) -> tuple[dict[str, int], tuple[int, int]]:
    """Fields of a step that moves a window over an image.

    Parameters
    ----------
    grid : (int, int)
        Rows and columns of pixels of the image.
    channels : int
    size, stride, padding : int
        Of the window, the same in both directions.

    Returns
    -------
    fields : dict
    grid : (int, int)
        Rows and columns of windows.
    """
    rows, columns = ((length + 2 * padding - size) // stride + 1 for length in grid)
    window = {"window": size, "stride": stride, "padding": padding}
    return window | image_fields(grid, channels), (rows, columns)


class PlanBuilder:
    """What the plans of inference and of training have in common.

    Parameters
    ----------
    capacity : int
        How many images pass at once.

    Attributes
    ----------
    table : ndarray of `npformer.engine.steps.STEP`
    names : list of str
        The module that each step belongs to.
    size : int
        Numbers in the arena, without the threads' scratch.
    scratch : int
        Numbers of scratch for each thread.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.scratch = 0
        self.names: list[str] = []
        self._pending: list[PendingStep] = []
        self._gates: set[int] = set()
        self._where = "stem"

    def _step(
        self, kind: Kind, y: Buffer, x: Buffer, units: int, chunk: int, **fields: int | Buffer
    ) -> Buffer:
        """Add a step.

        Parameters
        ----------
        kind : Kind
            Which kernel it runs.
        y, x : Buffer
            Its result and its input.
        units : int
            What it is cut along, for each image; from ``LINEAR`` on, for all images.
        chunk : int
            Units in a part, at most.
        **fields : int or Buffer
            Other fields of `npformer.engine.steps.FIELDS`.

        Returns
        -------
        Buffer
            `y`.
        """
        numbers = {"kind": int(kind), "units": units, "grain": 1, "chunk": chunk}
        numbers |= {"rows": y.rows, "x_rows": x.rows}
        numbers["gate"] = len(self._pending) in self._gates
        numbers |= dict.fromkeys(OPTIONAL, -1) | {"y_step": y.step, "x_step": x.step}
        buffers = {"y": y, "x": x}
        for name, value in fields.items():
            if isinstance(value, Buffer):
                buffers[name] = value
            else:
                numbers[name] = value
        for name, buffer in buffers.items():
            if name in WRITTEN and buffer.first_use < 0:
                buffer.first_use = len(self._pending)
            buffer.last_use = len(self._pending)
        self._pending.append(PendingStep(numbers, buffers))
        self.names.append(self._where)
        return y

    def _finish(self) -> None:
        """Give every buffer its place, and fill in the table."""
        self.size = self._allocate()
        self.table = np.zeros(len(self._pending), STEP)
        for row, pending in zip(self.table, self._pending, strict=True):
            for name, number in pending.numbers.items():
                row[name] = number
            for name, buffer in pending.buffers.items():
                row[name] = buffer.at

    def _allocate(self) -> int:
        """Give every buffer the first place that no other buffer needs at the same time.

        Returns
        -------
        int
            Size of the arena.
        """
        every = [b for pending in self._pending for b in pending.buffers.values()]
        buffers = {id(b): b for b in every if not b.outside}
        end = 0
        placed: list[Buffer] = []
        for buffer in sorted(buffers.values(), key=lambda b: b.first_use):
            others = [
                other
                for other in placed
                if other.last_use >= buffer.first_use and buffer.last_use >= other.first_use
            ]
            buffer.at = 0
            for other in sorted(others, key=lambda o: o.at):
                if buffer.at + self._size(buffer) <= other.at:
                    break
                buffer.at = max(buffer.at, other.at + self._size(other))
            placed.append(buffer)
            end = max(end, buffer.at + self._size(buffer))
        return end

    def _size(self, buffer: Buffer) -> int:
        """Numbers that a buffer takes, with a margin for the vectors that `im2col` copies."""
        images = 1 if buffer.shared else self.capacity
        return padded(images * buffer.rows * buffer.step) + LANES
