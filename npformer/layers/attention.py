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
from .linear import Linear, linear
from .softmax import softmax
from .trace import FORGET, Keep


class Attention(NamedTuple):
    """Parameters of an attention layer. Its sizes are all there is to read off their shapes."""

    qkv: Linear
    """C -> heads·(2K + V); the columns run head by head, within a head q, k, v"""
    proj: Linear
    """heads·V -> C"""
    attention_biases: Array
    """(heads, R, R), indexed by head, |Δy|, |Δx|; a checkpoint holds it as (heads, R²)"""


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
    B, N, _ = x.shape
    heads, rows, columns = p.attention_biases.shape
    if N != rows * columns:
        raise ValueError(f"{N} tokens, but the attention biases are for a {rows}×{columns} grid")
    K, V = head_sizes(p)

    qkv = keep("qkv", linear(x, p.qkv))  # (B, N, heads·(2K + V))
    qkv = qkv.reshape(B, N, heads, 2 * K + V).swapaxes(1, 2)  # -> (B, heads, N, 2K + V)
    q, k, v = np.split(qkv, [K, 2 * K], axis=-1)  # (B, heads, N, K), the same, (B, heads, N, V)

    scores = q @ k.swapaxes(2, 3) * K**-0.5  # -> (B, heads, N, N)
    attn = keep("attn", softmax(scores + bias_table(p.attention_biases)))
    y = (attn @ v).swapaxes(1, 2).reshape(B, N, heads * V)  # (B, heads, N, V) -> (B, N, heads·V)
    return keep("proj", linear(y, p.proj))  # -> (B, N, C)


def head_sizes(p: Attention) -> tuple[int, int]:
    """Widths of a key and of a value, (K, V), read off the shapes of the parameters."""
    heads = p.attention_biases.shape[0]
    V = p.proj.weight.shape[0] // heads
    return (p.qkv.weight.shape[1] // heads - V) // 2, V


def bias_table(biases: Array) -> Array:
    """Spread the bias of each distance over all pairs of tokens.

    Parameters
    ----------
    biases : ndarray, shape (heads, rows, columns)

    Returns
    -------
    ndarray, shape (heads, N, N) with ``N = rows·columns``
        Entry (h, i, j) is ``biases[h, |yᵢ − yⱼ|, |xᵢ − xⱼ|]``.
    """
    _, rows, columns = biases.shape
    y, x = np.divmod(np.arange(rows * columns), columns)  # (N,) each: row and column of a token
    return biases[:, abs(y[:, None] - y), abs(x[:, None] - x)]
