"""Multi-head self-attention with attention biases (EfficientFormer, equation 6; LeViT, section 4).

    q, k, v = split(x W_qkv + b_qkv)                        for each head
    attn    = softmax(q kᵀ / √K + bias)                     (N, N) for each head: `attend`
    y       = concat over heads(attn v) W_proj + b_proj

K is the width of a key (32), V that of a value (128). The bias is a `relative_position_bias`.
References: ``EfficientFormerSelfAttention`` of
transformers, ``Attention`` of timm.
"""

from __future__ import annotations

from typing import NamedTuple

from .arrays import Array
from .attend import attend, attend_backward, merge_heads, split_heads
from .linear import Linear, linear, linear_backward
from .position_bias import relative_position_bias, relative_position_bias_backward
from .run import EVALUATION, NO_TAPE, Run, Trace


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
    N = x.shape[1]
    rows, columns = p.attention_biases.shape[1:3]
    if N != rows * columns:
        raise ValueError(f"{N} tokens, but the attention biases are for a {rows}×{columns} grid")
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
    K, _ = head_sizes(p)
    v = split_heads(tape["qkv"], len(p.attention_biases), K)[2]
    dy, dproj = linear_backward(dy, merge_heads(tape["attn"] @ v), p.proj)
    dqkv, dbias = attend_backward(dy, tape["qkv"], tape["attn"], K, K**-0.5)
    dx, dlinear = linear_backward(dqkv, x, p.qkv)
    dbiases = relative_position_bias_backward(dbias, p.attention_biases)
    return dx, Attention(dlinear, dproj, dbiases)


def head_sizes(p: Attention) -> tuple[int, int]:
    """Widths of a key and of a value, (K, V)."""
    heads = p.attention_biases.shape[0]
    V = p.proj.weight.shape[0] // heads
    return (p.qkv.weight.shape[1] // heads - V) // 2, V
