"""Derive the coefficients of ``npformer.layers.gelu_polynomial``: ``python -m tests.derive_gelu``.

Sought is the polynomial P that makes the largest error of ``x² P(x²) ≈ x (Φ(x) − ½)`` for 0 < x ≤ L
small. Least squares with weights that grow where the error is large drive the largest errors
towards each other (Lawson 1961, as in `tests.derive_erf`).
"""

from __future__ import annotations

from math import erf, sqrt

import numpy as np

DEGREE, END = 6, 3.95


def fit(degree: int = DEGREE, end: float = END, rounds: int = 1500) -> np.ndarray:
    """Coefficients of P, lowest power first."""
    x = np.cos(np.linspace(0, np.pi / 2, 1001)[:-1]) * end
    wanted = x * np.array([erf(v / sqrt(2)) / 2 for v in x])
    powers = np.stack([x ** (2 * k + 2) for k in range(degree + 1)], 1)
    weights = np.ones(len(x))
    for _ in range(rounds):
        roots = np.sqrt(weights)
        p = np.linalg.lstsq(powers * roots[:, None], wanted * roots, rcond=None)[0]
        error = np.abs(powers @ p - wanted)
        weights *= error / error.max() + 1e-4
        weights /= weights.sum()
    return p


if __name__ == "__main__":
    print(", ".join(f"{c:.8g}" for c in fit()))
