"""Rounding errors of steps that add up: matrix products, convolutions, averages."""

from __future__ import annotations

import numpy as np

from ...layers import Array, Conv2d, Linear, as_linear, im2col
from ...layers.attend import merge_heads
from ...layers.pooling import window_area, window_sum
from ..steps import Step
from .arithmetic import Arithmetic, Error, rounded
from .sums import dot, in_any_order, in_groups, summed, without_order

def linear(step: Step, y: Array, inputs: tuple[Array, ...], a: Arithmetic) -> Error:
    """``x W + b``: each result is a dot product of C_in terms, in no particular order."""
    (x,), p = inputs, step.params
    assert isinstance(p, Linear)
    terms, squares = np.abs(x) @ np.abs(p.weight), np.square(x) @ np.square(p.weight)
    partial = without_order(y, p.bias)
    return dot(len(p.weight), y, terms, squares, p.bias, partial, a)

def conv2d(step: Step, y: Array, inputs: tuple[Array, ...], a: Arithmetic) -> Error:
    """A convolution: the same on windows, whose pixels are groups of terms in any order."""
    (x,), p = inputs, step.params
    assert isinstance(p, Conv2d)
    kh, kw, C_in, _ = p.weight.shape
    stride, padding = step.options.get("stride", 1), step.options.get("padding", 0)
    windows = im2col(x, kh, kw, stride, padding)  # (B, H', W', kh·kw·C_in)
    weight = as_linear(p).weight
    terms, squares = np.abs(windows) @ np.abs(weight), np.square(windows) @ np.square(weight)
    if kh * kw == 1:
        partial = without_order(y, p.bias)
    else:
        pixels = [slice(k * C_in, (k + 1) * C_in) for k in range(kh * kw)]
        partial = in_groups(p.bias, [windows[..., k] @ weight[k] for k in pixels])
    return dot(len(weight), y, terms, squares, p.bias, partial, a)

def scores(step: Step, y: Array, inputs: tuple[Array, ...], a: Arithmetic) -> Error:
    """``scale · q kᵀ``; queries may have been scaled before, or their weights."""
    (q, k), scale = inputs, step.options["scale"]
    k = k.swapaxes(2, 3)
    terms, squares = np.abs(q) @ np.abs(k) * scale, np.square(q) @ np.square(k) * scale**2
    zero = np.zeros(())
    error = dot(q.shape[-1], y, terms, squares, zero, without_order(y, zero), a)
    return error + rounded(a.u, y, y)

def weighted_sum(step: Step, y: Array, inputs: tuple[Array, ...], a: Arithmetic) -> Error:
    """``attn v``. Tokens have an order: neighbors are alike."""
    attn, v = inputs
    terms = merge_heads(np.abs(attn) @ np.abs(v))
    squares = merge_heads(np.square(attn) @ np.square(v))
    zero = np.zeros(())
    return dot(v.shape[2], y, terms, squares, zero, in_any_order(terms, y), a)

def average_pool(step: Step, y: Array, inputs: tuple[Array, ...], a: Arithmetic) -> Error:
    """The sum of a window, divided by its area or multiplied by one over it."""
    (x,), size = inputs, step.options["size"]
    area = window_area(x, size)
    terms, squares = window_sum(np.abs(x), size), window_sum(np.square(x), size)
    partial = in_any_order(terms, y * area)
    error = summed(size * size, terms, squares, partial, a).scaled(1 / area)
    return error + rounded(a.u, terms / area, y, y)

def token_mean(step: Step, y: Array, inputs: tuple[Array, ...], a: Arithmetic) -> Error:
    """The sum of all tokens, divided by their number or multiplied by one over it."""
    (x,) = inputs
    n = x.shape[1]
    terms, squares = np.abs(x).sum(1), np.square(x).sum(1)
    error = summed(n, terms, squares, in_any_order(terms, y * n), a).scaled(1 / n)
    return error + rounded(a.u, y, y)
