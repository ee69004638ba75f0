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
from .layout import GELU, LANES, NONE, RELU
from .vector import clear, fma, kernel, load, store

COEFFICIENTS = MEAN, SCALE, SHIFT, INVERSE, A, B, C = range(7)
"""The coefficients: μ, a, β, 1/σ, A, B, C; each row has room for whole vectors."""


@kernel
def moments(m: Array, sums: int, sums_step: int, x: int, x_step: int, rows: int) -> None:
    """Sum, and sum of squared deviations from the mean, of each column.

    Parameters
    ----------
    m : ndarray of float32, flat
    sums, sums_step : int
        Result: two rows.
    x, x_step : int
    rows : int
        At least 1.
    """
    share = 1.0 / rows
    clear(m, sums, 2 * sums_step)
    for at in range(x, x + rows * x_step, x_step):
        for c in range(0, sums_step, LANES):
            store(m, sums + c, load(m, sums + c) + load(m, at + c))
    for at in range(x, x + rows * x_step, x_step):
        for c in range(0, sums_step, LANES):
            to = sums + sums_step + c
            centered = load(m, at + c) - load(m, sums + c) * share
            store(m, to, fma(centered, centered, load(m, to)))


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
    """Normalize, and apply what follows.

    Parameters
    ----------
    m : ndarray of float32, flat
    y, z, step : int
        Result and input, whole vectors in each row.
    rows : int
    w : ndarray of float32, flat
        Holds the coefficients from index `norm`.
    norm, activation : int
    residual : int
        Added to the result unless negative.
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
    sums : int
        Result, two rows: Σ du and Σ du (z − μ)/σ.
    du : int
        Result; may be dy. Not written if there is neither an activation nor y.
    y : int
        Result: ``act(u)``, unless negative.
    dy, z, step : int
        Gradient, and input of the norm, whole vectors in each row.
    rows : int
    w : ndarray of float32, flat
    norm, activation : int
    """
    mean, scale, shift = norm + MEAN * step, norm + SCALE * step, norm + SHIFT * step
    clear(m, sums, 2 * step)
    for i in range(0, rows * step, step):
        for c in range(0, step, LANES):
            centered, grad = load(m, z + i + c) - load(w, mean + c), load(m, dy + i + c)
            if activation != NONE or y >= 0:
                u = fma(centered, load(w, scale + c), load(w, shift + c))
                if activation == RELU:
                    grad = relu_backward(grad, u)
                    u = relu(u)
                elif activation == GELU:
                    grad = gelu_backward(grad, u)
                    u = gelu(u)
                store(m, du + i + c, grad)
                if y >= 0:
                    store(m, y + i + c, u)
            normal = centered * load(w, norm + INVERSE * step + c)
            store(m, sums + c, load(m, sums + c) + grad)
            to = sums + step + c
            store(m, to, fma(grad, normal, load(m, to)))


@kernel
def batch_norm_backward(
    m: Array, dz: int, du: int, z: int, step: int, rows: int, w: Array, norm: int
) -> None:
    """Gradient of a batch norm, ``dz = A du + B (z − μ) + C``.

    Parameters
    ----------
    m : ndarray of float32, flat
    dz, du, z, step : int
        Result, which may be du; gradient; input of the norm.
    rows : int
    w : ndarray of float32, flat
    norm : int
    """
    mean, a = norm + MEAN * step, norm + A * step
    b, shift = norm + B * step, norm + C * step
    for i in range(0, rows * step, step):
        for c in range(0, step, LANES):
            centered = load(m, z + i + c) - load(w, mean + c)
            rest = fma(load(w, b + c), centered, load(w, shift + c))
            store(m, dz + i + c, fma(load(w, a + c), load(m, du + i + c), rest))
