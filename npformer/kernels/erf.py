"""Distribution function of the normal distribution, of a vector.

    Φ(x) = ½ + ½ erf(x/√2)          erf(z) = z P(z²) / Q(z²)  for |z| ≤ 4.04, and ±1 beyond

The rational is that of `npformer.layers.erf`. With z² = x²/2, the factors √½, ½ and the powers of ½
go into its coefficients.
"""

from __future__ import annotations

from math import sqrt

from ..layers.erf import SINGLE
from .vector import Vector, at_least, at_most, fma, inlined, splat

P0, P1, P2, P3, P4, P5 = (sqrt(0.5) / 2 * c / 2**k for k, c in enumerate(SINGLE.p))
Q0, Q1, Q2, Q3, Q4, Q5, Q6 = (c / 2**k for k, c in enumerate(SINGLE.q))
LIMIT = SINGLE.limit * sqrt(2)


@inlined
def normal_distribution(x: Vector) -> Vector:
    """Probability that a normal variable is below x, lane by lane.

    Notes
    -----
    The polynomials are evaluated in pairs (Estrin's scheme) and not from one end to the other
    (Horner's rule): their steps then seldom wait for each other, and the processor works on several
    at once.
    """
    x = at_most(at_least(x, splat(-LIMIT)), splat(LIMIT))
    s = x * x
    s2 = s * s
    p01, q01 = fma(s, splat(P1), splat(P0)), fma(s, splat(Q1), splat(Q0))
    p23, q23 = fma(s, splat(P3), splat(P2)), fma(s, splat(Q3), splat(Q2))
    p45, q45 = fma(s, splat(P5), splat(P4)), fma(s, splat(Q5), splat(Q4))
    p = fma(s2, fma(s2, p45, p23), p01)
    q = fma(s2, fma(s2, fma(s2, splat(Q6), q45), q23), q01)
    return at_most(at_least(x * p / q, splat(-0.5)), splat(0.5)) + 0.5
