"""Multilayer perceptron of tokens (EfficientFormer, equation 5).

    mlp(x) = act(x W₁ + b₁) W₂ + b₂

Each token is widened by a ratio of 4, bent, and narrowed again. References:
``EfficientFormerDenseMlp`` of transformers, ``Mlp`` of timm.
"""

from __future__ import annotations

from typing import NamedTuple

from .activations import Activation, gelu
from .arrays import Array
from .linear import Linear, linear
from .trace import FORGET, Keep


class Mlp(NamedTuple):
    """Parameters of an MLP of tokens: C -> 4C -> C."""

    fc1: Linear
    fc2: Linear


def mlp(x: Array, p: Mlp, activation: Activation = gelu, keep: Keep = FORGET) -> Array:
    """Two linear layers with an activation between.

    Parameters
    ----------
    x : ndarray, shape (B, N, C)
    p : Mlp
    activation : callable
    keep : Keep
        Sees ``fc1``, ``act`` and ``fc2``.

    Returns
    -------
    ndarray, shape (B, N, C)
    """
    x = keep("fc1", linear(x, p.fc1))  # (B, N, C) -> (B, N, 4C)
    x = keep("act", activation(x))
    return keep("fc2", linear(x, p.fc2))  # (B, N, 4C) -> (B, N, C)
