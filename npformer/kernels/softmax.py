"""Softmax of rows.

    softmax(x)ᵢ = exp(xᵢ − max x) / Σⱼ exp(xⱼ − max x)

    exp(x) = 2ⁿ exp(r)     n = round(x / log 2),  r = x − n log 2 ∈ [−0.35, 0.35]

2ⁿ is written straight into the exponent of a float32, and eight terms of the series of exp(r) are
exact to its last bit: the ninth is 0.35⁸/8! = 6e-9. n log 2 is subtracted in two parts, of which
the first has so few bits that its product with n is exact (Cody & Waite 1980).
"""

from __future__ import annotations

from math import log

from ..layers import Array
from .layout import LANES, Rows
from .vector import (
    MAGIC,
    Vector,
    fma,
    inlined,
    kernel,
    load,
    maximum,
    power_of_two,
    reduce_add,
    reduce_max,
    splat,
    store,
    zero_below,
)

PER_LOG_2 = 1 / log(2)
LOG_2_HIGH = 0.693359375  # 355/512
LOG_2_LOW = log(2) - LOG_2_HIGH
SMALLEST = -87.0
"""exp of less is below the smallest normal float32, and counts as 0"""


@inlined
def exp(x: Vector) -> Vector:
    """Exponential function, lane by lane, of numbers that are not positive."""
    bounded = maximum(x, splat(SMALLEST))
    magic = fma(bounded, splat(PER_LOG_2), splat(MAGIC))
    n = magic - MAGIC
    r = fma(n, splat(-LOG_2_HIGH), bounded)
    r = fma(n, splat(-LOG_2_LOW), r)
    e = fma(r, splat(1 / 5040), splat(1 / 720))
    e = fma(r, e, splat(1 / 120))
    e = fma(r, e, splat(1 / 24))
    e = fma(r, e, splat(1 / 6))
    e = fma(r, e, splat(1 / 2))
    e = fma(r, e, splat(1.0))
    e = fma(r, e, splat(1.0))
    return zero_below(x, SMALLEST, e * power_of_two(magic))


@kernel
def softmax(m: Array, x: Rows, rows: int, columns: int) -> None:
    """Turn rows of scores into weights that sum to one, in place.

    Parameters
    ----------
    m : ndarray of float32, flat
        Holds the scores.
    x : Rows
        Scores, and result.
    rows : int
        How many rows.
    columns : int
        A multiple of 16; columns that do not count hold −∞.
    """
    for i in range(rows):
        at = x.at + i * x.step
        highest = load(m, at)
        for c in range(LANES, columns, LANES):
            highest = maximum(highest, load(m, at + c))
        peak = splat(reduce_max(highest))
        sums = splat(0.0)
        for c in range(0, columns, LANES):
            e = exp(load(m, at + c) - peak)
            sums = sums + e
            store(m, at + c, e)
        whole = splat(reduce_add(sums))
        for c in range(0, columns, LANES):
            store(m, at + c, load(m, at + c) / whole)
