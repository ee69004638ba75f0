"""The error function.

    erf(x) = 2/√π ∫₀ˣ exp(−t²) dt ≈ x · P(x²) / Q(x²),    |x| ≤ limit,    ±1 beyond

NumPy has no erf. This one is a single rational function of x² for each precision, without a
branch, so that the same few lines serve an array here and a vector register in the kernels. The
coefficients are npformer's own: a weighted least-squares fit of erf(x)/x, with the weights driven
towards equal error everywhere (Lawson's iteration, 1961), in 60-digit arithmetic; all are
positive, so nothing cancels. ``python -m tests.derive_erf`` derives them anew and prints their
error: 1.4e-8 for float32 (half an ulp is 6e-8), 4.4e-17 for float64. Both overshoot 1 before
their limit, where erf rounds to 1 anyway; clipping makes that exactly 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .arrays import Array


class Rational(NamedTuple):
    """``x P(x²) / Q(x²)`` for ``|x| ≤ limit``; lowest power first."""

    p: tuple[float, ...]
    q: tuple[float, ...]
    limit: float


SINGLE = Rational(
    p=(1.128379151, 0.187888275, 0.05247855069, 0.003673546231, 0.0002856695417, 2.108400263e-6),
    q=(1.0, 0.4998445257, 0.1131251442, 0.01478412762, 0.001145413631, 3.873288285e-5),
    limit=4.2,
)

DOUBLE = Rational(
    p=(1.12837916709551253, 0.221473188915391489, 0.0663516701206276713, 0.00696050164403984519,
       0.000862074776087123385, 5.77461937508662986e-5, 3.9437169359828301e-6,
       1.72298501988623349e-7, 6.84054059372433012e-9, 1.74501260312209758e-10,
       3.32646936621113828e-12, 2.17101124809739306e-14, 1.50664611578446648e-17),
    q=(1.0, 0.529608836616035083, 0.135338915481717922, 0.0221301959465191796,
       0.00258693888852653666, 0.000228507724733144615, 1.56919651512320201e-5,
       8.46603199064206853e-7, 3.56638226865723238e-8, 1.13956097071484685e-9,
       2.57151118915908882e-11, 3.26970833379581782e-13, 8.55295622367537946e-16),
    limit=6.1,
)  # fmt: skip


def erf(x: Array) -> Array:
    """Error function, elementwise.

    Parameters
    ----------
    x : ndarray of float, any shape
        The relative error is below 3e-15 in float64, 1e-6 in float32 and 4e-3 in float16. NaN gives
        NaN, ±inf gives ±1.

    Returns
    -------
    ndarray of the shape and dtype of `x`

    References
    ----------
    Abramowitz and Stegun, *Handbook of Mathematical Functions*, 7.1.1.
    """
    r = SINGLE if x.dtype.itemsize <= 4 else DOUBLE
    x = np.clip(x, -r.limit, r.limit)
    square = x * x
    return np.clip(x * _polynomial(square, r.p) / _polynomial(square, r.q), -1, 1)


def _polynomial(x: Array, coefficients: tuple[float, ...]) -> Array:
    """Horner's rule: ``c₀ + x (c₁ + x (c₂ + …))``."""
    *lower, highest = coefficients
    y = np.full_like(x, highest)
    for c in reversed(lower):
        y = y * x + c
    return y
