"""Typical mistakes in an attention block, and in the step from images to tokens."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ...layers import (
    Activation,
    Array,
    AttentionBlock,
    LayerNorm,
    Trace,
    attention,
    attention_backward,
    attention_block,
    attention_block_backward,
    flat,
    gelu,
    gelu_new,
    layer_norm,
    layer_norm_backward,
    layer_scale,
    layer_scale_backward,
    mlp,
    mlp_backward,
    relu,
)
from .exercise import Draw, Table
from .shared import PATHS, kept, layer_scales, like

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
    return d.tokens(C, N=p.token_mixer.attention_biases[0].size), p


def _attention_block(
    x: Array,
    p: AttentionBlock,
    residual: tuple[int, int] = (1, 1),
    norm1: Callable[..., Array] = layer_norm,
    norm2: Callable[..., Array] = layer_norm,
) -> Array:
    y = residual[0] * x + layer_scale(attention(norm1(x, p.norm1), p.token_mixer), p.ls1)
    return residual[1] * y + layer_scale(mlp(norm2(y, p.norm2), p.mlp), p.ls2)


def _norm_skipped(x: Array, p: LayerNorm) -> Array:
    return x


def _post_norm(x: Array, p: AttentionBlock) -> Array:
    x = layer_norm(x + layer_scale(attention(x, p.token_mixer), p.ls1), p.norm1)
    return layer_norm(x + layer_scale(mlp(x, p.mlp), p.ls2), p.norm2)


TABLE.add(
    "attention_block",
    attention_block,
    _draw_attention_block,
    (
        "missing residual",
        "Add each branch to its input; both residuals are missing.",
        lambda x, p: _attention_block(x, p, (0, 0)),
    ),
    (
        "missing residual",
        "Add the result of attention to x: the first residual is missing.",
        lambda x, p: _attention_block(x, p, (0, 1)),
    ),
    (
        "missing residual",
        "Add the result of the MLP to its input: the second residual is missing.",
        lambda x, p: _attention_block(x, p, (1, 0)),
    ),
    (
        "residual after the norm",
        "The residual adds x itself, not the normalized x.",
        lambda x, p: (
            lambda y: (lambda m: m + layer_scale(mlp(m, p.mlp), p.ls2))(
                layer_norm(y + layer_scale(attention(y, p.token_mixer), p.ls1), p.norm2)
            )
        )(layer_norm(x, p.norm1)),
    ),
    *layer_scales(attention_block, "attention"),
    (
        "missing layer norm",
        "There is a layer norm before the attention and one before the MLP; both are missing.",
        lambda x, p: _attention_block(x, p, norm1=_norm_skipped, norm2=_norm_skipped),
    ),
    (
        "missing layer norm",
        "The layer norm before the attention is missing.",
        lambda x, p: _attention_block(x, p, norm1=_norm_skipped),
    ),
    (
        "missing layer norm",
        "The layer norm before the MLP is missing.",
        lambda x, p: _attention_block(x, p, norm2=_norm_skipped),
    ),
    (
        "same layer norm twice",
        "norm1 comes before the attention, norm2 before the MLP.",
        lambda x, p: attention_block(x, p._replace(norm2=p.norm1)),
    ),
    (
        "norm after the branch",
        "The norm comes before each branch (pre-norm), not after the sum.",
        _post_norm,
    ),
    (
        "parallel branches",
        "The input of the MLP is the result of the first half, not the input of the block.",
        lambda x, p: (
            x
            + layer_scale(attention(layer_norm(x, p.norm1), p.token_mixer), p.ls1)
            + layer_scale(mlp(layer_norm(x, p.norm2), p.mlp), p.ls2)
        ),
    ),
    (
        "wrong eps",
        "ε of these layer norms is 1e-12, not 1e-5.",
        lambda x, p: attention_block(x, p, eps=1e-5),
    ),
    ("tanh GELU", "Use the exact GELU.", lambda x, p: attention_block(x, p, gelu_new)),
    ("ReLU", "The activation is GELU.", lambda x, p: attention_block(x, p, relu)),
)


def _draw_attention_block_backward(d: Draw) -> tuple[Any, ...]:
    C = d.size(3)
    p = d.attention_block(C)
    x = d.tokens(C, N=p.token_mixer.attention_biases[0].size)
    x[..., 0] += 3  # no token of equal numbers, where the gradient is infinite
    y, tape = kept(attention_block, x, p, gelu, 1e-5)
    return like(d, y), x, p, gelu, 1e-5, tape


def _attention_block_backward(
    dy: Array,
    x: Array,
    p: AttentionBlock,
    activation: Activation,
    eps: float,
    tape: Trace,
    past: tuple[int, int] = (1, 1),
    add_branch: int = 1,
    middle: int = 1,
) -> tuple[Array, AttentionBlock]:
    """attention_block_backward with paths on or off."""
    inner = x + middle * tape["ls1"]
    branch, dls2 = layer_scale_backward(dy, tape["mlp"], p.ls2)
    branch, dmlp = mlp_backward(branch, tape["norm2"], p.mlp, activation, tape.within("mlp"))
    branch, dnorm2 = layer_norm_backward(branch, inner, p.norm2, eps)
    dy = past[1] * dy + add_branch * branch
    branch, dls1 = layer_scale_backward(dy, tape["token_mixer"], p.ls1)
    mixer = tape.within("token_mixer")
    branch, dmixer = attention_backward(branch, tape["norm1"], p.token_mixer, mixer)
    branch, dnorm1 = layer_norm_backward(branch, x, p.norm1, eps)
    return past[0] * dy + branch, AttentionBlock(dnorm1, dmixer, dls1, dnorm2, dmlp, dls2)


TABLE.add(
    "attention_block_backward",
    attention_block_backward,
    _draw_attention_block_backward,
    *((k, hint, partial(_attention_block_backward, **ways)) for k, hint, ways in PATHS),
)
