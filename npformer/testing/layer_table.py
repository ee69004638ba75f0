"""The layers that can be drawn and checked, and how the sizes of each hang together.

`LAYERS` says for each layer how the sizes of its parameters are drawn, which inputs fit them, and
which further arguments it takes. `layer_strategies` draws by it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..checks import require
from ..files.optional import optional
from ..layers import (
    Attention,
    AttentionBlock,
    Conv2d,
    ConvMlp,
    Downsample,
    LayerScale,
    Mlp,
    PoolingBlock,
    Stem,
    gelu,
    relu,
)
from ..layers.more_activations import silu
from ..teach.mistakes import EXERCISES
from .array_strategies import sizes
from .layer_shapes import (
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

with optional("hypothesis", "drawing test data", "npformer[testing]"):
    from hypothesis import strategies as st

Shape = tuple[int | None, ...]
"""The shape of an input; None is an axis of any length."""


class Sizes(NamedTuple):
    """How the sizes of a layer hang together."""

    parameters: Callable[[st.DrawFn], Any]
    """draws the sizes of the parameters: their tree, with a `ParamSpec` in place of each array"""
    shape: Callable[[Any], Shape]
    """the shape of the input, by the parameters"""
    options: dict[str, st.SearchStrategy[Any]] = {}  # noqa: RUF012 - never changed
    """the further arguments of the layer, in order"""


def _scale(draw: st.DrawFn, C: int) -> LayerScale | None:
    return draw(st.sampled_from([layer_scale_of(C), None]))


def _attention(draw: st.DrawFn, C: int) -> Attention:
    return attention_of(C, *(draw(sizes(1, 3)) for _ in range(5)))


def _mlp(draw: st.DrawFn, C: int) -> Mlp:
    return mlp_of(C, draw(sizes(1, 8)))


def _conv_mlp(draw: st.DrawFn, C: int) -> ConvMlp:
    return conv_mlp_of(C, draw(sizes(1, 8)))


def _stem(draw: st.DrawFn) -> Stem:
    return stem_of(*(draw(sizes(1, 3)) for _ in range(3)))


def _kernel(draw: st.DrawFn) -> Conv2d:
    return conv_of(*(draw(sizes(1, 3)) for _ in range(4)))


def _downsample(draw: st.DrawFn) -> Downsample:
    return downsample_of(*(draw(sizes(1, 3)) for _ in range(3)))


def _pooling_block(draw: st.DrawFn) -> PoolingBlock:
    C = draw(sizes(1, 4))
    return PoolingBlock(_scale(draw, C), _conv_mlp(draw, C), _scale(draw, C))


def _attention_block(draw: st.DrawFn) -> AttentionBlock:
    C = draw(sizes(1, 4))
    mixer, ls1, mlp, ls2 = _attention(draw, C), _scale(draw, C), _mlp(draw, C), _scale(draw, C)
    return attention_block_of(C, mixer, mlp, ls1, ls2)


def _grid(p: Attention) -> int:
    return int(np.prod(p.attention_biases.shape[1:3]))


_EPS = st.sampled_from([1e-5, 1e-12, 1e-2])
_ACTIVATION = st.sampled_from([gelu, relu, silu])
_WINDOW = st.sampled_from([3, 1, 5])

LAYERS: dict[str, Sizes] = {
    "linear": Sizes(lambda d: linear_of(d(sizes()), d(sizes())), lambda p: (p.weight.shape[0],)),
    "conv2d": Sizes(
        _kernel,
        lambda p: (None, None, None, p.weight.shape[2]),
        {"stride": st.integers(1, 3), "padding": st.integers(0, 2)},
    ),
    "batch_norm": Sizes(
        lambda d: batch_norm_of(d(sizes())),
        lambda p: (None, None, None, len(p.bias)),
        {"eps": _EPS},
    ),
    "layer_norm": Sizes(
        lambda d: layer_norm_of(d(sizes(1, 8))), lambda p: (None, None, len(p.bias)), {"eps": _EPS}
    ),
    "layer_scale": Sizes(
        lambda d: _scale(d, d(sizes())), lambda p: (None, None, len(p.gamma) if p else None)
    ),
    "gelu": Sizes(lambda d: None, lambda p: (None, None, None)),
    "relu": Sizes(lambda d: None, lambda p: (None, None, None)),
    "softmax": Sizes(lambda d: None, lambda p: (None, None, None)),
    "average_pool": Sizes(lambda d: None, lambda p: (None,) * 4, {"size": _WINDOW}),
    "pooling": Sizes(lambda d: None, lambda p: (None,) * 4, {"size": _WINDOW}),
    "attention": Sizes(
        lambda d: _attention(d, d(sizes(1, 4))), lambda p: (None, _grid(p), len(p.qkv.weight))
    ),
    "mlp": Sizes(
        lambda d: _mlp(d, d(sizes())),
        lambda p: (None, None, len(p.fc1.weight)),
        {"activation": _ACTIVATION},
    ),
    "conv_mlp": Sizes(
        lambda d: _conv_mlp(d, d(sizes(1, 4))),
        lambda p: (None, None, None, p.fc1.weight.shape[2]),
        {"activation": _ACTIVATION, "eps": _EPS},
    ),
    "pooling_block": Sizes(
        _pooling_block,
        lambda p: (None, None, None, p.mlp.fc1.weight.shape[2]),
        {"pool_size": _WINDOW, "activation": _ACTIVATION, "eps": _EPS},
    ),
    "attention_block": Sizes(
        _attention_block,
        lambda p: (None, _grid(p.token_mixer), len(p.norm1.bias)),
        {"activation": _ACTIVATION, "eps": _EPS},
    ),
    "stem": Sizes(
        _stem, lambda p: (None, None, None, p.conv1.weight.shape[2]), {"eps": _EPS}
    ),
    "downsample": Sizes(
        _downsample,
        lambda p: (None, None, None, p.conv.weight.shape[2]),
        {"stride": st.integers(1, 3), "padding": st.integers(0, 2), "eps": _EPS},
    ),
}  # fmt: skip
"""Every layer that can be drawn, by the name of its function."""

BACKWARD = tuple(f"{layer}_backward" for layer in LAYERS if f"{layer}_backward" in EXERCISES)
"""The backward functions that can be drawn."""


def reference(layer: str) -> Callable[..., Any]:
    """Return npformer's function of a layer.

    Parameters
    ----------
    layer : str
        A key of `LAYERS`, or one of `BACKWARD`.

    Raises
    ------
    ConfigError
        If there is no such layer; the message lists all.
    """
    known = (*LAYERS, *BACKWARD)
    require(layer in known, "layer", layer, f"one of {', '.join(known)}")
    return EXERCISES[layer].reference
