"""Layer normalization of rows.

    y = (x − mean(x)) / √(variance(x) + ε)  (· weight + bias)

Before a linear layer, weight and bias have been folded into that layer and are left out. Sums run
in 16 lanes, which are added by halves at the end.
"""

from __future__ import annotations

from ..layers import Array
from .layout import LANES, Rows
from .vector import fma, kernel, load, mask, reduce_add, splat, square_root, store


@kernel
def layer_norm(
    m: Array,
    y: Rows,
    x: Rows,
    rows: int,
    channels: int,
    eps: float,
    w: Array,
    affine: Rows,
) -> None:
    """Normalize rows.

    Parameters
    ----------
    m : ndarray of float32, flat
        Holds x and y.
    y : Rows
        Result; may be x.
    x : Rows
        Input.
    rows : int
        How many rows.
    channels : int
        Numbers in a row. What fills it up to the next multiple of 16 is ignored and comes out as 0.
    eps : float
        Added to the variance.
    w : ndarray of float32, flat
        Holds the affine part.
    affine : Rows
        Weight and bias, a row each; or `npformer.kernels.layout.NO_ROWS`.
    """
    for i in range(rows):
        at, to = x.at + i * x.step, y.at + i * y.step
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
            if affine.at >= 0:
                weight, bias = load(w, affine.at + c), load(w, affine.at + affine.step + c)
                normal = fma(normal, weight, bias)
            store(m, to + c, normal)
