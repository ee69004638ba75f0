"""Rounding errors of steps that treat each number, channel or token by itself.

Every operation rounds once. Where there is more than one way to compute the same, such as
(x − μ) s + β and x s + (β − μ s), the roundings of all of them are counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from ...layers import Array, BatchNorm, LayerNorm
from ..steps import Step
from .arithmetic import Arithmetic, Error, either, exact, gamma, rounded, unknown
from .functions import DIVISION, EXP, ROOT, of_activation
from .sums import BRIDGE

Rule: TypeAlias = "Callable[[Step, Array, tuple[Array, ...], Arithmetic], Error]"
"""From a step, its result and its inputs, in float64, to the error of its own roundings"""


def nothing(step: Step, y: Array, inputs: tuple[Array, ...], a: Arithmetic) -> Error:
    """A step that only arranges numbers."""
    return exact(y)


def one_operation(step: Step, y: Array, inputs: tuple[Array, ...], a: Arithmetic) -> Error:
    """``x + y``, ``x − y``, and ``(x + y)/2``, whose halving is exact."""
    return rounded(a.u, y)


def layer_scale(step: Step, y: Array, inputs: tuple[Array, ...], a: Arithmetic) -> Error:
    """``γ x``; γ itself may have been rounded to a smaller type."""
    return rounded(a.u, y, y)


def position_bias(step: Step, y: Array, inputs: tuple[Array, ...], a: Arithmetic) -> Error:
    """``scores + bias``; the bias may have been rounded to a smaller type."""
    return rounded(a.u, y, y - inputs[0])


def activation(step: Step, y: Array, inputs: tuple[Array, ...], a: Arithmetic) -> Error:
    """An activation, exact for its input."""
    return of_activation(inputs[0], y, step.options["name"], a.u)


def batch_norm(step: Step, y: Array, inputs: tuple[Array, ...], a: Arithmetic) -> Error:
    """``(x − μ) s + β`` or ``x s + (β − μ s)``, with s = weight/√(σ² + ε).

    s is wrong by `ROOT` u, u/2 for the sum below the root, and what storing its parts costs.
    """
    (x,), p = inputs, step.params
    assert isinstance(p, BatchNorm)
    scale = p.weight / np.sqrt(p.running_var + step.options["eps"])
    centered, mean = (x - p.running_mean) * scale, p.running_mean * scale
    of_scale = unknown((ROOT + 2) * a.u * np.abs(centered))
    return of_scale + rounded(a.u, x * scale, mean, mean, p.bias - mean, p.bias, y)


def shift(p: BatchNorm, eps: float) -> Array:
    """What a batch norm adds to ``x s``: β − μ s."""
    found: Array = p.bias - p.running_mean * (p.weight / np.sqrt(p.running_var + eps))
    return found


def softmax(step: Step, y: Array, inputs: tuple[Array, ...], a: Arithmetic) -> Error:
    """``exp(x − max) / Σ exp(x − max)``, in relative errors.

    A difference d rounds by u |d|, and so changes exp(d) by the same share; exp is within
    `EXP` u; so are the terms of the sum, in proportion to their shares y, and it rounds itself.
    At last comes a division, or a product with one over the sum.
    """
    (x,) = inputs
    n = x.shape[-1]
    d = x - x.max(-1, keepdims=True)
    each = rounded(a.u, d) + unknown(np.full_like(d, EXP * a.u))
    of_sum = each.scaled(y).total() + Error(
        np.full_like(x[..., :1], gamma(n, a.sums)),
        a.sums**2 / 3 * n * (1 / 3 + BRIDGE * np.square(y).sum(-1, keepdims=True)),
    )
    one = np.ones(())
    error = (each + of_sum + unknown(DIVISION * a.u * one) + rounded(a.u, one)).scaled(y)
    return error + unknown(np.full_like(y, a.tiny))


def layer_norm(step: Step, y: Array, inputs: tuple[Array, ...], a: Arithmetic) -> Error:
    """``(x − m) r w + β`` with r = 1/√(V + ε), or ``x r w + (β − m r w)``.

    The mean m and the variance V are sums over n channels. V may be the mean of (x − m)², or that
    of x² less m², of which the second is worse by V + m² to V. How r moves with V is not taken from
    a derivative where V is small beside its error: there r lies between its values at both ends.
    """
    (x,), p, eps = inputs, step.params, step.options["eps"]
    assert isinstance(p, LayerNorm)
    n = x.shape[-1]
    mean = x.mean(-1, keepdims=True)
    centered = x - mean
    variance = np.square(centered).mean(-1, keepdims=True)
    square = np.square(x).mean(-1, keepdims=True)
    fourth = np.square(np.square(x)).mean(-1, keepdims=True)

    of_mean = Error(
        gamma(n, a.sums) * np.abs(x).mean(-1, keepdims=True),
        a.sums**2 / 3 * (n / 3 * np.square(mean) + BRIDGE * square),
    ) + rounded(a.u, mean, mean)
    of_variance = Error(
        gamma(n + 3, a.sums) * square + np.square(of_mean.hard),
        a.sums**2 / 3 * (n / 3 * np.square(square) + BRIDGE * fourth),
    )
    of_variance += of_mean.scaled(2 * mean) + rounded(a.u, variance, variance, variance)
    r = 1 / np.sqrt(variance + eps)
    low, high = (variance + sign * of_variance.hard for sign in (-1, 1))
    most = 1 / np.sqrt(np.maximum(low, 0) + eps)
    of_root = Error(
        np.maximum(most - r, r - 1 / np.sqrt(high + eps)),
        np.where(low > variance / 2, of_variance.variance * np.square(np.square(r) * r), np.inf),
    ) + unknown(ROOT * a.u * most)

    w = np.abs(p.weight)
    error = of_root.scaled(centered * w) + of_mean.scaled(most * w)
    scaled, from_mean = centered * r * w, mean * r * p.weight
    as_written = rounded(a.u, scaled, scaled, scaled, y)
    expanded = rounded(a.u, scaled, x * r * w, from_mean, p.bias - from_mean, y)
    return error + either(as_written, expanded)
