"""What the laws draw: numbers around 1 of a drawn seed, and parameters made of them."""

from __future__ import annotations

import numpy as np

from ...layers import Array, Attention, BatchNorm, Conv2d, LayerNorm, Linear
from ..array_strategies import seeds, sizes
from .law import Draw


def normal(draw: Draw, *shape: int) -> Array:
    """Draw normal numbers, float64."""
    return np.random.default_rng([draw(seeds), *shape]).standard_normal(shape)


def linear_layer(draw: Draw, C_in: int, C_out: int) -> Linear:
    """Draw a linear layer."""
    return Linear(normal(draw, C_in, C_out), normal(draw, C_out))


def kernel(draw: Draw, C_in: int = 2, C_out: int = 3) -> Conv2d:
    """Draw a convolution of up to 3×3 pixels."""
    return Conv2d(normal(draw, draw(sizes(1, 3)), draw(sizes(1, 3)), C_in, C_out),
                  normal(draw, C_out))  # fmt: skip


def batch_norm_parameters(draw: Draw, C: int) -> BatchNorm:
    """Draw a batch norm whose variances are above 0.1."""
    weight, bias, mean, root = normal(draw, 4, C)
    return BatchNorm(weight, bias, mean, root**2 + 0.1)


def layer_norm_parameters(draw: Draw, C: int) -> LayerNorm:
    """Draw a layer norm."""
    return LayerNorm(*normal(draw, 2, C))


def attention_parameters(
    draw: Draw, biases: Array, C: int = 4, K: int = 3, V: int = 2
) -> Attention:
    """Draw an attention layer with these biases."""
    heads = len(biases)
    return Attention(
        linear_layer(draw, C, heads * (2 * K + V)), linear_layer(draw, heads * V, C), biases
    )
