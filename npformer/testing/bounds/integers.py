"""What eight bits cost: the difference between `quantized_linear` and `linear`.

    x ≈ least + s q         |error| ≤ s/2,      s = (greatest − least)/255      each row of x
    W ≈ scale w             |error| ≤ scale/2,  scale = max |W| / 127           each column of W

A result is wrong by Σ (Δx W + x ΔW + Δx ΔW). GELU between two such layers is a polynomial, which is
within 1.4e-4. All sums are exact. The bounds are those of rounding to the nearest step, and for the
weights as they are when they are rounded: fold first what is to be folded.
"""

from __future__ import annotations

import numpy as np

from ...layers import ACTIVATIONS, Array, Conv2d, Linear, as_linear, gelu
from ...layers.quantized_linear import LARGEST_WEIGHT, STEPS
from ..steps import Step
from .arithmetic import Arithmetic, Error, exact, unknown
from .products import windows

POLYNOMIAL = 1.4e-4
"""How far `npformer.layers.gelu_polynomial` is from GELU."""


def linear(step: Step, y: Array, inputs: tuple[Array, ...], a: Arithmetic) -> Error:
    """Rows and columns that are rounded to eight bits."""
    assert isinstance(step.params, Linear)
    return _rows(inputs[0], step.params)


def conv2d(step: Step, y: Array, inputs: tuple[Array, ...], a: Arithmetic) -> Error:
    """The same for windows."""
    (x,), p = inputs, step.params
    assert isinstance(p, Conv2d)
    return _rows(windows(step, x), as_linear(p))


def activation(step: Step, y: Array, inputs: tuple[Array, ...], a: Arithmetic) -> Error:
    """GELU is a polynomial."""
    if ACTIVATIONS[step.options["name"]] is not gelu:
        return exact(y)
    return unknown(np.full_like(y, POLYNOMIAL))


def _rows(x: Array, p: Linear) -> Error:
    # Besides the rounding to a step, both steps and quotients are rounded in float32.
    more = 1 + 2**-14
    of_x = more * (x.max(-1, keepdims=True) - x.min(-1, keepdims=True)) / STEPS / 2
    of_w = more * np.abs(p.weight).max(0) / LARGEST_WEIGHT / 2
    w, n = np.abs(p.weight), len(p.weight)
    hard = of_x * w.sum(0) + np.abs(x).sum(-1, keepdims=True) * of_w + n * of_x * of_w
    squares = of_x**2 * np.square(w).sum(0) + np.square(x).sum(-1, keepdims=True) * of_w**2
    return Error(hard, (squares + n * (of_x * of_w) ** 2) / 3)


OF_INTEGERS = {"linear": linear, "conv2d": conv2d, "activation": activation}
