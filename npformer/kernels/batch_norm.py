"""Batch normalization in training, over chunks of rows.

    forward     μ, σ² over the batch        u = (z − μ) a + β        y = act(u) (+ residual)
    backward    du = dy act'(u)             dz = A du + B (z − μ) + C

The sums over the batch are those of fixed chunks of rows; NumPy adds them up, in order and in
float64, and turns them into coefficients, a row of numbers for each of `COEFFICIENTS`. A layer
scale that follows the norm goes into a, β and A.
"""

from __future__ import annotations

from ..layers import Array
from .activations import gelu, gelu_backward, relu, relu_backward
from .layout import GELU, LANES, NONE, RELU, Rows
from .vector import clear, fma, kernel, load, splat, store

COEFFICIENTS = MEAN, SCALE, SHIFT, INVERSE, A, B, C = range(7)
"""The coefficients: μ, a, β, 1/σ, A, B, C; each row has room for whole vectors."""

BLOCK = 32
"""Rows that are added up before they are added to a sum, which then is rounded less often."""


@kernel
def moments(m: Array, sums: Rows, x: Rows, rows: int) -> None:
    """Mean, and sum of squared deviations from the mean, of each column.

    The first mean is rounded many times. The deviations from it are small numbers, whose sum tells
    how far it is off: both results are corrected by that (Chan, Golub & LeVeque 1983, "Algorithms
    for computing the sample variance", equation 1.7).

    Parameters
    ----------
    m : ndarray of float32, flat
        Holds everything.
    sums : Rows
        Result: two rows of whole vectors, without gaps.
    x : Rows
        Input, as wide as the sums.
    rows : int
        How many rows x has; at least 1.
    """
    for c in range(0, sums.step, LANES):
        first, end = x.at + c, x.at + c + rows * x.step
        total = splat(0.0)
        for at in range(first, end, x.step):
            total = total + load(m, at)
        mean = total / rows
        deviations, squares = splat(0.0), splat(0.0)
        for at in range(first, end, x.step):
            centered = load(m, at) - mean
            deviations = deviations + centered
            squares = fma(centered, centered, squares)
        shift = deviations / rows
        store(m, sums.at + c, mean + shift)
        store(m, sums.at + sums.step + c, squares - deviations * shift)


@kernel
def batch_norm(
    m: Array,
    y: int,
    z: int,
    step: int,
    rows: int,
    w: Array,
    norm: int,
    activation: int,
    residual: int,
) -> None:
    """Normalize; apply the activation and add the residual.

    Parameters
    ----------
    m : ndarray of float32, flat
        Holds y, z and the residual.
    y, z : int
        Where result and input begin.
    step : int
        Numbers in their rows, whole vectors.
    rows : int
        How many rows.
    w : ndarray of float32, flat
        Holds the coefficients.
    norm : int
        Where they begin.
    activation : int
        One of those in `npformer.kernels.layout`.
    residual : int
        Where what is added to the result begins; negative for nothing.
    """
    mean, scale, shift = norm + MEAN * step, norm + SCALE * step, norm + SHIFT * step
    for i in range(0, rows * step, step):
        for c in range(0, step, LANES):
            u = fma(load(m, z + i + c) - load(w, mean + c), load(w, scale + c), load(w, shift + c))
            if activation == RELU:
                u = relu(u)
            elif activation == GELU:
                u = gelu(u)
            if residual >= 0:
                u = u + load(m, residual + i + c)
            store(m, y + i + c, u)


@kernel
def batch_norm_sums(
    m: Array,
    sums: int,
    du: int,
    y: int,
    dy: int,
    z: int,
    step: int,
    rows: int,
    w: Array,
    norm: int,
    activation: int,
) -> None:
    """Gradient of what follows a batch norm, ``du = dy act'(u)``, and its sums.

    Parameters
    ----------
    m : ndarray of float32, flat
        Holds everything but the coefficients.
    sums : int
        Where the result begins, two rows: Σ du and Σ du (z − μ)/σ.
    du : int
        Where another result begins; may be dy. Not written if there is neither an activation nor y.
    y : int
        Where ``act(u)`` goes; negative if it is not needed.
    dy, z : int
        Where the gradient and the input of the norm begin.
    step : int
        Numbers in the rows of all of them, whole vectors.
    rows : int
        How many rows.
    w : ndarray of float32, flat
        Holds the coefficients.
    norm : int
        Where they begin.
    activation : int
        One of those in `npformer.kernels.layout`.
    """
    mean, scale, shift = norm + MEAN * step, norm + SCALE * step, norm + SHIFT * step
    clear(m, sums, 2 * step)
    for first in range(0, rows, BLOCK):
        end = min(first + BLOCK, rows)
        for c in range(0, step, LANES):
            by_one, by_normal = splat(0.0), splat(0.0)
            for i in range(first * step + c, end * step + c, step):
                centered, grad = load(m, z + i) - load(w, mean + c), load(m, dy + i)
                if activation != NONE or y >= 0:
                    u = fma(centered, load(w, scale + c), load(w, shift + c))
                    if activation == RELU:
                        grad = relu_backward(grad, u)
                        u = relu(u)
                    elif activation == GELU:
                        grad = gelu_backward(grad, u)
                        u = gelu(u)
                    store(m, du + i, grad)
                    if y >= 0:
                        store(m, y + i, u)
                normal = centered * load(w, norm + INVERSE * step + c)
                by_one = by_one + grad
                by_normal = fma(grad, normal, by_normal)
            store(m, sums + c, load(m, sums + c) + by_one)
            store(m, sums + step + c, load(m, sums + step + c) + by_normal)


@kernel
def batch_norm_backward(
    m: Array, dz: int, du: int, z: int, step: int, rows: int, w: Array, norm: int
) -> None:
    """Gradient of a batch norm, ``dz = A du + B (z − μ) + C``.

    Parameters
    ----------
    m : ndarray of float32, flat
        Holds dz, du and z.
    dz : int
        Where the result begins; may be du.
    du, z : int
        Where the gradient and the input of the norm begin.
    step : int
        Numbers in their rows, whole vectors.
    rows : int
        How many rows.
    w : ndarray of float32, flat
        Holds the coefficients.
    norm : int
        Where they begin.
    """
    mean, a = norm + MEAN * step, norm + A * step
    b, shift = norm + B * step, norm + C * step
    for i in range(0, rows * step, step):
        for c in range(0, step, LANES):
            centered = load(m, z + i + c) - load(w, mean + c)
            rest = fma(load(w, b + c), centered, load(w, shift + c))
            store(m, dz + i + c, fma(load(w, a + c), load(m, du + i + c), rest))
