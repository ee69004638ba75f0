"""Scaled dot-product attention with a bias (Vaswani et al. 2017, equation 1; LeViT, section 4).

    attn = softmax(scale · q kᵀ + bias)        y = attn v                for each head

Every query compares itself with every key, and takes over the values accordingly. The bias is added
after the scaling and is not scaled. Reference: torch.nn.functional.scaled_dot_product_attention.
"""

from __future__ import annotations

import numpy as np

from .arrays import Array
from .precision import half_in_float32, sum64
from .run import EVALUATION, Run
from .softmax import softmax, softmax_backward


@half_in_float32
def attend(qkv: Array, bias: Array, K: int, scale: float, run: Run = EVALUATION) -> Array:
    """Let every token look at every other, in each head.

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


@half_in_float32
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
    return merge_heads(np.concatenate([dq, dk, dv], axis=-1)), sum64(dscores, 0)


def split_heads(qkv: Array, heads: int, K: int) -> list[Array]:
    """Cut (B, N, heads·(2K + V)) into q and k, (B, heads, N, K), and v, (B, heads, N, V)."""
    B, N, width = qkv.shape
    qkv = qkv.reshape(B, N, heads, width // heads).swapaxes(1, 2)  # -> (B, heads, N, 2K + V)
    return np.split(qkv, [K, 2 * K], axis=-1)


def merge_heads(x: Array) -> Array:
    """Lay the heads side by side: (B, heads, N, V) -> (B, N, heads·V)."""
    B, heads, N, V = x.shape
    return x.swapaxes(1, 2).reshape(B, N, heads * V)
