"""Mean over tokens: the input of the classifiers."""

from __future__ import annotations

from ..layers import Array
from .layout import LANES, Rows
from .vector import kernel, load, splat, store


@kernel
def mean(m: Array, y: int, x: Rows, tokens: int, channels: int) -> None:
    """Average of the rows of x.

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
        total = splat(0.0)
        for i in range(tokens):
            total = total + load(m, x.at + i * x.step + c)
        store(m, y + c, total / tokens)
