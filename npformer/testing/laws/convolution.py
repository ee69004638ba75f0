"""Laws of the linear layer, the convolution and what is built of a convolution alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...files.optional import optional
from ...layers import Conv2d, Downsample, Stem, linear
from ..array_strategies import sizes
from .draws import batch_norm_parameters, kernel, linear_layer, normal
from .law import Draw, close, law

with optional("hypothesis", "drawing test data", "npformer[testing]"):
    from hypothesis import strategies as st

Layer = Callable[..., Any]


@law("linear")
def linear_is_linear(draw: Draw, layer: Layer) -> None:
    """Without its bias, the layer of a sum is the sum of the layers."""
    p = linear_layer(draw, 3, 4)._replace(bias=np.zeros(4))
    (x, y), factor = normal(draw, 2, 2, 5, 3), draw(st.floats(-3, 3))
    close(layer(x + factor * y, p), layer(x, p) + factor * layer(y, p))


@law("linear")
def linear_of_one_number_is_a_row_of_the_weight(draw: Draw, layer: Layer) -> None:
    """An input of zeros with a single 1 gives a row of the weight, plus the bias."""
    p = linear_layer(draw, draw(sizes()), draw(sizes()))
    close(layer(np.eye(len(p.weight))[None], p), (p.weight + p.bias)[None])


@law("conv2d")
def convolution_is_linear(draw: Draw, layer: Layer) -> None:
    """Without its bias, the convolution of a sum is the sum of the convolutions."""
    p = kernel(draw)._replace(bias=np.zeros(3))
    stride, padding, factor = draw(sizes(1, 3)), draw(st.integers(0, 2)), draw(st.floats(-3, 3))
    x, y = normal(draw, 2, 2, 5, 6, 2)
    together = layer(x + factor * y, p, stride, padding)
    close(together, layer(x, p, stride, padding) + factor * layer(y, p, stride, padding))


@law("conv2d")
def convolution_moves_with_its_input(draw: Draw, layer: Layer) -> None:
    """If the image moves by whole strides, the result moves with it."""
    p, x = kernel(draw), normal(draw, 1, 11, 10, 2)
    stride, down, right = draw(sizes(1, 3)), draw(st.integers(0, 2)), draw(st.integers(0, 2))
    moved = layer(x[:, stride * down :, stride * right :], p, stride, 0)
    close(moved, layer(x, p, stride, 0)[:, down:, right:])


@law("conv2d")
def convolution_of_one_pixel_shows_the_kernel(draw: Draw, layer: Layer) -> None:
    """An image of zeros with a single 1 gives the kernel, turned by half a turn, plus the bias."""
    p = kernel(draw, C_in=1)
    kh, kw, _, _ = p.weight.shape
    x = np.zeros((1, 2 * kh - 1, 2 * kw - 1, 1))
    x[0, kh - 1, kw - 1] = 1
    close(layer(x, p, 1, 0), (p.weight[::-1, ::-1, 0] + p.bias)[None])


@law("conv2d")
def convolution_of_one_by_one_is_a_linear_layer(draw: Draw, layer: Layer) -> None:
    """A kernel of 1×1 is a linear layer of each pixel."""
    dense, x = linear_layer(draw, 2, 3), normal(draw, 2, 3, 4, 2)
    close(layer(x, Conv2d(dense.weight[None, None], dense.bias), 1, 0), linear(x, dense))


@law("downsample")
def downsampling_folds(draw: Draw, layer: Layer) -> None:
    """A batch norm folds into the convolution before it."""
    p = Downsample(kernel(draw), batch_norm_parameters(draw, 3))
    stride, padding = draw(sizes(1, 2)), draw(st.integers(0, 1))
    x, eps = normal(draw, 2, 5, 4, 2), draw(st.sampled_from([1e-5, 1e-2]))
    scale = p.norm.weight / np.sqrt(p.norm.running_var + eps)
    bias = (p.conv.bias - p.norm.running_mean) * scale + p.norm.bias
    folded = Downsample(
        Conv2d(p.conv.weight * scale, bias),
        p.norm._replace(weight=np.ones(3), bias=np.zeros(3), running_mean=np.zeros(3),
                        running_var=np.full(3, 1 - eps)),
    )  # fmt: skip
    close(layer(x, folded, stride, padding, eps), layer(x, p, stride, padding, eps))


@law("stem")
def stem_is_never_negative(draw: Draw, layer: Layer) -> None:
    """A ReLU comes last: no number is below 0, and some are 0."""
    p = Stem(
        Conv2d(normal(draw, 3, 3, 3, 4), normal(draw, 4)), batch_norm_parameters(draw, 4),
        Conv2d(normal(draw, 3, 3, 4, 40), normal(draw, 40)), batch_norm_parameters(draw, 40),
    )  # fmt: skip
    y = layer(normal(draw, 2, 7, 9, 3), p)
    assert y.shape == (2, 2, 3, 40)
    assert y.min() == 0
