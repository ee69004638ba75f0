"""The cases of each layer: where implementations of it are known to differ.

As in a good set of test vectors (C2SP's Wycheproof is the model) a case says what it is for, so
that the list of those that fail is half of the diagnosis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ... import layers
from ...layers import Array, LayerScale, PoolingBlock
from ..layer_shapes import (
    attention_block_of,
    attention_of,
    batch_norm_of,
    conv_mlp_of,
    conv_of,
    downsample_of,
    layer_norm_of,
    layer_scale_of,
    linear_of,
    mlp_of,
    stem_of,
)
from .drawing import numbers, parameters


class Case(NamedTuple):
    """One input of a layer."""

    comment: str
    """what it is for"""
    x: Array
    p: Any = None
    options: dict[str, Any] = {}  # noqa: RUF012 - never written to
    """by the names of the layer's arguments; an activation by its name"""
    training: bool = False
    """whether batch norm uses the statistics of the batch"""


class Layer(NamedTuple):
    """A layer and its cases."""

    name: str
    function: Callable[..., Any]
    backward: Callable[..., Any]
    cases: tuple[Case, ...]
    images: bool = False
    """whether inputs with four axes are images, with channels"""


def table() -> Iterator[Layer]:
    """Yield every layer with its cases, from the simplest to the blocks."""
    yield Layer("linear", layers.linear, layers.linear_backward, (
        Case("tokens: the last axis meets the matrix", x("linear/0", 2, 3, 4), p("linear/0", linear_of(4, 5))),
        Case("one row, one number", x("linear/1", 1, 1), p("linear/1", linear_of(1, 1))),
        Case("square: a transposed weight has the right shape", x("linear/2", 3, 6), p("linear/2", linear_of(6, 6))),
        Case("images with another number of channels", x("linear/3", 2, 3, 2, 3), p("linear/3", linear_of(3, 2))),
        Case("long sums: 700 terms", x("linear/4", 2, 700), p("linear/4", linear_of(700, 3))),
        Case("terms that cancel", x("linear/5", 4, 32, high=1e4), p("linear/5", linear_of(32, 4))),
    ))  # fmt: skip
    yield Layer("conv2d", layers.conv2d, layers.conv2d_backward, (
        Case("3×3 over odd sides", x("conv2d/0", 2, 5, 7, 3), p("conv2d/0", conv_of(3, 4, 3, 3)), {"stride": 1, "padding": 1}),
        Case("stride 2 over odd sides: the last window ends on the border", x("conv2d/1", 1, 7, 5, 2), p("conv2d/1", conv_of(2, 3, 3, 3)), {"stride": 2, "padding": 1}),
        Case("stride 2 over even sides: the last row of padding is never seen", x("conv2d/2", 2, 6, 8, 2), p("conv2d/2", conv_of(2, 2, 3, 3)), {"stride": 2, "padding": 1}),
        Case("1×1: a linear layer for each pixel", x("conv2d/3", 2, 3, 4, 5), p("conv2d/3", conv_of(5, 5)), {"stride": 1, "padding": 0}),
        Case("a kernel that is not square", x("conv2d/4", 1, 5, 6, 2), p("conv2d/4", conv_of(2, 3, 3, 2)), {"stride": 1, "padding": 0}),
        Case("stride 3, padding 2, kernel 5", x("conv2d/5", 1, 8, 7, 1), p("conv2d/5", conv_of(1, 2, 5, 5)), {"stride": 3, "padding": 2}),
        Case("an image smaller than the kernel", x("conv2d/6", 1, 1, 2, 2), p("conv2d/6", conv_of(2, 2, 3, 3)), {"stride": 2, "padding": 1}),
    ), images=True)  # fmt: skip
    norm = p("batch_norm/0", batch_norm_of(5))
    dead = norm._replace(running_var=np.zeros(5))
    far = norm._replace(running_mean=numbers("batch_norm/far", (5,), 900, 1100))
    yield Layer("batch_norm", layers.batch_norm, layers.batch_norm_backward, (
        Case("running statistics", x("batch_norm/0", 2, 3, 4, 5), norm, {"eps": 1e-5}),
        Case("another ε", x("batch_norm/1", 1, 2, 2, 5), norm, {"eps": 1e-3}),
        Case("dead channels: a variance of 0, ε decides", x("batch_norm/2", 2, 2, 2, 5), dead, {"eps": 1e-5}),
        Case("a mean far above the deviation", shifted(x("batch_norm/3", 1, 3, 3, 5), 1000), far, {"eps": 1e-5}),
        Case("training: mean and biased variance of the batch", x("batch_norm/4", 3, 2, 2, 5), norm, {"eps": 1e-5}, training=True),
        Case("training with 2 values for each channel", x("batch_norm/5", 2, 1, 1, 5), norm, {"eps": 1e-5}, training=True),
    ), images=True)  # fmt: skip
    token = p("layer_norm/0", layer_norm_of(6))
    constant = np.broadcast_to(numbers("layer_norm/constant", (1, 3, 1), 0.01, 0.05), (1, 3, 6))
    yield Layer("layer_norm", layers.layer_norm, layers.layer_norm_backward, (
        Case("timm's ε", x("layer_norm/0", 2, 3, 6), token, {"eps": 1e-5}),
        Case("transformers' ε", x("layer_norm/1", 2, 3, 6), token, {"eps": 1e-12}),
        Case("tokens of deviation 0.003: ε decides", x("layer_norm/2", 1, 4, 6, high=5e-3), token, {"eps": 1e-5}),
        Case("tokens without deviation", constant, token, {"eps": 1e-5}),
        Case("a mean above the deviation", shifted(x("layer_norm/4", 1, 4, 6), 5), token, {"eps": 1e-5}),
        Case("two channels", x("layer_norm/5", 1, 3, 2), p("layer_norm/5", layer_norm_of(2)), {"eps": 1e-5}),
    ))  # fmt: skip
    yield Layer("softmax", layers.softmax, layers.softmax_backward, (
        Case("the last axis sums to one", x("softmax/0", 2, 3, 4, 4, high=3)),
        Case("scores around 800: exp overflows, in float64 too", shifted(x("softmax/1", 2, 5, high=5), 800)),
        Case("scores around −800: all of exp is 0", shifted(x("softmax/2", 2, 5, high=5), -800)),
        Case("rows far apart: each has a largest number of its own", shifted(x("softmax/5", 2, 5), np.array([[0], [1600]]))),
        Case("one token: 1", x("softmax/3", 2, 1)),
        Case("a sharp answer: others are smaller than float32 can add", x("softmax/4", 3, 4, high=40)),
    ))  # fmt: skip
    steps = np.linspace(-6, 6, 97, dtype=np.float32).astype(np.float64)[None]
    for name, comment in (
        ("gelu", "erf, not tanh"),
        ("relu", "0 at 0, and so is its slope"),
        ("gelu_new", "tanh, not erf"),
        ("silu", "x σ(x)"),
        ("quick_gelu", "x σ(1.702 x)"),
    ):
        yield Layer(name, layers.ACTIVATIONS[name], layers.activation_backward, (
            Case(f"−6 to 6: {comment}", steps, None, {"activation": name}),
            Case("near 0", x(f"{name}/1", 1, 8, high=1e-3), None, {"activation": name}),
            Case("far out", x(f"{name}/2", 1, 8, high=60), None, {"activation": name}),
        ))  # fmt: skip
    yield Layer("pooling", layers.pooling, layers.pooling_backward, (
        Case("corners average 4 pixels, edges 6", x("pooling/0", 2, 4, 5, 3), None, {"size": 3}),
        Case("one pixel: 0", x("pooling/1", 1, 1, 1, 2), None, {"size": 3}),
        Case("one row", x("pooling/2", 1, 1, 5, 2), None, {"size": 3}),
        Case("a window wider than the image", x("pooling/3", 1, 3, 4, 2), None, {"size": 9}),
        Case("a window of one pixel: 0", x("pooling/4", 1, 3, 3, 2), None, {"size": 1}),
    ), images=True)  # fmt: skip
    yield Layer("layer_scale", layers.layer_scale, layers.layer_scale_backward, (
        Case("images", x("layer_scale/0", 2, 4, 4, 4), p("layer_scale/0", layer_scale_of(4))),
        Case("tokens, as many as channels", x("layer_scale/1", 2, 4, 4), p("layer_scale/1", layer_scale_of(4))),
        Case("as a new network has it", x("layer_scale/2", 1, 2, 3), LayerScale(np.full(3, np.float32(1e-5), np.float64))),
    ), images=True)  # fmt: skip
    yield Layer("relative_position_bias", layers.relative_position_bias, layers.relative_position_bias_backward, (
        Case("a square grid", x("relative_position_bias/0", 2, 3, 3)),
        Case("a grid that is not square", x("relative_position_bias/1", 3, 2, 4)),
        Case("one token", x("relative_position_bias/2", 2, 1, 1)),
    ))  # fmt: skip
    yield from blocks()


