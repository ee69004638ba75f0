"""Activations: elementwise functions between two linear layers.

    gelu(x) = x Φ(x) = x/2 (1 + erf(x/√2))                    Hendrycks & Gimpel 2016
    relu(x) = max(x, 0)

EfficientFormer uses gelu in both MLPs and relu, always, in the stem. References: torch.nn.GELU,
torch.nn.ReLU.
"""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sqrt
from typing import TypeAlias

import numpy as np

from .arrays import Array
from .erf import erf

Activation: TypeAlias = Callable[[Array], Array]


def gelu(x: Array) -> Array:
    """Gaussian error linear unit, exact: ``x Φ(x)`` with the normal distribution function Φ."""
    return 0.5 * x * (1 + erf(x * sqrt(0.5)))


def gelu_derivative(x: Array) -> Array:
    """``Φ(x) + x φ(x)`` with the normal density ``φ(x) = exp(−x²/2) / √(2π)``, since Φ' = φ."""
    return 0.5 * (1 + erf(x * sqrt(0.5))) + x * np.exp(-0.5 * x * x) / sqrt(2 * pi)


def relu(x: Array) -> Array:
    """Rectified linear unit, ``max(x, 0)``."""
    return np.maximum(x, 0)


def relu_derivative(x: Array) -> Array:
    """1 where positive, else 0; at the kink 0, as PyTorch has it."""
    return (x > 0).astype(x.dtype)


DERIVATIVES: dict[Activation, Activation] = {gelu: gelu_derivative, relu: relu_derivative}
"""The derivative of each activation; `npformer.layers.more_activations` adds its own."""


def activation_backward(dy: Array, x: Array, activation: Activation = gelu) -> Array:
    """Gradient of an activation f: ``dx = dy · f'(x)``, elementwise.

    Parameters
    ----------
    dy, x : ndarray, any shape
    activation : callable
        One that npformer knows: a key of `DERIVATIVES`.

    Returns
    -------
    ndarray of the shape of `x`

    Raises
    ------
    KeyError
        If the activation is unknown.
    """
    return dy * DERIVATIVES[activation](x)
