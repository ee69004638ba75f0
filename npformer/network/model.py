"""The network, from pixels to logits, as one short loop over blocks.

    stem                     two 3×3 convolutions of stride 2      (B, H, W, 3) -> (B, H/4, W/4, C₁)
    stages 0 … n−1           a downsampling, then a chain of blocks: pooling blocks on images
                             and, at the end of the last stage, attention blocks on tokens
    norm, mean over tokens   (B, N, Cₙ) -> (B, Cₙ)
    head, head_dist          two linear classifiers, whose logits are averaged

Source: EfficientFormer (Li et al. 2022), section 4.1 and figure 3; ``modeling_efficientformer.py``
of transformers 4.40.2; ``efficientformer.py`` of timm, whose names the parameters bear.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..errors import ConfigError
from ..layers import (
    ACTIVATIONS,
    EVALUATION,
    FORGET,
    Array,
    AttentionBlock,
    BatchNorm,
    Downsample,
    Flat,
    Keep,
    LayerNorm,
    Linear,
    Mode,
    PoolingBlock,
    Stem,
    Trace,
    attention_block,
    attention_block_backward,
    downsample,
    downsample_backward,
    flat,
    layer_norm,
    layer_norm_backward,
    linear,
    linear_backward,
    move_running,
    pooling_block,
    pooling_block_backward,
    stem,
    stem_backward,
)
from .configuration import EfficientFormerConfig


class Stage(NamedTuple):
    """Parameters of a stage: blocks at one resolution."""

    downsample: Downsample | None
    blocks: tuple[PoolingBlock | AttentionBlock | Flat, ...]


class EfficientFormer(NamedTuple):
    """Parameters of the whole network."""

    stem: Stem
    stages: tuple[Stage, ...]
    norm: LayerNorm
    head: Linear | None
    head_dist: Linear | None


class Logits(NamedTuple):
    """What `forward` returns."""

    logits: Array
    """(B, n_labels): the mean of both heads, or the only head, or the pooled features"""
    cls_logits: Array | None
    """(B, n_labels), the class head; None without a distillation head"""
    distillation_logits: Array | None
    """(B, n_labels), the distillation head, if there is one"""


Loss = Callable[[Logits], tuple[float, Logits]]
"""Gives the loss of a batch, and its gradient with respect to the outputs."""


class Gradients(NamedTuple):
    """What a step of training learns from a batch."""

    loss: float
    tape: Trace
    """with mean, variance and count of each batch norm, as `update_statistics` wants them"""
    dp: EfficientFormer
    """gradient of the loss with respect to each parameter"""


def stage(
    x: Array,
    p: Stage,
    config: EfficientFormerConfig,
    keep: Keep = FORGET,
    mode: Mode = EVALUATION,
    first: int = 0,
) -> Array:
    """Run a stage.

    Parameters
    ----------
    x : ndarray, shape (B, H, W, C)
    p : Stage
    config : EfficientFormerConfig
    keep : Keep
        Sees ``downsample.*``, ``downsample``, ``blocks.i.*`` and ``blocks.i``.
    mode : Mode
    first : int
        How many blocks of the network come before this stage; the later, the more drop path.

    Returns
    -------
    ndarray, shape (B, H', W', C'), or (B, N, C') once attention blocks have been reached
    """
    activation = ACTIVATIONS[config.hidden_act]
    if p.downsample is not None:
        stride, padding = config.downsample_stride, config.downsample_pad
        inside = keep.within("downsample")
        x = downsample(x, p.downsample, stride, padding, config.batch_norm_eps, inside, mode)
        x = keep("downsample", x)
    number = first
    for i, block in enumerate(p.blocks):
        name = f"blocks.{i}"
        inside, here = keep.within(name), mode.at(number, sum(config.depths))
        if isinstance(block, PoolingBlock):
            x = pooling_block(
                x, block, config.pool_size, activation, config.batch_norm_eps, inside, here
            )  # (B, H, W, C)
        elif isinstance(block, Flat):
            x = flat(x)  # (B, H, W, C) -> (B, N, C)
        else:
            x = attention_block(
                x, block, activation, config.layer_norm_eps, inside, here
            )  # (B, N, C)
        number += not isinstance(block, Flat)
        x = keep(name, x)
    return x


def stage_backward(
    dy: Array, x: Array, p: Stage, config: EfficientFormerConfig, tape: Trace
) -> tuple[Array, Stage]:
    """Gradient of `stage`: its blocks in reverse; the input of each is the output before it.

    Parameters
    ----------
    dy : ndarray
        Of the shape of the output.
    x : ndarray, shape (B, H, W, C)
    p : Stage
    config : EfficientFormerConfig
    tape : Trace
        What forward kept.

    Returns
    -------
    dx : ndarray of the shape of `x`
    dp : Stage
    """
    activation = ACTIVATIONS[config.hidden_act]
    inputs = [x if p.downsample is None else tape["downsample"]]
    inputs += [tape[f"blocks.{i}"] for i in range(len(p.blocks) - 1)]
    dblocks: list[PoolingBlock | AttentionBlock | Flat] = []
    for i, block in reversed(list(enumerate(p.blocks))):
        inside = tape.within(f"blocks.{i}")
        if isinstance(block, PoolingBlock):
            dy, dblock = pooling_block_backward(
                dy, inputs[i], block, config.pool_size, activation, config.batch_norm_eps, inside
            )
            dblocks.append(dblock)
        elif isinstance(block, Flat):
            dy = dy.reshape(inputs[i].shape)  # (B, N, C) -> (B, H, W, C)
            dblocks.append(block)
        else:
            dy, dattention = attention_block_backward(
                dy, inputs[i], block, activation, config.layer_norm_eps, inside
            )
            dblocks.append(dattention)
    ddown = None
    if p.downsample is not None:
        stride, padding = config.downsample_stride, config.downsample_pad
        inside = tape.within("downsample")
        dy, ddown = downsample_backward(
            dy, x, p.downsample, stride, padding, config.batch_norm_eps, inside
        )
    return dy, Stage(ddown, tuple(reversed(dblocks)))


def features(
    x: Array,
    p: EfficientFormer,
    config: EfficientFormerConfig,
    keep: Keep = FORGET,
    mode: Mode = EVALUATION,
) -> Array:
    """Run the body of the network, without its heads; arguments and errors as of `forward`.

    Returns
    -------
    ndarray, shape (B, N, Cₙ)
        Tokens after the final layer norm.
    """
    check_input(x.shape, p, config)
    x = x.astype(p.norm.weight.dtype, copy=False)
    x = keep("stem", stem(x, p.stem, config.batch_norm_eps, keep.within("stem"), mode))
    for i, params in enumerate(p.stages):
        inside, first = keep.within(f"stages.{i}"), sum(config.depths[:i])
        x = keep(f"stages.{i}", stage(x, params, config, inside, mode, first))
    return keep("norm", layer_norm(x, p.norm, config.layer_norm_eps))


def forward(
    x: Array,
    p: EfficientFormer,
    config: EfficientFormerConfig,
    keep: Keep = FORGET,
    mode: Mode = EVALUATION,
) -> Logits:
    """Run the whole network.

    Parameters
    ----------
    x : ndarray, shape (B, H, W, C₀)
        Preprocessed images.
    p : EfficientFormer
    config : EfficientFormerConfig
    keep : Keep
        Sees everything, by module path; `FORGET` keeps nothing, `Trace()` keeps all.
    mode : Mode
        `EVALUATION`, or ``training(rng, …)``.

    Returns
    -------
    Logits

    Raises
    ------
    ConfigError
        If the image size leads to another grid than the attention biases were learned for.
    """
    tokens = features(x, p, config, keep, mode)
    pooled = keep("pooled", tokens.mean(1))  # (B, N, C) -> (B, C)
    return heads(pooled, p, keep)


def backward(
    dlogits: Logits, x: Array, p: EfficientFormer, config: EfficientFormerConfig, tape: Trace
) -> tuple[Array, EfficientFormer]:
    """Gradient of `forward`: the chain rule, from the logits down to the pixels.

    Parameters
    ----------
    dlogits : Logits
        Gradient of a loss with respect to each output; None for what the loss does not use.
    x : ndarray, shape (B, H, W, C₀)
        The images that forward was given.
    p : EfficientFormer
        The parameters that forward was given.
    config : EfficientFormerConfig
    tape : Trace
        Everything that forward kept: ``tape = Trace(); forward(x, p, config, tape)``.

    Returns
    -------
    dx : ndarray of the shape of `x`
        Gradient with respect to the pixels.
    dp : EfficientFormer
        Gradient with respect to each parameter, at its place in the tree; zero at the running
        statistics, which are not learned.
    """
    x = x.astype(p.norm.weight.dtype, copy=False)
    dpooled, dhead, dhead_dist = heads_backward(dlogits, tape["pooled"], p)
    N = tape["norm"].shape[1]
    dy = np.broadcast_to(dpooled[:, None] / N, tape["norm"].shape)  # (B, C) -> (B, N, C)
    inputs = [tape["stem"], *[tape[f"stages.{i}"] for i in range(len(p.stages))]]
    dy, dnorm = layer_norm_backward(dy, inputs[-1], p.norm, config.layer_norm_eps)
    dstages = []
    for i, params in reversed(list(enumerate(p.stages))):
        dy, dstage = stage_backward(dy, inputs[i], params, config, tape.within(f"stages.{i}"))
        dstages.append(dstage)
    dx, dstem = stem_backward(dy, x, p.stem, config.batch_norm_eps, tape.within("stem"))
    return dx, EfficientFormer(dstem, tuple(reversed(dstages)), dnorm, dhead, dhead_dist)


def gradients(
    x: Array, p: EfficientFormer, config: EfficientFormerConfig, loss: Loss, mode: Mode
) -> Gradients:
    """Forward, loss and backward of a batch.

    Parameters
    ----------
    x, p, config
        As of `forward`.
    loss : callable
        ``loss(logits)`` gives the loss and its gradient with respect to the logits.
    mode : Mode
        ``training(rng, …)``.

    Returns
    -------
    Gradients
    """
    tape = Trace()
    value, dlogits = loss(forward(x, p, config, tape, mode))
    _, dp = backward(dlogits, x, p, config, tape)
    return Gradients(value, tape, dp)


def update_statistics(p: EfficientFormer, tape: Trace, momentum: float = 0.1) -> EfficientFormer:
    """Move all running statistics towards those of the batch, as PyTorch does while training.

    Parameters
    ----------
    p : EfficientFormer
    tape : Trace
        What forward kept in training.
    momentum : float
        Weight of the new batch.

    Returns
    -------
    EfficientFormer
        `p` with other running statistics.
    """

    def visit(node: Any, tape: Trace) -> Any:
        if isinstance(node, BatchNorm):
            return move_running(node, tape["mean"], tape["var"], int(tape["n"]), momentum)
        if not isinstance(node, tuple):
            return node
        names = getattr(node, "_fields", range(len(node)))
        children = [
            visit(child, tape.within(str(name))) for name, child in zip(names, node, strict=True)
        ]
        return node._make(children) if hasattr(node, "_make") else tuple(children)

    return visit(p, tape)


def heads(pooled: Array, p: EfficientFormer, keep: Keep = FORGET) -> Logits:
    """Classify pooled features by both heads and average them (LeViT, section 4).

    Parameters
    ----------
    pooled : ndarray, shape (B, C)
    p : EfficientFormer
    keep : Keep
        Sees ``head`` and ``head_dist``.

    Returns
    -------
    Logits
    """
    if p.head is None:
        return Logits(pooled, None, None)
    by_class = keep("head", linear(pooled, p.head))  # (B, C) -> (B, n_labels)
    if p.head_dist is None:
        return join(by_class)
    return join(by_class, keep("head_dist", linear(pooled, p.head_dist)))


def join(by_class: Array, by_teacher: Array | None = None) -> Logits:
    """Average the answers of both heads, (B, n_labels), if there are two."""
    if by_teacher is None:
        return Logits(by_class, None, None)
    return Logits((by_class + by_teacher) / 2, by_class, by_teacher)


def heads_backward(
    dy: Logits, pooled: Array, p: EfficientFormer
) -> tuple[Array, Linear | None, Linear | None]:
    """Gradient of `heads`: each head receives its own gradient and half of that of the mean.

    Parameters
    ----------
    dy : Logits
        Gradient of the loss with respect to each output; None for what the loss does not use.
    pooled : ndarray, shape (B, C)
    p : EfficientFormer

    Returns
    -------
    dpooled : ndarray, shape (B, C)
    dhead, dhead_dist : Linear or None
    """
    if p.head is None:
        return dy.logits, None, None
    if p.head_dist is None:
        return *linear_backward(dy.logits, pooled, p.head), None
    by_class, by_teacher = join_backward(dy)
    dpooled, dhead = linear_backward(by_class, pooled, p.head)
    dpooled_too, dhead_dist = linear_backward(by_teacher, pooled, p.head_dist)
    return dpooled + dpooled_too, dhead, dhead_dist


def join_backward(dy: Logits) -> tuple[Array, Array]:
    """Gradient of `join` for two heads."""
    share = dy.logits / 2
    by_class = share if dy.cls_logits is None else share + dy.cls_logits
    by_teacher = share if dy.distillation_logits is None else share + dy.distillation_logits
    return by_class, by_teacher


def stage_sizes(height: int, width: int, config: EfficientFormerConfig) -> list[tuple[int, int]]:
    """Rows and columns of each stage for images of a given size, in pixels; the last are tokens."""

    def along(size: int) -> list[int]:
        for _ in range(2):  # the stem: 3×3, stride 2, padding 1
            size = (size - 1) // 2 + 1
        sizes = [size]
        for i in range(1, len(config.depths)):
            if config.has_downsample(i):
                overhang = config.downsample_patch_size - 2 * config.downsample_pad
                size = (size - overhang) // config.downsample_stride + 1
            sizes.append(size)
        return sizes

    return list(zip(along(height), along(width), strict=True))


def check_input(shape: tuple[int, ...], p: EfficientFormer, config: EfficientFormerConfig) -> None:
    """Refuse images that the network cannot take, before anything is computed."""
    if len(shape) != 4 or shape[-1] != config.num_channels:
        raise ConfigError(
            f"pixel values have shape {shape}; expected (batch, height, width, "
            f"{config.num_channels}) with channels last"
        )
    _, height, width, _ = shape
    sizes = stage_sizes(height, width, config)
    if min(min(size) for size in sizes) < 1:
        raise ConfigError(f"images of {height}×{width} pixels are too small for this network")
    found = sizes[-1]
    for block in p.stages[-1].blocks:
        if isinstance(block, AttentionBlock):
            expected = block.token_mixer.attention_biases.shape[1:3]
            if found != expected:
                raise ConfigError(
                    f"images of {height}×{width} pixels give a grid of {found[0]}×{found[1]} "
                    f"tokens; the attention biases of these weights are for "
                    f"{expected[0]}×{expected[1]}. Resize the images to "
                    f"{'×'.join(map(str, config.image_shape))} pixels, or load the weights with "
                    f"image_size=({height}, {width}), which resizes the biases"
                )
