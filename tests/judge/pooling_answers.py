"""Answers to the exercises on pooling."""

# fmt: off  (one line for each answer)
from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .students import right, wrong


def total(x, size, mode="constant", left=None, over=np.sum, value=None):
    """Sum over windows, by a padded copy."""
    half = size // 2
    left = half if left is None else left
    right_ = size - 1 - left
    options = {} if value is None else {"constant_values": value}
    padded = np.pad(x, ((0, 0), (left, right_), (left, right_), (0, 0)), mode=mode, **options)
    return over(sliding_window_view(padded, (size, size), axis=(1, 2)), axis=(-2, -1))


def count(x, size):
    return total(np.ones_like(x), size)


def avg(x, size):
    return total(x, size) / count(x, size)


# average_pool

wrong(
    "average_pool",
    "padding counted",
    "border|count|size|area",
    lambda x, size=3: total(x, size) / size**2,
)
wrong(
    "average_pool",
    "border repeated",
    "edge|border|repeat",
    lambda x, size=3: total(x, size, "edge") / size**2,
)
wrong(
    "average_pool",
    "border mirrored",
    "reflect|mirror|symmetric|border",
    lambda x, size=3: total(x, size, "symmetric") / size**2,
)
wrong(
    "average_pool",
    "wrapped around",
    "wrap|border",
    lambda x, size=3: total(x, size, "wrap") / size**2,
)
wrong(
    "average_pool",
    "the largest of the window",
    "max",
    lambda x, size=3: total(x, size, over=np.max, value=-np.inf),
)
wrong("average_pool", "sum, not average", "sum|divi|area|count", lambda x, size=3: total(x, size))
wrong("average_pool", "size always three", "size|3", lambda x, size=3: avg(x, 3))
wrong("average_pool", "divided by size", "size|area|divi", lambda x, size=3: total(x, size) / size)
wrong("average_pool", "x subtracted already", "x|subtract", lambda x, size=3: avg(x, size) - x)
wrong(
    "average_pool",
    "windows hang to one side",
    "shift|short|window|left|right|side|start",
    lambda x, size=3: total(x, size, left=0) / total(np.ones_like(x), size, left=0),
)
wrong(
    "average_pool",
    "only along rows",
    "column|row|ax|along|one",
    lambda x, size=3: np.stack(
        [x[:, max(i - size // 2, 0) : i + size // 2 + 1].mean(1) for i in range(x.shape[1])], 1
    ),
)
wrong(
    "average_pool",
    "the whole image",
    "image|global|whole|size",
    lambda x, size=3: np.broadcast_to(x.mean((1, 2), keepdims=True), x.shape).copy(),
)
wrong(
    "average_pool",
    "the median of the window",
    "median",
    lambda x, size=3: np.nanmedian(
        sliding_window_view(
            np.pad(x, ((0, 0), (size // 2,) * 2, (size // 2,) * 2, (0, 0)), constant_values=np.nan),
            (size, size),
            axis=(1, 2),
        ),
        axis=(-2, -1),
    ),
)


@wrong(
    "average_pool", "window one short to the right and below", "short|last|window|right|stop|slice"
)
def _(x, size=3):
    half = size // 2
    y = np.empty_like(x)
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            y[:, i, j] = x[
                :, max(i - half, 0) : max(i + half, 1), max(j - half, 0) : max(j + half, 1)
            ].mean((1, 2))
    return y


@right("average_pool", "a loop over pixels")
def _(x, size=3):
    if size < 1 or size % 2 == 0:
        raise ValueError("even")
    half, y = size // 2, np.empty_like(x)
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            y[:, i, j] = x[
                :, max(i - half, 0) : i + half + 1, max(j - half, 0) : j + half + 1
            ].mean((1, 2))
    return y


# pooling

wrong("pooling", "x not subtracted", "x|subtract", lambda x, size=3: avg(x, size))
wrong("pooling", "the other way around", "sign|negat|exchang", lambda x, size=3: x - avg(x, size))
wrong("pooling", "x added", "\\+|add|plus|sign", lambda x, size=3: avg(x, size) + x)
wrong(
    "pooling",
    "padding counted",
    "border|count|size|area",
    lambda x, size=3: total(x, size) / size**2 - x,
)
wrong(
    "pooling",
    "the center left out",
    "center|pixel|itself|count",
    lambda x, size=3: (total(x, size) - x) / np.maximum(count(x, size) - 1, 1),
)
wrong("pooling", "x subtracted twice", "twice|2|x", lambda x, size=3: avg(x, size) - 2 * x)
wrong("pooling", "maximum", "max", lambda x, size=3: total(x, size, over=np.max, value=-np.inf) - x)
wrong("pooling", "sum", "sum|divi|area|count", lambda x, size=3: total(x, size) - x)
wrong(
    "pooling",
    "subtracted before averaging is over",
    "area|preced|divi|count|x",
    lambda x, size=3: (total(x, size) - x) / count(x, size),
)
wrong(
    "pooling",
    "edge padding",
    "edge|border|repeat",
    lambda x, size=3: total(x, size, "edge") / size**2 - x,
)
wrong(
    "pooling",
    "rows and columns of each image exchanged",
    "transpos|order|exchang|ax|shape",
    lambda x, size=3: (avg(x, size) - x).swapaxes(1, 2),
)
wrong("pooling", "pooled twice", "twice|pool", lambda x, size=3: avg(avg(x, size), size) - x)
wrong(
    "pooling",
    "the mean of the image subtracted",
    "mean|image|x",
    lambda x, size=3: avg(x, size) - x.mean((1, 2), keepdims=True),
)
wrong("pooling", "window two wider", "size|window", lambda x, size=3: avg(x, size + 2) - x)
wrong(
    "pooling",
    "average over channels too",
    "channel|ax",
    lambda x, size=3: avg(x, size).mean(-1, keepdims=True) - x,
)


@right("pooling", "cumulative sums")
def _(x, size=3):
    if size < 1 or size % 2 == 0:
        raise ValueError("even")
    half, (B, H, W, C) = size // 2, x.shape
    table = np.zeros((B, H + 1, W + 1, C))
    table[:, 1:, 1:] = x.astype(np.float64).cumsum(1).cumsum(2)
    top, bottom = np.maximum(np.arange(H) - half, 0), np.minimum(np.arange(H) + half + 1, H)
    left, end = np.maximum(np.arange(W) - half, 0), np.minimum(np.arange(W) + half + 1, W)
    box = (
        table[:, bottom][:, :, end]
        - table[:, top][:, :, end]
        - table[:, bottom][:, :, left]
        + table[:, top][:, :, left]
    )
    area = ((bottom - top)[:, None] * (end - left))[:, :, None]
    return (box / area).astype(x.dtype) - x


@right("pooling", "shifted copies and a mask")
def _(x, size=3):
    if size < 1 or size % 2 == 0:
        raise ValueError("even")
    return (avg(x, size) - x).astype(x.dtype)


# pooling_backward

wrong(
    "pooling_backward",
    "forward again",
    "forward|before|after|divi|order|window_area|area",
    lambda dy, size=3: avg(dy, size) - dy,
)
wrong("pooling_backward", "not divided", "divi|area|count", lambda dy, size=3: total(dy, size) - dy)
wrong(
    "pooling_backward",
    "dy not subtracted",
    "dy|subtract",
    lambda dy, size=3: total(dy / count(dy, size), size),
)
wrong(
    "pooling_backward",
    "divided by size squared",
    "border|size|count|area",
    lambda dy, size=3: total(dy, size) / size**2 - dy,
)
wrong(
    "pooling_backward",
    "dy added",
    "\\+|add|sign|plus",
    lambda dy, size=3: total(dy / count(dy, size), size) + dy,
)
wrong(
    "pooling_backward",
    "divided twice",
    "twice|divi",
    lambda dy, size=3: avg(dy / count(dy, size), size) - dy,
)
wrong("pooling_backward", "minus dy alone", "window|pool|without", lambda dy, size=3: -dy)
wrong(
    "pooling_backward",
    "sign of all",
    "sign|exchang|negat",
    lambda dy, size=3: dy - total(dy / count(dy, size), size),
)
wrong(
    "pooling_backward",
    "multiplied by the count",
    "multipl|\\*|instead|divi",
    lambda dy, size=3: total(dy * count(dy, size), size) - dy,
)
right(
    "pooling_backward",
    "each output gives its share to its window",
    lambda dy, size=3: share(dy, size),
)


def share(dy, size):
    if size < 1 or size % 2 == 0:
        raise ValueError("even")
    half, dx = size // 2, -dy
    for i in range(dy.shape[1]):
        for j in range(dy.shape[2]):
            place = dx[:, max(i - half, 0) : i + half + 1, max(j - half, 0) : j + half + 1]
            place += dy[:, i : i + 1, j : j + 1] / (place.shape[1] * place.shape[2])
    return dx
