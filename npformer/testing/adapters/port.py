"""What an adapter makes of somebody's implementation: a function called as npformer's layer is."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from ...checks import require
from ...files.optional import optional
from ...layers import Array
from ..layer_strategies import arguments
from ..layer_table import BACKWARD, LAYERS, Shape, reference

with optional("hypothesis", "drawing test data", "npformer[testing]"):
    from hypothesis.strategies import SearchStrategy


class Port(NamedTuple):
    """Somebody's implementation of a layer."""

    function: Callable[..., Any]
    """takes the arguments of ``npformer.layers.<layer>`` by position, and returns what it does"""
    draw: Callable[[str], SearchStrategy[tuple[Any, ...]]]
    """the strategy of arguments for it, by dtype"""
    dtypes: tuple[str, ...]
    """in which types it computes"""
    any_size: bool
    """whether it takes parameters of any size, and so can be asked whether it keeps the laws"""


class Adapter(Protocol):
    """How to call an implementation of some kind."""

    def port(self, layer: str, theirs: Any, options: Mapping[str, Any]) -> Port:
        """Make an implementation callable as npformer's layer is.

        Parameters
        ----------
        layer : str
            Name of npformer's layer.
        theirs : object
            The implementation.
        options : mapping
            Options of the layer, such as ``eps``, that the implementation was made with.
        """
        ...


def default_options(layer: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return all options of a layer: those given, and npformer's defaults.

    Raises
    ------
    ConfigError
        If the layer has no such option.
    """
    check_options(layer, options)
    forward = layer.removesuffix("_backward")
    signature = inspect.signature(reference(forward)).parameters
    return {name: options.get(name, signature[name].default) for name in LAYERS[forward].options}


def check_options(layer: str, options: Mapping[str, Any]) -> None:
    """Refuse options that a layer does not have.

    Raises
    ------
    ConfigError
        Naming those that it has.
    """
    known = LAYERS[layer.removesuffix("_backward")].options
    for name in options:
        names = f"one of {', '.join(known)}" if known else f"none, since {layer} has no options"
        require(name in known, "an option", name, names)


def of_fixed_size(
    layer: str,
    options: Mapping[str, Any],
    *,
    p: Any = None,
    like: Any = None,
    shape: Shape | None = None,
) -> Callable[[str], SearchStrategy[tuple[Any, ...]]]:
    """Return the strategy of an implementation whose sizes and options are given.

    Parameters
    ----------
    layer, options, p, like, shape
        As in `npformer.testing.arguments`; `options` are all that there are.
    """
    return lambda dtype: arguments(
        layer, dtype, p=p, like=like, options=options, shape=shape, layouts=("C",)
    )


def tokens_of(layer: str) -> Shape | None:
    """Return the axes (B, N, C) for a linear layer, whose input may else be taken for images."""
    return (None, None, None) if layer.startswith("linear") else None


def split(layer: str, args: tuple[Any, ...]) -> tuple[Array, Any, dict[str, Any]]:
    """Split the arguments of a layer into its input, its parameters and its options."""
    names = list(inspect.signature(reference(layer)).parameters)
    x, *rest = args
    p = rest.pop(0) if "p" in names else None
    return x, p, dict(zip(LAYERS[layer].options, rest, strict=False))


def forward_only(layer: str, kind: str) -> None:
    """Refuse a backward function where only the layer itself can be called.

    Raises
    ------
    ConfigError
        If it is one.
    """
    require(layer not in BACKWARD, "layer", layer,
            f"a layer, not its gradient, of {kind}")  # fmt: skip


def channels_first(x: Array) -> Array:
    """Images (B, H, W, C) -> (B, C, H, W), in memory of their own; tokens as they are."""
    return np.ascontiguousarray(np.moveaxis(x, -1, 1)) if x.ndim == 4 else np.ascontiguousarray(x)


def channels_last(x: Array) -> Array:
    """Images (B, C, H, W) -> (B, H, W, C); tokens as they are."""
    return np.moveaxis(x, 1, -1) if x.ndim == 4 else x
