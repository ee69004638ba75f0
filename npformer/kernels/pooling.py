"""Pooling as a token mixer, with its layer scale and its residual connection.

    y = x + γ · (average of the k×k window − x)

This layer does next to no arithmetic, so its cost is that of moving the map through the cache. It
is therefore done for a few rows at a time, right before the MLP that reads them.
"""

from __future__ import annotations

from ..layers import Array
from .layout import LANES, Image, Rows, Span
from .vector import Vector, clear, fma, inlined, kernel, load, splat, store

NINTH = 1 / 9
"""Weight of a pixel in a whole 3×3 window"""


@inlined
def _sum(m: Array, at: int, step: int, count: int) -> Vector:
    """Sum of `count` vectors, `step` apart. Three of them, as nearly always, need no loop."""
    if count == 3:
        return load(m, at) + load(m, at + step) + load(m, at + 2 * step)
    total = load(m, at)
    for i in range(1, count):
        total = total + load(m, at + i * step)
    return total


@inlined
def _mix(m: Array, y: int, total: Vector, share: float, x: int, gamma: Vector) -> None:
    pixel = load(m, x)
    store(m, y, fma(gamma, total * share - pixel, pixel))


@inlined
def _pixel(
    m: Array, y: int, x: int, line: int, step: int, down: int, across: int, pixel: int,
    channels: int, w: Array, gamma: int,
) -> None:  # fmt: skip
    """One pixel of the result, whose window of `down` × `across` pixels begins at `x`."""
    share = 1.0 / (down * across)  # padding does not count
    for c in range(0, channels, LANES):
        total = _sum(m, x + c, line, down)
        for k in range(1, across):
            total = total + _sum(m, x + k * step + c, line, down)
        _mix(m, y + c, total, share, pixel + c, load(w, gamma + c))


@inlined
def _row(
    m: Array, y: Rows, x: int, line: int, step: int, pixel: int, count: int, channels: int,
    w: Array, gamma: int,
) -> None:  # fmt: skip
    """`count` pixels side by side, whose windows are 3×3 and whole; the first begins at `x`.

    The sum of a column stays in a register for all three windows that it is part of.
    """
    for c in range(0, channels, LANES):
        scale, at = load(w, gamma + c), x + c
        left, middle = _sum(m, at, line, 3), _sum(m, at + step, line, 3)
        for j in range(count):
            right = _sum(m, at + (j + 2) * step, line, 3)
            to, here = y.at + j * y.step + c, pixel + j * step + c
            _mix(m, to, left + middle + right, NINTH, here, scale)
            left, middle = middle, right


@kernel
def pooling(m: Array, y: Rows, x: Image, size: int, w: Array, gamma: int, pixels: Span) -> None:
    """Some pixels of ``x + γ (average_pool(x) − x)``.

    Parameters
    ----------
    m : ndarray of float32, flat
        Holds x and y.
    y : Rows
        Result, a pixel in each row, from the first of these pixels on. Not x, which is still to be
        read by neighbors.
    x : Image
        Input.
    size : int
        Side of the window, odd.
    w : ndarray of float32, flat
        The weights, which hold the layer scale.
    gamma : int
        Where it begins.
    pixels : Span
        Which pixels, counted row by row.

    Notes
    -----
    As in the plain layer, columns of a window are summed first.
    """
    first, last = pixels
    _, step, height, width, channels = x
    pad = size // 2
    line = width * step
    for i in range(first // width, (last + width - 1) // width):
        start, stop = max(first - i * width, 0), min(last - i * width, width)
        top, bottom = max(i - pad, 0), min(i + pad + 1, height)
        above, here, to = x.at + top * line, x.at + i * line, y.at + (i * width - first) * y.step
        begin, end = stop, stop
        if size == 3 and bottom - top == 3:
            begin = min(max(start, 1), stop)
            end = max(min(stop, width - 1), begin)
        for part_start, part_stop in ((start, begin), (end, stop)):
            for j in range(part_start, part_stop):
                left, right = max(j - pad, 0), min(j + pad + 1, width)
                _pixel(
                    m, to + j * y.step, above + left * step, line, step, bottom - top,
                    right - left, here + j * step, channels, w, gamma,
                )  # fmt: skip
        if begin < end:
            _row(
                m, Rows(to + begin * y.step, y.step), above + (begin - 1) * step, line, step,
                here + begin * step, end - begin, channels, w, gamma,
            )  # fmt: skip


@kernel
def pooling_backward(
    m: Array,
    dx: int,
    dy: int,
    x: Image,
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
        Holds everything but the layer scale.
    dx, dy : int
        Result, and gradient of the output; pixels lie as those of x do.
    x : Image
        What `pooling` saw.
    size : int
        Side of the window, odd.
    w : ndarray of float32, flat
        The weights, which hold the layer scale.
    gamma : int
        Where it begins.
    dgamma : int
        Result, one row.
    scratch : int
        Space in m for ``width · step`` sums.

    Notes
    -----
    The layer scale saw ``average_pool(x) − x``, which is linear in x. So its product with dy is
    that of x with the transpose of dy, and the pooled image is not needed.
    """
    _, step, height, width, channels = x
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
                store(m, dgamma + c, fma(load(m, x.at + here + c), g, load(m, dgamma + c)))
