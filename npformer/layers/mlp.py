"""Multilayer perceptron of tokens (EfficientFormer, equation 5).

    mlp(x) = act(x W₁ + b₁) W₂ + b₂

Each token is widened by a ratio of 4, bent, and narrowed again. References:
``EfficientFormerDenseMlp`` of transformers, ``Mlp`` of timm.
"""

from __future__ import annotations

from typing import NamedTuple

from .activations import Activation, activation_backward, gelu
from .arrays import Array
from .dropout import dropout, masked
from .linear import Linear, linear, linear_backward
from .mode import EVALUATION, Mode
from .trace import FORGET, Keep, Trace


class Mlp(NamedTuple):
    """Parameters of an MLP of tokens: C -> 4C -> C."""

    fc1: Linear
    fc2: Linear


def mlp(
    x: Array,
    p: Mlp,
    activation: Activation = gelu,
    keep: Keep = FORGET,
    mode: Mode = EVALUATION,
) -> Array:
    """Two linear layers with an activation between.

    Parameters
    ----------
    x : ndarray, shape (B, N, C)
    p : Mlp
    activation : callable
    keep : Keep
        Sees ``fc1``, ``act`` and ``fc2``; with dropout ``drop1.mask`` and ``drop2.mask``.
    mode : Mode
        In training, dropout follows the activation and the second layer.

    Returns
    -------
    ndarray, shape (B, N, C)
    """
    x = keep("fc1", linear(x, p.fc1))  # (B, N, C) -> (B, N, 4C)
    x = keep("act", activation(x))
    x = dropout(x, mode.dropout, mode.rng, keep.within("drop1"))
    x = keep("fc2", linear(x, p.fc2))  # (B, N, 4C) -> (B, N, C)
    return dropout(x, mode.dropout, mode.rng, keep.within("drop2"))


def mlp_backward(
    dy: Array, x: Array, p: Mlp, activation: Activation, tape: Trace
) -> tuple[Array, Mlp]:
    """Gradient of `mlp`: its steps in reverse, each with the input that it had.

    Parameters
    ----------
    dy, x : ndarray, shape (B, N, C)
    p : Mlp
    activation : callable
    tape : Trace
        What forward kept.

    Returns
    -------
    dx : ndarray, shape (B, N, C)
    dp : Mlp
    """
    dy = masked(dy, tape.within("drop2"))
    hidden = masked(tape["act"], tape.within("drop1"))  # (B, N, 4C), what fc2 saw
    dhidden, dfc2 = linear_backward(dy, hidden, p.fc2)
    dhidden = masked(dhidden, tape.within("drop1"))
    dhidden = activation_backward(dhidden, tape["fc1"], activation)
    dx, dfc1 = linear_backward(dhidden, x, p.fc1)
    return dx, Mlp(dfc1, dfc2)
