"""The network, from pixels to logits, as one short loop over stages.

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
    EVALUATION,
    NO_TAPE,
    Array,
    BatchNorm,
    LayerNorm,
    Linear,
    Mode,
    Run,
    Stem,
    Trace,
    layer_norm,
    layer_norm_backward,
    stem,
    stem_backward,
    update_running_stats,
)
from ..layers.precision import mean64
from .configuration import EfficientFormerConfig
from .heads import Logits, heads, heads_backward
from .stage import Stage, stage, stage_backward, stage_sizes
from .tree import build


class EfficientFormer(NamedTuple):
    """Parameters of the whole network."""

    stem: Stem
    stages: tuple[Stage, ...]
    norm: LayerNorm
    head: Linear | None
    head_dist: Linear | None


Loss = Callable[[Logits], tuple[float, Logits]]
"""Gives the loss of a batch, and its gradient with respect to the outputs."""


class Gradients(NamedTuple):
    """What a step of training learns from a batch."""

    loss: float
    tape: Trace
    """with mean, variance and count of each batch norm, as `update_statistics` wants them"""
    dp: EfficientFormer
    """gradient of the loss with respect to each parameter"""


def forward(
    x: Array, p: EfficientFormer, config: EfficientFormerConfig, run: Run = EVALUATION
) -> Logits:
    """Run the whole network.

    Parameters
    ----------
    x : ndarray, shape (B, H, W, C₀)
        Preprocessed images.
    p : EfficientFormer
    config : EfficientFormerConfig
    run : Run
        ``Trace()`` records every intermediate array, by module path; ``Run(training(rng))`` and
        ``Trace(mode=training(rng))`` run in training mode.

    Returns
    -------
    Logits

    Raises
    ------
    ConfigError
        If the image size leads to another grid than the attention biases were learned for.
    TypeError
        If the images are not floating point numbers.
    """
    tokens = features(x, p, config, run)
    pooled = run("pooled", mean64(tokens, 1))  # (B, N, C) -> (B, C)
    return heads(pooled, p, run)


def features(
    x: Array, p: EfficientFormer, config: EfficientFormerConfig, run: Run = EVALUATION
) -> Array:
    """Run the body of the network, without its heads; arguments and errors as in `forward`.

    Returns
    -------
    ndarray, shape (B, N, Cₙ)
        Tokens after the final layer norm.
    """
    check_input(x, p, config)
    x = x.astype(p.norm.weight.dtype, copy=False)
    x = run("stem", stem(x, p.stem, config.batch_norm_eps, run.within("stem")))
    for i, params in enumerate(p.stages):
        first, inside = sum(config.depths[:i]), run.within(f"stages.{i}")
        x = run(f"stages.{i}", stage(x, params, config, first, inside))
    return run("norm", layer_norm(x, p.norm, config.layer_norm_eps))


def backward(
    dlogits: Logits,
    x: Array,
    p: EfficientFormer,
    config: EfficientFormerConfig,
    tape: Trace = NO_TAPE,
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
        Everything that forward recorded: ``tape = Trace(); forward(x, p, config, tape)``.

    Returns
    -------
    dx : ndarray of the shape of `x`
        Gradient with respect to the pixels.
    dp : EfficientFormer
        Gradient with respect to each parameter, at its place in the tree; zero for the running
        statistics, which are not learned.

    Raises
    ------
    KeyError
        If forward did not record everything.
    """
    x = x.astype(p.norm.weight.dtype, copy=False)
    dpooled, dhead, dhead_dist = heads_backward(dlogits, tape["pooled"], p)
    N = tape["norm"].shape[1]
    dy = np.broadcast_to(dpooled[:, None] / N, tape["norm"].shape)  # (B, C) -> (B, N, C)
    inputs = [tape["stem"], *[tape[f"stages.{i}"] for i in range(len(p.stages))]]
    dy, dnorm = layer_norm_backward(dy, inputs[-1], p.norm, config.layer_norm_eps)
    dstages: list[Stage] = []
    for i, params in reversed(list(enumerate(p.stages))):
        dy, dstage = stage_backward(dy, inputs[i], params, config, tape.within(f"stages.{i}"))
        dstages.insert(0, dstage)
    dx, dstem = stem_backward(dy, x, p.stem, config.batch_norm_eps, tape.within("stem"))
    return dx, EfficientFormer(dstem, tuple(dstages), dnorm, dhead, dhead_dist)