def blocks() -> Iterator[Layer]:
    """Yield the layers that are made of others."""
    yield Layer("attention", layers.attention, layers.attention_backward, (
        Case("keys and values of different widths", x("attention/0", 2, 6, 5), p("attention/0", attention_of(5, 3, 2, 4, 2, 3)), {"grid": [2, 3]}),
        Case("as many tokens as heads as channels: a wrong axis has the right shape", x("attention/1", 2, 4, 4), p("attention/1", attention_of(4, 4, 4, 4, 2, 2)), {"grid": [2, 2]}),
        Case("one head, one token", x("attention/2", 1, 1, 3), p("attention/2", attention_of(3, 1, 2, 2, 1, 1)), {"grid": [1, 1]}),
        Case("large scores: one token takes all", x("attention/3", 1, 4, 6, high=5), p("attention/3", attention_of(6, 2, 3, 3, 2, 2)), {"grid": [2, 2]}),
    ))  # fmt: skip
    yield Layer("mlp", layers.mlp, layers.mlp_backward, (
        Case("tokens", x("mlp/0", 2, 3, 4), p("mlp/0", mlp_of(4, 8)), {"activation": "gelu"}),
        Case("large numbers: the tail of the activation", x("mlp/1", 1, 3, 4, high=6), p("mlp/1", mlp_of(4, 16)), {"activation": "gelu"}),
    ))  # fmt: skip
    yield Layer("conv_mlp", layers.conv_mlp, layers.conv_mlp_backward, (
        Case("images", x("conv_mlp/0", 2, 3, 2, 4), p("conv_mlp/0", conv_mlp_of(4, 8)), {"activation": "gelu", "eps": 1e-5}),
        Case("training", x("conv_mlp/1", 3, 2, 2, 3), p("conv_mlp/1", conv_mlp_of(3, 6)), {"activation": "gelu", "eps": 1e-5}, training=True),
    ), images=True)  # fmt: skip
    scale = layer_scale_of(4)
    yield Layer("pooling_block", layers.pooling_block, layers.pooling_block_backward, (
        Case("images", x("pooling_block/0", 2, 3, 4, 4, high=2), p("pooling_block/0", PoolingBlock(scale, conv_mlp_of(4, 8), scale)), {"pool_size": 3, "activation": "gelu", "eps": 1e-5}),
        Case("without layer scale", x("pooling_block/1", 1, 3, 3, 4), p("pooling_block/1", PoolingBlock(None, conv_mlp_of(4, 8), None)), {"pool_size": 3, "activation": "gelu", "eps": 1e-5}),
        Case("training", x("pooling_block/2", 2, 3, 3, 4), p("pooling_block/2", PoolingBlock(scale, conv_mlp_of(4, 8), scale)), {"pool_size": 3, "activation": "gelu", "eps": 1e-5}, training=True),
    ), images=True)  # fmt: skip
    mixer = attention_of(4, 2, 3, 5, 2, 3)
    yield Layer("attention_block", layers.attention_block, layers.attention_block_backward, (
        Case("tokens", x("attention_block/0", 2, 6, 4, high=2), p("attention_block/0", attention_block_of(4, mixer, mlp_of(4, 8), scale, scale)), {"grid": [2, 3], "activation": "gelu", "eps": 1e-5}),
        Case("without layer scale", x("attention_block/1", 1, 6, 4), p("attention_block/1", attention_block_of(4, mixer, mlp_of(4, 8), None, None)), {"grid": [2, 3], "activation": "gelu", "eps": 1e-12}),
    ))  # fmt: skip
    yield Layer("downsample", layers.downsample, layers.downsample_backward, (
        Case("odd sides", x("downsample/0", 2, 5, 7, 3), p("downsample/0", downsample_of(3, 4)), {"stride": 2, "padding": 1, "eps": 1e-5}),
        Case("training", x("downsample/1", 2, 4, 6, 2), p("downsample/1", downsample_of(2, 3)), {"stride": 2, "padding": 1, "eps": 1e-5}, training=True),
    ), images=True)  # fmt: skip
    stem = stem_of(3, 2, 4)
    yield Layer("stem", layers.stem, layers.stem_backward, (
        Case("sides that are no multiple of 4", x("stem/0", 2, 9, 11, 3, high=2), p("stem/0", stem), {"eps": 1e-5}),
        Case("training", x("stem/1", 2, 8, 8, 3, high=2), p("stem/1", stem), {"eps": 1e-5}, training=True),
    ), images=True)  # fmt: skip


def x(name: str, *shape: int, high: float = 1.5) -> Array:
    """Draw an input; its numbers lie from −high to high."""
    return numbers(f"{name}/x", shape, -high, high)


def shifted(x: Array, by: float | Array) -> Array:
    """Add a number to an input, so that float32 still holds it exactly."""
    return (x + by).astype(np.float32).astype(np.float64)


def p(name: str, tree: Any) -> Any:
    """Draw parameters."""
    return parameters(f"{name}/p", tree)
