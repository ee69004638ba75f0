"""Typical mistakes in batch norm, in evaluation and in training."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...layers import (
    Array,
    BatchNorm,
    LayerNorm,
    Mode,
    Run,
    Trace,
    batch_norm,
    batch_norm_backward,
    batch_statistics,
    layer_norm,
    update_running_stats,
)
from .exercise import Draw, Table
from .shared import affine, but, like, normalized, through_statistics, unweighted

TABLE = Table()


def _draw_batch_norm(d: Draw) -> tuple[Any, ...]:
    C = d.size(2)
    x, p = d.images(C), d.batch_norm(C)
    return (x, p, d.choice(1e-5, 1e-2, 0.5)) if d.level else (x, p)


TABLE.add(
    "batch_norm",
    batch_norm,
    _draw_batch_norm,
    (
        "missing mean",
        "Subtract the running mean before dividing.",
        lambda x, p, eps=1e-5: x / np.sqrt(p.running_var + eps) * p.weight + p.bias,
    ),
    *affine(batch_norm),
    (
        "missing square root",
        "Divide by the standard deviation: the square root of the variance.",
        lambda x, p, eps=1e-5: (x - p.running_mean) / (p.running_var + eps) * p.weight + p.bias,
    ),
    (
        "eps outside the root",
        "ε is added to the variance, under the square root.",
        lambda x, p, eps=1e-5: (
            (x - p.running_mean) / (np.sqrt(p.running_var) + eps) * p.weight + p.bias
        ),
    ),
    (
        "missing eps",
        "Add ε to the variance: a dead channel has variance 0.",
        lambda x, p, eps=1e-5: batch_norm(x, p, 0),
    ),
    (
        "eps ignored",
        "Use the ε that the function is given, not always 1e-5.",
        lambda x, p, eps=1e-5: batch_norm(x, p),
    ),
    (
        "statistics of the batch",
        "In evaluation use the running mean and variance, whatever is in the batch.",
        lambda x, p, eps=1e-5: batch_norm(x, p, eps, Run(Mode(batch_statistics=True))),
    ),
    (
        "divided by the variance of the image",
        "Mean and variance are those in p, one for each channel.",
        lambda x, p, eps=1e-5: layer_norm(x, LayerNorm(p.weight, p.bias), eps),
    ),
)


def batch_norm_training(x: Array, p: BatchNorm, eps: float = 1e-5) -> Array:
    """Batch norm in training, with the statistics of the batch."""
    return batch_norm(x, p, eps, Run(Mode(batch_statistics=True)))


TABLE.add(
    "batch_norm_training",
    batch_norm_training,
    _draw_batch_norm,
    (
        "running statistics",
        "In training use the mean and the variance of the batch itself.",
        batch_norm,
    ),
    (
        "unbiased variance",
        "The variance that normalizes is the biased one: divided by n, not n − 1.",
        lambda x, p, eps=1e-5: normalized(x, p, eps, (0, 1, 2), ddof=1),
    ),
    (
        "wrong axis",
        "Statistics are taken for each channel, over the batch and all pixels; yours are taken "
        "for each image separately.",
        lambda x, p, eps=1e-5: normalized(x, p, eps, (1, 2)),
    ),
    (
        "wrong axis",
        "Statistics are taken for each channel, over the batch and all pixels; yours are taken "
        "over the channels of each pixel.",
        lambda x, p, eps=1e-5: normalized(x, p, eps, (3,)),
    ),
    (
        "wrong axis",
        "Statistics are taken for each channel; yours are taken over everything at once.",
        lambda x, p, eps=1e-5: normalized(x, p, eps, (0, 1, 2, 3)),
    ),
    (
        "missing mean",
        "Subtract the mean of the batch before dividing.",
        lambda x, p, eps=1e-5: normalized(x, p, eps, (0, 1, 2), center=0),
    ),
)

TABLE.add(
    "batch_statistics",
    batch_statistics,
    lambda d: (d.images(),),
    (
        "unbiased variance",
        "The variance that normalizes is the biased one: divided by n, not n − 1.",
        lambda x: (x.mean((0, 1, 2)), x.var((0, 1, 2), ddof=1)),
    ),
    (
        "standard deviation",
        "Return the variance, not its square root.",
        lambda x: (x.mean((0, 1, 2)), x.std((0, 1, 2))),
    ),
    (
        "wrong axis",
        "One mean for each channel: over the batch, the rows and the columns.",
        lambda x: (x.mean(0), x.var(0)),
    ),
    results=("mean", "variance"),
)


def _draw_update(d: Draw) -> tuple[Any, ...]:
    C = d.size()
    x, p = d.images(C), d.batch_norm(C)
    seen = p, *batch_statistics(x), x.size // C
    return seen if not d.level else (*seen, d.choice(0.1, 0.3, 0.7))


def _move(p: BatchNorm, mean: Array, variance: Array, momentum: float) -> BatchNorm:
    return p._replace(
        running_mean=(1 - momentum) * p.running_mean + momentum * mean,
        running_var=(1 - momentum) * p.running_var + momentum * variance,
    )


TABLE.add(
    "update_running_stats",
    update_running_stats,
    _draw_update,
    (
        "biased variance",
        "The running average uses the unbiased variance (n − 1), although the biased one "
        "normalizes the batch.",
        lambda p, mean, variance, n, momentum=0.1: _move(p, mean, variance, momentum),
    ),
    (
        "momentum the wrong way round",
        "The new batch has weight `momentum`, the old average the rest.",
        lambda p, mean, variance, n, momentum=0.1: update_running_stats(
            p, mean, variance, n, 1 - momentum
        ),
    ),
)


def _draw_batch_norm_backward(d: Draw) -> tuple[Any, ...]:
    C = d.size(2)
    x, p = d.images(C), d.batch_norm(C)
    dy = like(d, x)
    if not d.level:
        return dy, x, p
    eps = d.choice(1e-5, 1e-2, 0.5)
    tape = Trace(mode=Mode(batch_statistics=d.choice(False, True)))
    batch_norm(x, p, eps, tape)
    return dy, x, p, eps, tape


def _batch_norm_through(
    dy: Array,
    x: Array,
    p: BatchNorm,
    eps: float = 1e-5,
    tape: Any = (),
    mean: int = 1,
    var: int = 1,
) -> tuple[Array, BatchNorm]:
    """batch_norm_backward, with the paths through mean and variance on or off."""
    dx, dp = batch_norm_backward(dy, x, p, eps, tape)
    if "mean" in tape:
        axes = tuple(range(x.ndim - 1))
        sigma = np.sqrt(tape["var"] + eps)
        x_hat = (x - tape["mean"]) / sigma
        g = dy * p.weight
        dx = (g - mean * g.mean(axes) - var * x_hat * (g * x_hat).mean(axes)) / sigma
    return dx, dp


TABLE.add(
    "batch_norm_backward",
    batch_norm_backward,
    _draw_batch_norm_backward,
    *through_statistics(_batch_norm_through, "the batch"),
    (
        "tape ignored",
        "If forward used the statistics of the batch, they are on the tape: use them.",
        lambda dy, x, p, eps=1e-5, tape=(): batch_norm_backward(dy, x, p, eps),
    ),
    unweighted(batch_norm_backward),
    (
        "not normalized",
        "The weight multiplies x̂, the normalized x: its gradient is Σ dy · x̂, not Σ dy · x.",
        but(
            batch_norm_backward,
            lambda dp, dy, x, *_: dp._replace(weight=(dy * x).sum((0, 1, 2))),
        ),
    ),
    (
        "eps ignored",
        "Use the ε that the function is given.",
        lambda dy, x, p, eps=1e-5, tape=(): batch_norm_backward(dy, x, p, 1e-5, tape),
    ),
)
