"""Mistakes in convolutions and linear layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ....layers import ACTIVATIONS, Array, Conv2d, Linear, conv2d, linear
from ...sixteen_bits import rounded
from ...steps import Step
from ..arrangement import misread_layouts


def conv2d_mistakes(step: Step, inputs: list[Array], _: Any) -> Iterator[tuple[str, Array]]:
    """No bias, another border, another stride or dilation, a kernel in another layout."""
    (x,), p = inputs, step.params
    assert isinstance(p, Conv2d)
    stride, padding = step.options.get("stride", 1), step.options.get("padding", 0)
    kh, kw, C_in, C_out = p.weight.shape
    if p.bias.any():
        yield "bias_zero", conv2d(x, p._replace(bias=0 * p.bias), stride, padding)
    for weight in _other_kernels(p.weight):
        yield "weight_transposed", conv2d(x, p._replace(weight=weight), stride, padding)
    if kh * kw == 1:
        return
    for other in misread_layouts(x):
        yield "channels_last", conv2d(other, p, stride, padding)
    for mode in ("edge", "reflect", "wrap", "symmetric"):
        if padding and min(x.shape[1:3]) > padding:
            pads = ((0, 0), (padding, padding), (padding, padding), (0, 0))
            yield "padding", conv2d(np.pad(x, pads, mode=mode), p, stride, 0)
    for before in range(2 * padding + 1):
        if before != padding:  # as TensorFlow pads an even image, or on one side only
            after = 2 * padding - before
            pads = ((0, 0), (before, after), (before, after), (0, 0))
            yield "padding", conv2d(np.pad(x, pads), p, stride, 0)
    wide = np.zeros((2 * kh - 1, 2 * kw - 1, C_in, C_out))
    wide[::2, ::2] = p.weight
    if min(x.shape[1:3]) + 2 * (padding + kh // 2) >= 2 * kh - 1:
        yield "stride", conv2d(x, p._replace(weight=wide), stride, padding + kh // 2)
    for longer in sorted({1, 2, 4} - {stride}):
        yield "stride", conv2d(x, p, longer, padding)
    if padding and min(x.shape[1:3]) >= max(kh, kw):
        yield "padding", conv2d(x, p, stride, 0)


def linear_mistakes(step: Step, inputs: list[Array], _: Any) -> Iterator[tuple[str, Array]]:
    """No bias, a matrix in another layout, an activation before it."""
    (x,), p = inputs, step.params
    assert isinstance(p, Linear)
    if p.bias.any():
        yield "bias_zero", linear(x, p._replace(bias=0 * p.bias))
    for weight in _other_kernels(p.weight[None, None]):
        yield "weight_transposed", linear(x, p._replace(weight=weight[0, 0]))
    for name in ("relu", "gelu", "hard_swish", "silu"):  # LeViT has one before its projection
        if name in ACTIVATIONS:
            yield "activation", linear(ACTIVATIONS[name](x), p)
    yield "activation", linear(x * np.clip(x + 3, 0, 6) / 6, p)


def rounded_weights(step: Step, inputs: list[Array], _: Any) -> Iterator[tuple[str, Array]]:
    """Weights, or weights and what they meet, in half precision; sums in float32."""
    (x,), p = inputs, step.params
    for kind in ("float16", "bfloat16"):
        weight, bias = rounded(p.weight, kind), rounded(p.bias, kind)  # type: ignore[union-attr]
        for changed in ({"weight": weight, "bias": bias}, {"weight": weight}):
            half = step._replace(params=p._replace(**changed))  # type: ignore[union-attr]
            yield "half_precision", half(x)
            yield "half_precision", half(rounded(x, kind))


def _other_kernels(weight: Array) -> Iterator[Array]:
    """Yield kernels (kh, kw, C_in, C_out) that other layouts of the same file would give."""
    kh, kw, C_in, C_out = weight.shape
    if kh * kw > 1:
        if kh == kw:
            yield weight.swapaxes(0, 1)
        yield weight[::-1, ::-1]
    stored = weight.transpose(3, 2, 0, 1)  # (C_out, C_in, kh, kw), as PyTorch's file has it
    yield stored.reshape(kh, kw, C_in, C_out)
    yield weight.reshape(C_out, C_in, kh, kw).transpose(2, 3, 1, 0)
    if kh * kw > 1:
        yield stored.reshape(C_out, kh, kw, C_in).transpose(1, 2, 3, 0)
    if C_in == C_out:
        yield weight.swapaxes(2, 3)
    elif min(C_in, C_out) > 1:
        yield stored.reshape(C_in, C_out, kh, kw).transpose(2, 3, 0, 1)
