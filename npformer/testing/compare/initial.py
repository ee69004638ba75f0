"""Whether numbers are those that a parameter has before training: drawn, or all the same.

That two parameters have nothing to do with each other does not say that one of them was never
loaded: it may be another training's. So the numbers themselves have to look drawn, with the
deviation and the shape that the initializations in use have.
"""

from __future__ import annotations

import numpy as np

from ...layers import Array

FEWEST = 64
"""Of fewer numbers nothing is said."""
DEVIATIONS = 4.0
"""How far a statistic of drawn numbers may be from what it is on average, in standard errors."""
NORMAL, UNIFORM, TRUNCATED = 3.0, 1.8, 2.37
"""Fourth moment over the squared variance: of a normal distribution, of a uniform one, and of a
normal one cut off at two deviations."""


def is_drawn(weight: Array, fan_in: int | None = None) -> bool:
    """Whether a matrix or a kernel looks newly initialized.

    Parameters
    ----------
    weight : ndarray, shape (..., C_in, C_out)
        Or as much of it as is known: its coordinates in some of its C_in directions.
    fan_in : int, optional
        The product of all axes but the last of the whole weight, by default of this one.

    Returns
    -------
    bool

    References
    ----------
    Glorot & Bengio 2010; He et al. 2015; timm and transformers draw with a deviation of 0.02.
    """
    n = weight.size
    deviation = float(np.sqrt(np.mean(np.square(weight))))
    if n < FEWEST or weight.ndim < 2 or not deviation > 0:
        return False
    if abs(weight.mean()) > DEVIATIONS * deviation / np.sqrt(n):
        return False
    fan_in, fan_out = fan_in or n // weight.shape[-1], n / weight.shape[-2]
    usual = (0.02, 0.01, 0.1, 1.0, fan_in**-0.5, (2 / fan_in) ** 0.5, (2 / fan_out) ** 0.5,
             (2 / (fan_in + fan_out)) ** 0.5, (3 * fan_in) ** -0.5)  # fmt: skip
    near = any(abs(deviation / s - 1) < DEVIATIONS / np.sqrt(2 * n) for s in usual)
    shape = float(np.mean(np.square(np.square(weight)))) / deviation**4
    error = DEVIATIONS * np.sqrt(24 / n)
    return near and any(abs(shape - kind) < error for kind in (NORMAL, UNIFORM, TRUNCATED))
