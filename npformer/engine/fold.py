"""Folding: consecutive linear operations become one layer, once, before anything runs.

    batch norm into its convolution          (x W + b − μ) s + β = x (W s) + ((b − μ) s + β),
                                             s = weight / √(σ² + ε)
    layer scale into the layer it scales     γ (x W + b) = x (W γ) + b γ
    layer norm's weights into the next layer (x̂ w + β) W + b = x̂ (w W) + (β W + b)
    the scale 1/√K into the queries          q kᵀ / √K = (q / √K) kᵀ
    both heads into their mean               (x W + b + x V + c) / 2 = x (W + V)/2 + (b + c)/2

The attention biases are spread over all pairs of tokens as well. Folding turns the tree of
parameters into a smaller tree; `folded_forward` runs it with the plain layers and so proves that
only rounding changes. Two things cannot be folded: the layer scale of a pooling, which has no
weights, and the normalization of the input into the stem, whose padding is zero *after*
normalization.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from ..layers import (
    ACTIVATIONS,
    EVALUATION,
    Array,
    Attention,
    AttentionBlock,
    BatchNorm,
    Conv2d,
    Downsample,
    Flat,
    LayerNorm,
    LayerScale,
    Linear,
    Mlp,
    PoolingBlock,
    QuantizedConv2d,
    QuantizedLinear,
    Run,
    Stem,
    as_linear,
    attend,
    gelu,
    gelu_polynomial,
    head_sizes,
    im2col,
    layer_norm,
    layer_scale,
    linear,
    pooling,
    quantized_as_linear,
    quantized_linear,
    relative_position_bias,
    relu,
)
from ..layers.precision import mean64
from ..network import EfficientFormer, Logits, average_heads
from ..network.configuration import EfficientFormerConfig

Multiply: TypeAlias = "Callable[[Array, Linear | QuantizedLinear], Array]"
"""How a folded network runs a linear layer"""


class FoldedPoolingBlock(NamedTuple):
    """Parameters of a folded pooling block."""

    ls1: LayerScale | None
    mlp: Mlp
    """both 1×1 convolutions, as the linear layers of pixels that they are"""


class FoldedAttentionBlock(NamedTuple):
    """Parameters of a folded attention block, whose layer norms have none left."""

    token_mixer: Attention
    """queries divided by √K; biases (heads, rows, columns, rows, columns), one for each pair"""
    mlp: Mlp


class FoldedStage(NamedTuple):
    """Parameters of a folded stage."""

    downsample: Conv2d | None
    blocks: tuple[FoldedPoolingBlock | FoldedAttentionBlock | Flat, ...]


class FoldedNetwork(NamedTuple):
    """Parameters of a folded network."""

    stem: tuple[Conv2d, Conv2d]
    stages: tuple[FoldedStage, ...]
    norm: LayerNorm
    """not folded into the heads: its result is the network's last hidden state"""
    head: Linear | None
    head_dist: Linear | None


def fold(
    p: EfficientFormer, config: EfficientFormerConfig, average_heads: bool = False
) -> FoldedNetwork:
    """Fold a network.

    Parameters
    ----------
    p : EfficientFormer
    config : EfficientFormerConfig
    average_heads : bool
        Replace both heads by their mean, so that the network returns one array of logits.

    Returns
    -------
    FoldedNetwork
        In the dtype of `p`; the algebra is done in float64.
    """
    eps = config.batch_norm_eps
    head, head_dist = p.head, p.head_dist
    if average_heads and head is not None and head_dist is not None:
        both = zip(head, head_dist, strict=True)
        mean = [((a.astype(np.float64) + b) / 2).astype(a.dtype) for a, b in both]
        head, head_dist = Linear(*mean), None
    return FoldedNetwork(
        stem=fold_stem(p.stem, eps),
        stages=tuple(
            FoldedStage(
                fold_downsample(stage.downsample, eps),
                tuple(fold_block(block, eps) for block in stage.blocks),
            )
            for stage in p.stages
        ),
        norm=p.norm,
        head=head,
        head_dist=head_dist,
    )


def fold_stem(p: Stem | tuple[Conv2d, Conv2d], eps: float) -> tuple[Conv2d, Conv2d]:
    """Fold the batch norms of the stem, whose ε is `eps`, into its convolutions."""
    if not isinstance(p, Stem):
        return p
    return fold_batch_norm(p.conv1, p.norm1, eps), fold_batch_norm(p.conv2, p.norm2, eps)


