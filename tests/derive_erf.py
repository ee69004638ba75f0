"""Derive the coefficients of ``npformer/layers/erf.py``: ``python -m tests.derive_erf``.

Sought are polynomials P and Q, with Q(0) = 1, that make the largest relative error of

    erf(x) ≈ x P(x²) / Q(x²),        0 < x ≤ L

small. For fixed P and Q the error at a point is |P/Q / f − 1| with f = erf(x)/x, and

    P/Q / f − 1 = (P − f Q) / (f Q)

is linear in the coefficients of the numerator. So the least-squares solution of
w (P − f Q) / (f Q₀) = 0, with Q₀ from the round before and weights w, improves Q₀; and weights that
grow where the error is large, w ← w · |error|, drive the largest errors towards each other (Lawson
1961). Everything is computed with 60 digits, for the system is badly conditioned.

References: C. L. Lawson, "Contributions to the theory of linear least maximum approximations",
1961; A. K. Cline, "Rate of convergence of Lawson's algorithm", 1972.
"""

from __future__ import annotations

from typing import NamedTuple

from mpmath import cos, erf, lu_solve, matrix, mp, mpf, nstr, pi, polyval, sqrt

DIGITS = 60
POINTS = 100
ROUNDS = 20


class Fit(NamedTuple):
    """Coefficients, lowest power first, and the largest relative error at the points."""

    p: list[mpf]
    q: list[mpf]
    error: mpf


class Wanted(NamedTuple):
    """Degrees of P and Q, the end of the interval, and how many digits are worth writing down."""

    p: int
    q: int
    end: str
    digits: int


SINGLE = Wanted(p=5, q=5, end="3.85", digits=10)
DOUBLE = Wanted(p=12, q=12, end="6", digits=18)


def fit(wanted: Wanted) -> Fit:
    """The best of all rounds."""
    with mp.workdps(DIGITS):
        end = mpf(wanted.end)
        # Chebyshev's points of the interval; u = (x/L)² keeps the powers within 0 … 1.
        xs = [end * (1 + cos(pi * (2 * i + 1) / (2 * POINTS))) / 2 for i in range(POINTS)]
        us = [(x / end) ** 2 for x in xs]
        f = [erf(x) / x for x in xs]
        weights = [mpf(1)] * POINTS
        old = [mpf(1)] * POINTS
        best = None
        for number in range(ROUNDS):
            p, q = least_squares(wanted, us, f, old, weights)
            old = [polyval(q[::-1], u) for u in us]
            errors = [
                abs(polyval(p[::-1], u) / below / value - 1)
                for u, below, value in zip(us, old, f, strict=True)
            ]
            if best is None or max(errors) < best.error:
                best = Fit(rescale(p, end), rescale(q, end), max(errors))
            if number >= 3:  # once Q has settled
                weights = lawson(weights, errors)
        return best


def least_squares(
    wanted: Wanted, us: list[mpf], f: list[mpf], old: list[mpf], weights: list[mpf]
) -> tuple[list[mpf], list[mpf]]:
    """P and Q in powers of u that minimize Σ w ((P − f Q) / (f Q₀))² with Q(0) = 1."""
    system, right = matrix(POINTS, wanted.p + wanted.q + 1), matrix(POINTS, 1)
    for i, (u, value, below, weight) in enumerate(zip(us, f, old, weights, strict=True)):
        scale = sqrt(weight) / (value * below)
        for power in range(wanted.p + 1):
            system[i, power] = scale * u**power
        for power in range(1, wanted.q + 1):
            system[i, wanted.p + power] = -scale * value * u**power
        right[i] = scale * value
    solution = list(lu_solve(system, right))
    return solution[: wanted.p + 1], [mpf(1), *solution[wanted.p + 1 :]]


def lawson(weights: list[mpf], errors: list[mpf]) -> list[mpf]:
    """Weights of the next round: more where the error is large, never nothing, on average one."""
    mean = sum(errors) / POINTS
    raised = [w * (e / mean + mpf("1e-3")) for w, e in zip(weights, errors, strict=True)]
    total = sum(raised)
    return [w * POINTS / total for w in raised]


def rescale(coefficients: list[mpf], end: mpf) -> list[mpf]:
    """From powers of (x/L)² to powers of x²."""
    return [c / end ** (2 * power) for power, c in enumerate(coefficients)]


if __name__ == "__main__":
    for name, wanted in (("SINGLE", SINGLE), ("DOUBLE", DOUBLE)):
        found = fit(wanted)
        print(f"{name}: largest relative error {nstr(found.error, 3)} for 0 < x <= {wanted.end}")
        for letter, coefficients in (("p", found.p), ("q", found.q)):
            print(f"    {letter}=({', '.join(nstr(c, wanted.digits) for c in coefficients)})")
