"""Antialiased resizing of photographs: weighted sums of neighbors, along rows and down columns.

    y[i] = min(max(⌊(Σⱼ k[i, j] x[j] + 2²¹) / 2²²⌋, 0), 255)

The same function as `npformer.images.antialias.weigh`, to the last bit: the sums are of whole
numbers, and may be added in any order. Pixels stay as they lie in Pillow's memory, four bytes each,
and four pixels of four rows are weighed at a time (`npformer.kernels.pixels`). Where the number of
rows or columns is no multiple of four, the last four are computed again.

A third kernel makes numbers of the result: a level can only be rescaled and normalized to one of
256 numbers for each color, which are looked up.
"""

from __future__ import annotations

import numpy as np

from ..layers import Array
from .layout import TAPS
from .pixels import (
    DIGITS,
    PIXELS,
    WEIGHTS,
    levels,
    pixels_along,
    pixels_down,
    store_pixels,
    weigh_taps,
)
from .vector import kernel, zeros


@kernel
def weigh_along(
    y: Array,
    x: Array,
    taps: Array,
    groups: int,
    columns: int,
    rows: int,
    y_at: int,
    y_step: int,
    x_at: int,
    x_step: int,
) -> None:
    """Weigh neighbors in a row, which changes the width of an image.

    Parameters
    ----------
    y, x : ndarray of uint8, flat
        Result and image, of four bytes a pixel.
    taps : ndarray of int32, flat
        As `npformer.kernels.layout.pack_taps` makes it, for each column of the result.
    groups : int
        How many groups of four pixels are weighed.
    columns, rows : int
        Of the result; at least four rows.
    y_at, y_step : int
        Where the result begins, and the bytes from one row to the next.
    x_at, x_step : int
        The same of the image.
    """
    room = 1 + groups * WEIGHTS
    for i in range(0, rows, PIXELS):
        row = min(i, rows - PIXELS)
        for column in range(columns):
            weights = column * room + 1
            at = x_at + row * x_step + 4 * taps[weights - 1]
            sums = zeros(1, DIGITS)
            for g in range(groups):
                pixels = pixels_along(x, at + 4 * TAPS * g, x_step)
                sums = weigh_taps(sums, pixels, taps, weights + g * WEIGHTS)
            store_pixels(y, y_at + row * y_step + 4 * column, y_step, levels(sums))


@kernel
def weigh_down(
    y: Array,
    x: Array,
    taps: Array,
    groups: int,
    columns: int,
    rows: int,
    y_at: int,
    y_step: int,
    x_at: int,
    x_step: int,
) -> None:
    """Weigh neighbors in a column, which changes the height of an image.

    Parameters
    ----------
    y, x : ndarray of uint8, flat
        Result and image, of four bytes a pixel.
    taps : ndarray of int32, flat
        As `npformer.kernels.layout.pack_taps` makes it, for each row of the result.
    groups : int
        How many groups of four pixels are weighed.
    columns, rows : int
        Of the result; at least four columns.
    y_at, y_step : int
        Where the result begins, and the bytes from one row to the next.
    x_at, x_step : int
        The same of the image.
    """
    room = 1 + groups * WEIGHTS
    for row in range(rows):
        weights = row * room + 1
        first = x_at + taps[weights - 1] * x_step
        for i in range(0, columns, PIXELS):
            column = min(i, columns - PIXELS)
            sums = zeros(1, DIGITS)
            for g in range(groups):
                pixels = pixels_down(x, first + TAPS * g * x_step + 4 * column, x_step)
                sums = weigh_taps(sums, pixels, taps, weights + g * WEIGHTS)
            store_pixels(y, y_at + row * y_step + 4 * column, 4, levels(sums))


@kernel
def look_up(y: Array, x: Array, numbers: Array, pixels: int) -> None:
    """Replace each level by a number.

    Parameters
    ----------
    y : ndarray of float32, flat
        Result, three numbers a pixel.
    x : ndarray of uint8, flat
        Four bytes a pixel, of which the last has no meaning.
    numbers : ndarray of float32, flat
        256 for each of three colors.
    pixels : int
        How many there are.
    """
    for i in range(pixels):
        y[3 * i] = numbers[np.int64(x[4 * i])]
        y[3 * i + 1] = numbers[256 + np.int64(x[4 * i + 1])]
        y[3 * i + 2] = numbers[512 + np.int64(x[4 * i + 2])]
