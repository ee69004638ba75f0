"""Convolution: lay out the windows of a few pixels, then multiply as a linear layer does.

The windows of an image, written out as a matrix ("im2col"), take kh·kw times the memory of the
image. Nobody needs them all at once: those of a few dozen pixels fit into the nearest cache, and
are multiplied by all the weights before the next ones overwrite them.
"""

from __future__ import annotations

from ..layers import Array
from .layout import LANES
from .vector import clear, copy, kernel, load, mask, store


@kernel
def patches(
    m: Array,
    y: int,
    y_step: int,
    x: int,
    x_step: int,
    height: int,
    width: int,
    channels: int,
    size: int,
    stride: int,
    padding: int,
    first: int,
    last: int,
) -> None:
    """Windows number `first` up to `last` of an image, one in each row, in the order (u, v, c).

    Parameters
    ----------
    m : ndarray of float32, flat
    y, y_step : int
        Result, size·size·channels numbers in each row.
    x, x_step : int
        Image, a pixel in each row.
    height, width, channels : int
        Of the image.
    size, stride, padding : int
        Side of the window, its step, and the zeros around the image, in pixels.
    first, last : int
        Which windows, counted row by row.

    Notes
    -----
    Whole vectors are copied, and what one writes too much is overwritten by the next. So up to 15
    numbers behind the image are read, and as many behind the last window are written.
    """
    across = (width + 2 * padding - size) // stride + 1
    run = size * channels
    row, column = first // across, first % across
    to = y
    for _ in range(first, last):
        top, left = row * stride - padding, column * stride - padding
        inside = left >= 0 and left + size <= width and x_step == channels
        here = to
        for i in range(top, top + size):
            if i < 0 or i >= height:
                clear(m, here, run)
            elif inside:
                copy(m, here, m, x + (i * width + left) * channels, run)
            else:
                for v in range(size):
                    j = left + v
                    if j < 0 or j >= width:
                        clear(m, here + v * channels, channels)
                    else:
                        copy(m, here + v * channels, m, x + (i * width + j) * x_step, channels)
            here += run
        to += y_step
        column += 1
        if column == across:
            row, column = row + 1, 0


@kernel
def patches_backward(
    m: Array,
    dx: int,
    dx_step: int,
    dy: int,
    dy_step: int,
    height: int,
    width: int,
    channels: int,
    size: int,
    stride: int,
    padding: int,
) -> None:
    """Gradient of `patches` for a whole image: each pixel adds up what its windows bring.

    Parameters
    ----------
    m : ndarray of float32, flat
    dx, dx_step : int
        Result, a pixel in each row.
    dy, dy_step : int
        Gradient of the windows, one in each row. Up to 15 numbers behind a row are read.
    height, width, channels, size, stride, padding : int
        As of `patches`.
    """
    across = (width + 2 * padding - size) // stride + 1
    down = (height + 2 * padding - size) // stride + 1
    for i in range(height * width):
        clear(m, dx + i * dx_step, channels)
    for window in range(down * across):
        top, left = window // across * stride - padding, window % across * stride - padding
        for u in range(max(-top, 0), min(size, height - top)):
            for v in range(max(-left, 0), min(size, width - left)):
                at = dy + window * dy_step + (u * size + v) * channels
                to = dx + ((top + u) * width + left + v) * dx_step
                for c in range(0, channels, LANES):
                    store(m, to + c, load(m, to + c) + mask(load(m, at + c), channels - c))
