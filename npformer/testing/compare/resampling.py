"""How others make a photograph smaller: by taps at other places, with other weights.

Pillow's filters widen with the scale, so that no pixel is skipped. Tensors are mostly resized by
filters of a fixed width, at pixel centers or with corners aligned; OpenCV's ``INTER_AREA`` takes
means.

Sources: documentation of torch.nn.functional.interpolate and of cv2.resize; Keys 1981, "Cubic
convolution interpolation for digital image processing", with a = −0.75.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np

from ...layers import Array

Taps: TypeAlias = "tuple[Array, Array]"
"""For each new pixel, numbers of old pixels and their weights, (new, taps)."""


def resampled(x: Array, height: int, width: int) -> Iterator[Array]:
    """Yield an image of another size, by each filter; as it is, and rounded to whole levels.

    Parameters
    ----------
    x : ndarray, shape (H, W, C)
        From 0 to 255.
    height, width : int

    Yields
    ------
    ndarray, shape (height, width, C)
    """
    for taps in FILTERS:
        made = _along(_along(x, taps(x.shape[0], height), 0), taps(x.shape[1], width), 1)
        yield made
        yield np.clip(np.round(made), 0, 255)


def _along(x: Array, taps: Taps, axis: int) -> Array:
    """Resize one axis."""
    shape = [1] * x.ndim
    shape[axis] = -1
    places, weights = taps
    parts = (
        x.take(places[:, k], axis) * weights[:, k].reshape(shape) for k in range(places.shape[1])
    )
    total: Array = sum(parts, start=np.zeros(()))
    return total


def _centers(old: int, new: int) -> Array:
    return (np.arange(new) + 0.5) * old / new - 0.5


def linear(old: int, new: int) -> Taps:
    """Between the two nearest pixels."""
    return _linear_at(np.maximum(_centers(old, new), 0), old)


def aligned(old: int, new: int) -> Taps:
    """Between the two nearest pixels, the first and the last at the corners."""
    return _linear_at(np.arange(new) * (old - 1) / max(1, new - 1), old)


def _linear_at(place: Array, old: int) -> Taps:
    low = np.minimum(np.floor(place).astype(int), old - 1)
    part = np.clip(place - low, 0, 1)
    return np.stack([low, np.minimum(low + 1, old - 1)], 1), np.stack([1 - part, part], 1)


def cubic(old: int, new: int, a: float = -0.75) -> Taps:
    """Among the four nearest pixels."""
    place = _centers(old, new)
    low = np.floor(place).astype(int)
    places = low[:, None] + np.arange(-1, 3)
    d = abs(place[:, None] - places)
    inner = ((a + 2) * d - (a + 3)) * d * d + 1
    outer = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.clip(places, 0, old - 1), np.where(d <= 1, inner, np.where(d < 2, outer, 0))


def nearest(old: int, new: int) -> Taps:
    """The pixel that a place lies in."""
    return np.minimum(np.arange(new) * old // new, old - 1)[:, None], np.ones((new, 1))


def area(old: int, new: int) -> Taps:
    """The mean of what a new pixel covers."""
    start, stop = np.arange(new) * old / new, np.arange(1, new + 1) * old / new
    places = np.floor(start).astype(int)[:, None] + np.arange(int(np.ceil(old / new)) + 1)
    covered = np.minimum(places + 1, stop[:, None]) - np.maximum(places, start[:, None])
    covered = np.maximum(covered, 0)
    return np.minimum(places, old - 1), covered / covered.sum(1, keepdims=True)


FILTERS: tuple[Callable[[int, int], Taps], ...] = (linear, aligned, cubic, nearest, area)
