"""How errors of the inputs of a step come through to its result.

To first order an error e of x changes f(x) by J e, where J is the derivative of f: the hard bound
passes through |J|, and the variances of errors that are independent pass through J². Where a
function bends, its largest derivative within the error is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from ...layers import (
    ACTIVATIONS,
    DERIVATIVES,
    Array,
    BatchNorm,
    Conv2d,
    LayerNorm,
    LayerScale,
    Linear,
    as_linear,
)
from ...layers.attend import merge_heads
from ...layers.pooling import window_area, window_sum
from ..steps import Step
from .arithmetic import Error
from .products import windows

Passing: TypeAlias = "Callable[[Step, Array, tuple[Array, ...], tuple[Error, ...]], Error]"
"""From a step, its result, its inputs and their errors, to the error that comes of these"""


def unchanged(step: Step, y: Array, xs: tuple[Array, ...], errors: tuple[Error, ...]) -> Error:
    """A step that adds something exact, or nothing."""
    return errors[0]


def rearranged(step: Step, y: Array, xs: tuple[Array, ...], errors: tuple[Error, ...]) -> Error:
    """A step that only arranges numbers: their errors are arranged likewise."""
    (e,) = errors
    return Error(step(e.hard), step(e.variance))


def added(step: Step, y: Array, xs: tuple[Array, ...], errors: tuple[Error, ...]) -> Error:
    """``x + y`` or ``x − y``. Both may have come from the same array: errors may agree."""
    x, z = errors
    both = np.sqrt(x.variance) + np.sqrt(z.variance)
    return Error(x.hard + z.hard, np.square(both))


def averaged(step: Step, y: Array, xs: tuple[Array, ...], errors: tuple[Error, ...]) -> Error:
    """``(x + y)/2``."""
    return added(step, y, xs, errors).scaled(0.5)


def scaled(step: Step, y: Array, xs: tuple[Array, ...], errors: tuple[Error, ...]) -> Error:
    """``γ x``."""
    assert isinstance(step.params, LayerScale)
    return errors[0].scaled(step.params.gamma)


def normalized(step: Step, y: Array, xs: tuple[Array, ...], errors: tuple[Error, ...]) -> Error:
    """``(x − μ) s + β``."""
    p = step.params
    assert isinstance(p, BatchNorm)
    return errors[0].scaled(p.weight / np.sqrt(p.running_var + step.options["eps"]))


def activated(step: Step, y: Array, xs: tuple[Array, ...], errors: tuple[Error, ...]) -> Error:
    """An activation: its largest derivative within the error, from three values of it."""
    (x,), (e,) = xs, errors
    derivative = DERIVATIVES[ACTIVATIONS[step.options["name"]]]
    width = e.bound()
    return e.scaled(np.maximum.reduce([np.abs(derivative(x + d)) for d in (-width, 0, width)]))


def multiplied(step: Step, y: Array, xs: tuple[Array, ...], errors: tuple[Error, ...]) -> Error:
    """``x W + b``."""
    (e,), p = errors, step.params
    assert isinstance(p, Linear)
    return Error(e.hard @ np.abs(p.weight), e.variance @ np.square(p.weight))


def convolved(step: Step, y: Array, xs: tuple[Array, ...], errors: tuple[Error, ...]) -> Error:
    """A convolution: the same on windows.

    The pixels of a window may share an error, such as that of their channel's scale.
    """
    (e,), p = errors, step.params
    assert isinstance(p, Conv2d)
    kh, kw, _, _ = p.weight.shape
    weight = as_linear(p).weight
    hard, variance = windows(step, e.hard), windows(step, e.variance)
    return Error(hard @ np.abs(weight), kh * kw * (variance @ np.square(weight)))


def pooled(step: Step, y: Array, xs: tuple[Array, ...], errors: tuple[Error, ...]) -> Error:
    """The average of a window, whose pixels may share an error."""
    (e,), size = errors, step.options["size"]
    area = window_area(e.hard, size)
    return Error(window_sum(e.hard, size) / area, window_sum(e.variance, size) / area)


def averaged_tokens(
    step: Step, y: Array, xs: tuple[Array, ...], errors: tuple[Error, ...]
) -> Error:
    """The mean over tokens, which may share an error."""
    (e,) = errors
    return Error(e.hard.mean(1), e.variance.mean(1))


def layer_normalized(
    step: Step, y: Array, xs: tuple[Array, ...], errors: tuple[Error, ...]
) -> Error:
    """``dy = w r (dx − mean(dx) − x̂ mean(x̂ dx))``, as in `npformer.layers.layer_norm_backward`.

    As V may become smaller by the error, r is taken at the smallest that it can be. But however
    large the errors are, no normalized number exceeds √n, so none can be further off than to there.
    """
    (x,), (e,), p = xs, errors, step.params
    assert isinstance(p, LayerNorm)
    n = x.shape[-1]
    centered = x - x.mean(-1, keepdims=True)
    deviation = np.sqrt(np.square(centered).mean(-1, keepdims=True))
    change = np.sqrt(np.square(e.bound()).mean(-1, keepdims=True))
    r = 1 / np.sqrt(np.square(np.maximum(deviation - change, 0)) + step.options["eps"])
    normal = centered * r
    hard = e.hard + e.hard.mean(-1, keepdims=True)
    hard = hard + np.abs(normal) * (np.abs(normal) * e.hard).mean(-1, keepdims=True)
    of_mean = e.variance.mean(-1, keepdims=True) / n
    along = np.square(normal) * (np.square(normal) * e.variance).mean(-1, keepdims=True) / n
    w = np.abs(p.weight)
    farthest = w * (np.sqrt(n) + np.abs(y - p.bias) / np.maximum(w, np.finfo(np.float64).tiny))
    passed = Error(hard, e.variance + of_mean + along).scaled(r * w)
    return Error(
        np.minimum(passed.hard, farthest), np.minimum(passed.variance, np.square(farthest))
    )


def compared(step: Step, y: Array, xs: tuple[Array, ...], errors: tuple[Error, ...]) -> Error:
    """``scale · q kᵀ``: each factor's error times the other factor, and both errors."""
    return _product(xs[0], xs[1].swapaxes(2, 3), errors[0], _transposed(errors[1])).scaled(
        step.options["scale"]
    )


