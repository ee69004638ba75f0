"""Mistakes in normalizations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ....layers import Array, BatchNorm, LayerNorm, batch_norm, layer_norm, relu
from ...steps import Step

EPSILONS = (1e-5, 1e-3, 1e-6, 1e-12, 0.0, 1e-8, 1e-4, 1e-2, 1e-7, 1e-1, 2e-5, 1e-10, 1e-9, 1.0)
"""ε in use: PyTorch and TensorFlow have 1e-5 and 1e-3."""

UNROOTED = "the root of the variance is left out"


def batch_norm_mistakes(step: Step, inputs: list[Array], _: Any) -> Iterator[tuple[str, Array]]:
    """Another ε, left out, twice, statistics of the batch, parameters as before training."""
    (x,), p, eps = inputs, step.params, step.options["eps"]
    assert isinstance(p, BatchNorm)
    right = batch_norm(x, p, eps)
    for other in other_epsilons(eps):
        yield "eps", batch_norm(x, p, other)
    deviation = np.sqrt(p.running_var) + eps
    yield "eps", (x - p.running_mean) / deviation * p.weight + p.bias
    yield UNROOTED, (x - p.running_mean) / (p.running_var + eps) * p.weight + p.bias
    yield "norm_missing", x
    yield "norm_twice", batch_norm(right, p, eps)
    axes = tuple(range(x.ndim - 1))
    count = x.size // x.shape[-1]
    of_batch = p._replace(running_mean=x.mean(axes), running_var=x.var(axes))
    yield "batch_statistics", batch_norm(x, of_batch, eps)
    if count > 1:
        unbiased = of_batch._replace(running_var=of_batch.running_var * count / (count - 1))
        yield "batch_statistics", batch_norm(x, unbiased, eps)
    one, zero = np.ones_like(p.weight), np.zeros_like(p.weight)
    for fields in (
        {"running_mean": zero}, {"running_var": one}, {"running_mean": zero, "running_var": one},
        {"weight": one, "bias": zero, "running_mean": zero, "running_var": one},
    ):  # fmt: skip
        yield "random_start", batch_norm(x, p._replace(**fields), eps)
    # Nobody can tell whether these were not loaded, or left out.
    for fields in ({"weight": one}, {"bias": zero}, {"weight": one, "bias": zero}):
        yield "parameter", batch_norm(x, p._replace(**fields), eps)
    if step.path.endswith("downsample.norm"):  # elsewhere an activation follows, or a sum
        yield "activation", relu(right)


def layer_norm_mistakes(step: Step, inputs: list[Array], _: Any) -> Iterator[tuple[str, Array]]:
    """Another ε, left out, twice, over another axis, parameters as before training."""
    (x,), p, eps = inputs, step.params, step.options["eps"]
    assert isinstance(p, LayerNorm)
    for other in other_epsilons(eps):
        yield "eps", layer_norm(x, p, other)
    centered = x - x.mean(-1, keepdims=True)
    deviation = centered.std(-1, keepdims=True)
    yield "eps", centered / (deviation + eps) * p.weight + p.bias
    yield UNROOTED, centered / (np.square(deviation) + eps) * p.weight + p.bias
    yield "norm_missing", x
    yield "norm_twice", layer_norm(layer_norm(x, p, eps), p, eps)
    one, zero = np.ones_like(p.weight), np.zeros_like(p.bias)
    for changed in (LayerNorm(one, zero), p._replace(weight=one), p._replace(bias=zero)):
        yield "parameter", layer_norm(x, changed, eps)  # not loaded, or left out
    for axes in ((1,), (1, 2), (0, 1)):
        mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
        yield "norm_axis", (x - mean) / np.sqrt(variance + eps) * p.weight + p.bias
    square = np.square(x).mean(-1, keepdims=True)
    for bias in (p.bias, zero):
        yield "norm_axis", x / np.sqrt(square + eps) * p.weight + bias
    n = x.shape[-1]
    if n > 1:
        unbiased = np.square(centered).sum(-1, keepdims=True) / (n - 1)
        for added in (centered / np.sqrt(unbiased + eps), centered / (np.sqrt(unbiased) + eps)):
            yield "norm_axis", added * p.weight + p.bias
    if step.path == "norm":
        mean = x.mean(1, keepdims=True)
        yield "the tokens are averaged before the norm, not behind it", layer_norm(mean, p, eps)


def other_epsilons(eps: float) -> list[float]:
    """List other values of ε, without those that are nearly the same."""
    found: list[float] = []
    for other in (*EPSILONS, *(eps * 10.0**k for k in (3, 2, 1, -1, -2, -3))):
        if all(abs(other - seen) > 1e-3 * max(other, seen) for seen in (eps, *found)):
            found.append(other)
    return found
