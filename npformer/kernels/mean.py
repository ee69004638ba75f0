"""Mean over tokens: the input of the classifiers."""

from __future__ import annotations

from ..layers import Array
from .layout import LANES, Rows
from .vector import kernel, load, splat, store


@kernel
def mean(m: Array, y: int, x: Rows, tokens: int, channels: int) -> None:
    """Average of the rows of x, corrected by the mean of the deviations from it, as in `moments`.

    Parameters
    ----------
    m : ndarray of float32, flat
        Holds x and y.
    y : int
        Result, one row.
    x : Rows
        A token in each row.
    tokens, channels : int
        Number of rows, and of their columns.
    """
    for c in range(0, channels, LANES):
        first, end = x.at + c, x.at + c + tokens * x.step
        total, deviations = splat(0.0), splat(0.0)
        for at in range(first, end, x.step):
            total = total + load(m, at)
        average = total / tokens
        for at in range(first, end, x.step):
            deviations = deviations + (load(m, at) - average)
        store(m, y + c, average + deviations / tokens)
