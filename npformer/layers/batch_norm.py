"""Batch normalization over the last axis (Ioffe & Szegedy 2015, algorithms 1 and 2).

    y = (x − mean) / √(variance + ε) · weight + bias             per channel

Evaluation uses the running mean and variance that training left behind; training uses those of the
batch itself. Reference: torch.nn.BatchNorm2d, whose ε is 1e-5.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from .arrays import Array
from .precision import half_in_float32, mean64, sum64, var64
from .run import EVALUATION, NO_TAPE, Run


class BatchNorm(NamedTuple):
    """Parameters and running statistics, all of shape (C,)."""

    weight: Array
    bias: Array
    running_mean: Array
    running_var: Array


@half_in_float32
def batch_norm(x: Array, p: BatchNorm, eps: float = 1e-5, run: Run = EVALUATION) -> Array:
    """Normalize each channel.

    Parameters
    ----------
    x : ndarray, shape (B, ..., C)
    p : BatchNorm
    eps : float
        Added to the variance, so that a dead channel is not divided by zero.
    run : Run
        In training, records ``mean``, ``var`` (biased) and ``n`` (values per channel) of the batch.

    Returns
    -------
    ndarray of the shape of `x`
    """
    mean, variance = p.running_mean, p.running_var
    if run.mode.batch_statistics:
        mean, variance = batch_statistics(x)
        run("mean", mean)
        run("var", variance)
        run("n", np.array(x.size // x.shape[-1]))
    return (x - mean) * (p.weight / np.sqrt(variance + eps)) + p.bias


@half_in_float32
def batch_norm_backward(
    dy: Array, x: Array, p: BatchNorm, eps: float = 1e-5, tape: Mapping[str, Array] = NO_TAPE
) -> tuple[Array, BatchNorm]:
    """Gradient of `batch_norm`.

        dx = g / σ                                      running statistics: a constant scaling
        dx = (g − mean(g) − x̂ · mean(g · x̂)) / σ        those of the batch, which depend on x

    with ``g = dy · weight`` and ``x̂ = (x − mean) / σ``, derived in `layer_norm_backward`.

    Parameters
    ----------
    dy, x : ndarray, shape (B, ..., C)
    p : BatchNorm
    eps : float
    tape : mapping of str to ndarray
        What forward recorded; without ``mean`` and ``var`` it used the running statistics.

    Returns
    -------
    dx : ndarray of the shape of `x`
    dp : BatchNorm
        Zero for the running statistics, which are not learned.
    """
    axes = tuple(range(x.ndim - 1))
    by_batch = "mean" in tape
    mean, variance = (tape["mean"], tape["var"]) if by_batch else (p.running_mean, p.running_var)
    sigma = np.sqrt(variance + eps)  # (C,)
    x_hat = (x - mean) / sigma
    g = dy * p.weight
    if by_batch:
        g = g - mean64(g, axes) - x_hat * mean64(g * x_hat, axes)
    zero = np.zeros_like(p.running_mean)
    return g / sigma, BatchNorm(sum64(dy * x_hat, axes), sum64(dy, axes), zero, zero)


def batch_statistics(x: Array) -> tuple[Array, Array]:
    """Mean and biased variance, (C,) each, of every channel of (B, ..., C)."""
    axes = tuple(range(x.ndim - 1))
    return mean64(x, axes), var64(x, axes)
