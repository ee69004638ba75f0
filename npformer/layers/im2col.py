"""Windows of an image as the rows of a matrix (Chellapilla et al. 2006).

    im2col(x)[b, i, j, (u, v, c)] = x̂[b, s i + u, s j + v, c]        x̂ is x with a border of zeros

A convolution becomes one matrix product with these rows. The gradient, `col2im`, adds each window
back to its pixels. References: torch.nn.Unfold, torch.nn.Fold.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .arrays import Array


def im2col(x: Array, kh: int, kw: int, stride: int = 1, padding: int = 0) -> Array:
    """Lay out the window of every output pixel along the last axis.

    Parameters
    ----------
    x : ndarray, shape (B, H, W, C)
    kh, kw : int
        Rows and columns of the window.
    stride : int
        Step of the window, in pixels, along both axes.
    padding : int
        Zeros added on each of the four sides, in pixels.

    Returns
    -------
    ndarray, shape (B, H', W', kh·kw·C)
        A view of `x` for a 1×1 window with stride 1 and no padding, else a copy.

    Raises
    ------
    ValueError
        If the window is larger than the padded image, or it would not step forward.
    """
    _check_step(stride, padding)
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

    Parameters
    ----------
    dy : ndarray, shape (B, H', W', kh·kw·C)
    shape : tuple of int
        Of the images, (B, H, W, C).
    kh, kw, stride, padding : int

    Returns
    -------
    ndarray, shape (B, H, W, C)

    Raises
    ------
    ValueError
        As in `im2col`.
    """
    _check_step(stride, padding)
    B, H, W, C = shape
    rows, columns = dy.shape[1:3]
    dy = dy.reshape(B, rows, columns, kh, kw, C)
    dx = np.zeros((B, H + 2 * padding, W + 2 * padding, C), dy.dtype)
    for u in range(kh):
        for v in range(kw):  # tap (u, v) of window (i, j) is pixel (stride i + u, stride j + v)
            last_row, last_column = u + stride * (rows - 1), v + stride * (columns - 1)
            dx[:, u : last_row + 1 : stride, v : last_column + 1 : stride] += dy[:, :, :, u, v]
    return dx[:, padding : padding + H, padding : padding + W]


def _check_step(stride: int, padding: int) -> None:
    if stride < 1 or padding < 0:
        raise ValueError(
            f"stride is {stride} and padding {padding}; expected at least 1 and at least 0"
        )
