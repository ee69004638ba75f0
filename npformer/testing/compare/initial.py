"""Whether numbers are those that a parameter has before training: drawn, or all the same.

That two parameters have nothing to do with each other does not say that one of them was never
loaded: it may be another training's. So the numbers themselves have to look drawn, with the
deviation and the shape that the initializations in use have.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...layers import Array

FEWEST = 64
"""Of fewer numbers nothing is said."""
DEVIATIONS = 4.0
"""How far a statistic of drawn numbers may be from what it is on average, in standard errors."""
NOTHING = 1e-4
"""Inputs do not differ in a direction if they differ so much less than in another."""
SPREAD = 10.0
"""Directions are strong and weak if their inputs differ by such a factor."""
SAME_DEVIATION = 0.1
"""Weights with standard deviations as near as this may be the same ones in another order."""
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
    if not is_shaped_as_drawn(weight):
        return False
    deviation = float(np.sqrt(np.mean(np.square(weight))))
    fan_in, fan_out = fan_in or n // weight.shape[-1], n / weight.shape[-2]
    usual = (0.02, 0.01, 0.1, 1.0, fan_in**-0.5, (2 / fan_in) ** 0.5, (2 / fan_out) ** 0.5,
             (2 / (fan_in + fan_out)) ** 0.5, (3 * fan_in) ** -0.5)  # fmt: skip
    return any(abs(deviation / s - 1) < DEVIATIONS / np.sqrt(2 * n) for s in usual)


def is_shaped_as_drawn(weight: Array) -> bool:
    """Whether numbers are distributed as drawn ones are, with any deviation."""
    n = weight.size
    deviation = float(np.sqrt(np.mean(np.square(weight))))
    if n < FEWEST or weight.ndim < 2 or not deviation > 0:
        return False
    if abs(weight.mean()) > DEVIATIONS * deviation / np.sqrt(n):
        return False
    shape = float(np.mean(np.square(np.square(weight)))) / deviation**4
    error = DEVIATIONS * np.sqrt(24 / n)
    return any(abs(shape - kind) < error for kind in (NORMAL, UNIFORM, TRUNCATED))


class Seen(NamedTuple):
    """What is known of a weight: its coordinates in the directions in which inputs differ."""

    theirs: Array
    """(rank, C_out)"""
    ours: Array
    sizes: Array
    """how much inputs differ in each direction"""

    @classmethod
    def of(cls, X: Array, Y: Array, usual: Array) -> Seen:
        """Solve Y = X W + b for W, whatever b is."""
        places, sizes, directions = np.linalg.svd(X - X.mean(0), full_matrices=False)
        clear = sizes > NOTHING * sizes[0]
        theirs = places[:, clear].T @ (Y - Y.mean(0)) / sizes[clear, None]
        return cls(theirs, directions[clear] @ usual, sizes[clear])

    def is_drawn(self, fan_in: int) -> bool:
        """Whether their weight looks newly initialized, and the same in all directions.

        Nothing but drawn numbers does, where some directions are strong and others weak.

        References
        ----------
        Wilson & Hilferty 1931, "The distribution of chi-square": its cube root is nearly normal.
        """
        if not is_drawn(self.theirs, fan_in):
            return False
        energy = np.square(self.theirs).mean(1) / np.square(self.theirs).mean()
        error = 2 / (9 * self.theirs.shape[1])
        return bool(np.all(abs(np.cbrt(energy) - (1 - error)) <= DEVIATIONS * np.sqrt(error)))

    def is_certain(self) -> bool:
        """Whether it shows in fewer numbers than the weight has: not ours in another order."""
        differ = abs(self.theirs.std() / self.ours.std() - 1) > SAME_DEVIATION
        return bool(
            self.sizes[0] >= SPREAD * self.sizes[-1] and (differ or not is_drawn(self.ours))
        )
