"""Rounding errors of steps that treat each number, channel or token by itself.

Every operation rounds once. Where there is more than one way to compute the same, such as
(x − μ) s + β and x s + (β − μ s), the roundings of all of them are counted.
"""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sqrt
from typing import TypeAlias

import numpy as np

from ...layers import ACTIVATIONS, Array, BatchNorm, LayerNorm, erf, gelu
from ..steps import Step
from .arithmetic import Arithmetic, Error, exact, gamma, rounded, unknown
from .sums import BRIDGE

Rule: TypeAlias = "Callable[[Step, Array, tuple[Array, ...], Arithmetic], Error]"
"""From a step, its result and its inputs, in float64, to the error of its own roundings"""

EXP, TANH, ERF, ROOT = 6.0, 10.0, 32.0, 4.0
"""Right functions are within so many u of the number that they should return. One ulp is up to 2 u,
and the OpenCL specification ("Relative error as ULPs") allows 3, 5, 16 and, for 1/√x, 2 ulp."""

SATURATED = "laplace", "sigmoid", "tanh"
"""Activations between −1 and 1: their error is relative to 1."""
PIECEWISE = "leaky_relu", "linear", "relu", "relu2", "relu6"
"""Activations of straight or square pieces: one product."""


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
    """An activation, exact for its input.

        gelu(x) = x/2 (1 + erf(x/√2))

    The error of erf, that of its argument, z = x/√2, which it multiplies by z erf'(z), and the
    roundings of the sum and both products. Others: `TANH` u of what is multiplied by x.
    """
    (x,) = inputs
    name = step.options["name"]
    if ACTIVATIONS[name] is gelu:
        half = np.abs(x) / 2
        slope = 2 / sqrt(2 * pi) * np.abs(x) * np.exp(-np.square(x) / 2)  # z erf'(z)
        of_erf = half * (ERF * np.abs(erf(x * sqrt(0.5))) + 2 * slope)
        return unknown(a.u * of_erf) + rounded(a.u, y, y, y)
    if name == "relu":
        return exact(y)
    if name in PIECEWISE:
        return rounded(a.u, y, y)
    return unknown(TANH * a.u * (2 + 0 * x if name in SATURATED else np.abs(x) + np.abs(y)))


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
    """
    (x,) = inputs
    n = x.shape[-1]
    d = x - x.max(-1, keepdims=True)
    each = rounded(a.u, d) + unknown(np.full_like(d, EXP * a.u))
    shares = each.scaled(y)
    of_sum = Error(
        shares.hard.sum(-1, keepdims=True) + gamma(n, a.sums),
        shares.variance.sum(-1, keepdims=True)
        + a.sums**2 / 3 * n * (1 / 3 + BRIDGE * np.square(y).sum(-1, keepdims=True)),
    )
    error = (each + of_sum + rounded(a.u, np.ones(()), np.ones(()))).scaled(y)
    return Error(error.hard + a.tiny, error.variance + a.tiny**2)


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
    scaled = centered * r * w
    return error + rounded(
        a.u, scaled, scaled, scaled, x * r * w, mean * r * w, mean * r * w, p.bias, y, y
    )
