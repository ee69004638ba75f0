"""Distribution function of the normal distribution, of a vector.

    Φ(x) = ½ + ½ erf(x/√2) = ½ + x R(x²)        erf(z) = z P(z²) / Q(z²)  for |z| ≤ 4.2

The rational is that of `npformer.layers.erf`. With z² = x²/2, the factors √½, ½ and the powers of ½
go into its coefficients, and both polynomials are divided by the highest coefficient of Q.
"""

from __future__ import annotations

from math import sqrt
from typing import TypeAlias

from ..layers.erf import SINGLE
from .vector import Vector, fma, inlined, maximum, minimum, splat

Coefficients: TypeAlias = tuple[float, ...]


def _of(scale: float) -> Coefficients:
    """Limit of s and coefficients, P₀ … P₅ and Q₀ … Q₄ (Q₅ = 1), of ``scale R(scale · s)``."""
    highest = SINGLE.q[5] * (scale / 2) ** 5
    p = (sqrt(0.5) * c * (scale / 2) ** (k + 1) / highest for k, c in enumerate(SINGLE.p))
    q = (c * (scale / 2) ** k / highest for k, c in enumerate(SINGLE.q[:5]))
    return (2 * SINGLE.limit**2 / scale, *p, *q)


OF_SQUARE, OF_QUARTER = _of(1), _of(4)
"""R(s) for s = x², and 4 R(4 s) for s = x²/4"""


@inlined
def times_ratio(factor: Vector, square: Vector, c: Coefficients) -> Vector:
    """``factor · R(square)``, with the square clamped to the range of R.

    Parameters
    ----------
    factor, square : Vector
    c : Coefficients
        Those of `OF_SQUARE` or `OF_QUARTER`, whose square is that of x or a quarter of it.

    Notes
    -----
    Each step of Horner's rule waits for the one before it. Meanwhile the processor works on the
    other polynomial, and on the next vectors.
    """
    s = minimum(square, splat(c[0]))
    p, q = fma(s, splat(c[6]), splat(c[5])), s + splat(c[11])
    p, q = fma(s, p, splat(c[4])), fma(s, q, splat(c[10]))
    p, q = fma(s, p, splat(c[3])), fma(s, q, splat(c[9]))
    p, q = fma(s, p, splat(c[2])), fma(s, q, splat(c[8]))
    p, q = fma(s, p, splat(c[1])), fma(s, q, splat(c[7]))
    return factor * p / q


@inlined
def normal_distribution(x: Vector) -> Vector:
    """Probability that a normal variable is below x, lane by lane."""
    half_erf = times_ratio(x, x * x, OF_SQUARE)
    return minimum(maximum(half_erf, splat(-0.5)), splat(0.5)) + 0.5
