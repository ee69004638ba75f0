"""Typical mistakes in the MLP of tokens."""

from __future__ import annotations

from functools import partial
from typing import Any

from ...layers import (
    Activation,
    Array,
    Mlp,
    Trace,
    gelu,
    gelu_new,
    mlp,
    mlp_backward,
    relu,
)
from ...layers.more_activations import linear_activation
from .exercise import Draw, Table
from .shared import PLACES, altered, kept, like, without_bias

TABLE = Table()


def _draw_mlp(d: Draw) -> tuple[Any, ...]:
    C = d.size()
    x, p = d.tokens(C), d.mlp(C)
    return (x, p, d.activation()) if d.level else (x, p)


TABLE.add(
    "mlp",
    mlp,
    _draw_mlp,
    (
        "missing activation",
        "There is an activation between the two linear layers; without it they are one matrix.",
        lambda x, p: mlp(x, p, linear_activation),
    ),
    ("tanh GELU", "Use the exact GELU, with erf.", lambda x, p: mlp(x, p, gelu_new)),
    ("ReLU", "The activation is GELU.", lambda x, p: mlp(x, p, relu)),
    (
        "activation at the end",
        "The activation follows the first linear layer only.",
        lambda x, p: gelu(mlp(x, p)),
    ),
    (
        "missing bias",
        "Both linear layers have a bias.",
        lambda x, p, *how: mlp(x, Mlp(without_bias(p.fc1), without_bias(p.fc2)), *how),
    ),
    (
        "residual added",
        "The MLP is only the branch; the block adds the residual.",
        lambda x, p, *how: x + mlp(x, p, *how),
    ),
    options=1,
)


def _draw_mlp_backward(d: Draw) -> tuple[Any, ...]:
    C = d.size()
    x, p, activation = d.tokens(C), d.mlp(C), d.activation()
    y, tape = kept(mlp, x, p, activation)
    return like(d, y), x, p, activation, tape


def _mlp_backward(
    dy: Array, x: Array, p: Mlp, activation: Activation, tape: Trace, at: str
) -> tuple[Array, Mlp]:
    """mlp_backward with the derivative taken at another place, or not at all."""
    if not at:
        return mlp_backward(dy, x, p, linear_activation, tape)
    return mlp_backward(dy, x, p, activation, altered(tape, fc1=tape[at]))


TABLE.add(
    "mlp_backward",
    mlp_backward,
    _draw_mlp_backward,
    *((kind, hint, partial(_mlp_backward, at=at)) for kind, hint, at in PLACES),
    (
        "tanh GELU",
        "Use the derivative of the exact GELU.",
        lambda dy, x, p, _, tape: mlp_backward(dy, x, p, gelu_new, tape),
    ),
    (
        "wrong input",
        "The input of fc2 was the output of the activation, not its input: dW₂ = actᵀ dy.",
        lambda dy, x, p, activation, tape: mlp_backward(
            dy, x, p, activation, altered(tape, act=tape["fc1"])
        ),
    ),
)
