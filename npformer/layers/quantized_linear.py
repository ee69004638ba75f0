"""Linear layer in eight bits: what is multiplied are whole numbers.

    x ≈ least + s q      s = (greatest − least) / 255      q = round((x − least) / s)    each row
    W ≈ scale w          scale = max |W| / 127             w = round(W / scale)          each column

    x W + b  ≈  y  =  (s · Σₖ q w + least · Σₖ w) · scale + b

q takes the values 0 … 255 and w −127 … 127. The two sums are whole numbers, which computers add
without rounding, in whatever order; everything else is a few operations that each round once. So a
fast kernel and this file agree to the last bit.

Each row of x, a pixel or token, has a scale of its own, taken from the row itself: no photographs
are needed for calibration, nothing is ever clipped, and a row's result depends on no other row.

References: Jacob et al. 2018, arXiv:1712.05877, equations 1 to 7, for products of whole numbers;
Krishnamoorthi 2018, arXiv:1806.08342, section 3.1, for a scale for each column of W; Dettmers et
al. 2022, arXiv:2208.07339, section 2, for a scale for each row of x.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .arrays import Array
from .linear import Linear

STEPS = 255.0
"""The greatest q."""
LARGEST_WEIGHT = 127.0
"""The greatest |w|."""
NO_RANGE = 1e-30
"""A row whose numbers differ by less has q = 0 and counts as its least number throughout."""


class QuantizedLinear(NamedTuple):
    """Parameters of a linear layer in eight bits."""

    weight: Array
    """int8 (C_in, C_out): w"""
    scale: Array
    """(C_out,): the step of each column of w"""
    bias: Array
    """(C_out,)"""


class QuantizedRows(NamedTuple):
    """Rows of numbers in eight bits."""

    q: Array
    """uint8 (..., C)"""
    step: Array
    """(..., 1): s"""
    least: Array
    """(..., 1)"""


def quantize_linear(p: Linear) -> QuantizedLinear:
    """Round the weights of a linear layer to eight bits; the bias stays as it is."""
    largest = np.abs(p.weight).max(0, initial=0)  # (C_in, C_out) -> (C_out,)
    scale = np.where(largest > 0, largest, 1) / p.weight.dtype.type(LARGEST_WEIGHT)
    return QuantizedLinear(np.rint(p.weight / scale).astype(np.int8), scale, p.bias)


def quantize_rows(x: Array) -> QuantizedRows:
    """Round rows to eight bits.

    Parameters
    ----------
    x : ndarray of float32, shape (..., C)

    Returns
    -------
    QuantizedRows
        A row with a number that is not finite has q = 0 and a step of NaN.
    """
    one = x.dtype.type
    least = x.min(-1, keepdims=True)  # (..., C) -> (..., 1)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        width = x.max(-1, keepdims=True) - least
        steps = np.where(width >= one(NO_RANGE), one(STEPS) / width, one(0))
        q = np.rint((x - least) * steps)
    finite = np.isfinite(q).all(-1, keepdims=True)
    step = np.where(finite, width / one(STEPS), one(np.nan))
    return QuantizedRows(np.where(finite, q, 0).astype(np.uint8), step, least)


def quantized_linear(x: Array, p: QuantizedLinear) -> Array:
    """Multiply the last axis by a matrix in eight bits and add a bias.

    Parameters
    ----------
    x : ndarray of float32, shape (..., C_in)
    p : QuantizedLinear

    Returns
    -------
    ndarray of float32, shape (..., C_out)

    Notes
    -----
    The whole numbers are multiplied as float64, which holds them all: below 2⁵³ it rounds nothing.
    """
    q, step, least = quantize_rows(x)
    w = p.weight.astype(np.float64)
    products = (q.astype(np.float64) @ w).astype(x.dtype)  # (..., C_in) -> (..., C_out)
    sums = w.sum(0).astype(x.dtype)  # (C_in, C_out) -> (C_out,)
    with np.errstate(over="ignore", invalid="ignore"):
        return (products * step + sums * least) * p.scale + p.bias


def dequantize_linear(p: QuantizedLinear) -> Linear:
    """The linear layer whose weights a quantized one holds."""
    return Linear(p.weight * p.scale, p.bias)
