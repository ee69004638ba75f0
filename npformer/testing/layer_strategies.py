"""Hypothesis strategies for the parameters and the inputs of each layer.

`arguments` draws what a layer is called with: sizes from 1 up, parameters, an input that fits them,
and options such as a stride. `parameters` draws the parameters alone, and `parameters_like` those
of sizes that are given. The table `npformer.testing.layer_table.LAYERS` says how each layer's sizes
hang together.

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
from typing import Any

import numpy as np

from ..files.optional import optional
from ..layers import Array, Trace
from ..network.tree import build
from .array_strategies import LAYOUTS, arrange, odd_arrays, seeds
from .layer_table import BACKWARD, LAYERS, Shape, reference

with optional("hypothesis", "drawing test data", "npformer[testing]"):
    from hypothesis import strategies as st


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
