"""Two-dimensional convolution, channels last.

    y[b, i, j, o] = bias[o] + Σ_{u,v,c} x̂[b, s i + u, s j + v, c] · weight[u, v, c, o]

x̂ is x surrounded by `padding` zeros, s the stride. (As everywhere in deep learning this is a
cross-correlation: the kernel is not flipped. Reference: torch.nn.Conv2d.) Each output pixel sees a
window of kh·kw·C numbers; written as the rows of a matrix ("im2col", Chellapilla et al. 2006), all
windows meet the kernel in one matrix product, and a 1×1 convolution is a `linear` layer.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .arrays import Array
from .linear import Linear, linear, linear_backward


class Conv2d(NamedTuple):
    """Parameters of a convolution."""

    weight: Array
    """(kh, kw, C_in, C_out); PyTorch's is (C_out, C_in, kh, kw)"""
    bias: Array
    """(C_out,)"""


def conv2d(x: Array, p: Conv2d, stride: int = 1, padding: int = 0) -> Array:
    """Convolve images with a kernel.

    Parameters
    ----------
    x : ndarray, shape (B, H, W, C_in)
    p : Conv2d
    stride : int
        Step of the window, in pixels, along both axes.
    padding : int
        Zeros added on each of the four sides, in pixels.

    Returns
    -------
    ndarray, shape (B, H', W', C_out) with ``H' = (H + 2 padding − kh) // stride + 1``

    Raises
    ------
    ValueError
        If the kernel is larger than the padded image.
    """
    kh, kw, _, _ = p.weight.shape
    return linear(im2col(x, kh, kw, stride, padding), as_linear(p))  # -> (B, H', W', C_out)


def conv2d_backward(
    dy: Array, x: Array, p: Conv2d, stride: int = 1, padding: int = 0
) -> tuple[Array, Conv2d]:
    """Gradient of `conv2d`: that of the matrix product, then each window's, back to its pixels.

    Parameters
    ----------
    dy : ndarray, shape (B, H', W', C_out)
    x : ndarray, shape (B, H, W, C_in)
    p : Conv2d
    stride, padding : int

    Returns
    -------
    dx : ndarray of the shape of `x`
    dp : Conv2d
    """
    kh, kw, _, _ = p.weight.shape
    dwindows, dp = linear_backward(dy, im2col(x, kh, kw, stride, padding), as_linear(p))
    dx = col2im(dwindows, x.shape, kh, kw, stride, padding)
    return dx, Conv2d(dp.weight.reshape(p.weight.shape), dp.bias)


def as_linear(p: Conv2d) -> Linear:
    """The linear layer that meets each window: weight (kh·kw·C_in, C_out)."""
    return Linear(p.weight.reshape(-1, p.weight.shape[-1]), p.bias)


def im2col(x: Array, kh: int, kw: int, stride: int = 1, padding: int = 0) -> Array:
    """Lay out the window of every output pixel along the last axis, in the order (u, v, c).

    Returns (B, H', W', kh·kw·C): for a 1×1 window a view of `x`, else a copy. Arguments and errors
    as in `conv2d`.
    """
    if padding:
        x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    _, H, W, C = x.shape
    if H < kh or W < kw:
        raise ValueError(f"a {kh}×{kw} window does not fit into a padded {H}×{W} image")
    windows = sliding_window_view(x, (kh, kw), axis=(1, 2))  # (B, H−kh+1, W−kw+1, C, kh, kw)
    windows = windows[:, ::stride, ::stride]  # -> (B, H', W', C, kh, kw)
    windows = windows.transpose(0, 1, 2, 4, 5, 3)  # -> (B, H', W', kh, kw, C)
    return windows.reshape(*windows.shape[:3], kh * kw * C)


def col2im(
    dy: Array, shape: tuple[int, ...], kh: int, kw: int, stride: int = 1, padding: int = 0
) -> Array:
    """Gradient of `im2col`: a pixel receives the sum over all windows that it lies in.

    Takes (B, H', W', kh·kw·C) to the `shape` of the images, (B, H, W, C).
    """
    B, H, W, C = shape
    rows, columns = dy.shape[1:3]
    dy = dy.reshape(B, rows, columns, kh, kw, C)
    dx = np.zeros((B, H + 2 * padding, W + 2 * padding, C), dy.dtype)
    for u in range(kh):
        for v in range(kw):  # tap (u, v) of window (i, j) is pixel (stride i + u, stride j + v)
            last_row, last_column = u + stride * (rows - 1), v + stride * (columns - 1)
            dx[:, u : last_row + 1 : stride, v : last_column + 1 : stride] += dy[:, :, :, u, v]
    return dx[:, padding : padding + H, padding : padding + W]
