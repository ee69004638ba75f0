"""Linear layer by seven products of half the size, where it would take eight.

Cut rows, inputs and outputs of a product in two, and it is eight products of an eighth of the work:

    ⎛ A₁₁ A₁₂ ⎞ ⎛ B₁₁ B₁₂ ⎞     ⎛ A₁₁ B₁₁ + A₁₂ B₂₁    A₁₁ B₁₂ + A₁₂ B₂₂ ⎞
    ⎝ A₂₁ A₂₂ ⎠ ⎝ B₂₁ B₂₂ ⎠  =  ⎝ A₂₁ B₁₁ + A₂₂ B₂₁    A₂₁ B₁₂ + A₂₂ B₂₂ ⎠

Seven are enough, of sums of quarters (Strassen 1969; in Winograd's form, with fifteen additions):

    S₁ = A₂₁ + A₂₂    S₂ = S₁ − A₁₁     S₃ = A₁₁ − A₂₁    S₄ = A₁₂ − S₂
    T₁ = B₁₂ − B₁₁    T₂ = B₂₂ − T₁     T₃ = B₂₂ − B₁₂    T₄ = B₂₁ − T₂

    P = A₁₁ B₁₁       C₁₁ = P + A₁₂ B₂₁                      V = S₁ T₁
    Q = P + S₂ T₂       R = Q + S₃ T₃    C₂₁ = R + A₂₂ T₄    C₂₂ = R + V    C₁₂ = Q + V + S₄ B₂₂

Sums of weights are made when the network is loaded, and a product that begins with another costs
nothing to add. What is left to do for an eighth of all multiply-adds are S₁ … S₄ and one pass over
V. Rounding errors stay as small as those of the direct product, as long as neither rows nor weights
are of very different size (Higham 2002, "Accuracy and Stability of Numerical Algorithms", ch. 23).

**The same numbers.** Which rows are added must not depend on how a step is cut for the threads, nor
on the batch: a row of an image always meets that as far behind it as the image has pairs.

**Not a number.** A sum of two rows spreads what is infinite, or no number, to both, where the
direct product would not. Such pairs of rows are therefore multiplied once more, directly. And a
layer with such weights is not packed for this.
"""

from __future__ import annotations

from ..layers import Array
from .activations import gelu_of_double, relu
from .layout import GELU, LANES, NONE, RELU, packed_size, padded
from .linear import FROM_BIAS, ONE_RUN, PACKED, linear
from .vector import fma, inlined, kernel, load, reduce_add, splat, store

inlined(padded)
inlined(packed_size)

TAME = 2.0**100
"""With a sum of squares below that, nothing comes near the largest float32, 2¹²⁸."""


@inlined
def _sums(
    m: Array, s: int, squares: int, x: int, x_step: int, apart: int, half: int, pairs: int
) -> None:
    """S₁ … S₄, one after the other, and for each pair of rows its sum of squares."""
    size = pairs * half
    for i in range(pairs):
        upper, at = x + i * x_step, s + i * half
        square = splat(0.0)
        for c in range(upper, upper + half, LANES):
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
    m: Array, y: int, y_step: int, q: int, r: int, v: int, n: int, pairs: int,
    activation: int, residual: int, residual_step: int,
) -> None:  # fmt: skip
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
            if residual >= 0:
                result = load(m, residual + i * residual_step + c) + result
            store(m, y + i * y_step + c, result)


@kernel
def strassen(
    m: Array,
    y: int,
    y_step: int,
    y_apart: int,
    x: int,
    x_step: int,
    x_apart: int,
    w: Array,
    layer: int,
    K: int,
    N: int,
    pairs: int,
    activation: int,
    residual: int,
    residual_step: int,
    residual_apart: int,
    scratch: int,
) -> None:
    """Pairs of rows of a linear layer with what follows it.

    Parameters
    ----------
    m : ndarray of float32, flat
    y, y_step, y_apart : int
        Result: its upper rows, and how far behind each of them its partner is.
    x, x_step, x_apart : int
        Input, K numbers in each row.
    w : ndarray of float32, flat
        Holds, from index `layer`, a packed layer and behind it what
        `npformer.kernels.layout.pack_sums` made of it.
    layer, K, N : int
        K and N are multiples of 32.
    pairs : int
        How many pairs of rows.
    activation : int
        One of those in `npformer.kernels.layout`.
    residual, residual_step, residual_apart : int
        Added to the result unless negative; not y itself. Not together with GELU.
    scratch : int
        Room for `npformer.kernels.layout.strassen_scratch` numbers.
    """
    k, n, panels = K // 2, N // 2, N // (2 * LANES)
    size, quarter = K * LANES, packed_size(k, n)
    b11, b21, bias = layer, layer + k * LANES, layer + 2 * panels * size
    b22 = b21 + panels * size
    t1 = layer + packed_size(K, N)
    t2, t3, t4 = t1 + quarter, t1 + 2 * quarter, t1 + 3 * quarter
    s1, some = scratch, pairs * k
    s2, s3, s4, q = s1 + some, s1 + 2 * some, s1 + 3 * some, s1 + 4 * some
    r, v, squares = q + pairs * n, q + 2 * pairs * n, q + 3 * pairs * n
    a11, a12, a22 = x, x + k, x + x_apart + k
    c11, c12, c21, c22 = y, y + n, y + y_apart, y + y_apart + n
    d11, d12, d21, d22 = -1, -1, -1, -1  # what is added to them
    if residual >= 0:
        d11, d12, d21 = residual, residual + n, residual + residual_apart
        d22 = d21 + n
    # T are layers by themselves. (`int` makes constants like the others: all rows are of one type.)
    none, no = int(NONE), int(FROM_BIAS[0])
    own, alone = int(PACKED[0]), int(PACKED[1])
    products = (
        (q, n, a11, x_step, b11, size, bias, no, none, no),
        (c11, y_step, a12, x_step, b21, size, no, q, activation, d11),
        (q, n, s2, k, t2, own, alone, q, none, no),
        (r, n, s3, k, t3, own, alone, q, none, no),
        (c21, y_step, a22, x_step, t4, own, alone, r, activation, d21),
        (v, n, s1, k, t1, own, alone, no, none, no),
        (c12, y_step, s4, k, b22, size, no, q, activation, d12),
    )
    _sums(m, s1, squares, x, x_step, x_apart, k, pairs)
    for to, to_step, at, at_step, panel, apart, from_bias, start, act, add in products:
        if to == c12:
            _join(m, c22, y_step, q, r, v, n, pairs, activation, d22, residual_step)
        linear(
            m, to, to_step, at, at_step, w, panel, k, panels, pairs, 0, panels,
            act, add, residual_step, *ONE_RUN, start, n, apart, from_bias,
        )  # fmt: skip
    for i in range(pairs):
        if not m[squares + i] < TAME:
            for lower in range(2):
                to, at, add = y + i * y_step, x + i * x_step, residual
                if residual >= 0:
                    add = residual + i * residual_step + lower * residual_apart
                linear(
                    m, to + lower * y_apart, y_step, at + lower * x_apart, x_step, w, layer, K,
                    2 * panels, 1, 0, 2 * panels, activation, add, residual_step,
                    *ONE_RUN, *FROM_BIAS, *PACKED,
                )  # fmt: skip