def fold_downsample(p: Downsample | Conv2d | None, eps: float) -> Conv2d | None:
    """Fold the batch norm of a downsampling layer, whose ε is `eps`, if there is such a layer."""
    return fold_batch_norm(p.conv, p.norm, eps) if isinstance(p, Downsample) else p


def fold_block(
    block: PoolingBlock | AttentionBlock | FoldedPoolingBlock | FoldedAttentionBlock | Flat,
    eps: float,
) -> FoldedPoolingBlock | FoldedAttentionBlock | Flat:
    """Fold a block.

    Parameters
    ----------
    block : PoolingBlock, AttentionBlock or Flat
        What is folded already is returned as it is.
    eps : float
        ε of the batch norms.

    Returns
    -------
    FoldedPoolingBlock, FoldedAttentionBlock or Flat
    """
    if not isinstance(block, (PoolingBlock, AttentionBlock)):
        return block
    if isinstance(block, PoolingBlock):
        conv_mlp = block.mlp
        fc1 = as_linear(fold_batch_norm(conv_mlp.fc1, conv_mlp.norm1, eps))
        fc2 = as_linear(fold_batch_norm(conv_mlp.fc2, conv_mlp.norm2, eps))
        return FoldedPoolingBlock(block.ls1, Mlp(fc1, fold_layer_scale(fc2, block.ls2)))
    mixer = block.token_mixer
    _, rows, columns, *_ = mixer.attention_biases.shape
    return FoldedAttentionBlock(
        token_mixer=Attention(
            qkv=fold_layer_norm(block.norm1, fold_key_scale(mixer)),
            proj=fold_layer_scale(mixer.proj, block.ls1),
            attention_biases=relative_position_bias(mixer.attention_biases).reshape(
                -1, rows, columns, rows, columns
            ),
        ),
        mlp=Mlp(
            fold_layer_norm(block.norm2, block.mlp.fc1),
            fold_layer_scale(block.mlp.fc2, block.ls2),
        ),
    )


def fold_batch_norm(conv: Conv2d, norm: BatchNorm, eps: float) -> Conv2d:
    """Return the convolution that equals `conv` followed by `norm`.

    Parameters
    ----------
    conv : Conv2d
        With C_out output channels.
    norm : BatchNorm
        Over C_out channels.
    eps : float
        ε of the batch norm.

    Returns
    -------
    Conv2d
    """
    scale = norm.weight / np.sqrt(norm.running_var.astype(np.float64) + eps)
    bias = (conv.bias - norm.running_mean.astype(np.float64)) * scale + norm.bias
    return Conv2d(times(conv.weight, scale), bias.astype(conv.bias.dtype))


def fold_layer_scale(p: Linear, scale: LayerScale | None) -> Linear:
    """Return the linear layer that equals `p` followed by `scale`; `p` itself if that is None."""
    if scale is None:
        return p
    return Linear(times(p.weight, scale.gamma), times(p.bias, scale.gamma))


def fold_layer_norm(norm: LayerNorm, p: Linear) -> Linear:
    """Return the linear layer that equals the affine part of `norm` followed by `p`."""
    bias = norm.bias @ p.weight.astype(np.float64) + p.bias
    return Linear(times(p.weight, norm.weight[:, None]), bias.astype(p.bias.dtype))


