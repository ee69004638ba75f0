"""Layer normalization of rows.

    y = (x − mean(x)) / √(variance(x) + ε)  (· weight + bias)

Before a linear layer, weight and bias have been folded into that layer and are left out. Sums run
in 16 lanes, which are added by halves at the end.
"""

from __future__ import annotations

from ..layers import Array
from .layout import LANES
from .vector import fma, kernel, load, mask, reduce_add, splat, square_root, store


@kernel
def layer_norm(
    m: Array,
    y: int,
    y_step: int,
    x: int,
    x_step: int,
    rows: int,
    channels: int,
    eps: float,
    w: Array,
    affine: int,
    affine_step: int,
) -> None:
    """Normalize rows.

    Parameters
    ----------
    m : ndarray of float32, flat
    y, y_step : int
        Result; may be x.
    x, x_step : int
    rows, channels : int
        Numbers that fill a row up to the next multiple of 16 do not count, and come out as 0.
    eps : float
        Added to the variance.
    w : ndarray of float32, flat
        Holds weight and bias, one row each, from index `affine` unless that is negative.
    affine, affine_step : int
    """
    for i in range(rows):
        at, to = x + i * x_step, y + i * y_step
        sums = splat(0.0)
        for c in range(0, channels, LANES):
            sums = sums + mask(load(m, at + c), channels - c)
        mean = splat(reduce_add(sums) / channels)
        squares = splat(0.0)
        for c in range(0, channels, LANES):
            centered = mask(load(m, at + c) - mean, channels - c)
            squares = fma(centered, centered, squares)
        deviation = square_root(splat(reduce_add(squares) / channels + eps))
        for c in range(0, channels, LANES):
            normal = mask(load(m, at + c) - mean, channels - c) / deviation
            if affine >= 0:
                weight, bias = load(w, affine + c), load(w, affine + affine_step + c)
                normal = fma(normal, weight, bias)
            store(m, to + c, normal)
