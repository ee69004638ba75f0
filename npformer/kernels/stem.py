"""Stem, for some rows of its result: both convolutions, each with the ReLU that follows.

    x ← relu(conv₁(x))          x ← relu(conv₂(x))          3×3, stride 2, a frame of zeros

The map between them is the widest of the network, and nothing else needs it. So a few rows of it
at a time are made for a few rows of the result, and are still in the second-level cache when they
are read.

Windows are not written out as `npformer.kernels.im2col` does. If the zeros around an image are
really in memory, the three rows of a window are three runs of numbers, and neighboring windows are
two pixels apart: the micro-kernel reads them where they lie. So the rows that are needed are copied
into such a frame first.
"""

from __future__ import annotations

from ..layers import Array
from .layout import LANES, NO_ROWS, RELU, Image, Panels, Rows, Runs, Span, framed
from .linear import linear
from .vector import WIDE, clear, copy, inlined, kernel

inlined(framed)


@kernel
def stem(
    m: Array,
    y: Rows,
    images: Array,
    x: Image,
    w: Array,
    conv1: Panels,
    between: int,
    conv2: Panels,
    part: Span,
    scratch: int,
) -> None:
    """Some rows of pixels of the stem's result.

    Parameters
    ----------
    m : ndarray of float32, flat
        Holds y.
    y : Rows
        Result, ⌈⌈height/2⌉/2⌉ × ⌈⌈width/2⌉/2⌉ pixels.
    images : ndarray of float32, flat
        Holds x.
    x : Image
        Input, its numbers without gaps.
    w : ndarray of float32, flat
        Holds both layers.
    conv1, conv2 : Panels
        The convolutions, with ReLU after each.
    between : int
        Number of channels between them.
    part : Span
        Which rows of pixels.
    scratch : int
        Space in m for `npformer.kernels.layout.stem_scratch` numbers.

    Notes
    -----
    Between the convolutions pixels lie side by side without gaps, so whole vectors overrun into the
    next pixel. The last panel overruns, so it is computed first and the overrun overwritten. Tiles
    of two panels are stored row by row, and there the next pixel overwrites it.
    """
    first, last = part
    _, _, height, width, channels = x
    tall, half = (height + 1) // 2, (width + 1) // 2
    across = (half + 1) // 2
    line, middle_line = framed(width, channels), framed(half, between)
    middle = scratch + (4 * (last - first) + 3) * line
    numbers = width * channels
    whole = numbers // LANES * LANES  # there may be nothing to read behind the last row
    at = scratch
    for i in range(4 * first - 3, 4 * last):
        if i < 0 or i >= height:
            clear(m, at, line - LANES)
        else:
            clear(m, at, channels)
            begin = x.at + i * numbers
            copy(m, at + channels, images, begin, whole)
            for c in range(whole, numbers):
                m[at + channels + c] = images[begin + c]
            clear(m, at + channels + numbers, channels)
        at += line
    to = middle
    window = Rows(scratch, 2 * channels)
    panels = conv1.number
    runs = Runs(3, line)
    alone = 0 if WIDE and panels == 2 else panels - 1
    for i in range(2 * first - 1, 2 * last):
        if i < 0 or i >= tall:
            clear(m, to, middle_line - LANES)
        else:
            clear(m, to, between)
            row = Rows(to + between, between)
            for some in (Span(alone, panels), Span(0, alone)):
                linear(m, row, window, w, conv1, half, RELU, NO_ROWS, some, runs, NO_ROWS)
            clear(m, to + (half + 1) * between, between)
        window = Rows(window.at + 2 * line, window.step)
        to += middle_line
    window = Rows(middle, 2 * between)
    runs = Runs(3, middle_line)
    for i in range(first, last):
        row = Rows(y.at + i * across * y.step, y.step)
        every = Span(0, conv2.number)
        linear(m, row, window, w, conv2, across, RELU, NO_ROWS, every, runs, NO_ROWS)
        window = Rows(window.at + 2 * middle_line, window.step)
