"""Stem, for some rows of its result: both convolutions, each with the ReLU that follows.

    x ← relu(conv₁(x))          x ← relu(conv₂(x))          3×3, stride 2, a frame of zeros

The map between them is the widest of the network, and nobody else wants it: a few rows of it at a
time are made for a few rows of the result, and are still in the second-level cache when these are.

Windows are not written out as `npformer.kernels.conv2d` does. Where the zeros around an image are
really there, the three rows of a window are three runs of numbers, and windows side by side are as
far apart as two pixels are: the micro-kernel reads them where they lie. So the rows that are needed
are copied into such a frame first.
"""

from __future__ import annotations

from ..layers import Array
from .layout import LANES, RELU, framed
from .linear import FROM_BIAS, PACKED, linear
from .vector import WIDE, clear, copy, inlined, kernel

inlined(framed)


@kernel
def stem(
    m: Array,
    y: int,
    y_step: int,
    images: Array,
    x: int,
    height: int,
    width: int,
    channels: int,
    w: Array,
    conv1: int,
    between: int,
    conv2: int,
    first: int,
    last: int,
    scratch: int,
) -> None:
    """Rows of pixels number `first` up to `last` of the stem's result.

    Parameters
    ----------
    m : ndarray of float32, flat
    y, y_step : int
        Result, ⌈⌈height/2⌉/2⌉ × ⌈⌈width/2⌉/2⌉ pixels.
    images : ndarray of float32, flat
    x : int
        Where among them the image begins, `channels` numbers for each pixel.
    height, width, channels : int
        Of the image.
    w : ndarray of float32, flat
        Holds the packed layers at `conv1` and `conv2`.
    conv1, between, conv2 : int
        `between` is the number of channels between them.
    first, last : int
    scratch : int
        Room for `npformer.kernels.layout.stem_scratch` numbers.

    Notes
    -----
    Between the convolutions pixels lie side by side. So the last panel writes into the pixel behind
    it what a vector has too much, and has to be the first: the others put that right. Tiles of two
    panels are stored row by row, and there it is the next pixel that does so.
    """
    tall, half = (height + 1) // 2, (width + 1) // 2
    across = (half + 1) // 2
    line, middle_line = framed(width, channels), framed(half, between)
    middle = scratch + (4 * (last - first) + 3) * line
    numbers = width * channels
    whole = numbers // LANES * LANES  # behind the last row there may be nothing to read
    at = scratch
    for i in range(4 * first - 3, 4 * last):
        if i < 0 or i >= height:
            clear(m, at, line - LANES)
        else:
            clear(m, at, channels)
            row = x + i * numbers
            copy(m, at + channels, images, row, whole)
            for c in range(whole, numbers):
                m[at + channels + c] = images[row + c]
            clear(m, at + channels + numbers, channels)
        at += line
    window, to = scratch, middle
    panels = (between + LANES - 1) // LANES
    rest = RELU, -1, 0, 3, line, *FROM_BIAS, *PACKED
    alone = 0 if WIDE and panels == 2 else panels - 1
    for i in range(2 * first - 1, 2 * last):
        if i < 0 or i >= tall:
            clear(m, to, middle_line - LANES)
        else:
            clear(m, to, between)
            fixed = m, to + between, between, window, 2 * channels, w, conv1, 9 * channels
            linear(*fixed, panels, half, alone, panels, *rest)
            linear(*fixed, panels, half, 0, alone, *rest)
            clear(m, to + (half + 1) * between, between)
        window += 2 * line
        to += middle_line
    window = middle
    for i in range(first, last):
        linear(
            m, y + i * across * y_step, y_step, window, 2 * between, w, conv2, 9 * between,
            y_step // LANES, across, 0, y_step // LANES, RELU, -1, 0, 3, middle_line,
            *FROM_BIAS, *PACKED,
        )  # fmt: skip
        window += 2 * middle_line
