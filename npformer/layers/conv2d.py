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
    """
    kh, kw, C_in, C_out = p.weight.shape
    windows = patches(x, kh, kw, stride, padding)  # (B, H', W', kh·kw·C_in)
    return linear(windows, Linear(p.weight.reshape(kh * kw * C_in, C_out), p.bias))


def conv2d_backward(
    dy: Array, x: Array, p: Conv2d, stride: int = 1, padding: int = 0
) -> tuple[Array, Conv2d]:
    """Gradient of `conv2d`: that of the matrix product, then each window's back to its pixels.

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
    kh, kw, C_in, C_out = p.weight.shape
    matrix = Linear(p.weight.reshape(kh * kw * C_in, C_out), p.bias)
    windows = patches(x, kh, kw, stride, padding)  # (B, H', W', kh·kw·C_in)
    dwindows, dmatrix = linear_backward(dy, windows, matrix)
    dx = patches_backward(dwindows, x.shape, kh, kw, stride, padding)
    return dx, Conv2d(dmatrix.weight.reshape(p.weight.shape), dmatrix.bias)


def patches(x: Array, kh: int, kw: int, stride: int = 1, padding: int = 0) -> Array:
    """Lay out the window of every output pixel along the last axis, in the order (u, v, c).

    Parameters
    ----------
    x : ndarray, shape (B, H, W, C)
    kh, kw, stride, padding : int
        Window and step, in pixels, as in `conv2d`.

    Returns
    -------
    ndarray, shape (B, H', W', kh·kw·C)
        A view of `x` for a 1×1 window with stride 1 and no padding, else a copy.
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


def patches_backward(
    dy: Array, shape: tuple[int, ...], kh: int, kw: int, stride: int = 1, padding: int = 0
) -> Array:
    """Gradient of `patches`: a pixel receives the sum over all windows that it lies in ("col2im").

    Parameters
    ----------
    dy : ndarray, shape (B, H', W', kh·kw·C)
    shape : tuple of int
        (B, H, W, C), that of the images.
    kh, kw, stride, padding : int

    Returns
    -------
    ndarray, shape (B, H, W, C)
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
