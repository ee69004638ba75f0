"""Two-dimensional convolution, channels last.

    y[b, i, j, o] = bias[o] + Σ_{u,v,c} x̂[b, s i + u, s j + v, c] · weight[u, v, c, o]

x̂ is x surrounded by `padding` zeros, s the stride. (As everywhere in deep learning this is a
cross-correlation: the kernel is not flipped. Reference: torch.nn.Conv2d.) Each output pixel sees a
window of kh·kw·C numbers; laid out as the rows of a matrix by `im2col`, all windows meet the kernel
in one matrix product, and a 1×1 convolution is a `linear` layer.
"""

from __future__ import annotations

from typing import NamedTuple

from .arrays import Array
from .im2col import col2im, im2col
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
        If the kernel is larger than the padded image, or it would not step forward.
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
