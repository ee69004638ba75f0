"""Typical mistakes in pooling as a token mixer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...layers import Array, average_pool, pooling, pooling_backward
from ...layers.pooling import window_area, window_sum
from .exercise import Draw, Table

TABLE = Table()


def _draw_pooling(d: Draw) -> tuple[Any, ...]:
    return (d.images(), d.choice(3, 5, 1, 7)) if d.level else (d.images(),)


def _pool_edge(x: Array, size: int = 3) -> Array:
    pad = size // 2
    inner = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode="edge")
    return np.asarray(window_sum(inner, size)[:, pad : pad + x.shape[1], pad : pad + x.shape[2]])


def _max_pool(x: Array, size: int = 3) -> Array:
    pad = size // 2
    low = np.pad(
        x, ((0, 0), (pad, pad), (pad, pad), (0, 0)), constant_values=-np.inf
    )  # outside never wins
    windows = np.lib.stride_tricks.sliding_window_view(low, (size, size), axis=(1, 2))
    return np.asarray(windows.max((-2, -1)))


def _pad_pool(mode: str) -> Callable[..., Array]:
    """Return a pool over a copy of the image that is continued beyond its border."""

    def pool(x: Array, size: int = 3) -> Array:
        pad = size // 2
        padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode=mode)  # type: ignore[call-overload]
        return _valid_pool(padded, size)

    return pool


def _loop_pool(
    before: int, after: int, over: Callable[..., Array] = np.mean
) -> Callable[..., Array]:
    """Return a pool whose windows begin so many pixels late and end so many early."""

    def pool(x: Array, size: int = 3) -> Array:
        half, y = size // 2, np.full_like(x, np.nan)
        for i, j in np.ndindex(x.shape[1:3]):
            rows = slice(max(i - half + before, 0), max(i + half + 1 - after, 0))
            columns = slice(max(j - half + before, 0), max(j + half + 1 - after, 0))
            window = x[:, rows, columns]
            if window.size:
                y[:, i, j] = over(window, axis=(1, 2))
        return y

    return pool


def _one_axis_pool(axis: int) -> Callable[..., Array]:
    """Return a pool along rows or columns only."""

    def pool(x: Array, size: int = 3) -> Array:
        half = size // 2
        lines = np.moveaxis(x, axis, 0)
        means = [lines[max(i - half, 0) : i + half + 1].mean(0) for i in range(len(lines))]
        return np.moveaxis(np.stack(means), 0, axis)

    return pool


def _valid_pool(x: Array, size: int = 3) -> Array:
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    return np.asarray(windows.mean((-2, -1)))


def _channels_first_pool(x: Array, size: int = 3) -> Array:
    return np.moveaxis(average_pool(np.moveaxis(x, 1, -1), size), -1, 1)


_POOLS: tuple[tuple[str, str, Callable[..., Array]], ...] = (
    (
        "border counted",
        "Pixels outside the image do not count: divide by the number of pixels of the window that "
        "are inside: 4 in a corner of a 3×3 pool, 6 at an edge, 9 elsewhere.",
        lambda x, size=3: window_sum(x, size) / size**2,
    ),
    (
        "border repeated",
        "Do not repeat the pixels of the border: a window there just has fewer pixels.",
        lambda x, size=3: _pool_edge(x, size) / size**2,
    ),
    (
        "image wrapped around",
        "The left of an image is no neighbor of its right: a window at the border just has fewer "
        "pixels.",
        _pad_pool("wrap"),
    ),
    (
        "border mirrored",
        "Do not mirror the image at its border: a window there just has fewer pixels.",
        _pad_pool("symmetric"),
    ),
    (
        "window one short",
        "Your window stops one pixel short on the right and below: a slice does not contain its "
        "end, so it ends at i + size // 2 + 1.",
        _loop_pool(0, 1),
    ),
    (
        "window one short",
        "Your window begins one pixel late on the left and above: it begins at i − size // 2.",
        _loop_pool(1, 0),
    ),
    ("median instead of average", "Take the average of the window.", _loop_pool(0, 0, np.median)),
    (
        "along rows or columns only",
        "The window is a square: yours runs along axis 1 only.",
        _one_axis_pool(1),
    ),
    (
        "along rows or columns only",
        "The window is a square: yours runs along axis 2 only.",
        _one_axis_pool(2),
    ),
    (
        "sum instead of average",
        "Divide by the number of pixels in the window.",
        lambda x, size=3: window_sum(x, size),
    ),
    ("maximum instead of average", "Take the average of the window.", _max_pool),
    (
        "windows inside the image only",
        "Every pixel has a window, also at the border: the size stays the same.",
        _valid_pool,
    ),
    (
        "wrong axis",
        "Arrays are (B, H, W, C): pool over axes 1 and 2. Yours pools over the last two, as if "
        "channels came first.",
        _channels_first_pool,
    ),
    (
        "size ignored",
        "Use the window size that the function is given, not always 3.",
        lambda x, size=3: average_pool(x, 3),
    ),
)

TABLE.add(
    "pooling",
    pooling,
    _draw_pooling,
    (
        "input not subtracted",
        "Subtract x from the average: the residual connection of the block adds it back.",
        average_pool,
    ),
    (
        "input added",
        "Subtract x instead of adding it: the block adds it.",
        lambda x, size=3: average_pool(x, size) + x,
    ),
    (
        "wrong sign",
        "It is the average minus x, not x minus the average.",
        lambda x, size=3: x - average_pool(x, size),
    ),
    *((kind, hint, lambda x, size=3, f=f: f(x, size) - x) for kind, hint, f in _POOLS),
)

TABLE.add("average_pool", average_pool, _draw_pooling, *_POOLS)


def _draw_pooling_backward(d: Draw) -> tuple[Any, ...]:
    return (d.images(), d.choice(3, 5, 1)) if d.level else (d.images(),)


TABLE.add(
    "pooling_backward",
    pooling_backward,
    _draw_pooling_backward,
    (
        "input not subtracted",
        "pooling(x) is the average minus x: − dy is missing.",
        lambda dy, size=3: pooling_backward(dy, size) + dy,
    ),
    (
        "division after the sum",
        "Each output was divided by its own count: divide dy first, then sum over the window.",
        lambda dy, size=3: window_sum(dy, size) / window_area(dy, size) - dy,
    ),
    (
        "border counted",
        "An output at the border was divided by fewer than size² pixels.",
        lambda dy, size=3: window_sum(dy, size) / size**2 - dy,
    ),
    (
        "division forgotten",
        "Divide dy by the number of pixels that the average was taken over.",
        lambda dy, size=3: window_sum(dy, size) - dy,
    ),
    (
        "size ignored",
        "Use the window size that the function is given, not always 3.",
        lambda dy, size=3: pooling_backward(dy, 3),
    ),
)
