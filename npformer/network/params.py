"""Which parameters a network has: their tree, their shapes, and their initial values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..layers import (
    Array,
    Attention,
    AttentionBlock,
    BatchNorm,
    Conv2d,
    ConvMlp,
    Downsample,
    Flat,
    LayerNorm,
    LayerScale,
    Linear,
    Mlp,
    PoolingBlock,
    Stem,
)
from .configuration import EfficientFormerConfig
from .model import EfficientFormer
from .stage import Stage
from .tree import build


@dataclass(frozen=True)
class ParamSpec:
    """What is known of a parameter before it exists: its shape and its initial values."""

    shape: tuple[int, ...]
    fill: float | None = None
    """initial value; None: normal with standard deviation ``initializer_range``"""


def param_specs(config: EfficientFormerConfig, distilled: bool = True) -> EfficientFormer:
    """Describe the parameters of a network, as a tree of `ParamSpec`.

    Parameters
    ----------
    config : EfficientFormerConfig
    distilled : bool
        Whether there is a second, distillation head.

    Returns
    -------
    EfficientFormer
        With a `ParamSpec` in place of each array.

    Raises
    ------
    ConfigError
        If no network can have this configuration.
    """
    config.validate()
    sizes, heads = config.hidden_sizes, config.num_attention_heads
    spec: Any = ParamSpec  # stands where an array will be

    def conv(C_in: int, C_out: int, k: int) -> Conv2d:
        return Conv2d(spec((k, k, C_in, C_out)), spec((C_out,), 0.0))

    def dense(C_in: int, C_out: int) -> Linear:
        return Linear(spec((C_in, C_out)), spec((C_out,), 0.0))

    def bn(C: int) -> BatchNorm:
        return BatchNorm(*(spec((C,), fill) for fill in (1.0, 0.0, 0.0, 1.0)))

    def ln(C: int) -> LayerNorm:
        return LayerNorm(spec((C,), 1.0), spec((C,), 0.0))

    def ls(C: int) -> LayerScale | None:
        gamma = spec((C,), config.layer_scale_init_value)
        return LayerScale(gamma) if config.use_layer_scale else None

    def pooling_block(C: int) -> PoolingBlock:
        wide = int(C * config.mlp_expansion_ratio)
        return PoolingBlock(
            ls(C), ConvMlp(conv(C, wide, 1), bn(wide), conv(wide, C, 1), bn(C)), ls(C)
        )

    def attention_block(C: int) -> AttentionBlock:
        K, V = config.key_dim, config.value_dim
        wide = int(C * config.mlp_expansion_ratio)
        mixer = Attention(
            qkv=dense(C, heads * (2 * K + V)),
            proj=dense(heads * V, C),
            attention_biases=spec((heads, *config.token_grid), 0.0),
        )
        return AttentionBlock(
            ln(C), mixer, ls(C), ln(C), Mlp(dense(C, wide), dense(wide, C)), ls(C)
        )

    stages = []
    last = len(sizes) - 1
    for i, (depth, C) in enumerate(zip(config.depths, sizes, strict=True)):
        pools = depth - config.num_meta3d_blocks if i == last else depth
        blocks: list[PoolingBlock | AttentionBlock | Flat] = [pooling_block(C)] * pools
        if i == last:
            blocks += [Flat(), *[attention_block(C)] * config.num_meta3d_blocks]
        down = None
        if i > 0 and config.has_downsample(i):
            down = Downsample(conv(sizes[i - 1], C, config.downsample_patch_size), bn(C))
        stages.append(Stage(down, tuple(blocks)))

    half = sizes[0] // 2
    return EfficientFormer(
        stem=Stem(
            conv(config.num_channels, half, 3), bn(half), conv(half, sizes[0], 3), bn(sizes[0])
        ),
        stages=tuple(stages),
        norm=ln(sizes[-1]),
        head=dense(sizes[-1], config.num_labels) if config.num_labels else None,
        head_dist=dense(sizes[-1], config.num_labels) if distilled and config.num_labels else None,
    )


def initialize(
    config: EfficientFormerConfig,
    seed: int = 0,
    distilled: bool = True,
    dtype: str | np.dtype[np.floating] = "float32",
) -> EfficientFormer:
    """Make new parameters, initialized as in transformers.

    Matrices and kernels are normal with standard deviation ``initializer_range``; biases and
    attention biases are 0; norms have weight 1 and bias 0, and running statistics of mean 0 and
    variance 1; layer scales are ``layer_scale_init_value``.

    Parameters
    ----------
    config : EfficientFormerConfig
    seed : int
        The same seed gives the same parameters.
    distilled : bool
        Whether there is a second, distillation head.
    dtype : str or dtype

    Returns
    -------
    EfficientFormer
        Of read-only arrays.

    Raises
    ------
    ConfigError
        If no network can have this configuration.
    """
    rng = np.random.default_rng(seed)

    def fill(_: str, spec: ParamSpec) -> Array:
        if spec.fill is None:
            array = rng.standard_normal(spec.shape) * config.initializer_range
        else:
            array = np.full(spec.shape, spec.fill)
        array = array.astype(dtype)
        array.flags.writeable = False
        return array

    return build(fill, param_specs(config, distilled))
