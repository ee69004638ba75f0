"""Rounding errors of sums and dot products, in whatever order they are added up.

    s = b + t₁ + … + tₙ        each addition rounds what has been added up so far:

    error = Σᵢ δᵢ sᵢ           sᵢ: the partial sums, |δᵢ| ≤ u

(Higham 2002, equation 4.2.) The order is not known: libraries add in lanes, blocks and threads. At
worst every term is rounded n times, which gives the first bound, γₙ Σ |t|. The second needs the
size of the partial sums. Terms that stand next to each other may be alike: pixels of a window,
channels of a head. So the terms are cut into `GROUPS` of neighbors. Whichever groups come first,
their sum is at most the sum of all positive ones, or of all negative ones. Within a group terms
come in no particular order: a partial sum is its share of the group, plus what a random half of the
terms differs from the other half:

    |sᵢ| ≤ (groups in the worst order) + √(Σ t²) · |a Brownian bridge, 0 at both ends|

Given the bridge, the error is sub-Gaussian with the variance u²/3 Σ sᵢ². The integral of a squared
bridge is small on average, 1/6, but sometimes large, which makes the tail exponential (its Laplace
transform is that of √(θ/sin θ), with a pole at π):

    P(|Σ δᵢ bridgeᵢ| > τ u √(n Σ t²) / √3) ≈ exp(−π τ)

So that one λ serves all, the variance is enlarged to `BRIDGE` times n Σ t², with which
λ √BRIDGE = ln(2/p)/π at p = 1e-12.
"""

from __future__ import annotations

import numpy as np

from ...layers import Array
from .arithmetic import Arithmetic, Error, gamma, rounded

BRIDGE = 1.5
GROUPS = 16
"""of neighboring terms; sums of fewer terms than four for each are taken in any order"""
SMALL = np.float32(1e-9)
"""Relative to the largest: what is smaller counts as this, since processors are slow where squares
of squares fall below the smallest normal number."""
SEVEN_PRODUCTS = 9
"""How many times as many terms Strassen's method adds up, half as long: P, S₂T₂, S₃T₃ and S₁T₁ of
`npformer.kernels.strassen` have 1, 9, 4 and 4 terms where the direct product has one."""


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
        Square of the largest partial sum, without its random part.
    a : Arithmetic

    Returns
    -------
    Error
    """
    variance = a.sums**2 / 3 * n * (partial + BRIDGE * squares)
    return Error(gamma(n, a.sums) * terms + n * a.tiny, variance + (n * a.tiny) ** 2)


def dot(x: Array, weight: Array, bias: Array, total: Array, a: Arithmetic) -> Error:
    """The error of ``x @ weight + bias``, whose weights may have been rounded once themselves.

    Parameters
    ----------
    x : ndarray, shape (..., n)
    weight : ndarray, shape (..., n, C)
    bias : ndarray
    total : ndarray
        The result.
    a : Arithmetic

    Returns
    -------
    Error
        Weights are rounded when something has been folded into them, or when they are stored in a
        smaller type.
    """
    n = x.shape[-1]
    size, x, weight = _for_bounds(x, weight)
    sizes = [np.maximum(np.abs(part), SMALL) for part in (x, weight)]
    terms = size * (sizes[0] @ sizes[1])
    squares = size**2 * (np.square(sizes[0]) @ np.square(sizes[1]))
    if n < 4 * GROUPS:
        partial = in_any_order(terms + np.abs(bias), total)
    else:
        partial = in_groups(x, weight, size, bias)
    if a.strassen:
        terms, squares, partial = (
            SEVEN_PRODUCTS * of_quarters(v) for v in (terms, squares, partial)
        )
    weights = Error(a.u * terms, a.u**2 / 3 * squares)
    products = Error(a.sums * terms, a.sums**2 / 3 * squares)
    rest = rounded(a.u, bias, total)
    return summed(n, terms + np.abs(bias), squares, partial, a) + products + weights + rest


def _for_bounds(x: Array, weight: Array) -> tuple[float, Array, Array]:
    """Both factors as float32, at most 1, and what their products have to be multiplied by.

    A bound needs few digits, and float32 is twice as fast. The thousandth is for its roundings.
    """
    largest = [float(np.abs(part).max(initial=0)) or 1.0 for part in (x, weight)]
    x, weight = ((p / m).astype("float32") for p, m in zip((x, weight), largest, strict=True))
    return 1.001 * largest[0] * largest[1], x, weight


def of_quarters(x: Array) -> Array:
    """The largest of the four numbers that Strassen's method brings together.

    Row i of an image meets row i + p, where p is the number of pairs, and column j column j + N/2.
    """
    rows = x.reshape(len(x), -1, x.shape[-1]) if x.size else x
    for axis in (-2, -1):
        half = rows.shape[axis] // 2
        first, second, rest = np.split(rows, [half, 2 * half], axis)
        both = np.maximum(first, second)
        rows = np.concatenate([both, both, rest], axis)
    return rows.reshape(x.shape)


def in_groups(x: Array, weight: Array, size: float, bias: Array) -> Array:
    """Square of the largest partial sum of groups that may come in any order."""
    above, below = np.maximum(bias, 0) / size, np.minimum(bias, 0) / size
    for group in np.array_split(np.arange(x.shape[-1]), GROUPS):
        part = slice(group[0], group[-1] + 1)
        sums = x[..., part] @ weight[..., part, :]
        above, below = above + np.maximum(sums, 0), below + np.minimum(sums, 0)
    return np.square(size * np.maximum(above, -below))


def in_any_order(terms: Array, total: Array) -> Array:
    """Square of the largest partial sum of terms in any order: all of one sign come first."""
    return np.square((terms + np.abs(total)) / 2)


def started(error: Error, n: int, start: Array, a: Arithmetic) -> Error:
    """The error of a sum of n terms if `start` may have been folded into it, and come first.

    Every partial sum is larger by that. (If it comes last, it is rounded once, which `error` has.)
    """
    more = a.sums * np.abs(start) * np.sqrt(n / 3)
    hard = error.hard + gamma(n, a.sums) * np.abs(start)
    return Error(hard, np.square(np.sqrt(error.variance) + more))