def fold_key_scale(p: Attention) -> Linear:
    """Return the linear layer that computes q / √K, k and v."""
    n, (K, _) = len(p.attention_biases), head_sizes(p)
    scale = np.ones((n, len(p.qkv.bias) // n))
    scale[:, :K] = K**-0.5
    return Linear(times(p.qkv.weight, scale.ravel()), times(p.qkv.bias, scale.ravel()))


def times(weight: Array, scale: Array) -> Array:
    """Multiply in float64 and round once, to the dtype of `weight`.

    NumPy converts a few thousand numbers at a time, so no whole array of float64 is allocated.
    """
    out = np.empty_like(weight)
    return np.multiply(weight, scale.astype(np.float64), out=out, casting="same_kind")


def multiply(x: Array, p: Linear | QuantizedLinear) -> Array:
    """A linear layer of either kind."""
    return linear(x, p) if isinstance(p, Linear) else quantized_linear(x, p)


def folded_forward(
    x: Array,
    p: FoldedNetwork,
    config: EfficientFormerConfig,
    run: Run = EVALUATION,
    multiply: Multiply = multiply,
) -> Logits:
    """Run a folded network with the plain layers.

    Parameters
    ----------
    x : ndarray, shape (B, H, W, C₀)
    p : FoldedNetwork
    config : EfficientFormerConfig
    run : Run
        Records what survives folding: ``stem``, ``stages.i.downsample``, ``stages.i.blocks.j`` and
        its ``token_mixer.attn``, ``stages.i``, ``norm``, ``pooled`` and the heads.
    multiply : callable
        Runs each linear layer, and each convolution on its windows, in the order of the tree.

    Returns
    -------
    Logits

    Notes
    -----
    A layer in eight bits is recognized by its type, see `npformer.engine.quantize`.
    """
    for conv in p.stem:
        x = relu(_convolve(x, conv, 2, 1, multiply))
    run("stem", x)
    for i, stage in enumerate(p.stages):
        name = f"stages.{i}"
        if stage.downsample is not None:
            stride, padding = config.downsample_stride, config.downsample_pad
            x = _convolve(x, stage.downsample, stride, padding, multiply)
            run(f"{name}.downsample", x)
        for j, block in enumerate(stage.blocks):
            inside = run.within(f"{name}.blocks.{j}")
            if isinstance(block, FoldedPoolingBlock):
                x = x + layer_scale(pooling(x, config.pool_size), block.ls1)
                x = x + _mlp(x, block.mlp, config, multiply)
            elif isinstance(block, FoldedAttentionBlock):
                x = x + _attention(_normalize(x, config), block.token_mixer, inside, multiply)
                x = x + _mlp(_normalize(x, config), block.mlp, config, multiply)
            else:
                x = x.reshape(len(x), -1, x.shape[-1])  # (B, H, W, C) -> (B, N, C)
            run(f"{name}.blocks.{j}", x)
        run(name, x)
    x = run("norm", layer_norm(x, p.norm, config.layer_norm_eps))
    pooled = run("pooled", mean64(x, 1))
    return _classify(pooled, p, run, multiply)


def _classify(pooled: Array, p: FoldedNetwork, run: Run, multiply: Multiply) -> Logits:
    """Both heads, of either kind, and the mean of their logits."""
    if p.head is None:
        return Logits(pooled, None, None)
    cls_logits = run("head", multiply(pooled, p.head))
    if p.head_dist is None:
        return average_heads(cls_logits)
    return average_heads(cls_logits, run("head_dist", multiply(pooled, p.head_dist)))


def _convolve(
    x: Array, p: Conv2d | QuantizedConv2d, stride: int, padding: int, multiply: Multiply
) -> Array:
    """A convolution of either kind."""
    kh, kw, _, _ = p.weight.shape
    windows = im2col(x, kh, kw, stride, padding)  # (B, H, W, C_in) -> (B, H', W', kh·kw·C_in)
    return multiply(windows, as_linear(p) if isinstance(p, Conv2d) else quantized_as_linear(p))


def _mlp(x: Array, p: Mlp, config: EfficientFormerConfig, multiply: Multiply) -> Array:
    """The MLP of a folded block; between layers in eight bits, GELU is a polynomial."""
    activation = ACTIVATIONS[config.hidden_act]
    if activation is gelu and not isinstance(p.fc2, Linear):
        activation = gelu_polynomial
    return multiply(activation(multiply(x, p.fc1)), p.fc2)


def _attention(x: Array, p: Attention, run: Run, multiply: Multiply) -> Array:
    """Attention of a folded block, whose queries are divided by √K already."""
    K, _ = head_sizes(p)
    bias = relative_position_bias(p.attention_biases)
    y = attend(multiply(x, p.qkv), bias, K, 1, run.within("token_mixer"))
    return multiply(y, p.proj)


def _normalize(x: Array, config: EfficientFormerConfig) -> Array:
    """Layer norm without parameters."""
    one = np.ones((), x.dtype)
    return layer_norm(x, LayerNorm(one, one * 0), config.layer_norm_eps)
