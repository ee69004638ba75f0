"""What a layer's result should be, and how far a right implementation may be from it.

A layer is taken apart into its elementary steps, and their bounds are composed: see
`npformer.testing.bounds`. For gradients no bound has been derived. They may differ by what
`npformer.check` allows, and inputs count only where npformer's own gradient in the same type is
well within that.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from ..layers import ACTIVATIONS, Array, Trace
from ..layers.precision import retyped
from ..network.tree import leaves
from ..teach.cases import FLOAT32_TOLERANCE, FLOAT64_TOLERANCE
from .adapters.port import split
from .bounds import propagate
from .layer_strategies import BACKWARD, reference
from .steps import Step, Steps, _attention, _block, _mlp, _one, _pooling, _scale, _stem

WELL = 0.1
"""How much of what a gradient may differ by npformer's own may, for an input to count."""


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
        result = reference(layer)(*(in_double(arg) for arg in args))
        arrays = tuple(np.asarray(leaf) for _, leaf in leaves(result))
        if layer in BACKWARD:
            return Right(arrays, _of_gradient(layer, args, arrays, dtype))
        chain = layer_steps(layer, args)
        estimate = propagate(chain, {"x": args[0]}, dtype)[chain[-1].path]
        return Right(arrays, (estimate.bound(),))


def in_double(arg: Any) -> Any:
    """Return an argument with its arrays in float64, those on a tape too."""
    if not isinstance(arg, Trace):
        return retyped(arg, np.float32, np.float64)
    tape = Trace()
    for path, array in arg.items():
        tape(path, retyped(array, np.float32, np.float64))
    return tape


def layer_steps(layer: str, args: tuple[Any, ...]) -> tuple[Step, ...]:
    """Take a layer apart into elementary steps that read the array ``x``."""
    _, p, options = split(layer, args)
    return tuple(_steps(layer, p, options))


def _steps(layer: str, p: Any, options: dict[str, Any]) -> Steps:
    names = {function: name for name, function in ACTIVATIONS.items()}
    config: Any = SimpleNamespace(
        hidden_act=names[options.get("activation", ACTIVATIONS["gelu"])],
        layer_norm_eps=options.get("eps", 1e-12),
        batch_norm_eps=options.get("eps", 1e-5),
        pool_size=options.get("pool_size", 3),
    )
    if layer in ("gelu", "relu"):
        return (yield from _one("y", "activation", "x", name=layer))
    if layer == "pooling":
        return (yield from _pooling("x", "y", options.get("size", 3)))
    if layer == "layer_scale":
        return (yield from _scale("x", "y", p))
    if layer == "attention":
        return (yield from _attention("x", "y", p))
    if layer in ("mlp", "conv_mlp"):
        return (yield from _mlp("x", "y", p, config))
    if layer in ("pooling_block", "attention_block"):
        return (yield from _block("x", "y", p, config))
    if layer == "stem":
        return (yield from _stem("x", "y", p, config.batch_norm_eps))
    if layer == "downsample":
        window = {"stride": options.get("stride", 2), "padding": options.get("padding", 1)}
        x = yield from _one("conv", "conv2d", "x", params=p.conv, **window)
        return (yield from _one("y", "batch_norm", x, params=p.norm, eps=config.batch_norm_eps))
    return (yield from _one("y", layer, "x", params=p, **_defaults(layer, options)))


def _defaults(layer: str, options: dict[str, Any]) -> dict[str, Any]:
    """The ε of a norm is an option that its bound has to know."""
    eps = {"batch_norm": 1e-5, "layer_norm": 1e-12}
    return {"eps": eps[layer], **options} if layer in eps else options


def _of_gradient(
    layer: str, args: tuple[Any, ...], arrays: tuple[Array, ...], dtype: str
) -> tuple[Array, ...]:
    share = FLOAT64_TOLERANCE if dtype == "float64" else FLOAT32_TOLERANCE
    ours = reference(layer)(*args)
    limits = []
    for array, (_, own) in zip(arrays, leaves(ours), strict=True):
        limit = np.full(array.shape, share * max(1.0, np.abs(array).max(initial=0.0)))
        ill = ~(np.abs(own - array) <= WELL * limit)
        limits.append(np.where(ill.any(), np.inf, limit))
    return tuple(limits)
