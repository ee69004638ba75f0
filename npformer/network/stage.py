"""A stage: a downsampling, then a chain of blocks at one resolution (EfficientFormer, figure 3).

References: ``EfficientFormerIntermediateStage`` and ``EfficientFormerLastStage`` of transformers,
``EfficientFormerStage`` of timm.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from ..layers import (
    ACTIVATIONS,
    EVALUATION,
    NO_TAPE,
    Array,
    AttentionBlock,
    Downsample,
    Flat,
    PoolingBlock,
    Run,
    Trace,
    attention_block,
    attention_block_backward,
    downsample,
    downsample_backward,
    flat,
    pooling_block,
    pooling_block_backward,
)
from .configuration import EfficientFormerConfig

Block: TypeAlias = "PoolingBlock | AttentionBlock | Flat"
"""Parameters of a block of any kind."""


class Stage(NamedTuple):
    """Parameters of a stage."""

    downsample: Downsample | None
    blocks: tuple[Block, ...]


def stage(
    x: Array, p: Stage, config: EfficientFormerConfig, first: int = 0, run: Run = EVALUATION
) -> Array:
    """Run a stage.

    Parameters
    ----------
    x : ndarray, shape (B, H, W, C)
    p : Stage
    config : EfficientFormerConfig
    first : int
        How many blocks of the network come before this stage; drop path grows with depth.
    run : Run
        Records ``downsample.*``, ``downsample``, ``blocks.i.*`` and ``blocks.i``.

    Returns
    -------
    ndarray, shape (B, H', W', C'), or (B, N, C') after attention blocks

    Raises
    ------
    ValueError
        If the images are too small, or their grid is not that of the attention biases.
    """
    if p.downsample is not None:
        stride, padding, eps = downsampling(config)
        x = downsample(x, p.downsample, stride, padding, eps, run.within("downsample"))
        x = run("downsample", x)
    number = first
    for i, params in enumerate(p.blocks):
        inside = run.within(f"blocks.{i}").at(number, sum(config.depths))
        x = run(f"blocks.{i}", block(x, params, config, inside))
        number += not isinstance(params, Flat)  # a reshape, not a block of its own
    return x


def stage_backward(
    dy: Array, x: Array, p: Stage, config: EfficientFormerConfig, tape: Trace = NO_TAPE
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
        What forward recorded.

    Returns
    -------
    dx : ndarray of the shape of `x`
    dp : Stage

    Raises
    ------
    KeyError
        If forward recorded nothing.
    """
    inputs = [x if p.downsample is None else tape["downsample"]]
    inputs += [tape[f"blocks.{i}"] for i in range(len(p.blocks) - 1)]
    dblocks: list[Block] = []
    for i, params in reversed(list(enumerate(p.blocks))):
        dy, dblock = block_backward(dy, inputs[i], params, config, tape.within(f"blocks.{i}"))
        dblocks.insert(0, dblock)
    if p.downsample is None:
        return dy, Stage(None, tuple(dblocks))
    stride, padding, eps = downsampling(config)
    inside = tape.within("downsample")
    dx, ddownsample = downsample_backward(dy, x, p.downsample, stride, padding, eps, inside)
    return dx, Stage(ddownsample, tuple(dblocks))


def block(x: Array, p: Block, config: EfficientFormerConfig, run: Run = EVALUATION) -> Array:
    """Run a block of any kind; see `pooling_block`, `attention_block` and `flat`."""
    activation = ACTIVATIONS[config.hidden_act]
    if isinstance(p, PoolingBlock):
        return pooling_block(x, p, config.pool_size, activation, config.batch_norm_eps, run)
    if isinstance(p, AttentionBlock):
        return attention_block(x, p, activation, config.layer_norm_eps, run)
    return flat(x)  # (B, H, W, C) -> (B, N, C)


def block_backward(
    dy: Array, x: Array, p: Block, config: EfficientFormerConfig, tape: Trace = NO_TAPE
) -> tuple[Array, Block]:
    """Gradient of `block`."""
    activation = ACTIVATIONS[config.hidden_act]
    if isinstance(p, PoolingBlock):
        eps = config.batch_norm_eps
        return pooling_block_backward(dy, x, p, config.pool_size, activation, eps, tape)
    if isinstance(p, AttentionBlock):
        return attention_block_backward(dy, x, p, activation, config.layer_norm_eps, tape)
    return dy.reshape(x.shape), p  # (B, N, C) -> (B, H, W, C)


def downsampling(config: EfficientFormerConfig) -> tuple[int, int, float]:
    """Stride, padding and ε of every downsampling."""
    return config.downsample_stride, config.downsample_pad, config.batch_norm_eps


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
