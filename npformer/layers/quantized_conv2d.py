"""Convolution in eight bits: the rows of `quantized_linear` are the windows of the image.

    y = quantized_linear(im2col(x), W)

A window of kh·kw·C numbers is rounded as one row, with its own least number and step, after the
zeros around the image have been added. Pixels that are shared by windows are rounded for each.
"""

from __future__ import annotations

from typing import NamedTuple

from .arrays import Array
from .conv2d import Conv2d, as_linear
from .im2col import im2col
from .quantized_linear import QuantizedLinear, quantize_linear, quantized_linear


class QuantizedConv2d(NamedTuple):
    """Parameters of a convolution in eight bits."""

    weight: Array
    """int8 (kh, kw, C_in, C_out)"""
    scale: Array
    """(C_out,): the step of each output's weights"""
    bias: Array
    """(C_out,)"""


def quantize_conv2d(p: Conv2d) -> QuantizedConv2d:
    """Round the weights of a convolution to eight bits."""
    w, scale, bias = quantize_linear(as_linear(p))
    return QuantizedConv2d(w.reshape(p.weight.shape), scale, bias)


def quantized_conv2d(x: Array, p: QuantizedConv2d, stride: int = 1, padding: int = 0) -> Array:
    """Convolve images with a kernel in eight bits; arguments as those of `npformer.layers.conv2d`.

    Parameters
    ----------
    x : ndarray of float32, shape (B, H, W, C_in)
    p : QuantizedConv2d
    stride, padding : int
        In pixels.

    Returns
    -------
    ndarray of float32, shape (B, H', W', C_out)

    Raises
    ------
    ValueError
        If the kernel is larger than the padded image.
    """
    kh, kw, _, _ = p.weight.shape
    windows = im2col(x, kh, kw, stride, padding)  # (B, H, W, C_in) -> (B, H', W', kh·kw·C_in)
    return quantized_linear(windows, quantized_as_linear(p))


def quantized_as_linear(p: QuantizedConv2d) -> QuantizedLinear:
    """The linear layer that meets each window: weight (kh·kw·C_in, C_out)."""
    return QuantizedLinear(p.weight.reshape(-1, p.weight.shape[-1]), p.scale, p.bias)
