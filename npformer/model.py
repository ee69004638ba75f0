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

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .configuration import EfficientFormerConfig
from .errors import ConfigError
from .layers import (
    ACTIVATIONS,
    FORGET,
    Array,
    Attention,
    AttentionBlock,
    BatchNorm,
    Conv2d,
    ConvMlp,
    Flat,
    Keep,
    LayerNorm,
    LayerScale,
    Linear,
    Mlp,
    PoolingBlock,
    attention_block,
    batch_norm,
    conv2d,
    flat,
    layer_norm,
    linear,
    pooling_block,
    relu,
)
from .tree import build


class Stem(NamedTuple):
    """Parameters of the stem: 3 -> C₁/2 -> C₁ channels."""

    conv1: Conv2d
    norm1: BatchNorm
    conv2: Conv2d
    norm2: BatchNorm


class Downsample(NamedTuple):
    """Parameters of the step to half the resolution."""

    conv: Conv2d
    norm: BatchNorm


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


def stem(x: Array, p: Stem, eps: float = 1e-5, keep: Keep = FORGET) -> Array:
    """Embed patches: two convolutions of stride 2, each with batch norm and ReLU.

    Parameters
    ----------
    x : ndarray, shape (B, H, W, 3)
    p : Stem
    eps : float
        ε of the batch norms.
    keep : Keep
        Sees ``conv1``, ``norm1``, ``act1``, ``conv2``, ``norm2`` and ``act2``.

    Returns
    -------
    ndarray, shape (B, ⌈H/4⌉, ⌈W/4⌉, C₁)

    Notes
    -----
    The activation is ReLU whatever the configuration says, and there is one after the second batch
    norm too. Source: equation 3; ``EfficientFormerConvStem`` of transformers.
    """
    x = keep("conv1", conv2d(x, p.conv1, stride=2, padding=1))  # -> (B, H/2, W/2, C₁/2)
    x = keep("norm1", batch_norm(x, p.norm1, eps))
    x = keep("act1", relu(x))
    x = keep("conv2", conv2d(x, p.conv2, stride=2, padding=1))  # -> (B, H/4, W/4, C₁)
    x = keep("norm2", batch_norm(x, p.norm2, eps))
    return keep("act2", relu(x))


def downsample(
    x: Array, p: Downsample, config: EfficientFormerConfig, keep: Keep = FORGET
) -> Array:
    """Convolve to half the resolution and the next width, then batch norm; no activation.

    Parameters
    ----------
    x : ndarray, shape (B, H, W, C)
    p : Downsample
    config : EfficientFormerConfig
    keep : Keep
        Sees ``conv`` and ``norm``.

    Returns
    -------
    ndarray, shape (B, ⌈H/2⌉, ⌈W/2⌉, C')
    """
    x = conv2d(x, p.conv, stride=config.downsample_stride, padding=config.downsample_pad)
    return keep("norm", batch_norm(keep("conv", x), p.norm, config.batch_norm_eps))


def stage(x: Array, p: Stage, config: EfficientFormerConfig, keep: Keep = FORGET) -> Array:
    """Run a stage.

    Parameters
    ----------
    x : ndarray, shape (B, H, W, C)
    p : Stage
    config : EfficientFormerConfig
    keep : Keep
        Sees ``downsample.*``, ``downsample``, ``blocks.i.*`` and ``blocks.i``.

    Returns
    -------
    ndarray, shape (B, H', W', C'), or (B, N, C') once attention blocks have been reached
    """
    activation = ACTIVATIONS[config.hidden_act]
    if p.downsample is not None:
        x = keep("downsample", downsample(x, p.downsample, config, keep.within("downsample")))
    for i, block in enumerate(p.blocks):
        name = f"blocks.{i}"
        inside = keep.within(name)
        if isinstance(block, PoolingBlock):
            x = pooling_block(
                x, block, config.pool_size, activation, config.batch_norm_eps, inside
            )  # (B, H, W, C)
        elif isinstance(block, Flat):
            x = flat(x)  # (B, H, W, C) -> (B, N, C)
        else:
            x = attention_block(x, block, activation, config.layer_norm_eps, inside)  # (B, N, C)
        keep(name, x)
    return x


def features(
    x: Array, p: EfficientFormer, config: EfficientFormerConfig, keep: Keep = FORGET
) -> Array:
    """Run the body of the network, without its heads.

    Parameters
    ----------
    x : ndarray, shape (B, H, W, C₀)
        Preprocessed images.
    p : EfficientFormer
    config : EfficientFormerConfig
    keep : Keep
        Sees everything, by module path.

    Returns
    -------
    ndarray, shape (B, N, Cₙ)
        Tokens after the final layer norm.

    Raises
    ------
    ConfigError
        If the image size leads to another grid than the attention biases were learned for.
    """
    check_input(x.shape, p, config)
    x = x.astype(p.norm.weight.dtype, copy=False)
    x = keep("stem", stem(x, p.stem, config.batch_norm_eps, keep.within("stem")))
    for i, params in enumerate(p.stages):
        x = keep(f"stages.{i}", stage(x, params, config, keep.within(f"stages.{i}")))
    return keep("norm", layer_norm(x, p.norm, config.layer_norm_eps))


