"""Typical mistakes in folding: two layers that should become one."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...engine.fold import fold_batch_norm, fold_layer_norm, fold_layer_scale
from ...layers import Array, BatchNorm, Conv2d, LayerScale, Linear
from .exercise import Draw, Table

TABLE = Table()


def _draw_batch_norm(d: Draw) -> tuple[Any, ...]:
    C_in, C_out, k = d.size(), d.size(2), d.choice(1, 3)
    return d.conv2d(C_in, C_out, k, k), d.batch_norm(C_out), d.choice(1e-5, 1e-2, 0.5)


def _scale(norm: BatchNorm, eps: float) -> Array:
    return np.asarray(norm.weight / np.sqrt(norm.running_var + eps))


def _folded(conv: Conv2d, s: Array, bias: Array) -> Conv2d:
    return Conv2d(conv.weight * s, bias)


def _scaled(conv: Conv2d, norm: BatchNorm, s: Array) -> Conv2d:
    return _folded(conv, s, (conv.bias - norm.running_mean) * s + norm.bias)


TABLE.add(
    "fold_batch_norm",
    fold_batch_norm,
    _draw_batch_norm,
    (
        "bias of the convolution lost",
        "The convolution has a bias b: the norm shifts b − µ, not −µ.",
        lambda conv, norm, eps: _folded(
            conv, _scale(norm, eps), norm.bias - norm.running_mean * _scale(norm, eps)
        ),
    ),
    (
        "bias not scaled",
        "The bias of the convolution passes through the norm too: (b − µ) s + β.",
        lambda conv, norm, eps: _folded(
            conv, _scale(norm, eps), conv.bias - norm.running_mean * _scale(norm, eps) + norm.bias
        ),
    ),
    (
        "mean lost",
        "The norm subtracts its running mean: (b − µ) s + β.",
        lambda conv, norm, eps: _folded(
            conv, _scale(norm, eps), conv.bias * _scale(norm, eps) + norm.bias
        ),
    ),
    (
        "mean not scaled",
        "The mean is subtracted before the scaling: (b − µ) s + β.",
        lambda conv, norm, eps: _folded(
            conv, _scale(norm, eps), conv.bias * _scale(norm, eps) - norm.running_mean + norm.bias
        ),
    ),
    (
        "bias of the norm lost",
        "The norm adds its own bias at the end: (b − µ) s + β.",
        lambda conv, norm, eps: _folded(
            conv, _scale(norm, eps), (conv.bias - norm.running_mean) * _scale(norm, eps)
        ),
    ),
    (
        "weight not scaled",
        "The norm scales what the kernel computes: W s.",
        lambda conv, norm, eps: fold_batch_norm(conv, norm, eps)._replace(weight=conv.weight),
    ),
    (
        "wrong axis",
        "s has one number for each output channel, the last axis of the weight; yours scales the "
        "input channels.",
        lambda conv, norm, eps: fold_batch_norm(conv, norm, eps)._replace(
            weight=conv.weight * _scale(norm, eps)[:, None]
        ),
    ),
    (
        "missing square root",
        "s = w / √(σ² + ε).",
        lambda conv, norm, eps: _scaled(conv, norm, norm.weight / (norm.running_var + eps)),
    ),
    (
        "eps outside the root",
        "ε is added to the variance, under the square root.",
        lambda conv, norm, eps: _scaled(
            conv, norm, norm.weight / (np.sqrt(norm.running_var) + eps)
        ),
    ),
    (
        "missing eps",
        "s = w / √(σ² + ε).",
        lambda conv, norm, eps: fold_batch_norm(conv, norm, 0),
    ),
)


def _draw_layer_scale(d: Draw) -> tuple[Any, ...]:
    C_in, C_out = d.size(2), d.size(2)
    return d.linear(C_in, C_out), d.choice(d.layer_scale(C_out), None)


def _with_scale(p: Linear, scale: LayerScale | None, weight: bool, bias: bool) -> Linear:
    if scale is None:
        return p
    return Linear(
        p.weight * scale.gamma if weight else p.weight, p.bias * scale.gamma if bias else p.bias
    )


TABLE.add(
    "fold_layer_scale",
    fold_layer_scale,
    _draw_layer_scale,
    (
        "bias not scaled",
        "γ (x W + b) = x (W γ) + b γ: the bias too.",
        lambda p, scale: _with_scale(p, scale, True, False),
    ),
    (
        "weight not scaled",
        "γ (x W + b) = x (W γ) + b γ: the weight too.",
        lambda p, scale: _with_scale(p, scale, False, True),
    ),
    (
        "None not handled",
        "In a network without layer scale, scale is None; then nothing changes.",
        lambda p, scale: Linear(p.weight * scale.gamma, p.bias * scale.gamma),
    ),
    (
        "wrong axis",
        "γ belongs to the output channels, the columns of W.",
        lambda p, scale: (
            p if scale is None else Linear(p.weight * scale.gamma[:, None], p.bias * scale.gamma)
        ),
    ),
)


def _draw_layer_norm(d: Draw) -> tuple[Any, ...]:
    C_in, C_out = d.size(2), d.size(2)
    return d.layer_norm(C_in), d.linear(C_in, C_out)


TABLE.add(
    "fold_layer_norm",
    fold_layer_norm,
    _draw_layer_norm,
    (
        "bias of the norm lost",
        "(x̂ w + β) W + b = x̂ (w W) + (β W + b): β goes through the matrix.",
        lambda norm, p: Linear(norm.weight[:, None] * p.weight, p.bias),
    ),
    (
        "bias through the scaled matrix",
        "β is added after the weight of the norm: it goes through W, not through w W.",
        lambda norm, p: Linear(
            norm.weight[:, None] * p.weight, (norm.bias * norm.weight) @ p.weight + p.bias
        ),
    ),
    (
        "wrong axis",
        "w belongs to the input channels, the rows of W.",
        lambda norm, p: Linear(p.weight * norm.weight, norm.bias @ p.weight + p.bias),
    ),
    (
        "weight not scaled",
        "The weight of the norm goes into the rows of W.",
        lambda norm, p: Linear(p.weight, norm.bias @ p.weight + p.bias),
    ),
)
