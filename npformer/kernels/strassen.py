"""Linear layer by seven products of half the size instead of eight (Strassen).

Cut rows, inputs and outputs of a product in two, and it is eight products of an eighth of the work:

    ⎛ A₁₁ A₁₂ ⎞ ⎛ B₁₁ B₁₂ ⎞     ⎛ A₁₁ B₁₁ + A₁₂ B₂₁    A₁₁ B₁₂ + A₁₂ B₂₂ ⎞
    ⎝ A₂₁ A₂₂ ⎠ ⎝ B₂₁ B₂₂ ⎠  =  ⎝ A₂₁ B₁₁ + A₂₂ B₂₁    A₂₁ B₁₂ + A₂₂ B₂₂ ⎠

Seven are enough, of sums of quarters (Strassen 1969; in Winograd's form, with fifteen additions):

    S₁ = A₂₁ + A₂₂    S₂ = S₁ − A₁₁     S₃ = A₁₁ − A₂₁    S₄ = A₁₂ − S₂
    T₁ = B₁₂ − B₁₁    T₂ = B₂₂ − T₁     T₃ = B₂₂ − B₁₂    T₄ = B₂₁ − T₂

    P = A₁₁ B₁₁       C₁₁ = P + A₁₂ B₂₁                      V = S₁ T₁
    Q = P + S₂ T₂       R = Q + S₃ T₃    C₂₁ = R + A₂₂ T₄    C₂₂ = R + V    C₁₂ = Q + V + S₄ B₂₂

Sums of weights are made when the network is loaded, and a product that starts from another's result
costs no addition. What remains, in exchange for an eighth of all multiply-adds, are S₁ … S₄ and one
pass over V. Rounding errors stay as small as those of the direct product, as long as neither rows
nor weights differ greatly in size (Higham 2002, "Accuracy and Stability of Numerical Algorithms",
ch. 23).

**The same bits.** Which rows are added must depend neither on how a step is cut for the threads nor
on the batch: row i of an image is always paired with row i + p, where p is the image's number of
pairs.

**NaN and infinity.** A sum of two rows spreads NaN and infinity from one to the other, which the
direct product would not. Such pairs of rows are therefore multiplied once more, directly, and a
layer with such weights is not packed for this.
"""

from __future__ import annotations

from ..layers import Array
from .activations import gelu_of_double, relu
from .layout import (
    GELU,
    LANES,
    NO_ROWS,
    NONE,
    ONE_RUN,
    RELU,
    Pairs,
    Panels,
    Rows,
    Span,
    columns_from,
    packed_size,
    padded,
    rows_from,
    whole_layer,
)
from .linear import dense, linear
from .vector import fma, inlined, kernel, load, reduce_add, splat, store

inlined(padded)
inlined(packed_size)

TAME = 2.0**100
"""If the sum of squares is below this, no sum comes near the largest float32, 2¹²⁸."""


@inlined
def _sums(m: Array, s: int, squares: int, x: Pairs, half: int, pairs: int) -> None:
    """S₁ … S₄, one after the other, and for each pair of rows its sum of squares."""
    size, apart = pairs * half, x.apart
    for i in range(pairs):
        row, at = x.at + i * x.step, s + i * half
        square = splat(0.0)
        for c in range(row, row + half, LANES):
            a11, a12 = load(m, c), load(m, c + half)
            a21, a22 = load(m, c + apart), load(m, c + apart + half)
            square = square + (fma(a11, a11, a12 * a12) + fma(a21, a21, a22 * a22))
            s1 = a21 + a22
            s2 = s1 - a11
            store(m, at, s1)
            store(m, at + size, s2)
            store(m, at + 2 * size, a11 - a21)
            store(m, at + 3 * size, a12 - s2)
            at += LANES
        m[squares + i] = reduce_add(square)


@inlined
def _join(
    m: Array, y: Rows, q: int, r: int, v: int, n: int, pairs: int, activation: int, residual: Rows
) -> None:
    """C₂₂ = R + V with what follows it, and Q + V in the place of Q."""
    for i in range(pairs):
        for c in range(0, n, LANES):
            at = i * n + c
            addend = load(m, v + at)
            store(m, q + at, load(m, q + at) + addend)
            result = load(m, r + at) + addend
            if activation == GELU:
                result = gelu_of_double(result)
            elif activation == RELU:
                result = relu(result)
            if residual.at >= 0:
                result = load(m, residual.at + i * residual.step + c) + result
            store(m, y.at + i * y.step + c, result)


