"""Dropout and drop path: noise for training, absent at evaluation.

    dropout(x)   = x · m / (1 − rate),    m ~ Bernoulli(1 − rate) for each number
    drop_path(x) = x · m / (1 − rate),    m ~ Bernoulli(1 − rate) for each image

Dividing by the probability of survival keeps the expected value, so evaluation needs no correction
(Srivastava et al. 2014; drop path, or stochastic depth: Huang et al. 2016). References:
torch.nn.Dropout, ``EfficientFormerDropPath`` of transformers.
"""

from __future__ import annotations

from .arrays import Array, Rng


def dropout(x: Array, rate: float, rng: Rng) -> Array:
    """Silence single numbers.

    Parameters
    ----------
    x : ndarray, any shape
    rate : float
        Probability of silence, in [0, 1].
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of the shape and dtype of `x`
    """
    return x * survival(x.shape, rate, rng).astype(x.dtype)


def drop_path(x: Array, rate: float, rng: Rng) -> Array:
    """Silence the whole branch for single images of the batch.

    Parameters
    ----------
    x : ndarray, shape (B, ...)
        A residual branch.
    rate : float
        Probability of silence, in [0, 1].
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of the shape and dtype of `x`
    """
    return x * survival((len(x), *[1] * (x.ndim - 1)), rate, rng).astype(x.dtype)


def survival(shape: tuple[int, ...], rate: float, rng: Rng) -> Array:
    """Draw what a dropout multiplies by: 0 with probability `rate`, else 1 / (1 − rate)."""
    if not 0 <= rate <= 1:
        raise ValueError(f"a dropout rate is a probability, got {rate}")
    if rate == 1:
        return rng.random(shape) * 0
    return (rng.random(shape) >= rate) / (1 - rate)
