"""What a layer's result should be, and how far a right implementation may be from it.

A layer is taken apart into its elementary steps, and their bounds are composed: see
`npformer.testing.bounds`. The bounds of its gradients come from running it on arrays that carry
errors, and leading them back: see `npformer.testing.bounds.gradients`.
"""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple

import numpy as np

from ..layers import Array, Trace
from ..layers.precision import retyped
from ..network.tree import leaves
from .adapters.port import split
from .bounds import propagate
from .bounds.gradients import call_named, gradient_bounds
from .layer_steps import layer_steps
from .layer_table import BACKWARD, reference


class Right(NamedTuple):
    """The arrays of a right result, each with how far a number may be from it."""

    arrays: tuple[Array, ...]
    """float64"""
    bounds: tuple[Array, ...]
    """infinite where nothing can be said"""


def right_result(layer: str, args: tuple[Any, ...], dtype: str) -> Right:
    """Compute a layer in float64, with bounds for an implementation that computes in `dtype`.

    Parameters
    ----------
    layer : str
    args : tuple
        Positional arguments of the layer.
    dtype : {"float32", "float64"}

    Returns
    -------
    Right
    """
    with np.errstate(all="ignore"):
        if layer in BACKWARD:
            return _gradient(layer, args, dtype)
        result = reference(layer)(*(retyped(arg, np.float32, np.float64) for arg in args))
        arrays = tuple(np.asarray(leaf) for _, leaf in leaves(result))
        x, p, options = split(layer, args)
        chain = layer_steps(layer, p, options)
        estimate = propagate(chain, {"x": x}, dtype)[chain[-1].path]
        return Right(arrays, (estimate.bound(),))


def _gradient(layer: str, args: tuple[Any, ...], dtype: str) -> Right:
    """The same of a gradient, whose tape is recorded anew: the one that is given has been rounded.

    An implementation may use that tape or compute what it needs from x, in any right way.
    """
    function, forward = reference(layer), reference(layer.removesuffix("_backward"))
    exact = (retyped(arg, np.float32, np.float64) for arg in args)
    values = dict(zip(inspect.signature(function).parameters, exact, strict=False))
    if "tape" in values:
        tape = Trace()
        call_named(forward, values | {"run": tape})
        values["tape"] = tape
    result = function(*values.values())
    bounds = gradient_bounds(forward, values, dtype)
    arrays = tuple(np.asarray(leaf) for _, leaf in leaves(result))
    return Right(arrays, tuple(bounds.values()))
