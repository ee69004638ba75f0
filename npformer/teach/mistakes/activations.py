"""Typical mistakes in the activations."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from ...layers import Array, activation_backward, erf, gelu, gelu_new, relu
from ...layers.more_activations import quick_gelu
from .exercise import Draw, Table
from .shared import like

TABLE = Table()


def _small_and_large(d: Draw) -> Array:
    return (d.images() * d.choice(1, 1, 10)).astype(d.dtype)


TABLE.add(
    "gelu",
    gelu,
    lambda d: (_small_and_large(d),),
    (
        "tanh GELU",
        "That is the tanh approximation, which differs by up to 5e-4. EfficientFormer uses the "
        "exact one, with erf.",
        gelu_new,
    ),
    (
        "sigmoid GELU",
        "That is the approximation x σ(1.702 x). EfficientFormer uses the exact one, with erf.",
        quick_gelu,
    ),
    ("ReLU", "GELU is smooth: x Φ(x), not max(x, 0).", relu),
    ("missing square root", "It is erf(x / √2).", lambda x: 0.5 * x * (1 + erf(x))),
    ("missing half", "Φ(x) is (1 + erf(x / √2)) / 2.", lambda x: 2 * gelu(x)),
    (
        "missing factor x",
        "GELU is x Φ(x); yours is Φ(x).",
        lambda x: 0.5 * (1 + erf(x * sqrt(0.5))),
    ),
)

TABLE.add(
    "relu",
    relu,
    lambda d: (_small_and_large(d),),
    ("absolute value", "Negative numbers become 0; they do not become positive.", np.abs),
    ("minimum", "Keep the positive numbers, not the negative ones.", lambda x: np.minimum(x, 0)),
    ("step", "Positive numbers stay as they are; they do not become 1.", lambda x: (x > 0) * 1.0),
)


def gelu_backward(dy: Array, x: Array) -> Array:
    """Gradient of `gelu`."""
    return activation_backward(dy, x, gelu)


def relu_backward(dy: Array, x: Array) -> Array:
    """Gradient of `relu`."""
    return activation_backward(dy, x, relu)


def _draw_elementwise_backward(d: Draw) -> tuple[Any, ...]:
    x = d.images()
    return like(d, x), x


_ROOT = float(np.sqrt(2 * np.pi))


def _density(x: Array) -> Array:
    return np.asarray(np.exp(-0.5 * x * x) / _ROOT)


_CHAIN = ("missing chain rule", "dx = dy · f'(x): multiply by dy, the gradient of the output.")

TABLE.add(
    "gelu_backward",
    gelu_backward,
    _draw_elementwise_backward,
    (*_CHAIN, lambda dy, x: gelu_backward(np.ones_like(dy), x)),
    (
        "product rule",
        "GELU is x times Φ(x): the derivative of the second factor, x φ(x), is missing.",
        lambda dy, x: dy * (gelu_backward(np.ones_like(x), x) - x * _density(x)),
    ),
    (
        "wrong density",
        "The density is exp(−x²/2) / √(2π).",
        lambda dy, x: dy * (gelu_backward(np.ones_like(x), x) + x * _density(x) * (_ROOT - 1)),
    ),
    (
        "tanh GELU",
        "That is the gradient of the approximation; use the exact one.",
        lambda dy, x: activation_backward(dy, x, gelu_new),
    ),
    (
        "forward again",
        "That is gelu(x) · dy; the derivative is wanted.",
        lambda dy, x: dy * gelu(x),
    ),
)

TABLE.add(
    "relu_backward",
    relu_backward,
    _draw_elementwise_backward,
    (*_CHAIN, lambda dy, x: (x > 0).astype(x.dtype)),
    (
        "wrong condition",
        "The gradient passes where x was positive, not where dy is.",
        lambda dy, x: relu(dy),
    ),
    (
        "forward again",
        "That is relu(x) · dy; the derivative is wanted.",
        lambda dy, x: dy * relu(x),
    ),
    (
        "kink",
        "At x = 0 the gradient is 0, as in PyTorch.",
        lambda dy, x: dy * (x >= 0),
    ),
)
