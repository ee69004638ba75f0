"""Activations: elementwise functions that a configuration names by ``hidden_act``.

    gelu(x)     = x Φ(x) = x/2 (1 + erf(x/√2))                    Hendrycks & Gimpel 2016
    gelu_new(x) = x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))        its tanh approximation
    relu(x)     = max(x, 0)
    silu(x)     = x σ(x)                                          σ(x) = 1 / (1 + exp(−x))

EfficientFormer uses gelu in both MLPs and relu, always, in the stem. The table `ACTIVATIONS` holds
every name that transformers 4.40.2 knows (``transformers/activations.py``, ``ACT2FN``), and selu,
which its documentation promises and its table lacks.
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


def gelu_new(x: Array) -> Array:
    """GELU by its tanh approximation; differs from `gelu` by up to 5e-4."""
    return 0.5 * x * (1 + np.tanh(sqrt(2 / pi) * (x + 0.044715 * (x * x * x))))


def gelu_10(x: Array) -> Array:
    """GELU clipped to [−10, 10], as used for quantisation."""
    return np.clip(gelu(x), -10, 10)


def quick_gelu(x: Array) -> Array:
    """GELU by its sigmoid approximation, ``x σ(1.702 x)``."""
    return x * sigmoid(1.702 * x)


def relu(x: Array) -> Array:
    """Rectified linear unit, ``max(x, 0)``."""
    return np.maximum(x, 0)


def relu2(x: Array) -> Array:
    """Squared ReLU, ``max(x, 0)²``."""
    return np.square(relu(x))


def relu6(x: Array) -> Array:
    """ReLU clipped at 6, ``min(max(x, 0), 6)``."""
    return np.clip(x, 0, 6)


def leaky_relu(x: Array) -> Array:
    """``x`` where positive, ``0.01 x`` elsewhere."""
    return np.where(x > 0, x, 0.01 * x)


def selu(x: Array) -> Array:
    """Scaled exponential linear unit (Klambauer et al. 2017): ``λ x`` or ``λ α (exp(x) − 1)``."""
    alpha, scale = 1.6732632423543772, 1.0507009873554805
    return scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def sigmoid(x: Array) -> Array:
    """Logistic function ``1 / (1 + exp(−x))``, written with tanh so that nothing overflows."""
    return 0.5 * (1 + np.tanh(0.5 * x))


def silu(x: Array) -> Array:
    """Sigmoid linear unit, also called swish: ``x σ(x)``."""
    return x * sigmoid(x)


def mish(x: Array) -> Array:
    """``x tanh(log(1 + exp(x)))`` (Misra 2019)."""
    return x * np.tanh(np.logaddexp(x, 0))


def laplace(x: Array) -> Array:
    """``(1 + erf((x − µ) / (σ √2))) / 2`` with µ = √½, σ = √(1/4π) (MEGA, Ma et al. 2022)."""
    mu, sigma = 0.707107, 0.282095
    return 0.5 * (1 + erf((x - mu) / (sigma * sqrt(2))))


def linear_activation(x: Array) -> Array:
    """Identity."""
    return x


ACTIVATIONS: dict[str, Activation] = {
    "gelu": gelu,
    "gelu_10": gelu_10,
    "gelu_accurate": gelu_new,
    "gelu_fast": gelu_new,
    "gelu_new": gelu_new,
    "gelu_python": gelu,
    "gelu_pytorch_tanh": gelu_new,
    "laplace": laplace,
    "leaky_relu": leaky_relu,
    "linear": linear_activation,
    "mish": mish,
    "quick_gelu": quick_gelu,
    "relu": relu,
    "relu2": relu2,
    "relu6": relu6,
    "selu": selu,
    "sigmoid": sigmoid,
    "silu": silu,
    "swish": silu,
    "tanh": np.tanh,
}
