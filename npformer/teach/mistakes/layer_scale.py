"""Typical mistakes in layer scale."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...layers import Array, LayerScale, layer_scale, layer_scale_backward
from .exercise import Draw, Table
from .shared import like

TABLE = Table()

TABLE.add(
    "layer_scale",
    layer_scale,
    lambda d: (lambda x: (x, d.choice(d.layer_scale(x.shape[-1]), None)))(d.images()),
    (
        "missing layer scale",
        "Multiply each channel by its γ.",
        lambda x, p: x,
    ),
    (
        "added",
        "γ is a factor, not a summand.",
        lambda x, p: x if p is None else x + p.gamma,
    ),
    (
        "None not handled",
        "In a network without layer scale p is None; then return x as it is.",
        lambda x, p: x * p.gamma,
    ),
    (
        "wrong axis",
        "γ has one number for each channel, and channels are the last axis.",
        lambda x, p: x if p is None else np.moveaxis(np.moveaxis(x, -1, 1) * p.gamma, 1, -1),
    ),
    (
        "residual added",
        "Layer scale is only the factor; the block adds the residual.",
        lambda x, p: x if p is None else x + x * p.gamma,
    ),
)


def _draw_layer_scale_backward(d: Draw) -> tuple[Any, ...]:
    x = d.images()
    return like(d, x), x, d.choice(d.layer_scale(x.shape[-1]), None)


def _scale_with(dx: Callable[..., Array], dgamma: Callable[..., Array]) -> Callable[..., Any]:
    def f(dy: Array, x: Array, p: LayerScale | None) -> tuple[Array, LayerScale | None]:
        return (dy, None) if p is None else (dx(dy, p), LayerScale(dgamma(dy, x)))

    return f


TABLE.add(
    "layer_scale_backward",
    layer_scale_backward,
    _draw_layer_scale_backward,
    (
        "missing layer scale",
        "y = γ x, so dx = γ dy.",
        _scale_with(lambda dy, p: dy, lambda dy, x: (dy * x).sum((0, 1, 2))),
    ),
    (
        "missing factor x",
        "dγ = Σ dy · x: how much γ matters depends on the x it multiplies.",
        _scale_with(lambda dy, p: dy * p.gamma, lambda dy, x: dy.sum((0, 1, 2))),
    ),
    (
        "missing sum over positions",
        "γ has one number for each channel: sum over the batch and all pixels.",
        _scale_with(lambda dy, p: dy * p.gamma, lambda dy, x: dy * x),
    ),
    (
        "mean instead of sum",
        "dγ is a sum over the batch and all pixels, not a mean.",
        _scale_with(lambda dy, p: dy * p.gamma, lambda dy, x: (dy * x).mean((0, 1, 2))),
    ),
)
