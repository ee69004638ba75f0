"""Folding: what is linear after linear becomes one layer, once, before anything runs.

    batch norm into its convolution        (x W + b − μ) s + β = x (W s) + ((b − μ) s + β),
                                           s = weight / √(σ² + ε)
    layer scale into what it scales        γ (x W + b) = x (W γ) + b γ
    layer norm's affine into what follows  (x̂ w + β) W + b = x̂ (w W) + (β W + b)
    the scale 1/√K into the queries        q kᵀ / √K = (q / √K) kᵀ
    both heads into their mean             (x W + b + x V + c) / 2 = x (W + V)/2 + (b + c)/2

and the table of attention biases is spread over all pairs of tokens. A tree goes in and a smaller
tree comes out; `forward` below runs it with the plain layers, so that one may see that nothing but
rounding has changed. Two things cannot be folded: the layer scale of pooling, which has no weights,
and the normalization of the input into the stem, whose padding is zero *after* normalization.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..layers import (
    ACTIVATIONS,
    EVALUATION,
    Array,
    Attention,
    BatchNorm,
    Conv2d,
    Flat,
    LayerNorm,
    LayerScale,
    Linear,
    Mlp,
    Run,
    as_linear,
    attend,
    conv2d,
    head_sizes,
    layer_norm,
    layer_scale,
    linear,
    mlp,
    pooling,
    relative_position_bias,
    relu,
)
from ..layers import AttentionBlock as PlainAttentionBlock
from ..layers import PoolingBlock as PlainPoolingBlock
from ..network import EfficientFormer, Logits, heads
from ..network.configuration import EfficientFormerConfig


class PoolingBlock(NamedTuple):
    """Folded pooling block."""

    ls1: LayerScale | None
    mlp: Mlp
    """both convolutions, as what they are: linear layers of pixels"""


class AttentionBlock(NamedTuple):
    """Folded attention block. Its layer norms have no parameters left."""

    qkv: Linear
    bias: Array
    """(heads, N, N)"""
    proj: Linear
    mlp: Mlp


class Stage(NamedTuple):
    """Folded stage."""

    downsample: Conv2d | None
    blocks: tuple[PoolingBlock | AttentionBlock | Flat, ...]


class Folded(NamedTuple):
    """Folded network."""

    stem: tuple[Conv2d, Conv2d]
    stages: tuple[Stage, ...]
    norm: LayerNorm
    """kept, since its result is the network's last hidden state"""
    head: Linear | None
    head_dist: Linear | None


def fold(p: EfficientFormer, config: EfficientFormerConfig, average_heads: bool = False) -> Folded:
    """Fold a network.

    Parameters
    ----------
    p : EfficientFormer
    config : EfficientFormerConfig
    average_heads : bool
        Replace both heads by their mean. The network then gives one array of logits.

    Returns
    -------
    Folded
        In the dtype of `p`; the algebra is done in float64.
    """
    eps = config.batch_norm_eps
    head, head_dist = p.head, p.head_dist
    if average_heads and head is not None and head_dist is not None:
        both = zip(head, head_dist, strict=True)
        mean = [((a.astype(np.float64) + b) / 2).astype(a.dtype) for a, b in both]
        head, head_dist = Linear(*mean), None
    return Folded(
        stem=(
            fold_batch_norm(p.stem.conv1, p.stem.norm1, eps),
            fold_batch_norm(p.stem.conv2, p.stem.norm2, eps),
        ),
        stages=tuple(
            Stage(
                stage.downsample and fold_batch_norm(*stage.downsample, eps),
                tuple(fold_block(block, eps) for block in stage.blocks),
            )
            for stage in p.stages
        ),
        norm=p.norm,
        head=head,
        head_dist=head_dist,
    )


def fold_block(
    block: PlainPoolingBlock | PlainAttentionBlock | Flat, eps: float
) -> PoolingBlock | AttentionBlock | Flat:
    """Fold a block; `eps` is that of its batch norms."""
    if isinstance(block, Flat):
        return block
    if isinstance(block, PlainPoolingBlock):
        conv_mlp = block.mlp
        fc1 = fold_batch_norm(conv_mlp.fc1, conv_mlp.norm1, eps)
        fc2 = fold_batch_norm(conv_mlp.fc2, conv_mlp.norm2, eps)
        return PoolingBlock(
            block.ls1, Mlp(as_linear(fc1), fold_layer_scale(as_linear(fc2), block.ls2))
        )
    mixer = block.token_mixer
    return AttentionBlock(
        qkv=fold_layer_norm(block.norm1, fold_key_scale(mixer)),
        bias=relative_position_bias(mixer.attention_biases),
        proj=fold_layer_scale(mixer.proj, block.ls1),
        mlp=Mlp(
            fold_layer_norm(block.norm2, block.mlp.fc1),
            fold_layer_scale(block.mlp.fc2, block.ls2),
        ),
    )


