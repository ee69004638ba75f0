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
from .linear import Linear, linear


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
