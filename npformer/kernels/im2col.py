"""Convolution: lay out the windows of a few pixels, then multiply as a linear layer does.

The windows of an image, written out as a matrix ("im2col"), take kh·kw times the memory of the
image. They are not needed all at once: those of a few dozen pixels fit into the nearest cache, and
are multiplied by all the weights before the next ones overwrite them.
"""

from __future__ import annotations

from ..layers import Array
from .layout import LANES, Image, Rows, Span, Window
from .vector import clear, copy, kernel, load, mask, store


@kernel
def im2col(m: Array, y: Rows, x: Image, window: Window, windows: Span) -> None:
    """Some windows of an image, one in each row, in the order (u, v, c).

    Parameters
    ----------
    m : ndarray of float32, flat
        Holds x and y.
    y : Rows
        Result, size·size·channels numbers in each row, from the first of these windows on.
    x : Image
        Input.
    window : Window
        Size, stride and padding.
    windows : Span
        Which windows, counted row by row.

    Notes
    -----
    Whole vectors are copied, and what one writes too much is overwritten by the next. So up to 15
    numbers behind the image are read, and as many behind the last window are written.
    """
    _, step, height, width, channels = x
    size, stride, padding = window
    across = (width + 2 * padding - size) // stride + 1
    run = size * channels
    row, column = windows.first // across, windows.first % across
    to = y.at
    for _ in range(windows.first, windows.last):
        top, left = row * stride - padding, column * stride - padding
        inside = left >= 0 and left + size <= width and step == channels
        here = to
        for i in range(top, top + size):
            if i < 0 or i >= height:
                clear(m, here, run)
            elif inside:
                copy(m, here, m, x.at + (i * width + left) * channels, run)
            else:
                for v in range(size):
                    j = left + v
                    if j < 0 or j >= width:
                        clear(m, here + v * channels, channels)
                    else:
                        copy(m, here + v * channels, m, x.at + (i * width + j) * step, channels)
            here += run
        to += y.step
        column += 1
        if column == across:
            row, column = row + 1, 0


@kernel
def col2im(m: Array, dx: Image, dy: Rows, window: Window) -> None:
    """Gradient of `im2col` for a whole image: each pixel adds up what its windows bring.

    Parameters
    ----------
    m : ndarray of float32, flat
        Holds both gradients.
    dx : Image
        Result.
    dy : Rows
        Gradient of all windows, one in each row. Up to 15 numbers behind a row are read.
    window : Window
        Size, stride and padding.
    """
    _, step, height, width, channels = dx
    size, stride, padding = window
    across = (width + 2 * padding - size) // stride + 1
    down = (height + 2 * padding - size) // stride + 1
    for i in range(height * width):
        clear(m, dx.at + i * step, channels)
    for i in range(down * across):
        top, left = i // across * stride - padding, i % across * stride - padding
        for u in range(max(-top, 0), min(size, height - top)):
            for v in range(max(-left, 0), min(size, width - left)):
                at = dy.at + i * dy.step + (u * size + v) * channels
                to = dx.at + ((top + u) * width + left + v) * step
                for c in range(0, channels, LANES):
                    store(m, to + c, load(m, to + c) + mask(load(m, at + c), channels - c))
