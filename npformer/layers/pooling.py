"""Pooling as a token mixer (PoolFormer, Yu et al. 2022, equation 4; EfficientFormer, equation 4).

    mix(x) = average of the k×k window around each pixel − x

Nothing is learned. x is subtracted because the block's residual connection adds it back.
Pixels outside do not count: a corner averages 4 values, an edge 6. Reference:
torch.nn.AvgPool2d(k, stride=1, padding=k // 2, count_include_pad=False).
"""

from __future__ import annotations

from functools import reduce

import numpy as np

from .arrays import Array
from .precision import half_in_float32


def pooling(x: Array, size: int = 3) -> Array:
    """Average of the window around each pixel, minus the pixel.

    Parameters
    ----------
    x : ndarray, shape (B, H, W, C)
    size : int
        Side of the window, in pixels; odd.

    Returns
    -------
    ndarray of the shape of `x`

    Raises
    ------
    ValueError
        If the size is even or not positive.
    """
    return average_pool(x, size) - x


@half_in_float32
def average_pool(x: Array, size: int = 3) -> Array:
    """Average of the window around each pixel; arguments and errors as in `pooling`."""
    return window_sum(x, size) / window_area(x, size)


def pooling_backward(dy: Array, size: int = 3) -> Array:
    """Gradient of `pooling`, which is linear in x.

        dx = window_sum(dy / count) − dy

    Windows are symmetric, so the sum over them is its own transpose. The division comes first:
    each output had its own count.

    Parameters
    ----------
    dy : ndarray, shape (B, H, W, C)
    size : int

    Returns
    -------
    ndarray of the shape of `dy`
    """
    return window_sum(dy / window_area(dy, size), size) - dy


def window_sum(x: Array, size: int) -> Array:
    """Sum of the window around each pixel, with zeros around the image.

    Raises
    ------
    ValueError
        As in `pooling`.
    """
    if size < 1 or size % 2 == 0:
        raise ValueError(f"pool size must be odd and positive, got {size}")
    _, H, W, _ = x.shape
    pad = size // 2
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))  # (B, H + 2 pad, W + 2 pad, C)
    rows = reduce(np.add, [padded[:, k : k + H] for k in range(size)])  # -> (B, H, W + 2 pad, C)
    return reduce(np.add, [rows[:, :, k : k + W] for k in range(size)])  # -> (B, H, W, C)


def window_area(x: Array, size: int) -> Array:
    """Number of pixels inside the image in the window around each: (H, W, 1)."""
    _, H, W, _ = x.shape
    count = np.outer(window_count(H, size), window_count(W, size))  # (H, W)
    return count[:, :, None].astype(x.dtype)


def window_count(length: int, size: int) -> Array:
    """The same along one axis: (length,)."""
    position = np.arange(length)
    first = np.maximum(position - size // 2, 0)
    last = np.minimum(position + size // 2, length - 1)
    return last - first + 1
