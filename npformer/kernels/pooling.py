"""Pooling as a token mixer, with its layer scale and its residual connection.

    y = x + γ · (average of the k×k window − x)

This layer does next to no arithmetic, so its cost is that of moving the map through the cache. It
is therefore done for a few rows at a time, right before the MLP that reads them.
"""

from __future__ import annotations

from ..layers import Array
from .layout import LANES
from .vector import Vector, clear, fma, inlined, kernel, load, splat, store


@inlined
def _sum(m: Array, at: int, step: int, count: int) -> Vector:
    """Sum of `count` vectors, `step` apart. Three of them, as nearly always, need no loop."""
    if count == 3:
        return load(m, at) + load(m, at + step) + load(m, at + 2 * step)
    total = load(m, at)
    for i in range(1, count):
        total = total + load(m, at + i * step)
    return total


@kernel
def pooling(
    m: Array,
    y: int,
    y_step: int,
    x: int,
    x_step: int,
    height: int,
    width: int,
    channels: int,
    size: int,
    w: Array,
    gamma: int,
    first: int,
    last: int,
    scratch: int,
) -> None:
    """Pixels number `first` up to `last` of ``x + γ (average_pool(x) − x)``.

    Parameters
    ----------
    m : ndarray of float32, flat
    y, y_step : int
        Result, a pixel in each row, beginning with `first`. Not x, which is still to be read by
        neighbours.
    x, x_step : int
        Image, a pixel in each row.
    height, width, channels : int
        Of the image.
    size : int
        Side of the window, odd.
    w : ndarray of float32, flat
        Holds the layer scale from index `gamma`.
    first, last : int
        Which pixels, counted row by row.
    scratch : int
        Room for ``width · x_step`` sums.

    Notes
    -----
    As in the plain layer, columns of a window are summed first, and each sum serves all windows
    that it is part of.
    """
    pad = size // 2
    line = width * x_step
    for i in range(first // width, (last + width - 1) // width):
        start, stop = max(first - i * width, 0), min(last - i * width, width)
        top, bottom = max(i - pad, 0), min(i + pad + 1, height)
        for at in range(max(start - pad, 0) * x_step, min(stop + pad, width) * x_step, LANES):
            store(m, scratch + at, _sum(m, x + top * line + at, line, bottom - top))
        inside = splat(1.0 / ((bottom - top) * size))
        for j in range(start, stop):
            left, right = max(j - pad, 0), min(j + pad + 1, width)
            share = inside
            if right - left < size:  # padding does not count
                share = splat(1.0 / ((bottom - top) * (right - left)))
            old, new = x + i * line + j * x_step, y + (i * width + j - first) * y_step
            for c in range(0, channels, LANES):
                total = _sum(m, scratch + left * x_step + c, x_step, right - left)
                pixel = load(m, old + c)
                store(m, new + c, fma(load(w, gamma + c), total * share - pixel, pixel))


@kernel
def pooling_backward(
    m: Array,
    dx: int,
    dy: int,
    x: int,
    step: int,
    height: int,
    width: int,
    channels: int,
    size: int,
    w: Array,
    gamma: int,
    dgamma: int,
    scratch: int,
) -> None:
    """Gradient of `pooling` for a whole image.

        g = window_sum(dy / count) − dy        dx = dy + γ g        dγ = Σ x g

    Parameters
    ----------
    m : ndarray of float32, flat
    dx, dy, x, step : int
        Result, gradient of the output and image, a pixel in each row.
    height, width, channels, size : int
    w : ndarray of float32, flat
        Holds the layer scale from index `gamma`.
    dgamma : int
        Result, one row.
    scratch : int
        Room for ``width · step`` sums.

    Notes
    -----
    The layer scale saw ``average_pool(x) − x``, which is linear in x. So its product with dy is
    that of x with the transpose of dy, and the pooled image is not needed.
    """
    pad = size // 2
    line = width * step
    clear(m, dgamma, channels)
    for i in range(height):
        top, bottom = max(i - pad, 0), min(i + pad + 1, height)
        for j in range(width):
            columns = min(j + pad + 1, width) - max(j - pad, 0)
            for c in range(j * step, j * step + channels, LANES):
                total = splat(0.0)
                for k in range(top, bottom):
                    count = (min(k + pad + 1, height) - max(k - pad, 0)) * columns
                    total = fma(load(m, dy + k * line + c), splat(1.0 / count), total)
                store(m, scratch + c, total)
        for j in range(width):
            left, right = max(j - pad, 0), min(j + pad + 1, width)
            here = i * line + j * step
            for c in range(0, channels, LANES):
                straight = load(m, dy + here + c)
                g = _sum(m, scratch + left * step + c, step, right - left) - straight
                store(m, dx + here + c, fma(load(w, gamma + c), g, straight))
                store(m, dgamma + c, fma(load(m, x + here + c), g, load(m, dgamma + c)))
