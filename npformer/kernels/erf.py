"""Distribution function of the normal distribution, of a vector.

    Φ(x) = ½ + ½ erf(x/√2) = ½ + x R(x²)        erf(z) = z P(z²) / Q(z²)  for |z| ≤ 4.2

The rational is that of `npformer.layers.erf`. With z² = x²/2, the factors √½, ½ and the powers of ½
go into its coefficients, and both polynomials are divided by the highest of Q.
"""

from __future__ import annotations

from math import sqrt

from ..layers.erf import SINGLE
from .vector import Vector, at_least, at_most, fma, inlined, splat

HIGHEST = SINGLE.q[5] / 2**5
P0, P1, P2, P3, P4, P5 = (sqrt(0.5) / 2 * c / 2**k / HIGHEST for k, c in enumerate(SINGLE.p))
Q0, Q1, Q2, Q3, Q4, _ = (c / 2**k / HIGHEST for k, c in enumerate(SINGLE.q))
LIMIT = 2 * SINGLE.limit**2


@inlined
def times_ratio(factor: Vector, square: Vector) -> Vector:
    """``factor · R(square)``; R stays as it is where x leaves the range of the rational.

    Notes
    -----
    Each step of Horner's rule waits for the one before. A processor does not: it already works on
    the other polynomial, and on the next vectors.
    """
    s = at_most(square, splat(LIMIT))
    p, q = fma(s, splat(P5), splat(P4)), s + splat(Q4)
    p, q = fma(s, p, splat(P3)), fma(s, q, splat(Q3))
    p, q = fma(s, p, splat(P2)), fma(s, q, splat(Q2))
    p, q = fma(s, p, splat(P1)), fma(s, q, splat(Q1))
    p, q = fma(s, p, splat(P0)), fma(s, q, splat(Q0))
    return factor * p / q


@inlined
def normal_distribution(x: Vector) -> Vector:
    """Probability that a normal variable is below x, lane by lane."""
    half_erf = times_ratio(x, x * x)
    return at_most(at_least(half_erf, splat(-0.5)), splat(0.5)) + 0.5