def gradients(
    x: Array, p: EfficientFormer, config: EfficientFormerConfig, loss: Loss, mode: Mode
) -> Gradients:
    """Forward, loss and backward of a batch.

    Parameters
    ----------
    x, p, config
        As in `forward`.
    loss : callable
        ``loss(logits)`` gives the loss and its gradient with respect to the logits.
    mode : Mode
        ``training(rng, …)``.

    Returns
    -------
    Gradients

    Raises
    ------
    ConfigError, TypeError
        As in `forward`.
    """
    tape = Trace(mode=mode)
    value, dlogits = loss(forward(x, p, config, tape))
    _, dp = backward(dlogits, x, p, config, tape)
    return Gradients(value, tape, dp)


def update_statistics(p: EfficientFormer, tape: Trace, momentum: float = 0.1) -> EfficientFormer:
    """Move all running statistics toward those of the batch, as PyTorch does while training.

    Parameters
    ----------
    p : EfficientFormer
    tape : Trace
        What forward recorded in training.
    momentum : float
        Weight of the new batch.

    Returns
    -------
    EfficientFormer
        `p` with other running statistics.

    Raises
    ------
    KeyError
        If forward did not run in training.
    ValueError
        If there were fewer than 2 values per channel.
    """

    def moved(path: str, node: Any) -> Any:
        if not isinstance(node, BatchNorm):
            return node
        seen = tape.within(path)
        return update_running_stats(node, seen["mean"], seen["var"], int(seen["n"]), momentum)

    return build(moved, p, is_leaf=lambda node: isinstance(node, BatchNorm))


def check_input(x: Array, p: Any, config: EfficientFormerConfig) -> None:
    """Refuse images that the network cannot take, before anything is computed.

    Parameters
    ----------
    x : ndarray, shape (B, H, W, C₀)
    p : EfficientFormer or FoldedNetwork
        Of arrays or anything else that has shapes. Only the attention biases of the last stage are
        read.
    config : EfficientFormerConfig

    Raises
    ------
    ConfigError
        If the images are too small, not (B, H, W, C₀), or give another grid of tokens than the
        attention biases were learned for.
    TypeError
        If they are not floating point numbers, as if they had not been preprocessed.
    """
    if x.dtype.kind != "f":
        raise TypeError(
            f"pixel values are {x.dtype}; expected floating point numbers. Preprocess images first"
        )
    C = config.num_channels
    if x.ndim != 4 or x.shape[-1] != C:
        first = x.ndim == 4 and x.shape[1] == C
        raise ConfigError(
            f"pixel values have shape {x.shape}; expected (batch, height, width, {C}) with "
            "channels last" + (". Move the channels: np.moveaxis(x, 1, -1)" if first else "")
        )
    _, height, width, _ = x.shape
    sizes = stage_sizes(height, width, config)
    if min(min(size) for size in sizes) < 1:
        raise ConfigError(f"images of {height}×{width} pixels are too small for this network")
    found = sizes[-1]
    for block in p.stages[-1].blocks:
        if hasattr(block, "token_mixer"):
            expected = block.token_mixer.attention_biases.shape[1:3]
            if found != expected:
                raise ConfigError(
                    f"images of {height}×{width} pixels give a grid of {found[0]}×{found[1]} "
                    f"tokens; the attention biases of these weights are for "
                    f"{expected[0]}×{expected[1]}. Resize the images to "
                    f"{'×'.join(map(str, config.image_shape))} pixels, or load the weights with "
                    f"image_size=({height}, {width}), which resizes the biases"
                )