def fold_batch_norm(conv: Conv2d, norm: BatchNorm, eps: float) -> Conv2d:
    """Convolution that equals `conv` followed by `norm`."""
    scale = norm.weight / np.sqrt(norm.running_var.astype(np.float64) + eps)
    bias = (conv.bias - norm.running_mean.astype(np.float64)) * scale + norm.bias
    return Conv2d(_times(conv.weight, scale), bias.astype(conv.bias.dtype))


def fold_layer_scale(p: Linear, scale: LayerScale | None) -> Linear:
    """Linear layer that equals `p` followed by `scale`."""
    if scale is None:
        return p
    return Linear(_times(p.weight, scale.gamma), _times(p.bias, scale.gamma))


def fold_layer_norm(norm: LayerNorm, p: Linear) -> Linear:
    """Linear layer that equals the affine part of `norm` followed by `p`."""
    bias = norm.bias @ p.weight.astype(np.float64) + p.bias
    return Linear(_times(p.weight, norm.weight[:, None]), bias.astype(p.bias.dtype))


def fold_key_scale(p: Attention) -> Linear:
    """The layer that makes q, k and v, with q divided by √K."""
    n, (K, _) = len(p.attention_biases), head_sizes(p)
    scale = np.ones((n, len(p.qkv.bias) // n))
    scale[:, :K] = K**-0.5
    return Linear(_times(p.qkv.weight, scale.ravel()), _times(p.qkv.bias, scale.ravel()))


def key_and_value(p: AttentionBlock) -> tuple[int, int]:
    """Widths K of a key and V of a value of one head."""
    return head_sizes(Attention(p.qkv, p.proj, p.bias))


def _times(weight: Array, scale: Array) -> Array:
    """Their product, in the dtype of `weight`; rounded once, from float64.

    NumPy widens and rounds a few thousand numbers at a time, so that no array of float64 is made.
    """
    out = np.empty_like(weight)
    return np.multiply(weight, scale.astype(np.float64), out=out, casting="same_kind")


def forward(x: Array, p: Folded, config: EfficientFormerConfig, run: Run = EVALUATION) -> Logits:
    """Run a folded network with the plain layers.

    Parameters
    ----------
    x : ndarray, shape (B, H, W, C₀)
    p : Folded
    config : EfficientFormerConfig
    run : Run
        Records what survives folding: ``stem``, ``stages.i.downsample``, ``stages.i.blocks.j`` and
        its ``token_mixer.attn``, ``stages.i``, ``norm``, ``pooled`` and the heads.

    Returns
    -------
    Logits
    """
    activation = ACTIVATIONS[config.hidden_act]
    for conv in p.stem:
        x = relu(conv2d(x, conv, stride=2, padding=1))
    run("stem", x)
    for i, stage in enumerate(p.stages):
        name = f"stages.{i}"
        if stage.downsample is not None:
            x = conv2d(x, stage.downsample, config.downsample_stride, config.downsample_pad)
            run(f"{name}.downsample", x)
        for j, block in enumerate(stage.blocks):
            inside = run.within(f"{name}.blocks.{j}")
            if isinstance(block, PoolingBlock):
                x = x + layer_scale(pooling(x, config.pool_size), block.ls1)
                x = x + mlp(x, block.mlp, activation)
            elif isinstance(block, AttentionBlock):
                x = x + attention(_normal(x, config), block, inside)
                x = x + mlp(_normal(x, config), block.mlp, activation)
            else:
                x = x.reshape(len(x), -1, x.shape[-1])  # (B, H, W, C) -> (B, N, C)
            run(f"{name}.blocks.{j}", x)
        run(name, x)
    x = run("norm", layer_norm(x, p.norm, config.layer_norm_eps))
    pooled = run("pooled", x.mean(1))
    return heads(pooled, p, run)


def attention(x: Array, p: AttentionBlock, run: Run = EVALUATION) -> Array:
    """Attention of a folded block: q is scaled already, and the biases are spread out."""
    K, _ = key_and_value(p)
    y = attend(linear(x, p.qkv), p.bias, K, 1, run.within("token_mixer"))
    return linear(y, p.proj)


def _normal(x: Array, config: EfficientFormerConfig) -> Array:
    one = np.ones((), x.dtype)
    return layer_norm(x, LayerNorm(one, one * 0), config.layer_norm_eps)
