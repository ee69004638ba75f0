"""Multilayer perceptron of tokens (EfficientFormer, equation 5).

    mlp(x) = act(x W₁ + b₁) W₂ + b₂

Each token is widened to 4C, passed through the activation, and narrowed to C. References:
``EfficientFormerDenseMlp`` of transformers, ``Mlp`` of timm.
"""

from __future__ import annotations

from typing import NamedTuple

from .activations import Activation, activation_backward, gelu
from .arrays import Array
from .dropout import apply_mask
from .linear import Linear, linear, linear_backward
from .run import EVALUATION, NO_TAPE, Run, Trace


class Mlp(NamedTuple):
    """Parameters of an MLP of tokens: C -> 4C -> C."""

    fc1: Linear
    fc2: Linear


def mlp(x: Array, p: Mlp, activation: Activation = gelu, run: Run = EVALUATION) -> Array:
    """Two linear layers with an activation between.

    Parameters
    ----------
    x : ndarray, shape (B, N, C)
    p : Mlp
    activation : callable
    run : Run
        Records ``fc1``, ``act`` and ``fc2``; with dropout, which follows the activation and the
        second layer in training, also ``drop1.mask`` and ``drop2.mask``.

    Returns
    -------
    ndarray, shape (B, N, C)
    """
    x = run("fc1", linear(x, p.fc1))  # (B, N, C) -> (B, N, 4C)
    x = run.dropout("drop1", run("act", activation(x)))
    x = run("fc2", linear(x, p.fc2))  # (B, N, 4C) -> (B, N, C)
    return run.dropout("drop2", x)


def mlp_backward(
    dy: Array, x: Array, p: Mlp, activation: Activation = gelu, tape: Trace = NO_TAPE
) -> tuple[Array, Mlp]:
    """Gradient of `mlp`: its steps in reverse, each with the input that it had.

    Parameters
    ----------
    dy, x : ndarray, shape (B, N, C)
    p : Mlp
    activation : callable
    tape : Trace
        What forward recorded.

    Returns
    -------
    dx : ndarray, shape (B, N, C)
    dp : Mlp

    Raises
    ------
    KeyError
        If forward recorded nothing.
    """
    dy = apply_mask(dy, tape.within("drop2"))
    hidden = apply_mask(tape["act"], tape.within("drop1"))  # (B, N, 4C), what fc2 saw
    dhidden, dfc2 = linear_backward(dy, hidden, p.fc2)
    dhidden = apply_mask(dhidden, tape.within("drop1"))
    dhidden = activation_backward(dhidden, tape["fc1"], activation)
    dx, dfc1 = linear_backward(dhidden, x, p.fc1)
    return dx, Mlp(dfc1, dfc2)
