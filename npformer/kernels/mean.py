"""Mean over tokens: what the classifiers see of an image."""

from __future__ import annotations

from ..layers import Array
from .layout import LANES
from .vector import kernel, load, splat, store


@kernel
def mean(m: Array, y: int, x: int, x_step: int, tokens: int, channels: int) -> None:
    """Average of the rows of x.

    Parameters
    ----------
    m : ndarray of float32, flat
    y : int
        Result, one row.
    x, x_step : int
        A token in each row.
    tokens, channels : int
    """
    for c in range(0, channels, LANES):
        total = splat(0.0)
        for i in range(tokens):
            total = total + load(m, x + i * x_step + c)
        store(m, y + c, total / tokens)
