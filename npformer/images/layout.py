"""Where the channels of a batch are: last in this package, first in public ``pixel_values``.

Everything from decoding to the layers has its channels last, (B, H, W, C). PyTorch and
transformers write (B, C, H, W). The axes are turned here, once, on the way in or out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

import numpy as np
from numpy.typing import ArrayLike

from ..errors import ImageError
from ..layers.arrays import Array


def channels_first(x: Array) -> Array:
    """Return a view of shape (..., C, H, W) of an array of shape (..., H, W, C)."""
    return np.moveaxis(x, -1, -3)


def channels_last(x: Array) -> Array:
    """Return an array of shape (..., C, H, W) as a contiguous one of shape (..., H, W, C).

    What `channels_first` returned is turned back without a copy. Otherwise each channel is copied
    by itself, several times as fast as a copy in the order of the result.
    """
    view = np.moveaxis(x, -3, -1)
    if view.flags.c_contiguous:
        return view
    y: Array = np.empty(view.shape, view.dtype)
    for c in range(y.shape[-1]):
        y[..., c] = view[..., c]
    return y


def channels_last_pixels(pixel_values: ArrayLike, channels: int) -> Array:
    """Check preprocessed images, (B, C, H, W), and return them as (B, H, W, C).

    Parameters
    ----------
    pixel_values : array_like of float, shape (B, C, H, W)
    channels : int
        C.

    Returns
    -------
    ndarray of float, shape (B, H, W, C)

    Raises
    ------
    ImageError
        If they have another shape.
    TypeError
        If they are not floating point numbers, as if they had not been preprocessed.
    """
    x = np.asarray(pixel_values)
    if x.dtype.kind != "f":
        raise TypeError(
            f"pixel_values are {x.dtype}; expected floating point numbers. Preprocess images "
            "first, with EfficientFormerImageProcessor"
        )
    if x.ndim != 4 or x.shape[1] != channels:
        last = x.ndim == 4 and x.shape[-1] == channels
        raise ImageError(
            f"pixel_values have shape {x.shape}; expected (batch, {channels} channels, height, "
            "width)" + (". Move the channels: np.moveaxis(pixel_values, -1, 1)" if last else "")
        )
    return channels_last(x)


def stacks(images: Iterable[Array]) -> Iterator[Array]:
    """Stack images of the same shape that follow each other, since an array has one shape.

    Parameters
    ----------
    images : iterable of ndarray

    Yields
    ------
    ndarray, shape (B, ...)
        All images in order, in as few arrays as possible.
    """
    for _, alike in groupby(images, key=np.shape):
        yield np.stack(list(alike))
