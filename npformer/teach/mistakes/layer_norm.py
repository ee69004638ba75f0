"""Typical mistakes in layer norm."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...layers import Array, LayerNorm, layer_norm, layer_norm_backward
from .exercise import Draw, Table
from .shared import (
    SUM,
    affine,
    but,
    like,
    mean_over_batch,
    normalized,
    through_statistics,
    unweighted,
)

TABLE = Table()


def _draw_layer_norm(d: Draw) -> tuple[Any, ...]:
    C = d.size(2)
    x, p = d.tokens(C), d.layer_norm(C)
    return (x, p, d.choice(1e-12, 1e-5, 0.1)) if d.level else (x, p)


TABLE.add(
    "layer_norm",
    layer_norm,
    _draw_layer_norm,
    (
        "missing mean",
        "Subtract the mean of the token before dividing.",
        lambda x, p, eps=1e-12: normalized(x, p, eps, (-1,), center=0),
    ),
    (
        "missing mean",
        "Subtract the mean of the token; yours divides by the root of the mean square only.",
        lambda x, p, eps=1e-12: (
            x / np.sqrt(np.square(x).mean(-1, keepdims=True) + eps) * p.weight + p.bias
        ),
    ),
    (
        "unbiased variance",
        "The variance is the biased one: divided by C, not C − 1.",
        lambda x, p, eps=1e-12: normalized(x, p, eps, (-1,), ddof=1),
    ),
    (
        "wrong axis",
        "Each token is normalized separately, over its channels; yours is over the tokens.",
        lambda x, p, eps=1e-12: normalized(x, p, eps, (1,)),
    ),
    (
        "wrong axis",
        "Each token is normalized separately; yours takes all tokens of an image together.",
        lambda x, p, eps=1e-12: normalized(x, p, eps, (1, 2)),
    ),
    (
        "wrong axis",
        "Each token is normalized separately; yours takes the whole array at once.",
        lambda x, p, eps=1e-12: normalized(x, p, eps, (0, 1, 2)),
    ),
    (
        "wrong axis",
        "Each token is normalized separately; yours takes a channel over the batch and all tokens, "
        "as batch norm does.",
        lambda x, p, eps=1e-12: normalized(x, p, eps, (0, 1)),
    ),
    (
        "missing square root",
        "Divide by the standard deviation: the square root of the variance.",
        lambda x, p, eps=1e-12: (
            (x - x.mean(-1, keepdims=True)) / (x.var(-1, keepdims=True) + eps) * p.weight + p.bias
        ),
    ),
    (
        "eps outside the root",
        "ε is added to the variance, under the square root.",
        lambda x, p, eps=1e-12: (
            (x - x.mean(-1, keepdims=True)) / (x.std(-1, keepdims=True) + eps) * p.weight + p.bias
        ),
    ),
    (
        "missing eps",
        "Add ε to the variance: a token of equal numbers has variance 0.",
        lambda x, p, eps=1e-12: layer_norm(x, p, 0),
    ),
    (
        "eps ignored",
        "Use the ε that the function is given.",
        lambda x, p, eps=1e-12: layer_norm(x, p, 1e-12),
    ),
    (
        "eps ignored",
        "Use the ε that the function is given, not always 1e-5.",
        lambda x, p, eps=1e-12: layer_norm(x, p, 1e-5),
    ),
    *affine(layer_norm),
)


def _draw_layer_norm_backward(d: Draw) -> tuple[Any, ...]:
    C = d.size(3)
    x, p = d.tokens(C) + 0.5, d.layer_norm(C)
    x[..., 0] += 3  # no token of equal numbers, where the gradient is infinite
    x = x.astype(d.dtype)
    return (like(d, x), x, p, d.choice(1e-12, 1e-2)) if d.level else (like(d, x), x, p)


def _layer_norm_through(
    dy: Array, x: Array, p: LayerNorm, eps: float = 1e-12, mean: int = 1, var: int = 1
) -> tuple[Array, LayerNorm]:
    """layer_norm_backward, with the paths through mean and variance on or off."""
    centered = x - x.mean(-1, keepdims=True)
    sigma = np.sqrt(np.square(centered).mean(-1, keepdims=True) + eps)
    x_hat = centered / sigma
    g = dy * p.weight
    through_mean = mean * g.mean(-1, keepdims=True)
    through_variance = var * x_hat * (g * x_hat).mean(-1, keepdims=True)
    return (g - through_mean - through_variance) / sigma, layer_norm_backward(dy, x, p, eps)[1]


def _summed_over_batch_only(dp: LayerNorm, dy: Array, x: Array, p: Any, *eps: Any) -> LayerNorm:
    x_hat = (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)
    return LayerNorm((dy * x_hat).sum(0), dy.sum(0))


TABLE.add(
    "layer_norm_backward",
    layer_norm_backward,
    _draw_layer_norm_backward,
    *through_statistics(_layer_norm_through, "a token"),
    unweighted(layer_norm_backward),
    (
        "not normalized",
        "The weight multiplies x̂, the normalized x: its gradient is Σ dy · x̂, not Σ dy · x.",
        but(layer_norm_backward, lambda dp, dy, x, *_: dp._replace(weight=(dy * x).sum((0, 1)))),
    ),
    (
        "missing sum over positions",
        "Every token used the same weight and bias: sum over the batch and the tokens.",
        but(layer_norm_backward, _summed_over_batch_only),
    ),
    (*SUM, mean_over_batch(layer_norm_backward)),
    (
        "eps ignored",
        "Use the ε that the function is given.",
        lambda dy, x, p, *eps: layer_norm_backward(dy, x, p),
    ),
)
