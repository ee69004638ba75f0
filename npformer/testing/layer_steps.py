"""A layer of `npformer.layers`, taken apart into elementary steps that read the array ``x``."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ..layers import ACTIVATIONS
from .steps import Step, Steps, _attention, _block, _mlp, _one, _pooling, _scale, _stem


def layer_steps(layer: str, p: Any, options: dict[str, Any]) -> tuple[Step, ...]:
    """Take a layer apart.

    Parameters
    ----------
    layer : str
        Name of its function, or of an activation.
    p : NamedTuple or None
        Its parameters.
    options : dict
        Its further arguments; those that are not there have their defaults.

    Returns
    -------
    tuple of Step
        The last one gives the layer's result.
    """
    return tuple(_steps(layer, p, options))


def _steps(layer: str, p: Any, options: dict[str, Any]) -> Steps:
    names = {function: name for name, function in ACTIVATIONS.items()}
    config: Any = SimpleNamespace(
        hidden_act=names[options.get("activation", ACTIVATIONS["gelu"])],
        layer_norm_eps=options.get("eps", 1e-12),
        batch_norm_eps=options.get("eps", 1e-5),
        pool_size=options.get("pool_size", 3),
    )
    if layer in ACTIVATIONS and p is None:  # one of them is called linear
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
