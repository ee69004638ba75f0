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