def forward(
    x: Array, p: EfficientFormer, config: EfficientFormerConfig, keep: Keep = FORGET
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

    Returns
    -------
    Logits

    Raises
    ------
    ConfigError
        If the image size leads to another grid than the attention biases were learned for.
    """
    tokens = features(x, p, config, keep)
    pooled = keep("pooled", tokens.mean(1))  # (B, N, C) -> (B, C)
    return heads(pooled, p, keep)


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
        return Logits(by_class, None, None)
    by_teacher = keep("head_dist", linear(pooled, p.head_dist))
    return Logits((by_class + by_teacher) / 2, by_class, by_teacher)


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
    found = stage_sizes(shape[1], shape[2], config)[-1]
    if min(found) < 1:
        raise ConfigError(f"images of {shape[1]}×{shape[2]} pixels are too small for this network")
    for block in p.stages[-1].blocks:
        if isinstance(block, AttentionBlock):
            expected = block.token_mixer.attention_biases.shape[1:]
            if found != expected:
                raise ConfigError(
                    f"images of {shape[1]}×{shape[2]} pixels give a grid of {found[0]}×{found[1]} "
                    f"tokens; the attention biases of these weights are for "
                    f"{expected[0]}×{expected[1]}. Resize the images to {config.image_size} pixels"
                )


@dataclass(frozen=True)
class Leaf:
    """A parameter that has yet to be made: its shape and what a fresh network holds there."""

    shape: tuple[int, ...]
    fill: float | None = None
    """the value at the start; None: normal with standard deviation ``initializer_range``"""


def blueprint(config: EfficientFormerConfig, distilled: bool = True) -> EfficientFormer:
    """Tree of `Leaf`: which parameters a configuration has, and their shapes.

    Parameters
    ----------
    config : EfficientFormerConfig
    distilled : bool
        Whether there is a second, distillation head.

    Returns
    -------
    EfficientFormer
        With a `Leaf` in the place of each array.
    """
    config.validate()
    sizes, heads = config.hidden_sizes, config.num_attention_heads
    leaf: Any = Leaf  # stands where an array will be

    def conv(C_in: int, C_out: int, k: int) -> Conv2d:
        return Conv2d(leaf((k, k, C_in, C_out)), leaf((C_out,), 0.0))

    def dense(C_in: int, C_out: int) -> Linear:
        return Linear(leaf((C_in, C_out)), leaf((C_out,), 0.0))

    def bn(C: int) -> BatchNorm:
        return BatchNorm(*(leaf((C,), fill) for fill in (1.0, 0.0, 0.0, 1.0)))

    def ln(C: int) -> LayerNorm:
        return LayerNorm(leaf((C,), 1.0), leaf((C,), 0.0))

    def ls(C: int) -> LayerScale | None:
        gamma = leaf((C,), config.layer_scale_init_value)
        return LayerScale(gamma) if config.use_layer_scale else None

    def pooling_block(C: int) -> PoolingBlock:
        wide = int(C * config.mlp_expansion_ratio)
        return PoolingBlock(
            ls(C), ConvMlp(conv(C, wide, 1), bn(wide), conv(wide, C, 1), bn(C)), ls(C)
        )

    def attention_block(C: int) -> AttentionBlock:
        K, V = config.key_dim, int(config.attention_ratio * config.key_dim)
        wide, R = int(C * config.mlp_expansion_ratio), config.resolution
        mixer = Attention(
            qkv=dense(C, heads * (2 * K + V)),
            proj=dense(heads * V, C),
            attention_biases=leaf((heads, R, R), 0.0),
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
    """Fresh parameters, as transformers initialises them.

    Matrices and kernels are normal with standard deviation ``initializer_range``, biases 0, norms 1
    and 0, attention biases 0, layer scales ``layer_scale_init_value``.

    Parameters
    ----------
    config : EfficientFormerConfig
    seed : int
    distilled : bool
        Whether there is a second, distillation head.
    dtype : str or dtype

    Returns
    -------
    EfficientFormer
        Of read-only arrays.
    """
    rng = np.random.default_rng(seed)

    def fill(_: str, leaf: Leaf) -> Array:
        if leaf.fill is None:
            array = rng.standard_normal(leaf.shape) * config.initializer_range
        else:
            array = np.full(leaf.shape, leaf.fill)
        array = array.astype(dtype)
        array.flags.writeable = False
        return array

    return build(fill, blueprint(config, distilled))