def mixed(step: Step, y: Array, xs: tuple[Array, ...], errors: tuple[Error, ...]) -> Error:
    """``attn v``."""
    error = _product(xs[0], xs[1], errors[0], errors[1])
    return Error(merge_heads(error.hard), merge_heads(error.variance))


def softened(step: Step, y: Array, xs: tuple[Array, ...], errors: tuple[Error, ...]) -> Error:
    """``dyᵢ = yᵢ (dxᵢ − Σ yⱼ dxⱼ)``; large errors of scores grow exponentially, up to 1."""
    (e,) = errors
    width = e.bound()
    grown = np.exp(np.minimum(2 * width.max(-1, keepdims=True), 80))
    hard = y * (e.hard + (y * e.hard).sum(-1, keepdims=True)) * grown
    variance = e.variance + (np.square(y) * e.variance).sum(-1, keepdims=True)
    return Error(np.minimum(hard, 1), np.square(y * grown) * variance)


def _transposed(e: Error) -> Error:
    return Error(e.hard.swapaxes(2, 3), e.variance.swapaxes(2, 3))


def _product(x: Array, z: Array, of_x: Error, of_z: Error) -> Error:
    hard = of_x.hard @ (np.abs(z) + of_z.hard) + np.abs(x) @ of_z.hard
    variance = of_x.variance @ (np.square(z) + of_z.variance) + np.square(x) @ of_z.variance
    return Error(hard, variance)


PASSING: dict[str, Passing] = {
    "identity": unchanged,
    "conv2d": convolved,
    "batch_norm": normalized,
    "activation": activated,
    "average_pool": pooled,
    "subtract": added,
    "layer_scale": scaled,
    "residual": added,
    "flat": rearranged,
    "layer_norm": layer_normalized,
    "linear": multiplied,
    "split_head": rearranged,
    "scores": compared,
    "position_bias": unchanged,
    "softmax": softened,
    "weighted_sum": mixed,
    "token_mean": averaged_tokens,
    "average": averaged,
}
"""How errors come through each kind of step."""
