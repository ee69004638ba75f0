"""Typical mistakes in an attention block, and in the step from images to tokens."""

from __future__ import annotations

from typing import Any

from ...layers import (
    Activation,
    Array,
    AttentionBlock,
    attention,
    attention_block,
    attention_block_backward,
    flat,
    gelu,
    gelu_new,
    layer_norm,
    layer_scale,
    mlp,
    relu,
)
from .exercise import Draw, Table
from .shared import first_half, kept, layer_scales, like, order, paths, residuals, second_half

TABLE = Table()

TABLE.add(
    "flat",
    flat,
    lambda d: (d.images(),),
    (
        "column by column",
        "Read the image row by row: token y · W + x is pixel (y, x).",
        lambda x: flat(x.swapaxes(1, 2)),
    ),
    (
        "channels first",
        "The channels already come last; nothing has to be moved.",
        lambda x: x.reshape(len(x), x.shape[3], -1).swapaxes(1, 2),
    ),
)


def _draw_attention_block(d: Draw) -> tuple[Any, ...]:
    C = d.size(2)
    p = d.attention_block(C)
    x = d.tokens(C, N=p.token_mixer.attention_biases[0].size)
    return (x, p, d.activation(), d.choice(1e-12, 1e-5, 0.1)) if d.level else (x, p)


def _without_norm1(x: Array, p: AttentionBlock) -> Array:
    """The first half of the block."""
    return x + layer_scale(attention(x, p.token_mixer), p.ls1)


def _without_norm2(x: Array, p: AttentionBlock, activation: Activation = gelu) -> Array:
    """The second half of the block."""
    return x + layer_scale(mlp(x, p.mlp, activation), p.ls2)


def _residual_after_norm(
    x: Array, p: AttentionBlock, activation: Activation = gelu, eps: float = 1e-12
) -> Array:
    y = _without_norm1(layer_norm(x, p.norm1, eps), p)
    return _without_norm2(layer_norm(y, p.norm2, eps), p, activation)


def _post_norm(
    x: Array, p: AttentionBlock, activation: Activation = gelu, eps: float = 1e-12
) -> Array:
    y = layer_norm(_without_norm1(x, p), p.norm1, eps)
    return layer_norm(_without_norm2(y, p, activation), p.norm2, eps)


TABLE.add(
    "attention_block",
    attention_block,
    _draw_attention_block,
    *residuals(attention_block, "attention"),
    (
        "residual after the norm",
        "The residual adds x itself, not the normalized x.",
        _residual_after_norm,
    ),
    *layer_scales(attention_block, "attention"),
    order(attention_block, "attention"),
    (
        "missing layer norm",
        "There is a layer norm before the attention and one before the MLP; both are missing.",
        lambda x, p, activation=gelu, eps=1e-12: _without_norm2(
            _without_norm1(x, p), p, activation
        ),
    ),
    (
        "missing layer norm",
        "The layer norm before the attention is missing.",
        lambda x, p, *how: second_half(attention_block, _without_norm1(x, p), p, *how),
    ),
    (
        "missing layer norm",
        "The layer norm before the MLP is missing.",
        lambda x, p, activation=gelu, eps=1e-12: _without_norm2(
            first_half(attention_block, x, p, activation, eps), p, activation
        ),
    ),
    (
        "same layer norm twice",
        "norm1 comes before the attention, norm2 before the MLP.",
        lambda x, p, *how: attention_block(x, p._replace(norm2=p.norm1), *how),
    ),
    (
        "norm after the branch",
        "The norm comes before each branch (pre-norm), not after the sum.",
        _post_norm,
    ),
    (
        "parallel branches",
        "The input of the MLP is the result of the first half, not the input of the block.",
        lambda x, p, *how: (
            first_half(attention_block, x, p, *how) + second_half(attention_block, x, p, *how) - x
        ),
    ),
    (
        "wrong eps",
        "ε of these layer norms is 1e-12, not 1e-5.",
        lambda x, p: attention_block(x, p, eps=1e-5),
    ),
    ("tanh GELU", "Use the exact GELU.", lambda x, p: attention_block(x, p, gelu_new)),
    ("ReLU", "The activation is GELU.", lambda x, p: attention_block(x, p, relu)),
    options=2,
)


def _draw_attention_block_backward(d: Draw) -> tuple[Any, ...]:
    C = d.size(3)
    p = d.attention_block(C)
    x = d.tokens(C, N=p.token_mixer.attention_biases[0].size)
    x[..., 0] += 3  # no token of equal numbers, where the gradient is infinite
    how = d.activation(), d.choice(1e-5, 1e-2, 0.5)
    y, tape = kept(attention_block, x, p, *how)
    return like(d, y), x, p, *how, tape


TABLE.add(
    "attention_block_backward",
    attention_block_backward,
    _draw_attention_block_backward,
    *paths(attention_block_backward),
)
