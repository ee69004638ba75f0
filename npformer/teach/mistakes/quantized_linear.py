"""Typical mistakes in a linear layer in eight bits.

Inputs are drawn so that no number lies half-way between two steps, where two right ways to compute
may round to different sides.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...layers import (
    Array,
    Linear,
    QuantizedLinear,
    QuantizedRows,
    dequantize_linear,
    linear,
    quantize_linear,
    quantize_rows,
    quantized_linear,
)
from .exercise import Draw, Table

TABLE = Table()


def _whole(d: Draw, low: int, high: int, *shape: int) -> Array:
    """Draw whole numbers; above level 0 they are off by up to 0.3."""
    numbers = d.rng.integers(low, high + 1, shape).astype(d.dtype)
    return numbers + (d.rng.uniform(-0.3, 0.3, shape).astype(d.dtype) if d.level else 0)


def _steps(d: Draw, *shape: int) -> Array:
    """Draw powers of 2, by which numbers are multiplied without rounding."""
    return (2.0 ** d.rng.integers(-3, 1, shape)).astype(d.dtype)


def _draw_linear(d: Draw) -> tuple[Any, ...]:
    C_in, C_out = 1 + d.size(2), d.size(2)
    w = _whole(d, -126, 126, C_in, C_out)
    w[0] = np.where(d.rng.random(C_out) < 0.5, -127, 127)  # the largest of each column
    return (Linear(w * _steps(d, C_out), d.positive(C_out)),)


def _rounded(p: Linear, largest: Any, most: float, into: Any = np.rint) -> QuantizedLinear:
    scale = np.broadcast_to(largest / most, p.bias.shape).astype(p.weight.dtype)
    return QuantizedLinear(into(p.weight / scale).clip(-128, 127).astype(np.int8), scale, p.bias)


TABLE.add(
    "quantize_linear",
    quantize_linear,
    _draw_linear,
    (
        "one scale for all",
        "Each column of W, an output, has a scale of its own: the largest |W| along axis 0.",
        lambda p: _rounded(p, np.abs(p.weight).max(), 127),
    ),
    (
        "no absolute value",
        "The scale is the largest |W| over 127: a column may reach further below 0 than above.",
        lambda p: _rounded(p, p.weight.max(0), 127),
    ),
    (
        "128 steps",
        "w takes the values −127 to 127, as many on both sides of 0: divide by 127.",
        lambda p: _rounded(p, np.abs(p.weight).max(0), 128),
    ),
    (
        "range instead of the largest",
        "0 stays 0 here, so the scale is max |W| / 127, not (max − min) / 255.",
        lambda p: _rounded(p, np.ptp(p.weight, 0), 255),
    ),
    (
        "cut off instead of rounded",
        "astype cuts digits off; np.rint first takes the nearest whole number.",
        lambda p: _rounded(p, np.abs(p.weight).max(0), 127, np.trunc),
    ),
    (
        "scale upside down",
        "The scale is the size of a step: W ≈ scale · w.",
        lambda p: quantize_linear(p)._replace(scale=1 / quantize_linear(p).scale),
    ),
    (
        "weight not rounded",
        "Return w, whole numbers in int8, not scale · w.",
        lambda p: quantize_linear(p)._replace(weight=p.weight),
    ),
)


def _rows(d: Draw, C: int) -> Array:
    """Draw rows whose numbers lie near the steps of their range, (B, C) or (B, N, C)."""
    shape = d.choice((2,), (d.size(), d.size(2)))
    q = _whole(d, 1, 254, *shape, C)
    q[..., 0], q[..., -1] = 255, 0
    return q * _steps(d, *shape, 1) + d.rng.integers(-200, 50, (*shape, 1)).astype(d.dtype)


def _draw_rows(d: Draw) -> tuple[Any, ...]:
    return (_rows(d, d.size(3)),)


def _of_range(x: Array, least: Array, width: Array, most: float, into: Any = np.rint) -> Any:
    q = into((x - least) * (most / width)).clip(0, 255).astype(np.uint8)
    shape = (*x.shape[:-1], 1)
    step, start = (np.broadcast_to(a, shape).astype(x.dtype) for a in (width / most, least))
    return QuantizedRows(q, step, start)


def _symmetric(x: Array) -> Any:
    largest = np.abs(x).max(-1, keepdims=True)
    return QuantizedRows(np.rint(x / largest * 127).astype(np.int8), largest / 127, 0 * largest)


TABLE.add(
    "quantize_rows",
    quantize_rows,
    _draw_rows,
    (
        "one range for all",
        "Each row has its own range: min and max along the last axis, with keepdims=True.",
        lambda x: _of_range(x, x.min(), np.ptp(x), 255),
    ),
    (
        "256 steps",
        "q takes 256 values, 0 to 255, and between them are 255 steps.",
        lambda x: _of_range(x, x.min(-1, keepdims=True), np.ptp(x, -1, keepdims=True), 256),
    ),
    (
        "range from 0",
        "The range begins at the least number of the row: subtract it before you divide.",
        lambda x: _of_range(x, x.min(-1, keepdims=True) * 0, np.abs(x).max(-1, keepdims=True), 255),
    ),
    (
        "symmetric range",
        "That is how weights are rounded. A row uses all 256 values from its least to its greatest "
        "number.",
        _symmetric,
    ),
    (
        "cut off instead of rounded",
        "astype cuts digits off; np.rint first takes the nearest whole number.",
        lambda x: _of_range(
            x, x.min(-1, keepdims=True), np.ptp(x, -1, keepdims=True), 255, np.floor
        ),
    ),
    (
        "int8 instead of uint8",
        "q goes up to 255, and int8 ends at 127: numbers above it come out negative.",
        lambda x: quantize_rows(x)._replace(q=quantize_rows(x).q.astype(np.int8)),
    ),
    (
        "step upside down",
        "The step is what q is multiplied by: x ≈ least + step · q.",
        lambda x: quantize_rows(x)._replace(step=1 / quantize_rows(x).step),
    ),
)


def _draw_product(d: Draw) -> tuple[Any, ...]:
    C_in, C_out = d.size(3), d.size(2)
    w = d.rng.integers(-127, 128, (C_in, C_out)).astype(np.int8)
    return _rows(d, C_in), QuantizedLinear(w, _steps(d, C_out), d.positive(C_out))


def _product(x: Array, p: QuantizedLinear, products: Any, sums: Any) -> Array:
    _, step, least = quantize_rows(x)
    y = (products.astype(x.dtype) * step + sums.astype(x.dtype) * least) * p.scale + p.bias
    return np.asarray(y)


def _both(x: Array, p: QuantizedLinear) -> tuple[Array, Array]:
    q, w = quantize_rows(x).q.astype(np.int64), p.weight.astype(np.int64)
    return q @ w, w.sum(0)


TABLE.add(
    "quantized_linear",
    quantized_linear,
    _draw_product,
    (
        "least number lost",
        "x ≈ least + step · q: the least number meets each column too, as least · Σ w.",
        lambda x, p: _product(x, p, _both(x, p)[0], 0 * _both(x, p)[1]),
    ),
    (
        "sum of q instead of w",
        "The least number of a row is multiplied by the sum of a column of w.",
        lambda x, p: _product(
            x, p, _both(x, p)[0], quantize_rows(x).q.sum(-1, keepdims=True, dtype=np.int64)
        ),
    ),
    (
        "step lost",
        "The product of whole numbers counts steps: multiply it by the step of the row.",
        lambda x, p: (_both(x, p)[0] + _both(x, p)[1] * quantize_rows(x).least) * p.scale + p.bias,
    ),
    (
        "scale lost",
        "Multiply by the scale of each column, after the product.",
        lambda x, p: quantized_linear(x, p._replace(scale=np.ones_like(p.scale))),
    ),
    (
        "missing bias",
        "Add the bias at the end.",
        lambda x, p: quantized_linear(x, p._replace(bias=np.zeros_like(p.bias))),
    ),
    (
        "bias scaled",
        "The bias is a real number already: add it after the scale.",
        lambda x, p: quantized_linear(x, p._replace(bias=p.bias * p.scale)),
    ),
    (
        "product in eight bits",
        "uint8 @ int8 is computed in int16, and overflows: convert to a wider type before the "
        "product.",
        lambda x, p: _product(
            x, p, quantize_rows(x).q.astype(np.int16) @ p.weight.astype(np.int16), _both(x, p)[1]
        ),
    ),
    (
        "rows not rounded",
        "The rows are rounded to eight bits as well: multiply q, not x.",
        lambda x, p: linear(x, dequantize_linear(p)),
    ),
)
