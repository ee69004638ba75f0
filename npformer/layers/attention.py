"""Multi-head self-attention with attention biases (EfficientFormer, equation 6; LeViT, section 4).

    q, k, v = split(x W_qkv + b_qkv)                        for each head
    attn    = softmax(q kᵀ / √K + bias)                     (N, N) for each head
    y       = concat over heads(attn v) W_proj + b_proj

K is the width of a key (32), V that of a value (128). The bias, a `relative_position_bias`, is
added after the scaling and is not scaled. References: ``EfficientFormerSelfAttention`` of
transformers, ``Attention`` of timm.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .arrays import Array
from .linear import Linear, linear, linear_backward
from .position_bias import relative_position_bias, relative_position_bias_backward
from .run import EVALUATION, NO_TAPE, Run, Trace
from .softmax import softmax, softmax_backward


class Attention(NamedTuple):
    """Parameters of an attention layer. All sizes follow from the shapes."""

    qkv: Linear
    """C -> heads·(2K + V); the columns run head by head, within a head q, k, v"""
    proj: Linear
    """heads·V -> C"""
    attention_biases: Array
    """(heads, rows, columns), indexed by head, |Δy|, |Δx|; a checkpoint holds (heads, N)"""


def attention(x: Array, p: Attention, run: Run = EVALUATION) -> Array:
    """Let every token look at every other.

    Parameters
    ----------
    x : ndarray, shape (B, N, C)
        Tokens, row by row of the grid.
    p : Attention
    run : Run
        Records ``qkv``, ``attn`` and ``proj``.

    Returns
    -------
    ndarray, shape (B, N, C)

    Raises
    ------
    ValueError
        If N is not the number of grid points that the biases were learned for.
    """
    rows, columns = p.attention_biases.shape[1:3]
    if x.shape[1] != rows * columns:
        raise ValueError(
            f"{x.shape[1]} tokens, but the attention biases are for a {rows}×{columns} grid"
        )
    K, _ = head_sizes(p)
    qkv = run("qkv", linear(x, p.qkv))  # (B, N, C) -> (B, N, heads·(2K + V))
    y = attend(qkv, relative_position_bias(p.attention_biases), K, K**-0.5, run)
    return run("proj", linear(y, p.proj))  # (B, N, heads·V) -> (B, N, C)


def attention_backward(
    dy: Array, x: Array, p: Attention, tape: Trace = NO_TAPE
) -> tuple[Array, Attention]:
    """Gradient of `attention`: its steps in reverse, each with the input that it had.

    Parameters
    ----------
    dy, x : ndarray, shape (B, N, C)
    p : Attention
    tape : Trace
        What forward recorded.

    Returns
    -------
    dx : ndarray, shape (B, N, C)
    dp : Attention

    Raises
    ------
    KeyError
        If forward recorded nothing.
    """
    heads = len(p.attention_biases)
    K, _ = head_sizes(p)
    _, _, v = split_heads(tape["qkv"], heads, K)
    dy, dproj = linear_backward(dy, merge_heads(tape["attn"] @ v), p.proj)
    dqkv, dbias = attend_backward(dy, tape["qkv"], tape["attn"], K, K**-0.5)
    dx, dlinear = linear_backward(dqkv, x, p.qkv)
    dbiases = relative_position_bias_backward(dbias, p.attention_biases)
    return dx, Attention(dlinear, dproj, dbiases)


def attend(qkv: Array, bias: Array, K: int, scale: float, run: Run = EVALUATION) -> Array:
    """Attention between its two linear layers: ``softmax(scale · q kᵀ + bias) v`` for each head.

    Parameters
    ----------
    qkv : ndarray, shape (B, N, heads·(2K + V))
    bias : ndarray, shape (heads, N, N)
    K : int
        Width of a key.
    scale : float
        ``1 / √K``; 1 where the scale is already part of q.
    run : Run
        Records ``attn``.

    Returns
    -------
    ndarray, shape (B, N, heads·V)
    """
    q, k, v = split_heads(qkv, len(bias), K)  # (B, heads, N, K or V)
    scores = q @ k.swapaxes(2, 3) * scale  # -> (B, heads, N, N)
    attn = run("attn", softmax(scores + bias))
    return merge_heads(attn @ v)  # (B, heads, N, V) -> (B, N, heads·V)


def attend_backward(
    dy: Array, qkv: Array, attn: Array, K: int, scale: float
) -> tuple[Array, Array]:
    """Gradient of `attend`. For each head, with s the scale:

        dv = attnᵀ dy        dattn = dy vᵀ        dq = s · dscores k        dk = s · dscoresᵀ q

    Parameters
    ----------
    dy : ndarray, shape (B, N, heads·V)
    qkv : ndarray, shape (B, N, heads·(2K + V))
    attn : ndarray, shape (B, heads, N, N)
        The attention that forward recorded.
    K, scale
        As in `attend`.

    Returns
    -------
    dqkv : ndarray of the shape of `qkv`
    dbias : ndarray, shape (heads, N, N)
        The sum over the batch: all images used the same bias.
    """
    B, heads, N, _ = attn.shape
    q, k, v = split_heads(qkv, heads, K)
    dy = dy.reshape(B, N, heads, -1).swapaxes(1, 2)  # (B, N, heads·V) -> (B, heads, N, V)
    dv = attn.swapaxes(2, 3) @ dy
    dscores = softmax_backward(dy @ v.swapaxes(2, 3), attn)  # (B, heads, N, N)
    dq = dscores @ k * scale  # (B, heads, N, K)
    dk = dscores.swapaxes(2, 3) @ q * scale
    return merge_heads(np.concatenate([dq, dk, dv], axis=-1)), dscores.sum(0)


def split_heads(qkv: Array, heads: int, K: int) -> list[Array]:
    """Cut (B, N, heads·(2K + V)) into q and k, (B, heads, N, K), and v, (B, heads, N, V)."""
    B, N, width = qkv.shape
    qkv = qkv.reshape(B, N, heads, width // heads).swapaxes(1, 2)  # -> (B, heads, N, 2K + V)
    return np.split(qkv, [K, 2 * K], axis=-1)


def merge_heads(x: Array) -> Array:
    """Lay the heads side by side: (B, heads, N, V) -> (B, N, heads·V)."""
    B, heads, N, V = x.shape
    return x.swapaxes(1, 2).reshape(B, N, heads * V)


def head_sizes(p: Attention) -> tuple[int, int]:
    """Widths of a key and of a value, (K, V)."""
    heads = p.attention_biases.shape[0]
    V = p.proj.weight.shape[0] // heads
    return (p.qkv.weight.shape[1] // heads - V) // 2, V
