"""Rounding errors of steps that add up: matrix products, convolutions, averages."""

from __future__ import annotations

import numpy as np

from ...layers import Array, Conv2d, Linear, as_linear, im2col
from ...layers.attend import merge_heads
from ...layers.pooling import window_area, window_sum
from ..steps import Step
from .arithmetic import Arithmetic, Error, rounded
from .sums import dot, in_any_order, summed

ZERO = np.zeros(())


def linear(step: Step, y: Array, inputs: tuple[Array, ...], a: Arithmetic) -> Error:
    """``x W + b``."""
    (x,), p = inputs, step.params
    assert isinstance(p, Linear)
    return dot(x, p.weight, p.bias, y, a)


def conv2d(step: Step, y: Array, inputs: tuple[Array, ...], a: Arithmetic) -> Error:
    """A convolution: the same on windows."""
    (x,), p = inputs, step.params
    assert isinstance(p, Conv2d)
    return dot(windows(step, x), as_linear(p).weight, p.bias, y, a)


def windows(step: Step, x: Array) -> Array:
    """What meets the kernel of a convolution: (B, H, W, C_in) -> (B, H', W', kh·kw·C_in)."""
    p = step.params
    assert isinstance(p, Conv2d)
    kh, kw, _, _ = p.weight.shape
    return im2col(x, kh, kw, step.options.get("stride", 1), step.options.get("padding", 0))


def scores(step: Step, y: Array, inputs: tuple[Array, ...], a: Arithmetic) -> Error:
    """``scale · q kᵀ``; queries may have been scaled before, or their weights."""
    (q, k), scale = inputs, step.options["scale"]
    error = dot(q, k.swapaxes(2, 3), ZERO, y / scale if scale else y, a).scaled(scale)
    return error + rounded(a.u, y, y)


def weighted_sum(step: Step, y: Array, inputs: tuple[Array, ...], a: Arithmetic) -> Error:
    """``attn v``."""
    attn, v = inputs
    error = dot(attn, v, ZERO, attn @ v, a)
    return Error(merge_heads(error.hard), merge_heads(error.variance))


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
