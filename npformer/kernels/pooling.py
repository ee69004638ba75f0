"""Pooling as a token mixer, with its layer scale and its residual connection.

    y = x + γ · (average of the k×k window − x)

This layer does next to no arithmetic, so its cost is that of moving the map through the cache. It
is therefore done for a few rows at a time, right before the MLP that reads them.
"""

from __future__ import annotations

from ..layers import Array
from .layout import LANES
from .vector import Vector, clear, fma, inlined, kernel, load, splat, store

NINTH = 1 / 9
"""What a pixel of a whole 3×3 window counts"""


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
    m: Array, y: int, y_step: int, x: int, line: int, step: int, pixel: int, count: int,
    channels: int, w: Array, gamma: int,
) -> None:  # fmt: skip
    """`count` pixels side by side, whose windows are 3×3 and whole; the first begins at `x`.

    The sum of a column stays in a register until all windows that it is part of have had it.
    """
    for c in range(0, channels, LANES):
        scale, at = load(w, gamma + c), x + c
        left, middle = _sum(m, at, line, 3), _sum(m, at + step, line, 3)
        for j in range(count):
            right = _sum(m, at + (j + 2) * step, line, 3)
            _mix(m, y + j * y_step + c, left + middle + right, NINTH, pixel + j * step + c, scale)
            left, middle = middle, right


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
) -> None:
    """Pixels number `first` up to `last` of ``x + γ (average_pool(x) − x)``.

    Parameters
    ----------
    m : ndarray of float32, flat
    y, y_step : int
        Result, a pixel in each row, beginning with `first`. Not x, which is still to be read by
        neighbors.
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

    Notes
    -----
    As in the plain layer, columns of a window are summed first.
    """
    pad = size // 2
    line = width * x_step
    for i in range(first // width, (last + width - 1) // width):
        start, stop = max(first - i * width, 0), min(last - i * width, width)
        top, bottom = max(i - pad, 0), min(i + pad + 1, height)
        above, here, to = x + top * line, x + i * line, y + (i * width - first) * y_step
        begin, end = stop, stop
        if size == 3 and bottom - top == 3:
            begin = min(max(start, 1), stop)
            end = max(min(stop, width - 1), begin)
        for part_start, part_stop in ((start, begin), (end, stop)):
            for j in range(part_start, part_stop):
                left, right = max(j - pad, 0), min(j + pad + 1, width)
                _pixel(
                    m, to + j * y_step, above + left * x_step, line, x_step, bottom - top,
                    right - left, here + j * x_step, channels, w, gamma,
                )  # fmt: skip
        if begin < end:
            _row(
                m, to + begin * y_step, y_step, above + (begin - 1) * x_step, line, x_step,
                here + begin * x_step, end - begin, channels, w, gamma,
            )  # fmt: skip


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
