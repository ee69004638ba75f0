"""Derive the coefficients of ``npformer.layers.gelu_polynomial``: ``python -m tests.derive_gelu``.

Sought is the polynomial R that makes the largest error of ``a R(a) ≈ a (1 − Φ(a))`` for 0 < a ≤ L
small. Least squares with weights that grow where the error is large drive the largest errors
towards each other (Lawson 1961, as in `tests.derive_erf`).
"""

from __future__ import annotations

from math import erf, sqrt

import numpy as np

DEGREE, END = 6, 3.85


def fit(degree: int = DEGREE, end: float = END, rounds: int = 400) -> np.ndarray:
    """Coefficients of R, lowest power first."""
    a = (1 + np.cos(np.linspace(0, np.pi, 1201)[:-1])) * end / 2
    wanted = a * np.array([(1 - erf(v / sqrt(2))) / 2 for v in a])
    powers = np.stack([a ** (k + 1) for k in range(degree + 1)], 1)
    weights = np.ones(len(a))
    for _ in range(rounds):
        roots = np.sqrt(weights)
        r = np.linalg.lstsq(powers * roots[:, None], wanted * roots, rcond=None)[0]
        error = np.abs(powers @ r - wanted)
        weights *= error / error.max() + 1e-4
        weights /= weights.sum()
    return r


if __name__ == "__main__":
    print(", ".join(f"{c:.8g}" for c in fit()))
