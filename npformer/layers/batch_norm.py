"""Batch normalisation over the last axis (Ioffe & Szegedy 2015, algorithms 1 and 2).

    y = (x − mean) / √(variance + ε) · weight + bias             per channel

Evaluation uses the running mean and variance that training left behind; training uses those of the
batch itself. Reference: torch.nn.BatchNorm2d, whose ε is 1e-5.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .arrays import Array


class BatchNorm(NamedTuple):
    """Parameters and running statistics of a batch normalisation, all of shape (C,)."""

    weight: Array
    bias: Array
    running_mean: Array
    running_var: Array


def batch_norm(x: Array, p: BatchNorm, eps: float = 1e-5) -> Array:
    """Normalise each channel by its running statistics (evaluation).

    Parameters
    ----------
    x : ndarray, shape (B, ..., C)
    p : BatchNorm
    eps : float
        Added to the variance, so that a dead channel is not divided by zero.

    Returns
    -------
    ndarray of the shape of `x`
    """
    return (x - p.running_mean) * (p.weight / np.sqrt(p.running_var + eps)) + p.bias


def batch_statistics(x: Array) -> tuple[Array, Array]:
    """Mean and biased variance of each channel over all other axes.

    Parameters
    ----------
    x : ndarray, shape (B, ..., C)

    Returns
    -------
    mean, variance : ndarray, shape (C,)
    """
    axes = tuple(range(x.ndim - 1))
    return x.mean(axes), x.var(axes)


def update_running(p: BatchNorm, x: Array, momentum: float = 0.1) -> BatchNorm:
    """Move the running statistics towards those of a batch, as PyTorch does in training.

    Parameters
    ----------
    p : BatchNorm
    x : ndarray, shape (B, ..., C)
        What the layer saw; more than one value a channel.
    momentum : float
        Weight of the new batch, in [0, 1].

    Returns
    -------
    BatchNorm
        `p` with new statistics. The batch is normalised by its biased variance, yet the *unbiased*
        one (n − 1 in the denominator) enters the running average.
    """
    n = x.size // x.shape[-1]
    if n < 2:
        raise ValueError(f"batch statistics need at least 2 values a channel, got {n}")
    mean, variance = batch_statistics(x)
    return p._replace(
        running_mean=(1 - momentum) * p.running_mean + momentum * mean,
        running_var=(1 - momentum) * p.running_var + momentum * variance * n / (n - 1),
    )
