"""Multi-head self-attention with attention biases (EfficientFormer, equation 6; LeViT, section 4).

    q, k, v = split(x W_qkv + b_qkv)                        for each head
    attn    = softmax(q kᵀ / √K + bias)                     (N, N) for each head
    y       = concat over heads(attn v) W_proj + b_proj

K is the width of a key (32), V that of a value (128). The N tokens are the pixels of an R×R grid,
and the bias of a query and a key is learned for each *distance* (|Δy|, |Δx|) between them: it is
all that attention knows of where a token lies. The bias is added after the scaling and is not
scaled.
Reference: ``EfficientFormerSelfAttention`` of transformers, ``Attention`` of timm.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .arrays import Array
from .linear import Linear, linear, linear_backward
from .softmax import softmax, softmax_backward
from .trace import FORGET, Keep, Trace


class Attention(NamedTuple):
    """Parameters of an attention layer. Its sizes are all there is to read off their shapes."""

    qkv: Linear
    """C -> heads·(2K + V); the columns run head by head, within a head q, k, v"""
    proj: Linear
    """heads·V -> C"""
    attention_biases: Array
    """(heads, R, R), indexed by head, |Δy|, |Δx|; a checkpoint holds it as (heads, R²).
    Or one for each pair of places, (heads, R, R, R, R), as `npformer.network.resize` makes"""


def attention(x: Array, p: Attention, keep: Keep = FORGET) -> Array:
    """Let every token look at every other.

    Parameters
    ----------
    x : ndarray, shape (B, N, C)
        Tokens, row by row of the grid.
    p : Attention
    keep : Keep
        Sees ``qkv``, ``attn`` and ``proj``.

    Returns
    -------
    ndarray, shape (B, N, C)

    Raises
    ------
    ValueError
        If N is not the number of grid points that the biases were learned for.
    """
    N = x.shape[1]
    rows, columns = p.attention_biases.shape[1:3]
    if N != rows * columns:
        raise ValueError(f"{N} tokens, but the attention biases are for a {rows}×{columns} grid")
    K, _ = head_sizes(p)

    q, k, v = split_heads(keep("qkv", linear(x, p.qkv)), p)  # (B, N, C) -> (B, heads, N, K or V)
    scores = q @ k.swapaxes(2, 3) * K**-0.5  # -> (B, heads, N, N)
    attn = keep("attn", softmax(scores + bias_table(p.attention_biases)))
    y = merge_heads(attn @ v)  # (B, heads, N, V) -> (B, N, heads·V)
    return keep("proj", linear(y, p.proj))  # -> (B, N, C)


def attention_backward(dy: Array, x: Array, p: Attention, tape: Trace) -> tuple[Array, Attention]:
    """Gradient of `attention`.

    With ``y = attn v`` and ``scores = q kᵀ / √K + bias``, for each head:

        dv = attnᵀ dy        dattn = dy vᵀ        dq = dscores k / √K        dk = dscoresᵀ q / √K

    Parameters
    ----------
    dy, x : ndarray, shape (B, N, C)
    p : Attention
    tape : Trace
        What forward kept.

    Returns
    -------
    dx : ndarray, shape (B, N, C)
    dp : Attention
    """
    K, V = head_sizes(p)
    heads, N = len(p.attention_biases), x.shape[1]
    q, k, v = split_heads(tape["qkv"], p)
    attn = tape["attn"]

    dy, dproj = linear_backward(dy, merge_heads(attn @ v), p.proj)  # (B, N, C) -> (B, N, heads·V)
    dy = dy.reshape(len(x), N, heads, V).swapaxes(1, 2)  # -> (B, heads, N, V)
    dv = attn.swapaxes(2, 3) @ dy
    dscores = softmax_backward(dy @ v.swapaxes(2, 3), attn)  # (B, heads, N, N)
    dq = dscores @ k * K**-0.5  # (B, heads, N, K)
    dk = dscores.swapaxes(2, 3) @ q * K**-0.5
    dqkv = merge_heads(np.concatenate([dq, dk, dv], axis=-1))  # -> (B, N, heads·(2K + V))
    dx, dlinear = linear_backward(dqkv, x, p.qkv)
    dbiases = bias_table_backward(dscores.sum(0), p.attention_biases)  # the same for every image
    return dx, Attention(dlinear, dproj, dbiases)


def split_heads(qkv: Array, p: Attention) -> list[Array]:
    """Cut (B, N, heads·(2K + V)) into q and k, (B, heads, N, K), and v, (B, heads, N, V)."""
    B, N, _ = qkv.shape
    K, V = head_sizes(p)
    heads = len(p.attention_biases)
    qkv = qkv.reshape(B, N, heads, 2 * K + V).swapaxes(1, 2)  # -> (B, heads, N, 2K + V)
    return np.split(qkv, [K, 2 * K], axis=-1)


def merge_heads(x: Array) -> Array:
    """Lay the heads side by side: (B, heads, N, V) -> (B, N, heads·V)."""
    B, heads, N, V = x.shape
    return x.swapaxes(1, 2).reshape(B, N, heads * V)


def head_sizes(p: Attention) -> tuple[int, int]:
    """Widths of a key and of a value, (K, V), read off the shapes of the parameters."""
    heads = p.attention_biases.shape[0]
    V = p.proj.weight.shape[0] // heads
    return (p.qkv.weight.shape[1] // heads - V) // 2, V


def bias_table(biases: Array) -> Array:
    """Spread the bias of each distance over all pairs of tokens.

    Parameters
    ----------
    biases : ndarray, shape (heads, rows, columns) or (heads, rows, columns, rows, columns)
        By distance, or by pair of places.

    Returns
    -------
    ndarray, shape (heads, N, N) with ``N = rows·columns``
        Entry (h, i, j) is ``biases[h, |yᵢ − yⱼ|, |xᵢ − xⱼ|]``, or ``biases[h, yᵢ, xᵢ, yⱼ, xⱼ]``.
    """
    heads, rows, columns = biases.shape[:3]
    if biases.ndim == 5:
        return biases.reshape(heads, rows * columns, rows * columns)
    down, across = distances(rows, columns)
    return biases[:, down, across]


def bias_table_backward(dtable: Array, biases: Array) -> Array:
    """Gradient of `bias_table`: a bias receives the sum over all pairs that used it.

    Parameters
    ----------
    dtable : ndarray, shape (heads, N, N)
    biases : ndarray, shape (heads, rows, columns) or (heads, rows, columns, rows, columns)

    Returns
    -------
    ndarray of the shape of `biases`
    """
    heads, rows, columns = biases.shape[:3]
    if biases.ndim == 5:
        return dtable.reshape(biases.shape)
    down, across = distances(rows, columns)
    sums = np.zeros((rows * columns, heads), dtable.dtype)
    np.add.at(sums, down * columns + across, dtable.transpose(1, 2, 0))
    return sums.T.reshape(biases.shape)


def distances(rows: int, columns: int) -> tuple[Array, Array]:
    """|Δy| and |Δx| of every pair of tokens of a grid, (N, N) each."""
    y, x = np.divmod(np.arange(rows * columns), columns)  # (N,) each: row and column of a token
    return abs(y[:, None] - y), abs(x[:, None] - x)
