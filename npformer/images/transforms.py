"""The steps from an image to the input of a network: resize, crop, rescale, normalize.

    resize       by Pillow, in 8 bits: the shorter edge to s, the longer to ⌊s · long / short⌋
    center_crop  begins at ⌊(old − new) / 2⌋; zeros around an image that is smaller
    rescale      x · factor, computed in float64 for integers, rounded to float32
    normalize    (x − mean) / std for each color, in float32

Source: ``image_transforms.py`` of transformers 4.40.2; the results are equal to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import ImageError
from ..layers.arrays import Array

MAX_RESIZED = 2**24
"""The most pixels that a resized image may have as a whole: 4096×4096."""


def resized_size(height: int, width: int, size: Mapping[str, int]) -> tuple[int, int]:
    """Return the height and width of an image after `resize`.

    `size` is ``{"height": h, "width": w}``, or ``{"shortest_edge": s}`` to keep the proportions.
    """
    if "shortest_edge" not in size:
        return size["height"], size["width"]
    short = size["shortest_edge"]
    long = int(short * max(height, width) / min(height, width))
    return (long, short) if width <= height else (short, long)


def crop_start(old: int, new: int, rounding: str = "floor") -> int:
    """Return where the middle `new` of `old` pixels begin; negative if `new` is larger.

    "floor" rounds as transformers does, "torchvision" rounds half to even.
    """
    if rounding == "floor":
        return (old - new) // 2
    return round((old - new) / 2) if old >= new else -((new - old) // 2)


def resize(
    image: Image.Image,
    size: Mapping[str, int],
    resample: int = Image.Resampling.BICUBIC,
    crop: tuple[int, int] | None = None,
    rounding: str = "floor",
) -> Image.Image:
    """Resize an image.

    Parameters
    ----------
    image : PIL.Image.Image
        8 bits per color.
    size : mapping
        As in `resized_size`.
    resample : PIL.Image.Resampling
    crop : (height, width), optional
        What `center_crop` will keep. If the resized image would exceed `MAX_RESIZED`, only this
        part is computed, and `center_crop` has nothing left to cut off. Its values may differ
        by 1 in each direction from those of the whole image, as Pillow's coordinates are float32;
        NEAREST and BOX may choose another of two pixels that are equally near.
    rounding : {"floor", "torchvision"}
        How the crop rounds, as in `crop_start`.

    Returns
    -------
    PIL.Image.Image

    Raises
    ------
    ImageError
        If the result would be larger than `MAX_RESIZED` and `crop` is None.
    """
    old = image.height, image.width
    new = resized_size(*old, size)
    if new[0] * new[1] <= MAX_RESIZED:
        return image.resize(new[::-1], resample)
    if crop is None:
        raise ImageError(
            f"an image of {old[1]}×{old[0]} would be resized to {new[1]}×{new[0]}, more than "
            f"{MAX_RESIZED:,} pixels; crop it first, or set do_center_crop"
        )
    y, x = (_window(*sides, rounding) for sides in zip(old, new, crop, strict=True))
    part = image.crop((x.start, y.start, x.stop, y.stop))
    return part.resize((x.length, y.length), resample, box=(x.low, y.low, x.high, y.high))


def center_crop(x: Array, height: int, width: int, rounding: str = "floor") -> Array:
    """Cut the middle out of an image, (H, W, C) -> (height, width, C)."""
    H, W, C = x.shape
    top, left = crop_start(H, height, rounding), crop_start(W, width, rounding)
    if height > H or width > W:
        padded = np.zeros((max(H, height), max(W, width), C), x.dtype)
        padded[max(0, -top) :, max(0, -left) :][:H, :W] = x
        x, top, left = padded, max(0, top), max(0, left)
    return x[top : top + height, left : left + width]


def rescale(x: Array, factor: float) -> NDArray[np.float32]:
    """Multiply by a factor. It must be a float: with an int, uint8 pixels would overflow."""
    return (x * factor).astype(np.float32)


def normalize(x: Array, mean: float | Sequence[float], std: float | Sequence[float]) -> Array:
    """Subtract the mean and divide by the standard deviation, (H, W, C) -> (H, W, C)."""
    x = x if x.dtype.kind == "f" else x.astype(np.float32)
    return (x - np.array(mean, x.dtype)) / np.array(std, x.dtype)


class _Window(NamedTuple):
    """A section of one side of an image, and the part of it that becomes the result."""

    length: int
    """pixels of the result"""
    start: int
    stop: int
    low: float
    """the part begins here and ends at `high`, both counted from `start`"""
    high: float


def _window(old: int, new: int, crop: int, rounding: str) -> _Window:
    """Return the section of a side that a crop keeps when `old` pixels are resized to `new`.

    The section is short, so that Pillow's float32 coordinates are exact enough.
    """
    length = min(new, crop)
    first = max(0, crop_start(new, crop, rounding))
    low, high = first * old / new, (first + length) * old / new
    margin = 5 * max(1.0, old / new) + 1  # none of Pillow's filters reaches farther
    start = max(0, math.floor(low - margin))
    stop = min(old, math.ceil(high + margin))
    return _Window(length, start, stop, low - start, high - start)
