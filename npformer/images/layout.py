"""Where the channels of a batch are: last in this package, first in public ``pixel_values``.

Everything from decoding to the layers has its channels last, (B, H, W, C). PyTorch and
transformers write (B, C, H, W). The axes are turned here, once, on the way in or out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

import numpy as np

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
