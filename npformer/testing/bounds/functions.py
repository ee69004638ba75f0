"""How accurate right functions are: exp, tanh, erf, 1/√x, ÷, and the activations made of them.

Additions, subtractions, products and square roots round once, as IEEE 754 says. All else is
approximated, and libraries differ by how well. What counts as right is

    exp, tanh     within 3 and 5 units in the last place, as the OpenCL specification allows
                  ("Relative error as ULPs")
    ÷             within 2.5, likewise, so that 1/x by Newton's method is right
    1/√x          within 3.5: the estimate of a processor, which is off by up to 1.5 · 2⁻¹² (Intel,
                  ``RSQRTPS``), and one of Newton's steps, which makes of it 1.5 (1.5 · 2⁻¹²)² and
                  rounds three times
    erf           within 16 · 2⁻²⁴, absolutely

One unit in the last place is up to 2 u. For erf OpenCL asks for 16 units in the last place of the
result. Where erf is close to 1 that is 16 u. Where it is close to 0 nobody who computes 1 + erf
keeps so much: PyTorch's vectors take the formula 7.1.26 of Abramowitz & Stegun, "Handbook of
Mathematical Functions", which is off by up to 1.5e-7 = 2.5 u before any rounding, with
coefficients that cancel near 0: it is off by as much at 0.01 as at 1. So the bound of its error is
relative to 1. What that does to GELU is relative to x, not to the result: far below 0, where
1 + erf cancels, and near 0 no digit of the result may be right.
"""

from __future__ import annotations

from math import pi, sqrt

import numpy as np

from ...layers import ACTIVATIONS, Array, erf, gelu
from .arithmetic import Error, exact, rounded, unknown

EXP, TANH, DIVISION, ROOT = 6.0, 10.0, 5.0, 7.0
"""In u, of the number that they should return."""
ERF = 16.0
"""In u, of 1."""

SATURATED = "laplace", "sigmoid", "tanh"
"""Activations between −1 and 1: their error is relative to 1."""
OF_SHARE = (
    "gelu_accurate", "gelu_fast", "gelu_new", "gelu_pytorch_tanh", "quick_gelu", "silu", "swish",
)  # fmt: skip
"""Activations that are x times a share, by tanh or by exp."""
PIECEWISE = "leaky_relu", "linear", "relu", "relu2", "relu6"
"""Activations of straight or square pieces: one product."""


def of_activation(x: Array, y: Array, name: str, u: float) -> Error:
    """The error of an activation y of x, exact for its input.

        gelu(x) = x/2 (1 + erf(x/√2))

    The error of erf, that of its argument, z = x/√2, which it multiplies by z erf'(z), and the
    roundings of the sum and of the products, also if x is multiplied in before the sum.

        x (1 + tanh z)/2,   x / (1 + exp(−z))

    Half of the error of tanh below 1, 2.5 u, and that of z, which rounds four times and is
    multiplied by z tanh'(z)/2 < 1/4; or that of exp times σ(1 − σ) ≤ 1/4, and the division. The
    others are within `TANH` u of what they are made of; selu is, below 0, exp(x) − 1.
    """
    if ACTIVATIONS[name] is gelu:
        half = np.abs(x) / 2
        slope = 2 / sqrt(2 * pi) * np.abs(x) * np.exp(-np.square(x) / 2)  # z erf'(z)
        of_erf = unknown(u * half * (ERF + 2 * slope))
        return of_erf + rounded(u, y, y, y, half * erf(x * sqrt(0.5)))
    if name == "relu":
        return exact(y)
    if name in PIECEWISE:
        return rounded(u, y, y)
    if name in OF_SHARE:
        return unknown(u * (TANH / 2 * np.abs(x) + (DIVISION + 2) * np.abs(y)))
    if name in SATURATED:
        return unknown(np.full_like(x, (TANH + 2) * u))
    one = 1.0 if name == "selu" else 0.0
    return unknown(TANH * u * (one + np.abs(x) + np.abs(y)))
