"""From a decoded photograph to pixel values, on the compiled kernels.

The same bits as `npformer.images.settings.process` gives with Pillow, several times as fast: only
what the crop keeps is resized, a photograph is turned upright by the order in which it is read, and
levels become numbers by a table. Whatever is unusual is left to Pillow.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..engine.machine_code import call
from ..kernels.layout import TAPS, pack_taps
from ..kernels.processor import group_size
from ..layers.arrays import Array
from .antialias import FILTERS, columns_first, taps
from .memory import parts

_T = Image.Transpose
MIRRORED = (_T.FLIP_LEFT_RIGHT, _T.ROTATE_180, _T.ROTATE_270, _T.TRANSVERSE)
"""Turns after which the rows of the upright picture run against the file's rows or columns."""
UPSIDE_DOWN = (_T.FLIP_TOP_BOTTOM, _T.ROTATE_180, _T.ROTATE_90, _T.TRANSVERSE)
"""The same of the columns of the upright picture."""
LEAST = 4
"""The kernels compute as many rows, or columns, at a time."""


class Side(NamedTuple):
    """How one side of the upright picture is resized and cropped."""

    old: int
    """pixels before"""
    new: int
    """pixels after, if all were kept"""
    high: float
    """where the picture ends; the last pixel may lie in part outside of it"""
    first: int
    """the first pixel that is kept"""
    kept: int
    """how many are kept"""


class Weights(NamedTuple):
    """A `Side`, as the kernels read it."""

    table: NDArray[np.int32]
    groups: int
    section: tuple[int, int]
    """of the old pixels, which are read"""


def resize(
    picture: Image.Image,
    turn: Image.Transpose | None,
    across: Side,
    down: Side,
    resample: int,
    numbers: Array,
) -> Array | None:
    """Resize, crop and turn a picture, and make numbers of its levels.

    Parameters
    ----------
    picture : PIL.Image.Image
        RGB, as it lies in the file.
    turn : PIL.Image.Transpose or None
        What would turn it upright.
    across, down : Side
        The width and the height of the upright picture.
    resample : PIL.Image.Resampling
    numbers : ndarray of float32, shape (3, 256)
        What becomes of each level of each color.

    Returns
    -------
    ndarray of float32, shape (height, width, 3), or None
        None if Pillow has to do it: it has another filter, or the picture has few pixels, or is so
        high that not every Pillow begins with its rows.
    """
    if resample not in FILTERS or min(across.kept, down.kept) < LEAST or not agrees(resample):
        return None
    if columns_first((down.old, across.old), (down.new, across.new)):
        return None
    return _resize(picture, turn, across, down, resample, numbers)


def _resize(
    picture: Image.Image,
    turn: Image.Transpose | None,
    across: Side,
    down: Side,
    resample: int,
    numbers: Array,
) -> Array | None:
    """Do what `resize` says, whatever this Pillow does."""
    x = _weights(across, resample, turn in MIRRORED)
    y = _weights(down, resample, turn in UPSIDE_DOWN)
    if x is None or y is None:
        return None
    swapped = turn in (_T.TRANSPOSE, _T.ROTATE_270, _T.TRANSVERSE, _T.ROTATE_90)
    levels = (_on_its_side if swapped else _lying)(picture, x, y, across.kept, down.kept)
    result = np.empty((down.kept, across.kept, 3), np.float32)
    call("look_up", result.reshape(-1), levels.reshape(-1), numbers.reshape(-1), levels.size // 4)
    return result


def _lying(
    picture: Image.Image, x: Weights, y: Weights, width: int, height: int
) -> NDArray[np.uint8]:
    """Resize the width along the rows, then the height down the columns."""
    top, bottom = y.section
    between = np.empty((bottom - top, width, 4), np.uint8)
    step = 4 * width
    for p in parts(picture, y.section, x.section, by_rows=True):
        call(
            "weigh_along", between.reshape(-1), p.data, x.table, x.groups, width, p.last - p.first,
            (p.first - top) * step, step, p.at + p.first * p.step, p.step,
        )  # fmt: skip
    levels = np.empty((height, width, 4), np.uint8)
    call(
        "weigh_down", levels.reshape(-1), between.reshape(-1), y.table, y.groups, width, height,
        0, step, -top * step, step,
    )  # fmt: skip
    return levels


def _on_its_side(
    picture: Image.Image, x: Weights, y: Weights, width: int, height: int
) -> NDArray[np.uint8]:
    """Resize the width, which lies in the file's columns, and then the height, in its rows."""
    left, right = y.section
    between = np.empty((width, right - left, 4), np.uint8)
    step = 4 * (right - left)
    for p in parts(picture, x.section, y.section, by_rows=False):
        call(
            "weigh_down", between.reshape(-1), p.data, x.table, x.groups, p.last - p.first, width,
            4 * (p.first - left), step, p.at + 4 * p.first, p.step,
        )  # fmt: skip
    levels = np.empty((width, height, 4), np.uint8)
    call(
        "weigh_along", levels.reshape(-1), between.reshape(-1), y.table, y.groups, height, width,
        0, 4 * height, -4 * left, step,
    )  # fmt: skip
    return np.ascontiguousarray(levels.swapaxes(0, 1))  # (width, height, 4) -> (height, width, 4)


@lru_cache(64)
def _weights(side: Side, resample: int, against: bool) -> Weights | None:
    """Compute the weights of a side; None if it has too few pixels.

    Parameters
    ----------
    side : Side
    resample : PIL.Image.Resampling
    against : bool
        Whether the file has the pixels of the side in reversed order.
    """
    whole = taps(side.old, side.new, resample, 0.0, side.high)
    kept = slice(side.first, side.first + side.kept)
    start, weights = whole.start[kept], whole.weights[kept]
    if against:
        start, weights = side.old - start - weights.shape[1], weights[:, ::-1]
    packed = pack_taps(start, weights, side.old, group_size())
    if packed is None:
        return None
    table, groups = packed
    begins = table.reshape(side.kept, -1)[:, 0]
    return Weights(table, groups, (int(begins.min()), int(begins.max()) + TAPS * groups))


@cache
def agrees(resample: int) -> bool:
    """Whether this Pillow resizes as `npformer.images.antialias` defines it.

    Other builds, such as Pillow-SIMD, have weights of fewer bits.
    """
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (97, 131, 3), dtype=np.uint8))
    itself = np.arange(256, dtype=np.float32)[None].repeat(3, 0)
    for width, height in ((61, 40), (131, 200)):
        sides = Side(131, width, 131, 0, width), Side(97, height, 97, 0, height)
        found = _resize(picture, None, *sides, resample, itself)
        if found is None or not np.array_equal(
            found, np.asarray(picture.resize((width, height), resample))
        ):
            return False
    return True
