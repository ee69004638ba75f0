"""Hypothesis strategies for the parameters and the inputs of each layer.

`arguments` draws what a layer is called with: sizes from 1 up, parameters, an input that fits them,
and options such as a stride. `parameters` draws the parameters alone, and `parameters_like` those
of sizes that are given. The table `LAYERS` says how each layer's sizes hang together.

    from hypothesis import given
    from npformer.testing import arguments

    @given(arguments("attention"))
    def test_attention(args):
        x, p = args
        ...
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from math import sqrt
from typing import Any, NamedTuple

import numpy as np

from ..checks import require
from ..files.optional import optional
from ..layers import (
    Array,
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
    PoolingBlock,
    Stem,
    Trace,
    gelu,
    relu,
)
from ..layers.more_activations import silu
from ..network.params import ParamSpec
from ..network.tree import build
from ..teach.mistakes import EXERCISES
from .array_strategies import LAYOUTS, arrange, odd_arrays, seeds, sizes

with optional("hypothesis", "drawing test data", "npformer[testing]"):
    from hypothesis import strategies as st

spec: Any = ParamSpec  # stands where an array will be

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


def _conv(C_in: int, C_out: int, kh: int = 1, kw: int = 1) -> Conv2d:
    return Conv2d(spec((kh, kw, C_in, C_out)), spec((C_out,)))


def _dense(C_in: int, C_out: int) -> Linear:
    return Linear(spec((C_in, C_out)), spec((C_out,)))


def _batch_norm(C: int) -> BatchNorm:
    return BatchNorm(*(spec((C,)) for _ in range(4)))


def _layer_norm(C: int) -> LayerNorm:
    return LayerNorm(spec((C,)), spec((C,)))


def _layer_scale(draw: st.DrawFn, C: int) -> LayerScale | None:
    return draw(st.sampled_from([LayerScale(spec((C,))), None]))


def _attention(draw: st.DrawFn, C: int) -> Attention:
    heads, K, V, rows, columns = (draw(sizes(1, 3)) for _ in range(5))
    return Attention(
        _dense(C, heads * (2 * K + V)), _dense(heads * V, C), spec((heads, rows, columns))
    )


def _mlp(draw: st.DrawFn, C: int) -> Mlp:
    wide = draw(sizes(1, 8))
    return Mlp(_dense(C, wide), _dense(wide, C))


def _conv_mlp(draw: st.DrawFn, C: int) -> ConvMlp:
    wide = draw(sizes(1, 8))
    return ConvMlp(_conv(C, wide), _batch_norm(wide), _conv(wide, C), _batch_norm(C))


def _stem(draw: st.DrawFn) -> Stem:
    C_in, half, C = (draw(sizes(1, 3)) for _ in range(3))
    return Stem(_conv(C_in, half, 3, 3), _batch_norm(half), _conv(half, C, 3, 3), _batch_norm(C))


def _kernel(draw: st.DrawFn) -> Conv2d:
    return _conv(*(draw(sizes(1, 3)) for _ in range(4)))


def _downsample(draw: st.DrawFn) -> Downsample:
    C_in, C, k = (draw(sizes(1, 3)) for _ in range(3))
    return Downsample(_conv(C_in, C, k, k), _batch_norm(C))


def _pooling_block(draw: st.DrawFn) -> PoolingBlock:
    C = draw(sizes(1, 4))
    return PoolingBlock(_layer_scale(draw, C), _conv_mlp(draw, C), _layer_scale(draw, C))


def _attention_block(draw: st.DrawFn) -> AttentionBlock:
    C = draw(sizes(1, 4))
    return AttentionBlock(
        _layer_norm(C), _attention(draw, C), _layer_scale(draw, C),
        _layer_norm(C), _mlp(draw, C), _layer_scale(draw, C),
    )  # fmt: skip


def _grid(p: Attention) -> int:
    return int(np.prod(p.attention_biases.shape[1:3]))


_EPS = st.sampled_from([1e-5, 1e-12, 1e-2])
_ACTIVATION = st.sampled_from([gelu, relu, silu])
_WINDOW = st.sampled_from([3, 1, 5])

LAYERS: dict[str, Sizes] = {
    "linear": Sizes(lambda d: _dense(d(sizes()), d(sizes())), lambda p: (p.weight.shape[0],)),
    "conv2d": Sizes(
        _kernel,
        lambda p: (None, None, None, p.weight.shape[2]),
        {"stride": st.integers(1, 3), "padding": st.integers(0, 2)},
    ),
    "batch_norm": Sizes(
        lambda d: _batch_norm(d(sizes())), lambda p: (None, None, None, len(p.bias)), {"eps": _EPS}
    ),
    "layer_norm": Sizes(
        lambda d: _layer_norm(d(sizes(1, 8))), lambda p: (None, None, len(p.bias)), {"eps": _EPS}
    ),
    "layer_scale": Sizes(
        lambda d: _layer_scale(d, d(sizes())), lambda p: (None, None, len(p.gamma) if p else None)
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


@st.composite
def parameters_like(draw: st.DrawFn, tree: Any, dtype: str = "float32") -> Any:
    """Draw parameters of the sizes of other parameters.

    Parameters
    ----------
    tree : NamedTuple, tuple, ndarray or None
        Whose leaves have shapes: parameters, or what `npformer.network.params.param_specs` returns.
    dtype : str

    Returns
    -------
    strategy of the same tree
        Small whole numbers; normal numbers, smaller in larger matrices; or eight times as large.
        Variances are positive. All are exact in float32, and read-only.
    """
    kind = draw(st.sampled_from(["whole", "normal", "large"]))
    rng = np.random.default_rng(draw(seeds))

    def fill(path: str, leaf: Any) -> Array:
        shape = leaf.shape
        if path.endswith("running_var"):
            array = rng.integers(1, 4, shape) if kind == "whole" else rng.uniform(0.1, 2, shape)
        elif kind == "whole":
            array = rng.integers(-2, 3, shape)
        else:
            inputs = np.prod(shape[:-1]) if len(shape) > 1 else 1
            array = rng.standard_normal(shape) / sqrt(inputs) * (8 if kind == "large" else 1)
        return arrange(array.astype(np.float32).astype(dtype), "C")

    return build(fill, tree)


@st.composite
def parameters(draw: st.DrawFn, layer: str, dtype: str = "float32") -> Any:
    """Draw the parameters of a layer, of any small size.

    Parameters
    ----------
    layer : str
        A key of `LAYERS`.
    dtype : str

    Returns
    -------
    strategy of NamedTuple or None
        None for a layer without parameters.

    Raises
    ------
    ConfigError
        If there is no such layer.
    """
    reference(layer)
    return draw(parameters_like(LAYERS[layer].parameters(draw), dtype))


@st.composite
def arguments(
    draw: st.DrawFn,
    layer: str,
    dtype: str | None = None,
    *,
    p: Any = None,
    like: Any = None,
    options: Mapping[str, Any] | None = None,
    shape: Shape | None = None,
    layouts: tuple[str, ...] = LAYOUTS,
) -> tuple[Any, ...]:
    """Draw what a layer is called with.

    Parameters
    ----------
    layer : str
        A key of `LAYERS`, or one of `BACKWARD`.
    dtype : str, optional
        Of all arrays; float32 or float64 if not given.
    p : NamedTuple, optional
        These parameters themselves, in place of drawn ones.
    like : NamedTuple, optional
        Draw parameters of these sizes.
    options : mapping, optional
        Values of options by name; all others are drawn.
    shape : tuple of int or None, optional
        Shape of the input; the axes that are None are drawn.
    layouts : tuple of str
        Arrangements of the input in memory.

    Returns
    -------
    strategy of tuple
        Positional arguments of ``npformer.layers.<layer>``, without `run`.

    Raises
    ------
    ConfigError
        If there is no such layer.
    """
    function = reference(layer)
    if layer in BACKWARD:
        forward = layer.removesuffix("_backward")
        drawn = draw(
            arguments(forward, dtype, p=p, like=like, options=options, shape=shape, layouts=("C",))
        )
        return draw(_backward(forward, function, drawn))
    table = LAYERS[layer]
    dtype = dtype or draw(st.sampled_from(["float32", "float64"]))
    if p is None:
        p = draw(parameters_like(table.parameters(draw) if like is None else like, dtype))
    values = {
        name: options[name] if options is not None and name in options else draw(strategy)
        for name, strategy in table.options.items()
    }
    x = draw(odd_arrays(*_shape(draw, layer, p, values, shape), dtype=dtype, layouts=layouts))
    has_parameters = "p" in inspect.signature(function).parameters
    return (x, p, *values.values()) if has_parameters else (x, *values.values())


def _shape(
    draw: st.DrawFn, layer: str, p: Any, options: dict[str, Any], shape: Shape | None
) -> list[int]:
    """Draw the shape of an input, large enough for the kernel that it meets."""
    wanted = LAYERS[layer].shape(p)
    if layer == "linear":  # of any number of axes
        middle = (None,) * (draw(st.integers(0, 2)) if shape is None else len(shape) - 2)
        wanted = (None, *middle, *wanted)
    if shape is not None:
        wanted = tuple(b if a is None else a for a, b in zip(wanted, shape, strict=True))
    kernel = p.conv if layer == "downsample" else p
    least = [1] * len(wanted)
    if layer in ("conv2d", "downsample"):
        least[1:3] = [max(1, k - 2 * options["padding"]) for k in kernel.weight.shape[:2]]
    return [
        draw(st.integers(low, low + (2 if i == 0 else 5))) if length is None else length
        for i, (low, length) in enumerate(zip(least, wanted, strict=True))
    ]


@st.composite
def _backward(
    draw: st.DrawFn, forward: str, function: Callable[..., Any], drawn: tuple[Any, ...]
) -> tuple[Any, ...]:
    """Draw the gradient of a result, and put together the arguments of a backward function."""
    layer = reference(forward)
    names = inspect.signature(layer).parameters
    tape = Trace()
    y = layer(*drawn, run=tape) if "run" in names else layer(*drawn)
    dy = draw(odd_arrays(*y.shape, dtype=y.dtype.name, kinds=("few", "normal"), layouts=("C",)))
    known = dict(zip(names, drawn, strict=False)) | {"dy": dy, "y": y, "tape": tape}
    wanted = inspect.signature(function).parameters
    return tuple(known[name] for name in wanted if name in known)
