"""Rounding errors of sums and dot products, in whatever order they are added up.

    s = b + t₁ + … + tₙ        each addition rounds what has been added up so far:

    error = Σᵢ δᵢ sᵢ           sᵢ: the partial sums, |δᵢ| ≤ u

(Higham 2002, equation 4.2.) The order is not known: libraries add in lanes, blocks and threads. At
worst every term is rounded n times, which gives the first bound, γₙ Σ |t|. The second needs the size
of the partial sums. If terms come in no particular order, the partial sum of i of them is their
share of the whole, plus what a random half of the terms differs from the other half:

    sᵢ = b + (i/n) (s − b) + √(Σ t²) · (a Brownian bridge, 0 at both ends)

The mean square of the first part over i is (b² + b s + s²)/3. Given the bridge, the error is
sub-Gaussian with the variance u²/3 Σ sᵢ². The integral of a squared bridge is small on average,
1/6, but sometimes large, which makes the tail exponential (its Laplace transform is that of
√(θ/sin θ), with a pole at π):

    P(|Σ δᵢ bridgeᵢ| > τ u √(n Σ t²) / √3) ≈ exp(−π τ)

So that one λ serves all, the variance is enlarged to `BRIDGE` times n Σ t², with which
λ √BRIDGE = ln(2/p)/π at p = 1e-12. Where terms do have an order, as the rows of a window have in
an image, the partial sums are bounded by those of their groups in the worst order.
"""

from __future__ import annotations

import numpy as np

from ...layers import Array
from .arithmetic import Arithmetic, Error, gamma, rounded

BRIDGE = 1.5


def summed(n: int, terms: Array, squares: Array, partial: Array, a: Arithmetic) -> Error:
    """The error of adding up n terms.

    Parameters
    ----------
    n : int
    terms : ndarray
        Σ |t|, with the term that comes before all others, if there is one.
    squares : ndarray
        Σ t².
    partial : ndarray
        Mean square of the partial sums without their random part.
    a : Arithmetic

    Returns
    -------
    Error
    """
    variance = a.sums**2 / 3 * n * (partial + BRIDGE * squares)
    return Error(gamma(n, a.sums) * terms + n * a.tiny, variance + (n * a.tiny) ** 2)


def dot(
    n: int, total: Array, terms: Array, squares: Array, bias: Array, partial: Array, a: Arithmetic
) -> Error:
    """The error of a dot product with weights that may have been rounded once themselves.

    Parameters
    ----------
    n : int
        Number of products.
    total : ndarray
        The result, with its bias.
    terms, squares : ndarray
        Sums of |x w| and of (x w)².
    bias : ndarray
    partial : ndarray
        As in `summed`.
    a : Arithmetic

    Returns
    -------
    Error
        Weights are rounded when something has been folded into them, or when they are stored in a
        smaller type.
    """
    weights = Error(a.u * terms, a.u**2 / 3 * squares)
    products = Error(a.sums * terms, a.sums**2 / 3 * squares)
    rest = rounded(a.u, bias, total)
    return summed(n, terms + np.abs(bias), squares, partial, a) + products + weights + rest


def without_order(total: Array, bias: Array) -> Array:
    """Mean square of the partial sums of terms in no particular order, without the random part."""
    return (bias * bias + bias * total + total * total) / 3


def in_groups(bias: Array, groups: list[Array]) -> Array:
    """Square of the largest partial sum of groups that may come in any order."""
    above = sum((np.maximum(g, 0) for g in groups), start=np.maximum(bias, 0))
    below = sum((np.minimum(g, 0) for g in groups), start=np.minimum(bias, 0))
    return np.square(np.maximum(above, -below))


def in_any_order(terms: Array, total: Array) -> Array:
    """Square of the largest partial sum of terms in any order: all of one sign come first."""
    return np.square((terms + np.abs(total)) / 2)
