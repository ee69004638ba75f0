"""Dropout and drop path: noise for training, absent at evaluation.

    dropout(x)   = x · m / (1 − rate),    m ~ Bernoulli(1 − rate) for each number
    drop_path(x) = x · m / (1 − rate),    m ~ Bernoulli(1 − rate) for each image

Dividing by the probability of survival keeps the expected value, so evaluation needs no correction
(Srivastava et al. 2014; drop path, or stochastic depth: Huang et al. 2016). References:
torch.nn.Dropout, ``EfficientFormerDropPath`` of transformers. Both are x times a mask, so backward
is dy times the same mask.
"""

from __future__ import annotations

from collections.abc import Mapping

from .arrays import Array, Rng
from .trace import FORGET, Keep


def dropout(x: Array, rate: float, rng: Rng | None, keep: Keep = FORGET) -> Array:
    """Silence single numbers.

    Parameters
    ----------
    x : ndarray, any shape
    rate : float
        Probability of silence, in [0, 1]; at 0 nothing is drawn.
    rng : numpy.random.Generator
    keep : Keep
        Sees ``mask``, unless the rate is 0.

    Returns
    -------
    ndarray of the shape and dtype of `x`
    """
    if rate == 0:
        return x
    return x * keep("mask", survival(x.shape, rate, rng).astype(x.dtype))


def drop_path(x: Array, rate: float, rng: Rng | None, keep: Keep = FORGET) -> Array:
    """Silence the whole branch for single images of the batch.

    Parameters
    ----------
    x : ndarray, shape (B, ...)
        A residual branch.
    rate : float
        Probability of silence, in [0, 1]; at 0 nothing is drawn.
    rng : numpy.random.Generator
    keep : Keep
        Sees ``mask``, of shape (B, 1, ...), unless the rate is 0.

    Returns
    -------
    ndarray of the shape and dtype of `x`
    """
    if rate == 0:
        return x
    shape = (len(x), *[1] * (x.ndim - 1))
    return x * keep("mask", survival(shape, rate, rng).astype(x.dtype))


def masked(x: Array, tape: Mapping[str, Array]) -> Array:
    """Multiply by the mask that forward drew, if it drew one.

    This repeats the noise of a forward on `x`, and it is the gradient of `dropout` and `drop_path`
    when `x` is the gradient of their output.
    """
    return x * tape["mask"] if "mask" in tape else x


def survival(shape: tuple[int, ...], rate: float, rng: Rng | None) -> Array:
    """Draw what a dropout multiplies by: 0 with probability `rate`, else 1 / (1 − rate)."""
    if not 0 <= rate <= 1:
        raise ValueError(f"a dropout rate is a probability, got {rate}")
    if rng is None:
        raise ValueError("dropout draws random numbers: pass a numpy.random.Generator")
    if rate == 1:
        return rng.random(shape) * 0
    return (rng.random(shape) >= rate) / (1 - rate)
