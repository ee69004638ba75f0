"""The shapes of each layer's parameters, by its sizes: their tree, with a shape for each array."""

from __future__ import annotations

from typing import Any

from ..layers import (
    Attention,
    AttentionBlock,
    BatchNorm,
    Conv2d,
    ConvMlp,
    Downsample,
    LayerNorm,
    LayerScale,
    Linear,
    Mlp,
    Stem,
)
from ..network.params import ParamSpec


def spec(*shape: int) -> Any:
    """Stand for an array of this shape."""
    return ParamSpec(shape)


def linear_of(C_in: int, C_out: int) -> Linear:
    """Shapes of a linear layer; so for the functions below."""
    return Linear(spec(C_in, C_out), spec(C_out))


def conv_of(C_in: int, C_out: int, kh: int = 1, kw: int = 1) -> Conv2d:
    """Shapes of a convolution."""
    return Conv2d(spec(kh, kw, C_in, C_out), spec(C_out))


def batch_norm_of(C: int) -> BatchNorm:
    """Shapes of a batch norm."""
    return BatchNorm(spec(C), spec(C), spec(C), spec(C))


def layer_norm_of(C: int) -> LayerNorm:
    """Shapes of a layer norm."""
    return LayerNorm(spec(C), spec(C))


def layer_scale_of(C: int) -> LayerScale:
    """Shape of a layer scale."""
    return LayerScale(spec(C))


def attention_of(C: int, heads: int, K: int, V: int, rows: int, columns: int) -> Attention:
    """Shapes of an attention layer."""
    biases = spec(heads, rows, columns)
    return Attention(linear_of(C, heads * (2 * K + V)), linear_of(heads * V, C), biases)


def mlp_of(C: int, wide: int) -> Mlp:
    """Shapes of an MLP of tokens."""
    return Mlp(linear_of(C, wide), linear_of(wide, C))


def conv_mlp_of(C: int, wide: int) -> ConvMlp:
    """Shapes of an MLP of images."""
    return ConvMlp(conv_of(C, wide), batch_norm_of(wide), conv_of(wide, C), batch_norm_of(C))


def attention_block_of(
    C: int, mixer: Attention, mlp: Mlp, ls1: LayerScale | None, ls2: LayerScale | None
) -> AttentionBlock:
    """Shapes of an attention block, whose layer scales may be missing."""
    return AttentionBlock(layer_norm_of(C), mixer, ls1, layer_norm_of(C), mlp, ls2)


def downsample_of(C_in: int, C_out: int, k: int = 3) -> Downsample:
    """Shapes of a downsampling convolution with its norm."""
    return Downsample(conv_of(C_in, C_out, k, k), batch_norm_of(C_out))


def stem_of(C_in: int, half: int, C: int) -> Stem:
    """Shapes of a stem."""
    return Stem(
        conv_of(C_in, half, 3, 3), batch_norm_of(half), conv_of(half, C, 3, 3), batch_norm_of(C)
    )
