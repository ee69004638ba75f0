"""Antialiased resizing as Pillow does it: the plain definition, equal to Pillow in every bit.

Each side is resized by itself, first the rows, then the columns. Pixel i of a new row lies over a
place c of the old one, and is the mean of the pixels around it, weighted by a filter. Where the
image becomes smaller the filter is stretched, so that every old pixel counts:

    scale = (high − low) / new        s = max(scale, 1)        c[i] = low + (i + ½) · scale

    w[i, j] = filter((j + ½ − c[i]) / s)
    k[i, j] = round(2²² · w[i, j] / Σⱼ w[i, j])
    y[i] = min(max(⌊(Σⱼ k[i, j] x[j] + 2²¹) / 2²²⌋, 0), 255)

The sums are of whole numbers, so their order does not matter, and a faster evaluation has the same
bits (`npformer.kernels.antialias`). The order of the two passes does, since there are eight bits
between them: see `columns_first`. Only the whole numbers k depend on how float64 is rounded.

Source: ``src/libImaging/Resample.c`` of Pillow.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..layers.arrays import Array

BITS = 22
"""Fraction bits of the weights: 32, less 8 of a pixel, and 2 since a weight may exceed 1."""

_sin, _cos = (np.vectorize(f, otypes=[np.float64]) for f in (math.sin, math.cos))
"""Of the C library, as Pillow has them: NumPy's own may differ in the last bit."""


class Taps(NamedTuple):
    """Which pixels of a side become one new pixel, and with which weights."""

    start: NDArray[np.int64]
    """the first of them, for each new pixel, (new,)"""
    weights: NDArray[np.int32]
    """of those from there on, (new, most); zeros follow where there are fewer, or the side ends"""


def box(x: Array) -> Array:
    """Return 1 in (−½, ½]: the mean of the pixels, each counted wholly or not at all."""
    return np.where((x > -0.5) & (x <= 0.5), 1.0, 0.0)


def bilinear(x: Array) -> Array:
    """Return ``max(1 − |x|, 0)``."""
    return np.maximum(1.0 - np.abs(x), 0.0)


def hamming(x: Array) -> Array:
    """Return a sinc function under a Hamming window, in (−1, 1)."""
    # Pillow writes both numbers as float32.
    window = float(np.float32(0.54)) + float(np.float32(0.46)) * _cos(np.abs(x) * math.pi)
    return np.where(np.abs(x) < 1.0, sinc(np.abs(x)) * window, 0.0)


def bicubic(x: Array) -> Array:
    """Return Keys' cubic convolution with a = −½, in (−2, 2)."""
    a, x = -0.5, np.abs(x)
    near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))


def lanczos(x: Array) -> Array:
    """Return a sinc function under the middle of one three times as wide, in [−3, 3)."""
    return np.where((x >= -3.0) & (x < 3.0), sinc(x) * sinc(x / 3), 0.0)


def sinc(x: Array) -> Array:
    """Return ``sin(πx) / (πx)``, and 1 at 0."""
    angle = np.where(x == 0.0, 1.0, x * math.pi)
    return np.where(x == 0.0, 1.0, _sin(angle) / angle)


FILTERS: dict[int, tuple[float, Callable[[Array], Array]]] = {
    Image.Resampling.BOX: (0.5, box),
    Image.Resampling.BILINEAR: (1.0, bilinear),
    Image.Resampling.HAMMING: (1.0, hamming),
    Image.Resampling.BICUBIC: (2.0, bicubic),
    Image.Resampling.LANCZOS: (3.0, lanczos),
}
"""Of each kind of filter, how far it reaches, and the function."""


def taps(old: int, new: int, resample: int, low: float = 0.0, high: float | None = None) -> Taps:
    """Compute the weights by which one side is resized.

    Parameters
    ----------
    old, new : int
        Pixels of the side, before and after.
    resample : PIL.Image.Resampling
        One of `FILTERS`.
    low, high : float
        Where the part begins and ends that becomes the result; by default all of it.

    Returns
    -------
    Taps
    """
    reach, function = FILTERS[resample]
    begin, end = np.float32(low), np.float32(old if high is None else high)
    scale = float(end - begin) / new  # the difference is rounded to float32, too
    stretch = max(scale, 1.0)
    center = float(begin) + (np.arange(new) + 0.5) * scale
    start = np.maximum((center - reach * stretch + 0.5).astype(np.int64), 0)
    stop = np.minimum((center + reach * stretch + 0.5).astype(np.int64), old)
    pixel = start[:, None] + np.arange((stop - start).max())  # (new, most)
    w = function((pixel - center[:, None] + 0.5) * (1.0 / stretch))
    w = np.where(pixel < stop[:, None], w, 0.0)
    total = w.cumsum(axis=1)[:, -1:]  # added one after the other, as in C
    w = w / np.where(total == 0.0, 1.0, total)
    whole = w * 2**BITS + np.where(w < 0.0, -0.5, 0.5)
    return Taps(start, whole.astype(np.int32))


def weigh(x: NDArray[np.uint8], t: Taps, axis: int) -> NDArray[np.uint8]:
    """Resize one side of an image.

    Parameters
    ----------
    x : ndarray of uint8, shape (H, W) or (H, W, C)
    t : Taps
    axis : {0, 1}
        0 resizes the columns, 1 the rows.

    Returns
    -------
    ndarray of uint8
    """
    pixels = np.moveaxis(x, axis, 0).astype(np.int64)
    sums = np.stack([
        np.tensordot(k[: len(pixels) - i], pixels[i : i + len(k)], axes=1)
        for i, k in zip(t.start, t.weights, strict=True)
    ])  # fmt: skip
    levels = (sums + 2 ** (BITS - 1)) >> BITS
    return np.moveaxis(np.clip(levels, 0, 255).astype(np.uint8), 0, axis)


def columns_first(old: tuple[int, int], new: tuple[int, int]) -> bool:
    """Whether Pillow 13 resizes the columns first, and then the rows.

    It does if the height loses more than twice as many pixels as the width. Earlier releases always
    begin with the rows.

    Parameters
    ----------
    old, new : (height, width)
    """
    height, width = (before - after for before, after in zip(old, new, strict=True))
    return height > 0 and height > 2 * width


def resize(
    x: NDArray[np.uint8],
    size: tuple[int, int],
    resample: int = Image.Resampling.BICUBIC,
    part: tuple[float, float, float, float] | None = None,
    order: tuple[int, int] = (1, 0),
) -> NDArray[np.uint8]:
    """Resize an image, as ``PIL.Image.Image.resize`` does.

    Parameters
    ----------
    x : ndarray of uint8, shape (H, W) or (H, W, C)
        Colors do not mix, so transparency has to be multiplied in before.
    size : (height, width)
    resample : PIL.Image.Resampling
        One of `FILTERS`.
    part : (left, upper, right, lower), optional
        Of the image, what becomes the result; by default all of it.
    order : {(1, 0), (0, 1)}
        Which axis is resized first, see `columns_first`.

    Returns
    -------
    ndarray of uint8, shape (height, width) or (height, width, C)
    """
    H, W = x.shape[:2]
    left, upper, right, lower = (0, 0, W, H) if part is None else part
    sections = (upper, lower), (left, right)
    for axis in order:
        x = weigh(x, taps(x.shape[axis], size[axis], resample, *sections[axis]), axis)
    return x
