"""Typical mistakes in the MLP of images."""

from __future__ import annotations

from functools import partial
from typing import Any

from ...layers import (
    Activation,
    Array,
    ConvMlp,
    Trace,
    batch_norm,
    conv2d,
    conv_mlp,
    conv_mlp_backward,
    gelu,
    gelu_new,
    relu,
)
from ...layers.more_activations import linear_activation
from .exercise import Draw, Table
from .shared import PLACES, altered, kept, like, without_bias

TABLE = Table()


def _draw_conv_mlp(d: Draw) -> tuple[Any, ...]:
    C = d.size()
    x, p = d.images(C), d.conv_mlp(C)
    return (x, p, d.activation(), d.choice(1e-5, 1e-2, 0.5)) if d.level else (x, p)


TABLE.add(
    "conv_mlp",
    conv_mlp,
    _draw_conv_mlp,
    (
        "missing activation",
        "There is an activation after the first batch norm.",
        lambda x, p: conv_mlp(x, p, linear_activation),
    ),
    ("tanh GELU", "Use the exact GELU, with erf.", lambda x, p: conv_mlp(x, p, gelu_new)),
    ("ReLU", "The activation is GELU.", lambda x, p: conv_mlp(x, p, relu)),
    (
        "activation at the end",
        "The activation follows the first batch norm only, not the second.",
        lambda x, p: gelu(conv_mlp(x, p)),
    ),
    (
        "activation before batch norm",
        "The batch norm comes first, then the activation.",
        lambda x, p: batch_norm(
            conv2d(batch_norm(gelu(conv2d(x, p.fc1)), p.norm1), p.fc2), p.norm2
        ),
    ),
    (
        "missing batch norm",
        "Each convolution is followed by its batch norm; the first is missing.",
        lambda x, p: batch_norm(conv2d(gelu(conv2d(x, p.fc1)), p.fc2), p.norm2),
    ),
    (
        "missing batch norm",
        "Each convolution is followed by its batch norm; the second is missing.",
        lambda x, p: conv2d(gelu(batch_norm(conv2d(x, p.fc1), p.norm1)), p.fc2),
    ),
    (
        "missing batch norm",
        "Each convolution is followed by its batch norm; both are missing.",
        lambda x, p: conv2d(gelu(conv2d(x, p.fc1)), p.fc2),
    ),
    (
        "missing bias",
        "The convolutions have a bias, though a batch norm follows.",
        lambda x, p, *how: conv_mlp(
            x, p._replace(fc1=without_bias(p.fc1), fc2=without_bias(p.fc2)), *how
        ),
    ),
    (
        "residual added",
        "The MLP is only the branch; the block adds the residual.",
        lambda x, p, *how: x + conv_mlp(x, p, *how),
    ),
    options=2,
)


def _draw_conv_mlp_backward(d: Draw) -> tuple[Any, ...]:
    C = d.size()
    x, p = d.images(C), d.conv_mlp(C)
    how = d.activation(), d.choice(1e-5, 1e-2, 0.5)
    y, tape = kept(conv_mlp, x, p, *how, mode=d.mode())
    return like(d, y), x, p, *how, tape


def _conv_mlp_backward(
    dy: Array,
    x: Array,
    p: ConvMlp,
    activation: Activation,
    eps: float,
    tape: Trace,
    at: str,
) -> tuple[Array, ConvMlp]:
    """conv_mlp_backward with the derivative taken at another place, or not at all."""
    if not at:
        return conv_mlp_backward(dy, x, p, linear_activation, eps, tape)
    return conv_mlp_backward(dy, x, p, activation, eps, altered(tape, norm1=tape[at]))


TABLE.add(
    "conv_mlp_backward",
    conv_mlp_backward,
    _draw_conv_mlp_backward,
    *((kind, hint, partial(_conv_mlp_backward, at=at)) for kind, hint, at in PLACES),
    (
        "derivative at the wrong place",
        "The input of the activation was the output of the batch norm: take the derivative there, "
        "not at the output of the convolution.",
        partial(_conv_mlp_backward, at="fc1"),
    ),
    (
        "tanh GELU",
        "Use the derivative of the exact GELU.",
        lambda dy, x, p, _, eps, tape: conv_mlp_backward(dy, x, p, gelu_new, eps, tape),
    ),
)
