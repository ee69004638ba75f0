"""Activations that other configurations name by ``hidden_act``, each with its derivative.

    gelu_new(x) = x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))        tanh approximation of gelu
    silu(x)     = x σ(x)                                          σ(x) = 1 / (1 + exp(−x))

The published EfficientFormers use none of these. The table `ACTIVATIONS` holds every name that
transformers 4.40.2 knows (``transformers/activations.py``, ``ACT2FN``), and selu, which its
documentation promises and its table lacks.
"""

from __future__ import annotations

from math import pi, sqrt

import numpy as np

from .activations import DERIVATIVES, Activation, gelu, gelu_derivative, relu
from .arrays import Array
from .erf import erf


def gelu_new(x: Array) -> Array:
    """GELU by its tanh approximation; differs from `gelu` by up to 5e-4."""
    return 0.5 * x * (1 + np.tanh(sqrt(2 / pi) * (x + 0.044715 * (x * x * x))))


def gelu_new_derivative(x: Array) -> Array:
    """``(1 + t)/2 + x/2 (1 − t²) √(2/π) (1 + 3 · 0.044715 x²)``, t being the tanh."""
    x = np.clip(x, -10, 10)  # beyond, t is ±1; x² may not overflow, for ∞ · 0 is NaN
    t = np.tanh(sqrt(2 / pi) * (x + 0.044715 * (x * x * x)))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * (sqrt(2 / pi) * (1 + 3 * 0.044715 * (x * x)))


def gelu_fast(x: Array) -> Array:
    """`gelu_new` with √(2/π) rounded to 0.7978845608, as transformers has it."""
    return 0.5 * x * (1 + np.tanh(0.7978845608 * (x + 0.044715 * (x * x * x))))


def gelu_10(x: Array) -> Array:
    """GELU clipped to [−10, 10], as used for quantization."""
    return np.clip(gelu(x), -10, 10)


def gelu_10_derivative(x: Array) -> Array:
    """That of `gelu`, 0 where clipped."""
    return np.where(gelu(x) <= 10, gelu_derivative(x), 0)


def quick_gelu(x: Array) -> Array:
    """GELU by its sigmoid approximation, ``x σ(1.702 x)``."""
    return x * sigmoid(1.702 * x)


def quick_gelu_derivative(x: Array) -> Array:
    """``s + 1.702 x s (1 − s)`` with ``s = σ(1.702 x)``, since σ' = σ (1 − σ)."""
    s = sigmoid(1.702 * x)
    return s + x * (1.702 * s * (1 - s))  # in this order nothing overflows


def relu2(x: Array) -> Array:
    """Squared ReLU, ``max(x, 0)²``."""
    return np.square(relu(x))


def relu2_derivative(x: Array) -> Array:
    """``2 max(x, 0)``."""
    return 2 * relu(x)


def relu6(x: Array) -> Array:
    """ReLU clipped at 6, ``min(max(x, 0), 6)``."""
    return np.clip(x, 0, 6)


def relu6_derivative(x: Array) -> Array:
    """1 between 0 and 6, else 0."""
    return ((x > 0) & (x < 6)).astype(x.dtype)


def leaky_relu(x: Array) -> Array:
    """``x`` where positive, ``0.01 x`` elsewhere."""
    return np.where(x > 0, x, 0.01 * x)


def leaky_relu_derivative(x: Array) -> Array:
    """1 where positive, else 0.01."""
    return np.where(x > 0, 1, 0.01).astype(x.dtype)


def selu(x: Array) -> Array:
    """Scaled exponential linear unit (Klambauer et al. 2017): ``λ x`` or ``λ α (exp(x) − 1)``."""
    alpha, scale = 1.6732632423543772, 1.0507009873554805
    return scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def selu_derivative(x: Array) -> Array:
    """``λ`` or ``λ α exp(x)``."""
    alpha, scale = 1.6732632423543772, 1.0507009873554805
    return scale * np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0)))


def sigmoid(x: Array) -> Array:
    """Logistic function ``1 / (1 + exp(−x))``, written with tanh so that nothing overflows."""
    return 0.5 * (1 + np.tanh(0.5 * x))


def sigmoid_derivative(x: Array) -> Array:
    """``σ (1 − σ)``."""
    s = sigmoid(x)
    return s * (1 - s)


def silu(x: Array) -> Array:
    """Sigmoid linear unit, also called swish: ``x σ(x)``."""
    return x * sigmoid(x)


def silu_derivative(x: Array) -> Array:
    """``σ + x σ (1 − σ)``."""
    s = sigmoid(x)
    return s + x * s * (1 - s)


def mish(x: Array) -> Array:
    """``x tanh(log(1 + exp(x)))`` (Misra 2019)."""
    return x * np.tanh(np.logaddexp(x, 0))


def mish_derivative(x: Array) -> Array:
    """``t + x (1 − t²) σ(x)`` with ``t = tanh(log(1 + exp(x)))``, since (log(1 + exp))' = σ."""
    t = np.tanh(np.logaddexp(x, 0))
    return t + x * (1 - t * t) * sigmoid(x)


def laplace(x: Array) -> Array:
    """``(1 + erf((x − µ) / (σ √2))) / 2`` with µ = √½, σ = √(1/4π) (MEGA, Ma et al. 2022)."""
    mu, sigma = 0.707107, 0.282095
    return 0.5 * (1 + erf((x - mu) / (sigma * sqrt(2))))


def laplace_derivative(x: Array) -> Array:
    """The normal density ``exp(−(x − µ)²/(2σ²)) / (σ √(2π))``."""
    mu, sigma = 0.707107, 0.282095
    return np.exp(-0.5 * np.square((x - mu) / sigma)) / (sigma * sqrt(2 * pi))


def linear_activation(x: Array) -> Array:
    """Identity."""
    return x


def linear_activation_derivative(x: Array) -> Array:
    """1."""
    return np.ones_like(x)


def tanh_derivative(x: Array) -> Array:
    """``1 − tanh²``."""
    return 1 - np.square(np.tanh(x))


ACTIVATIONS: dict[str, Activation] = {
    "gelu": gelu,
    "gelu_10": gelu_10,
    "gelu_accurate": gelu_new,
    "gelu_fast": gelu_fast,
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

DERIVATIVES.update(
    {
        gelu_10: gelu_10_derivative,
        gelu_fast: gelu_new_derivative,  # the same up to the rounding, 4e-12
        gelu_new: gelu_new_derivative,
        laplace: laplace_derivative,
        leaky_relu: leaky_relu_derivative,
        linear_activation: linear_activation_derivative,
        mish: mish_derivative,
        quick_gelu: quick_gelu_derivative,
        relu2: relu2_derivative,
        relu6: relu6_derivative,
        selu: selu_derivative,
        sigmoid: sigmoid_derivative,
        silu: silu_derivative,
        np.tanh: tanh_derivative,
    }
)
