"""Bounds of a layer's gradients: the layer is run on arrays that carry errors, and led back.

A right gradient comes from any right forward pass, in any order of summation, so the errors of the
forward pass count too. A number is right within the worst case that `carried_array` derives, or
within what random roundings do to it, whichever is less; `ALTERNATIVES` times, for whoever folds,
fuses or expands a formula has other steps. Where a ReLU lets a gradient pass or not as rounding
decides, a few random roundings may all agree: there the worst case alone counts. Where that has no
bound, as where a layer norm divides 0 by 0, nothing can be said.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from ...layers import (
    DERIVATIVES,
    EVALUATION,
    Activation,
    Array,
    Mode,
    Trace,
    gelu,
    relu,
    softmax,
    softmax_backward,
    stem,
)
from ...network.tree import leaves, transform
from .carried import CERTAINTY, Carried, activated, carried, gradients

ALTERNATIVES = 2.0
"""How many times as much as in the plain layers may be rounded: whoever folds, fuses or expands a
formula has other steps, but not more of them in a row."""
SMALLEST = 2.0**-120
"""Added to each bound: numbers below 2⁻¹²⁶ are often flushed to zero."""
FLOAT64_REACH = 2.0**-28
"""A bound of float64, relative to that of float32: 2⁻²⁹ for the units, twice, for the expected
values were themselves computed in float64."""
FOLDED = ("conv", "fc")
"""Beginnings of the names of results that vanish where a batch norm is folded into what it follows.
All others are stored as they are by everybody."""

SAMPLES = 8
"""How often roundings are made at random."""
ENOUGH = 2.0**-14
"""Relative to the largest number of a gradient."""

Function: TypeAlias = Callable[..., Any]
Random: TypeAlias = "np.random.RandomState | None"


class Stored(Trace):
    """A run on arrays that carry errors, which knows what everybody stores as it is.

    Parameters
    ----------
    activation : callable
        What is passed under ``act``. It is applied anew: the plain layers compute erf by a fraction
        whose rounding is not that of other libraries.
    mode : Mode
    """

    def __init__(self, activation: Activation, mode: Mode) -> None:
        super().__init__(mode=mode)
        self.activation = activation
        self.last: list[Any] = [None]
        """what was passed last, also by those within"""

    def __call__(self, name: str, value: Any, /) -> Any:
        """Record a result, and return it."""
        if name == "act" and self.activation is not relu:
            value = activated(self.last[0], self.activation)
        elif isinstance(value, Carried) and not name.startswith(FOLDED):
            value = value.settled()
        self.last[0] = value
        return super().__call__(name, value)


def gradient_bounds(
    layer: Function, values: Mapping[str, Any], dtype: str = "float32"
) -> dict[str, Array]:
    """Return how far a right gradient of a layer may be from the exact one.

    Parameters
    ----------
    layer : callable
        The layer itself, a function of `npformer.layers`.
    values : mapping of str to object
        The arguments of its backward function by name: dy, x, p and options. A layer that is linear
        in x needs none; softmax has y in its place.
    dtype : {"float32", "float64"}
        What the implementation computes in.

    Returns
    -------
    dict of str to ndarray
        ``dx``, and ``dp.PATH`` for each parameter. Infinite where nothing can be said.
    """
    p = transform(np.asarray, values.get("p"))
    x = values.get("y") if layer is softmax else values.get("x", np.zeros_like(values["dy"]))

    def near(random: Random) -> dict[str, Carried]:
        dy, given = carried(values["dy"], random), carried(x, random)
        if layer is softmax:
            return {"dx": softmax_backward(dy, given)}  # type: ignore[dict-item, arg-type]
        held = transform(lambda a: carried(a, random), p)
        y = call_carried(layer, {**values, "x": given, "p": held})
        return led_back(y, dy, given, held)

    with np.errstate(all="ignore"):
        found = near(None)
        worst = {name: array.error for name, array in found.items()}
        if _is_smooth(layer, values) and not all(map(_is_small, found.values())):
            exact = {name: array.value for name, array in found.items()}
            spreads = spread_of(exact, near)
            worst = {
                name: np.where(np.isfinite(error), np.fmin(error, spreads[name]), np.inf)
                for name, error in worst.items()
            }
    reach = FLOAT64_REACH if dtype == "float64" else 1.0
    return {
        name: np.full_like(error, SMALLEST)  # not learned, and so exactly 0
        if "running" in name
        else np.nan_to_num(reach * (ALTERNATIVES * error + SMALLEST), nan=np.inf, posinf=np.inf)
        for name, error in worst.items()
    }


def _is_smooth(layer: Function, values: Mapping[str, Any]) -> bool:
    """Whether no gradient passes or not as rounding decides, which a few samples may not see."""
    return layer not in (relu, stem) and values.get("activation") is not relu


def _is_small(found: Carried) -> bool:
    """Whether the worst case leaves a gradient four digits, so that no better bound is needed."""
    return bool((found.error <= ENOUGH * np.abs(found.value).max(initial=0)).all())


def spread_of(exact: Mapping[str, Array], near: Callable[[Random], Any]) -> dict[str, Array]:
    """Return λ standard deviations of what random roundings do to each number.

    Parameters
    ----------
    exact : mapping of str to ndarray
        What comes out without rounding.
    near : callable
        Computes the same, as `Carried` arrays, with a source of random roundings.

    Returns
    -------
    dict of str to ndarray
    """
    squares = {name: np.zeros(array.shape) for name, array in exact.items()}
    for seed in range(SAMPLES):
        sample = near(np.random.RandomState(seed))
        for name, square in squares.items():
            square += np.square(sample[name].value - exact[name]) / SAMPLES
    # A few samples may all be small by chance, but not those of a whole array.
    return {
        name: CERTAINTY * np.sqrt((square + square.mean()) / 2) for name, square in squares.items()
    }


def call_carried(layer: Function, values: Mapping[str, Any], mode: Mode = EVALUATION.mode) -> Any:
    """Run a layer on arrays that carry errors; `values` are its arguments by name."""
    if layer in DERIVATIVES and layer is not relu:
        return activated(values["x"], layer)
    run = Stored(values.get("activation", gelu), mode)
    return call_named(layer, {**values, "run": run})


def call_named(function: Function, values: Mapping[str, Any]) -> Any:
    """Call a layer with those of the values that it has arguments for."""
    names = inspect.signature(function).parameters
    return function(**{name: values[name] for name in names if name in values})


def led_back(y: Any, dy: Carried, x: Carried, p: Any) -> dict[str, Carried]:
    """Lead a gradient back to the input and the parameters; by the names of the gradients."""
    sources = {"dx": x, **{f"dp.{path}": leaf for path, leaf in leaves(p)}}
    return dict(zip(sources, gradients(y, dy, sources.values()), strict=True))
