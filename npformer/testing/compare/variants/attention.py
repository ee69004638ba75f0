"""Mistakes between the matrix that makes q, k and v and the one that mixes the heads."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import numpy as np

from ....layers import Array, relative_position_bias, softmax
from ....layers.attend import merge_heads, split_heads
from ....layers.position_bias import distances
from ....network.configuration import EfficientFormerConfig
from ...steps import Step

Parts = list[Array]


def split_mistakes(step: Step, qkv: Array) -> Iterator[tuple[str, Parts]]:
    """Three blocks; another order within a head; heads interleaved."""
    heads, K = step.options["heads"], step.options["K"]
    B, N, width = qkv.shape
    V = width // heads - 2 * K
    q, k, v = np.split(qkv, [heads * K, 2 * heads * K], axis=-1)
    yield "qkv_blocks", [_by_head(part, heads) for part in (q, k, v)]
    if K == V:
        third = qkv.reshape(B, N, 3, K, heads).transpose(2, 0, 4, 1, 3)
        yield "head_order", list(third)
    sizes = {"q": K, "k": K, "v": V}
    by_head = qkv.reshape(B, N, heads, -1).swapaxes(1, 2)
    for order in permutations("qkv"):
        at, parts = 0, {}
        for name in order:
            parts[name] = by_head[..., at : at + sizes[name]]
            at += sizes[name]
        if order != ("q", "k", "v"):
            yield "qkv_order", [parts[name] for name in "qkv"]
    for order in permutations("qkv"):
        at, parts = 0, {}
        for name in order:
            parts[name] = _by_head(qkv[..., at : at + heads * sizes[name]], heads)
            at += heads * sizes[name]
        if order != ("q", "k", "v"):
            yield "qkv_blocks", [parts[name] for name in "qkv"]
    interleaved = qkv.reshape(B, N, -1, heads).transpose(0, 3, 1, 2)
    yield "head_order", np.split(interleaved, [K, 2 * K], axis=-1)
    blocks = (part.reshape(B, N, -1, heads).transpose(0, 3, 1, 2) for part in (q, k, v))
    yield "head_order", list(blocks)
    unmoved = qkv.reshape(B, heads, N, width // heads)  # reshaped without exchanging axes
    yield "head_order", np.split(unmoved, [K, 2 * K], axis=-1)
    right = split_heads(qkv, heads, K)
    yield "head_order", [part[:, ::-1] for part in right]


def _by_head(part: Array, heads: int) -> Array:
    """(B, N, heads·K) -> (B, heads, N, K)."""
    B, N, width = part.shape
    return part.reshape(B, N, heads, width // heads).swapaxes(1, 2)


def scores_mistakes(
    step: Step, inputs: list[Array], config: EfficientFormerConfig
) -> Iterator[tuple[str, Array]]:
    """Not scaled, scaled by another width, or keys compared with queries."""
    (q, k), scale = inputs, step.options["scale"]
    product = q @ k.swapaxes(2, 3)
    yield "scores_not_scaled", product
    K, V, heads, C = q.shape[-1], config.value_dim, q.shape[1], config.hidden_size
    widths = (C, C / heads, V, heads * K, heads * V, 2 * K + V, heads * (2 * K + V), heads, len(k))
    factors = [width**-0.5 for width in widths] + [
        1 / K,
        1 / C,
        1 / V,
        K**-0.25,
        scale**-1,
        K**0.25,
    ]
    for factor in factors:
        if abs(factor - scale) > 1e-6 * scale and factor != 1:
            yield "scores_scaled_by_dim", factor * product
    yield "qkv_order", scale * product.swapaxes(2, 3)


def bias_mistakes(
    step: Step, inputs: list[Array], config: EfficientFormerConfig
) -> Iterator[tuple[str, Array]]:
    """Missing, scaled, transposed, or read by another numbering of distances."""
    (x,), biases = inputs, step.params
    assert isinstance(biases, np.ndarray)
    yield "bias_missing", x
    table = relative_position_bias(biases)
    for scale in (config.key_dim**-0.5, config.key_dim**0.5):
        yield "bias_scaled", x + table * scale
    yield "the attention bias is subtracted, not added", x - table
    if biases.ndim != 3:
        return
    heads, rows, columns = biases.shape
    flat = biases.reshape(heads, -1)
    if rows == columns:
        yield "bias_transposed", x + relative_position_bias(biases.swapaxes(1, 2))
    else:
        turned = biases.reshape(heads, columns, rows).swapaxes(1, 2)
        yield "bias_transposed", x + relative_position_bias(turned)
        down, across = distances(rows, columns)
        yield "bias_transposed", x + flat[:, (across * columns + down) % (rows * columns)]
    for index in _other_numberings(rows, columns):
        yield "bias_other_grid", x + flat[:, index]
    mixed = biases.reshape(rows * columns, heads).T.reshape(biases.shape)
    yield "head_order", x + relative_position_bias(mixed)
    yield "head_order", x + table[::-1]


def _other_numberings(rows: int, columns: int) -> Iterator[Array]:
    """Yield tables (N, N) of indices into the biases, other than |Δy|·columns + |Δx|."""
    down, across = distances(rows, columns)
    n = rows * columns
    i = np.arange(n)
    yield abs(i[:, None] - i) % n  # along the line of tokens
    yield (i[:, None] - i) % n
    yield (i - i[:, None]) % n
    yield np.broadcast_to(i, (n, n))  # by key
    yield (rows - 1 - down) * columns + (columns - 1 - across)
    yield down * columns + (columns - 1 - across)
    yield (rows - 1 - down) * columns + across
    for width in (columns - 1, columns + 1, 2 * columns - 1, rows):
        yield (down * width + across) % n
    if rows != columns:
        down_of_other, across_of_other = distances(columns, rows)
        yield down_of_other * rows + across_of_other
    signed_down = i[:, None] // columns - i // columns
    signed_across = i[:, None] % columns - i % columns
    for one, other in ((signed_down, signed_across), (-signed_down, -signed_across)):
        yield (one % rows) * columns + other % columns
        yield ((one + rows - 1) * (2 * columns - 1) + other + columns - 1) % n
        yield np.maximum(one, 0) * columns + np.maximum(other, 0)
    far = np.square(down) + np.square(across)
    yield np.minimum(np.unique(far, return_inverse=True)[1].reshape(n, n), n - 1)
    yield np.minimum(down + across, n - 1)
    yield np.maximum(down, across)
    yield np.minimum(down, rows // 2) * columns + np.minimum(across, columns // 2)


def softmax_mistakes(
    step: Step, inputs: list[Array], _: EfficientFormerConfig
) -> Iterator[tuple[str, Array]]:
    """Over queries, over heads, over everything."""
    (x,) = inputs
    yield "softmax_axis", softmax(x.swapaxes(2, 3)).swapaxes(2, 3)
    yield "softmax_axis", np.moveaxis(softmax(np.moveaxis(x, 1, -1)), -1, 1)
    B, heads, N, _n = x.shape
    yield "softmax_axis", softmax(x.reshape(B, heads, N * N)).reshape(x.shape)
    yield "softmax_axis", softmax(x.reshape(B, heads * N * N)).reshape(x.shape)
    yield "softmax_axis", np.moveaxis(softmax(np.moveaxis(x, 0, -1)), -1, 0)
    yield "the softmax is left out", x
    yield "powers of two stand for powers of e", softmax(x * np.log(2))
    yield "qkv_order", softmax(x.swapaxes(2, 3))


def context_mistakes(
    step: Step, inputs: list[Array], _: EfficientFormerConfig
) -> Iterator[tuple[str, Array]]:
    """Heads side by side in another order, or without exchanging axes."""
    attn, v = inputs
    y = attn @ v  # (B, heads, N, V)
    B, heads, N, V = y.shape
    yield "head_order", y.reshape(B, N, heads * V)
    yield "head_order", y.transpose(0, 2, 3, 1).reshape(B, N, heads * V)
    yield "head_order", merge_heads(y[:, ::-1])
    yield "head_order", y.swapaxes(2, 3).reshape(B, N, heads * V)
    yield "softmax_axis", merge_heads(attn.swapaxes(2, 3) @ v)
