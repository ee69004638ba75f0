"""Dropout and drop path: noise for training, absent in evaluation.

    dropout(x)   = x · m / (1 − rate),    m ~ Bernoulli(1 − rate) for each number
    drop_path(x) = x · m / (1 − rate),    m ~ Bernoulli(1 − rate) for each image

Dividing by the probability of survival preserves the expected value, so evaluation needs no
correction (Srivastava et al. 2014; drop path, or stochastic depth: Huang et al. 2016). References:
torch.nn.Dropout, ``EfficientFormerDropPath`` of transformers. Both multiply x by a mask, so
backward multiplies dy by the same mask.
"""

from __future__ import annotations

from collections.abc import Mapping

from .arrays import Array, Rng


def dropout(x: Array, rate: float, rng: Rng | None) -> Array:
    """Set single numbers to zero.

    Parameters
    ----------
    x : ndarray, any shape
    rate : float
        Probability of zero, in [0, 1]; at 0 nothing is drawn.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of the shape and dtype of `x`

    Raises
    ------
    ValueError
        If the rate is not a probability, or there is no generator to draw from.
    """
    return x if rate == 0 else x * dropout_mask(x, rate, rng)


def drop_path(x: Array, rate: float, rng: Rng | None) -> Array:
    """Set a whole residual branch to zero for single images of the batch.

    Parameters
    ----------
    x : ndarray, shape (B, ...)
        A residual branch.
    rate : float
        Probability of zero, in [0, 1]; at 0 nothing is drawn.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of the shape and dtype of `x`

    Raises
    ------
    ValueError
        If the rate is not a probability, or there is no generator to draw from.
    """
    return x if rate == 0 else x * drop_path_mask(x, rate, rng)


def dropout_mask(x: Array, rate: float, rng: Rng | None) -> Array:
    """Draw what `dropout` multiplies `x` by, number by number.

    Raises
    ------
    ValueError
        As in `dropout`.
    """
    return survival(x.shape, rate, rng).astype(x.dtype)


def drop_path_mask(x: Array, rate: float, rng: Rng | None) -> Array:
    """Draw what `drop_path` multiplies `x` by, (B, 1, ...).

    Raises
    ------
    ValueError
        As in `drop_path`.
    """
    return survival((len(x), *[1] * (x.ndim - 1)), rate, rng).astype(x.dtype)


def apply_mask(x: Array, tape: Mapping[str, Array]) -> Array:
    """Multiply by the ``mask`` that forward drew, if it drew one.

    This repeats the noise of forward on `x`; when `x` is the gradient of the output of `dropout` or
    `drop_path`, it is their gradient.
    """
    return x * tape["mask"] if "mask" in tape else x


def survival(shape: tuple[int, ...], rate: float, rng: Rng | None) -> Array:
    """Draw 0 with probability `rate`, else 1 / (1 − rate).

    Raises
    ------
    ValueError
        As in `dropout`.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"a dropout rate is a probability, got {rate}")
    if rng is None:
        raise ValueError("dropout draws random numbers: pass a numpy.random.Generator")
    if rate == 1:
        return rng.random(shape) * 0
    return (rng.random(shape) >= rate) / (1 - rate)