@inlined
def upper(x: Pairs) -> Rows:
    """The rows that have a partner."""
    return Rows(x.at, x.step)


@inlined
def lower(x: Pairs) -> Rows:
    """The partners; of `NO_PAIRS`, which are no distance apart, none."""
    return Rows(x.at + x.apart, x.step)


@kernel
def strassen(
    m: Array,
    y: Pairs,
    x: Pairs,
    w: Array,
    layer: Panels,
    pairs: int,
    activation: int,
    residual: Pairs,
    scratch: int,
) -> None:
    """Pairs of rows of a linear layer with what follows it.

    Parameters
    ----------
    m : ndarray of float32, flat
        Holds x, y and the residual.
    y : Pairs
        Result.
    x : Pairs
        Input, K numbers in each row.
    w : ndarray of float32, flat
        Holds the layer, and behind it what `npformer.kernels.layout.pack_sums` made of it.
    layer : Panels
        K is a multiple of 32, and the number of panels is even.
    pairs : int
        How many pairs of rows.
    activation : int
        One of those in `npformer.kernels.layout`.
    residual : Pairs
        Added to the result, unless it is `npformer.kernels.layout.NO_PAIRS`; not y itself. Not
        together with GELU.
    scratch : int
        Space in m for `npformer.kernels.layout.strassen_scratch` numbers.
    """
    k, panels = layer.K // 2, layer.number // 2
    n, quarter = panels * LANES, packed_size(k, panels * LANES)
    # Quarters of the weights, of which only that of P reads its bias; and T₁ … T₄ behind them.
    b11 = Panels(layer.at, k, panels, layer.step, layer.bias)
    b21 = Panels(layer.at + k * LANES, k, panels, layer.step, layer.bias)
    b22 = Panels(b21.at + panels * layer.step, k, panels, layer.step, layer.bias)
    sums = layer.at + packed_size(layer.K, 2 * n)
    t1, t2 = whole_layer(sums, k, panels), whole_layer(sums + quarter, k, panels)
    t3 = whole_layer(sums + 2 * quarter, k, panels)
    t4 = whole_layer(sums + 3 * quarter, k, panels)
    some = pairs * k
    s1, s2 = Rows(scratch, k), Rows(scratch + some, k)
    s3, s4 = Rows(scratch + 2 * some, k), Rows(scratch + 3 * some, k)
    q = Rows(scratch + 4 * some, n)
    r, v = Rows(q.at + pairs * n, n), Rows(q.at + 2 * pairs * n, n)
    squares = q.at + 3 * pairs * n
    a11, a12, a22 = upper(x), columns_from(upper(x), k), columns_from(lower(x), k)
    c11, c12 = upper(y), columns_from(upper(y), n)
    c21, c22 = lower(y), columns_from(lower(y), n)
    d11, d12 = upper(residual), columns_from(upper(residual), n)
    d21, d22 = lower(residual), columns_from(lower(residual), n)
    none = int(NONE)  # a number like `activation`: all rows of the table are of one type
    products = (
        (q, a11, b11, NO_ROWS, none, NO_ROWS),
        (c11, a12, b21, q, activation, d11),
        (q, s2, t2, q, none, NO_ROWS),
        (r, s3, t3, q, none, NO_ROWS),
        (c21, a22, t4, r, activation, d21),
        (v, s1, t1, NO_ROWS, none, NO_ROWS),
        (c12, s4, b22, q, activation, d12),
    )
    every = Span(0, panels)
    _sums(m, s1.at, squares, x, k, pairs)
    for to, left, right, start, act, add in products:
        if to.at == c12.at:
            _join(m, c22, q.at, r.at, v.at, n, pairs, activation, d22)
        linear(m, to, left, w, right, pairs, act, add, every, ONE_RUN, start)
    for i in range(pairs):
        if not m[squares + i] < TAME:
            for to, row, add in (
                (upper(y), upper(x), upper(residual)),
                (lower(y), lower(x), lower(residual)),
            ):
                to_i, row_i, add_i = rows_from(to, i), rows_from(row, i), rows_from(add, i)
                dense(m, to_i, row_i, w, layer, 1, activation, add_i)
