"""The arithmetic of a computer, and what is known of an error that rounding has made.

    fl(a ∘ b) = (a ∘ b)(1 + δ),    |δ| ≤ u          for ∘ one of + − × ÷

(Higham 2002, "Accuracy and Stability of Numerical Algorithms", equation 2.4.) u is the unit
roundoff, half the distance from 1 to the next number. Of an `Error` two things are known. It cannot
exceed `hard`. And if roundings fall independently of one another, each somewhere between its limits
with equal chance, it is sub-Gaussian (Higham & Mary 2019, "A new approach to probabilistic rounding
error analysis", section 2, with Hoeffding's inequality):

    P(|error| > λ √variance) ≤ 2 exp(−λ²/2)

A rounding that lies in [−a, a] contributes a²/3, the variance of the uniform distribution.
"""

from __future__ import annotations

from math import inf, log, sqrt
from typing import NamedTuple

import numpy as np

from ...errors import ConfigError
from ...layers import Array


class Arithmetic(NamedTuple):
    """A kind of floating point numbers, and in which kind long sums of them are added up."""

    u: float
    """unit roundoff"""
    sums: float
    """that of the numbers in which sums are added up"""
    tiny: float
    """how far a number near 0 may be off: smaller ones become 0, or multiples of it in float16"""
    huge: float
    """largest number"""
    strassen: bool = False
    """whether matrices are multiplied as in `npformer.kernels.strassen`"""


ARITHMETICS = {
    "float64": Arithmetic(2.0**-53, 2.0**-53, 2.0**-511, float(np.finfo("float64").max)),
    "float32": Arithmetic(2.0**-24, 2.0**-24, 2.0**-126, float(np.finfo("float32").max)),
    "float16": Arithmetic(2.0**-11, 2.0**-24, 2.0**-24, 65504.0),
    "bfloat16": Arithmetic(2.0**-8, 2.0**-24, 2.0**-126, (2 - 2.0**-7) * 2.0**127),
    "float32 strassen": Arithmetic(
        2.0**-24, 2.0**-24, 2.0**-126, float(np.finfo("float32").max), True
    ),
    "int8": Arithmetic(2.0**-24, 2.0**-24, 2.0**-126, float(np.finfo("float32").max)),
}
"""By dtype. In the 16-bit types libraries add up in float32. ``"float32 strassen"`` is that of
npformer's kernels. In ``"int8"`` the matrices and what they meet are whole numbers; everything else
is float32."""


def arithmetic(dtype: str) -> Arithmetic:
    """Return what is known of a type.

    Raises
    ------
    ConfigError
        If nothing is.
    """
    if dtype not in ARITHMETICS:
        raise ConfigError(f"dtype is {dtype!r}; expected one of {', '.join(ARITHMETICS)}")
    return ARITHMETICS[dtype]


class Error(NamedTuple):
    """What is known of the errors of an array, element by element."""

    hard: Array
    """none is larger"""
    variance: Array
    """for the probabilistic bound; see above"""
    fixed: Array | float = 0.0
    """the part of which nothing is known but how large it can be, as that of exp,"""
    random: Array | None = None
    """and the variance of the rest; all of it, if not given"""

    def __add__(self, other: Error) -> Error:  # type: ignore[override]
        """The error of a sum of two that are independent."""
        return Error(
            self.hard + other.hard,
            self.variance + other.variance,
            self.fixed + other.fixed,
            self._random() + other._random(),
        )

    def scaled(self, factor: Array | float) -> Error:
        """The error of `factor` times the array."""
        size, square = np.abs(factor), np.square(factor)
        return Error(
            self.hard * size, self.variance * square, self.fixed * size, self._random() * square
        )

    def total(self) -> Error:
        """The error of a sum over the last axis, which stays, with length 1."""
        parts = (self.hard, self.variance, self.fixed, self._random())
        whole = (np.broadcast_to(part, self.hard.shape) for part in parts)
        return Error(*(part.sum(-1, keepdims=True) for part in whole))

    def within(self, finite: Array) -> Error:
        """Return the error with infinity where something is not finite."""
        parts = (self.hard, self.variance, self.fixed, self._random())
        return Error(*(np.where(finite, part, np.inf) for part in parts))

    def bound(self, probability: float = 1e-12) -> Array:
        """Return what an element exceeds with this probability at most; with 0, what none can.

        What is not random counts as it is, or as if it were, whichever is less: the former where it
        is one large part, the latter where it has many small ones.
        """
        if not probability:
            return self.hard
        deviation = deviations(probability)
        apart = self.fixed + deviation * np.sqrt(self._random())
        return np.fmin(self.hard, np.fmin(apart, deviation * np.sqrt(self.variance)))

    def _random(self) -> Array:
        return self.variance if self.random is None else self.random


def exact(x: Array) -> Error:
    """No error at all."""
    zero = np.zeros(np.shape(x))
    return Error(zero, zero)


def rounded(u: float, *values: Array) -> Error:
    """The errors of values that are rounded, each once, and added up."""
    hard = sum((np.abs(v) for v in values), start=np.zeros(()))
    squares = sum((np.square(v) for v in values), start=np.zeros(()))
    return Error(u * hard, u * u / 3 * squares)


def either(first: Error, second: Error) -> Error:
    """The roundings of one or another way to compute the same."""
    return Error(np.maximum(first.hard, second.hard), np.maximum(first.variance, second.variance))


def unknown(amount: Array) -> Error:
    """An error of which nothing is known but how large it can be."""
    return Error(amount, np.square(amount), amount, np.zeros(np.shape(amount)))


def deviations(probability: float) -> float:
    """λ of the bound that is exceeded with this probability.

    Raises
    ------
    ConfigError
        If it is not from 0 to 1.
    """
    if not 0 <= probability <= 1:
        raise ConfigError(f"probability is {probability}; expected a number from 0 to 1")
    return sqrt(2 * log(2 / probability)) if probability else inf


def gamma(n: float, u: float) -> float:
    """Largest relative error of n roundings in a row, γₙ = n u / (1 − n u) (Higham, lemma 3.1)."""
    return n * u / (1 - n * u) if n * u < 0.5 else inf
