"""A function on NumPy arrays, or one whose results NumPy can read (JAX, lists, a ufunc …)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ...checks import require
from ...layers import Array
from ...network.tree import build, leaves
from ..array_strategies import LAYOUTS
from ..layer_strategies import arguments
from ..layer_table import BACKWARD, LAYERS
from .names import skeleton, torch_axes
from .port import Port, channels_first, channels_last, default_options, split, tokens_of


@dataclass(frozen=True)
class Function:
    """A function on arrays.

    With the defaults it is called as npformer's layer is: ``theirs(x, p, eps)``.

    Attributes
    ----------
    channels : {"last", "first"}
        Where the channels of images are, in the input and in the result.
    weights : {"npformer", "torch"}
        The axes of weights: (in, out) and (kh, kw, in, out), or PyTorch's (out, in) and
        (out, in, kh, kw), with attention biases as (heads, N).
    parameters : {"tuple", "dict", "separate"}
        Whether the parameters are passed as npformer's NamedTuple; as a dictionary, by timm's names
        such as ``"qkv.weight"``; or one by one, in the order of that dictionary.
    dtypes : tuple of str
        In which types the function computes; it is called with arrays of each.
    """

    channels: Literal["last", "first"] = "last"
    weights: Literal["npformer", "torch"] = "npformer"
    parameters: Literal["tuple", "dict", "separate"] = "tuple"
    dtypes: tuple[str, ...] = ("float32", "float64")

    def port(self, layer: str, theirs: Any, options: Mapping[str, Any]) -> Port:
        """Make the function callable as npformer's layer is.

        Options that the function takes, by name or by place, are drawn. The others have the value
        given in `options`, or npformer's default.

        Parameters
        ----------
        layer : str
        theirs : callable
        options : mapping

        Returns
        -------
        Port

        Raises
        ------
        ConfigError
            If it is no function, or the layer has no such option.
        """
        require(callable(theirs), "theirs", theirs, "a function, or an adapter for what it is")
        fixed = default_options(layer, options)
        if layer in BACKWARD:
            plain = (self.channels, self.weights, self.parameters) == ("last", "npformer", "tuple")
            require(plain, "adapter", self,
                    "Function() for a gradient, which has npformer's axes")  # fmt: skip
            return Port(theirs, lambda dtype: arguments(layer, dtype), self.dtypes, False)
        by_name, by_place = taken_options(layer, theirs)
        taken = {*by_name, *by_place}
        fixed = {name: v for name, v in fixed.items() if name in options or name not in taken}

        def function(*args: Any) -> Any:
            x, p, values = split(layer, args)
            passed = [values[name] for name in by_place if name in values]
            named = {name: values[name] for name in by_name if name in values}
            y = theirs(*self._arrays(layer, x, p), *passed, **named)
            return channels_last(np.asarray(y)) if self.channels == "first" else y

        return Port(
            function,
            lambda dtype: arguments(
                layer,
                dtype,
                options=fixed,
                layouts=LAYOUTS,
                shape=tokens_of(layer) if self.channels == "first" else None,
            ),
            self.dtypes,
            any_size=not fixed,
        )

    def _arrays(self, layer: str, x: Array, p: Any) -> list[Any]:
        """Return input and parameters as the function wants them."""
        arrays = [channels_first(x) if self.channels == "first" else x]
        if skeleton(layer) is None:
            return arrays
        if self.weights == "torch":
            p = build(torch_axes, p)
        if self.parameters == "tuple":
            return [*arrays, p]
        named = dict(leaves(p))
        return [*arrays, named] if self.parameters == "dict" else [*arrays, *named.values()]


def taken_options(layer: str, function: Callable[..., Any]) -> tuple[list[str], list[str]]:
    """Return the options of a layer that a function takes by name, or else those by place.

    A function of which Python does not know the arguments takes none.
    """
    options = list(LAYERS[layer].options)
    try:
        theirs = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return [], []
    if named := [p.name for p in theirs if p.name in options and p.kind is not p.POSITIONAL_ONLY]:
        return named, []
    if any(p.kind is p.VAR_POSITIONAL for p in theirs):
        return [], options
    places = sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in theirs)
    return [], options[: max(0, places - 1 - (skeleton(layer) is not None))]
