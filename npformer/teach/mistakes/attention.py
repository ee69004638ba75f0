"""Typical mistakes in attention and its biases."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ...layers import (
    Array,
    Attention,
    Linear,
    Trace,
    attend,
    attention,
    attention_backward,
    head_sizes,
    linear,
    linear_backward,
    relative_position_bias,
    relative_position_bias_backward,
    softmax,
    softmax_backward,
)
from ...layers.attend import merge_heads, split_heads
from ...layers.position_bias import distances
from .exercise import Draw, Table
from .shared import but, kept, like, without_bias

TABLE = Table()


def _table(biases: Array, down: Array, across: Array) -> Array:
    return np.asarray(biases[:, down, across])


def _swapped_grid(biases: Array) -> Array:
    """Tokens counted down the columns."""
    _, rows, columns = biases.shape
    x, y = np.divmod(np.arange(rows * columns), rows)
    return _table(biases, abs(y[:, None] - y), abs(x[:, None] - x))


def _signed(biases: Array) -> Array:
    _, rows, columns = biases.shape
    y, x = np.divmod(np.arange(rows * columns), columns)
    return _table(biases, y[:, None] - y, x[:, None] - x)


TABLE.add(
    "relative_position_bias",
    relative_position_bias,
    lambda d: (d.array(d.size(), d.size(2), d.size(2)),),
    (
        "signed distance",
        "The distance has no sign: |yᵢ − yⱼ| and |xᵢ − xⱼ|. (A negative index counts from the "
        "end.)",
        _signed,
    ),
    (
        "rows and columns swapped",
        "The bias is indexed by |Δy| first, then |Δx|.",
        lambda biases: _table(biases, *distances(*biases.shape[1:])[::-1]),
    ),
    (
        "column by column",
        "Tokens are ordered row by row: token t is in row t // columns, column t % columns.",
        _swapped_grid,
    ),
)


def _draw_attention(d: Draw) -> tuple[Any, ...]:
    C = d.size(2)
    p = d.attention(C)
    return d.tokens(C, N=p.attention_biases[0].size), p


def _weights(scores: Array, bias: Array, K: int) -> Array:
    return softmax(scores * K**-0.5 + bias)


def _attention(
    x: Array,
    p: Attention,
    weigh: Callable[[Array, Array, int], Array] = _weights,
    merge: Callable[[Array], Array] = merge_heads,
) -> Array:
    """Attention with exchangeable parts."""
    K, _ = head_sizes(p)
    q, k, v = split_heads(linear(x, p.qkv), len(p.attention_biases), K)
    attn = weigh(q @ k.swapaxes(2, 3), relative_position_bias(p.attention_biases), K)
    return linear(merge(attn @ v), p.proj)


def _scaled(x: Array, p: Attention, scale: float) -> Array:
    """Attention with another scale."""
    bias = relative_position_bias(p.attention_biases)
    return linear(attend(linear(x, p.qkv), bias, head_sizes(p)[0], scale), p.proj)


def _unprojected(x: Array, p: Attention) -> Array:
    K, _ = head_sizes(p)
    return attend(linear(x, p.qkv), relative_position_bias(p.attention_biases), K, K**-0.5)


def _reordered(x: Array, p: Attention, order: Callable[[int, int, int], Array]) -> Array:
    """Attention with the columns of qkv in another order, (heads, 2K + V)."""
    columns = order(len(p.attention_biases), *head_sizes(p)).ravel()
    qkv = Linear(p.qkv.weight[:, columns], p.qkv.bias[columns])
    return attention(x, p._replace(qkv=qkv))


def _keys_first(heads: int, K: int, V: int) -> Array:
    q, k, v = np.split(np.arange(heads * (2 * K + V)).reshape(heads, -1), [K, 2 * K], axis=1)
    return np.concatenate([k, q, v], axis=1)


def _values_first(heads: int, K: int, V: int) -> Array:
    return np.roll(np.arange(heads * (2 * K + V)).reshape(heads, -1), -V, axis=1)


def _three_blocks(heads: int, K: int, V: int) -> Array:
    """All queries first, then all keys, then all values."""
    q, k, v = np.split(np.arange(heads * (2 * K + V)), [heads * K, 2 * heads * K])
    return np.concatenate([part.reshape(heads, -1) for part in (q, k, v)], axis=1)


def _merge_without_transpose(x: Array) -> Array:
    B, heads, N, V = x.shape
    return x.reshape(B, N, heads * V)


TABLE.add(
    "attention",
    attention,
    _draw_attention,
    (
        "missing scale",
        "Divide q kᵀ by √K, where K is the width of a key.",
        lambda x, p: _scaled(x, p, 1),
    ),
    (
        "wrong scale",
        "Divide by √K, not by K.",
        lambda x, p: _scaled(x, p, 1 / head_sizes(p)[0]),
    ),
    (
        "wrong scale",
        "K is the width of a key of one head, not the number of channels C.",
        lambda x, p: _scaled(x, p, x.shape[-1] ** -0.5),
    ),
    (
        "wrong scale",
        "Divide by the root of the width of a key, not of a value.",
        lambda x, p: _scaled(x, p, head_sizes(p)[1] ** -0.5),
    ),
    (
        "bias before scale",
        "The bias is added after the scaling, and is not scaled itself.",
        lambda x, p: _attention(x, p, lambda qk, bias, K: softmax((qk + bias) * K**-0.5)),
    ),
    (
        "missing attention bias",
        "Add the biases to the scores: without them attention does not know where a token is.",
        lambda x, p: attention(x, p._replace(attention_biases=np.zeros_like(p.attention_biases))),
    ),
    (
        "bias after the softmax",
        "The bias belongs to the scores, before the softmax.",
        lambda x, p: _attention(x, p, lambda qk, bias, K: softmax(qk * K**-0.5) + bias),
    ),
    (
        "missing softmax",
        "Turn the scores into weights that sum to one.",
        lambda x, p: _attention(x, p, lambda qk, bias, K: qk * K**-0.5 + bias),
    ),
    (
        "wrong axis",
        "Softmax is over the keys, the last axis of the scores; yours is over the queries.",
        lambda x, p: _attention(
            x,
            p,
            lambda qk, bias, K: softmax((qk * K**-0.5 + bias).swapaxes(2, 3)).swapaxes(2, 3),
        ),
    ),
    (
        "q and k swapped",
        "Within a head the columns are q, k, v: the first K are the query.",
        lambda x, p: _reordered(x, p, _keys_first),
    ),
    (
        "values first",
        "Within a head the columns are q, k, v, in this order.",
        lambda x, p: _reordered(x, p, _values_first),
    ),
    (
        "heads not interleaved",
        "The columns of qkv are ordered head by head, within a head q, k, v. Yours takes all "
        "queries first, then all keys, then all values.",
        lambda x, p: _reordered(x, p, _three_blocks),
    ),
    (
        "heads mixed up",
        "Swap the axes (B, heads, N, V) -> (B, N, heads, V) before the reshape; a reshape alone "
        "mixes tokens with heads.",
        lambda x, p: _attention(x, p, merge=_merge_without_transpose),
    ),
    (
        "missing projection",
        "The heads, side by side, pass through the linear layer proj.",
        _unprojected,
    ),
    (
        "missing bias",
        "Both linear layers have a bias; the one of qkv is missing.",
        lambda x, p: attention(x, p._replace(qkv=without_bias(p.qkv))),
    ),
    (
        "missing bias",
        "Both linear layers have a bias; the one of proj is missing.",
        lambda x, p: attention(x, p._replace(proj=without_bias(p.proj))),
    ),
    (
        "missing bias",
        "Both linear layers have a bias; both are missing.",
        lambda x, p: attention(x, Attention(without_bias(p.qkv), without_bias(p.proj), p[2])),
    ),
    (
        "residual added",
        "The attention layer is only the branch; the block adds the residual.",
        lambda x, p: x + attention(x, p),
    ),
)


def _draw_bias_table_backward(d: Draw) -> tuple[Any, ...]:
    biases = d.array(d.size(), d.size(2), d.size(2))
    N = biases[0].size
    return d.array(len(biases), N, N), biases


def _last_wins(dtable: Array, biases: Array) -> Array:
    down, across = distances(*biases.shape[1:])
    dbiases = np.zeros_like(biases)
    dbiases[:, down, across] = dtable
    return dbiases


def _averaged(dtable: Array, biases: Array) -> Array:
    used = relative_position_bias_backward(np.ones_like(dtable), biases)
    return relative_position_bias_backward(dtable, biases) / used


TABLE.add(
    "relative_position_bias_backward",
    relative_position_bias_backward,
    _draw_bias_table_backward,
    (
        "overlaps lost",
        "Many pairs share a bias, and it receives the sum over all of them. With an index that "
        "occurs several times, `a[i] += b` adds only once: use np.add.at.",
        _last_wins,
    ),
    (
        "mean instead of sum",
        "A bias receives the sum over all pairs that used it, not the mean.",
        _averaged,
    ),
)


def _draw_attention_backward(d: Draw) -> tuple[Any, ...]:
    C = d.size(2)
    p = d.attention(C)
    x = d.tokens(C, N=p.attention_biases[0].size)
    y, tape = kept(attention, x, p)
    return like(d, y), x, p, tape


def _attention_backward(
    dy: Array,
    x: Array,
    p: Attention,
    tape: Trace,
    q_scale: float = -0.5,
    k_scale: float = -0.5,
    through: Callable[[Array, Array], Array] = softmax_backward,
    swap: bool = False,
) -> tuple[Array, Attention]:
    """attention_backward with exchangeable parts."""
    (K, V), heads = head_sizes(p), len(p.attention_biases)
    q, k, v = split_heads(tape["qkv"], heads, K)
    attn = tape["attn"]
    dy, dproj = linear_backward(dy, merge_heads(attn @ v), p.proj)
    dy = dy.reshape(*x.shape[:2], heads, V).swapaxes(1, 2)
    dv = (attn if swap else attn.swapaxes(2, 3)) @ dy
    dscores = through(dy @ v.swapaxes(2, 3), attn)
    dq, dk = dscores @ k * K**q_scale, dscores.swapaxes(2, 3) @ q * K**k_scale
    if swap:
        dk = dscores @ q * K**k_scale
    dx, dqkv = linear_backward(merge_heads(np.concatenate([dq, dk, dv], -1)), x, p.qkv)
    return dx, Attention(
        dqkv, dproj, relative_position_bias_backward(dscores.sum(0), p.attention_biases)
    )


TABLE.add(
    "attention_backward",
    attention_backward,
    _draw_attention_backward,
    (
        "missing scale",
        "The scores were q kᵀ / √K: both dq and dk are divided by √K.",
        partial(_attention_backward, q_scale=0, k_scale=0),
    ),
    (
        "missing scale",
        "The scores were q kᵀ / √K: dq is divided by √K.",
        partial(_attention_backward, q_scale=0),
    ),
    (
        "missing scale",
        "The scores were q kᵀ / √K: dk is divided by √K.",
        partial(_attention_backward, k_scale=0),
    ),
    (
        "softmax skipped",
        "The gradient of the weights goes back through the softmax to the scores.",
        partial(_attention_backward, through=lambda dattn, attn: dattn),
    ),
    (
        "diagonal only",
        "Every weight depends on every score of its row; yours treats softmax as elementwise.",
        partial(_attention_backward, through=lambda dattn, attn: dattn * attn * (1 - attn)),
    ),
    (
        "missing transpose",
        "dv = attnᵀ dy and dk = dscoresᵀ q / √K: what query i took from key j goes back to key j.",
        partial(_attention_backward, swap=True),
    ),
    (
        "mean instead of sum",
        "All images used the same biases: their gradient is the sum over the batch.",
        but(
            attention_backward,
            lambda dp, dy, *_: dp._replace(attention_biases=dp.attention_biases / len(dy)),
        ),
    ),
)
