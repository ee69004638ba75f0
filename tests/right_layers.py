"""Right implementations of layers that compute in other ways than npformer's."""

from __future__ import annotations

import math

import numpy as np

from npformer.layers import linear
from npformer.layers.attend import merge_heads, split_heads
from npformer.layers.position_bias import relative_position_bias


def shuffled_sums(x, p):
    """A linear layer that adds up in another order, in blocks, and ends with the bias first."""
    order = np.random.default_rng(x.size).permutation(len(p.weight))
    y = np.broadcast_to(p.bias, (*x.shape[:-1], len(p.bias))).copy()
    for c in order:
        y += x[..., c, None] * p.weight[c]
    return y


def fused_norm(x, p, eps=1e-12):
    """x r w + (β − m r w), as compilers like it, with the variance as E[x²] − m²."""
    mean = x.mean(-1, keepdims=True)
    r = 1 / np.sqrt(
        np.maximum((x * x).mean(-1, keepdims=True) - mean * mean, 0) + x.dtype.type(eps)
    )
    return x * (r * p.weight) + (p.bias - mean * r * p.weight)


def folded_batch_norm(x, p, eps=1e-5):
    scale = p.weight / np.sqrt(p.running_var + x.dtype.type(eps))
    return x * scale + (p.bias - p.running_mean * scale)


def separate_attention(x, p):
    """Scaled queries, sums of heads one by one, and exp without the largest score in the end."""
    heads = len(p.attention_biases)
    V = len(p.proj.weight) // heads
    K = (p.qkv.weight.shape[1] // heads - V) // 2
    q, k, v = split_heads(linear(x, p.qkv), heads, K)
    scores = (q * x.dtype.type(K**-0.5)) @ k.swapaxes(2, 3) + relative_position_bias(
        p.attention_biases
    )
    e = np.exp(scores - scores.max(-1, keepdims=True))
    y = (e @ v) / e.sum(-1, keepdims=True)
    return linear(merge_heads(y), p.proj)


def gelu_by_erfc(x):
    return (x * np.vectorize(lambda v: math.erfc(-v / math.sqrt(2)) / 2)(x)).astype(x.dtype)


OTHER_WAYS = [
    ("linear", shuffled_sums),
    ("layer_norm", fused_norm),
    ("batch_norm", folded_batch_norm),
    ("attention", separate_attention),
    ("gelu", gelu_by_erfc),
]
"""Name of a layer, and a function in its place."""
