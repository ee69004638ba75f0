"""What NumPy's functions do to arrays that carry errors, and how a gradient is led back.

`carried_array` tells what such an array is. Here is what each operation of the layers makes of the
errors, and, as the parents of its result, what it makes of a gradient.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ...layers import ACTIVATIONS, DERIVATIVES, Activation
from .carried_array import CERTAINTY, FUNCTIONS, UFUNCS, UNIT, Carried, carried, rounded
from .functions import DIVISION, EXP, of_activation

__all__ = ["CERTAINTY", "UNIT", "Carried", "activated", "carried", "gradients", "rounded"]

CURVATURE = 1.0
"""No activation without kinks bends more than that: the largest second derivative is 0.85."""
SLOPE = 16.0
"""Error of the slope of an activation, in units: half of that of erf, and as much again for the
exponential, its argument and the sum."""
NAMES = {function: name for name, function in ACTIVATIONS.items()}


def gradients(y: Carried, dy: Carried, inputs: Iterable[Carried]) -> list[Carried]:
    """Lead a gradient from a result back to what it was made from.

    Parameters
    ----------
    y : Carried
    dy : Carried
        Gradient of a loss with respect to `y`.
    inputs : iterable of Carried

    Returns
    -------
    list of Carried
        The gradient with respect to each of the inputs: zero where `y` does not depend on it.
    """
    nodes = {y.number: y}
    waiting = [y]
    while waiting:
        for parent, _ in waiting.pop().parents:
            if parent.number not in nodes:
                nodes[parent.number] = parent
                waiting.append(parent)
    found = {y.number: dy}
    for number in sorted(nodes, reverse=True):  # a result is younger than what it was made from
        if number in found:
            for parent, back in nodes[number].parents:
                more = back(found[number])
                old = found.get(parent.number)
                found[parent.number] = more if old is None else old + more
    return [found.get(x.number, Carried(np.zeros(x.shape))) for x in inputs]


def _fitted(g: Carried, shape: tuple[int, ...]) -> Carried:
    """Sum a gradient over the axes along which an array of this shape was repeated."""
    if g.shape == shape:
        return g
    extra = g.ndim - len(shape)
    axes = tuple(i for i in range(g.ndim) if i < extra or shape[i - extra] != g.shape[i])
    return g.sum(axes).reshape(shape)


def _add(a: Carried, b: Carried) -> Carried:
    y = rounded((a, b), a.value + b.value, a.error + b.error, a.mass + b.mass)
    y.parents = ((a, lambda g: _fitted(g, a.shape)), (b, lambda g: _fitted(g, b.shape)))
    return y


def _negative(a: Carried) -> Carried:
    return Carried(-a.value, a.error, a.mass, [(a, _negative)], a.random)


def _multiply(a: Carried, b: Carried) -> Carried:
    error = abs(a.value) * b.error + a.error * (abs(b.value) + b.error)
    y = rounded((a, b), a.value * b.value, error, a.mass * b.mass)
    y.parents = ((a, lambda g: _fitted(g * b, a.shape)), (b, lambda g: _fitted(g * a, b.shape)))
    return y


def _divide(a: Carried, b: Carried) -> Carried:
    value = a.value / b.value
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = (a.error + abs(value) * b.error) / np.maximum(abs(b.value) - b.error, 0)
    error = np.where((a.error == 0) & (b.error == 0), 0, spread)
    y = rounded((a, b), value, error, a.mass / abs(b.value), DIVISION)
    y.parents = (
        (a, lambda g: _fitted(g / b, a.shape)), (b, lambda g: _fitted(-(g * y) / b, b.shape)),
    )  # fmt: skip
    return y


def _matmul(a: Carried, b: Carried) -> Carried:
    error = abs(a.value) @ b.error + a.error @ (abs(b.value) + b.error)
    y = rounded((a, b), a.value @ b.value, error, a.mass @ b.mass, a.shape[-1])
    y.parents = (
        (a, lambda g: _fitted(g @ b.swapaxes(-1, -2), a.shape)),
        (b, lambda g: _fitted(a.swapaxes(-1, -2) @ g, b.shape)),
    )
    return y


def _sqrt(a: Carried) -> Carried:
    value = np.sqrt(a.value)
    y = rounded((a,), value, value - np.sqrt(np.maximum(a.value - a.error, 0)), value)
    y.parents = ((a, lambda g: g * (0.5 / y)),)
    return y


def _exp(a: Carried) -> Carried:
    value = np.exp(a.value)
    y = rounded((a,), value, value * np.expm1(a.error), value, EXP)
    y.parents = ((a, lambda g: g * y),)
    return y


def _relu(a: Carried, zero: Carried) -> Carried:
    """Return ``max(a, 0)``; near 0 a gradient may pass or not, as rounding decides."""
    value, positive = np.maximum(a.value, 0), a.value > 0
    error = np.maximum(np.maximum(a.value + a.error, 0) - value, np.minimum(a.error, value))
    near = (abs(a.value) <= a.error) & (a.error > 0)

    def back(g: Carried) -> Carried:
        off = np.where(near, abs(g.value) + g.error, positive * g.error)
        return Carried(positive * g.value, off, positive * g.mass, random=g.random)

    return Carried(value, error, None, [(a, back)], a.random)


def activated(a: Carried, activation: Activation) -> Carried:
    """Apply an activation, which everybody computes from a number that is stored.

    Parameters
    ----------
    a : Carried
    activation : callable
        One without kinks: ``x`` times a share between about 0 and 1, as GELU and SiLU are.

    Returns
    -------
    Carried
    """
    value, slope, bend = activation(a.value), DERIVATIVES[activation](a.value), CURVATURE * a.error
    own = of_activation(a.value, value, NAMES[activation], 1.0).hard
    y = rounded((a,), value, (abs(slope) + bend) * a.error, own)
    rate = rounded((a,), slope, bend, np.ones(a.shape), SLOPE)
    y.parents = ((a, lambda g: g * rate),)
    y.mass = abs(value)
    return y


UFUNCS.update({
    np.add: _add,
    np.subtract: lambda a, b: _add(a, _negative(b)),
    np.negative: _negative,
    np.multiply: _multiply,
    np.square: lambda a: _multiply(a, a),
    np.true_divide: _divide,
    np.matmul: _matmul,
    np.sqrt: _sqrt,
    np.exp: _exp,
    np.maximum: _relu,
    np.tanh: lambda a: Carried(np.tanh(a.value)),  # inside of activations, as np.clip below
})  # fmt: skip


def _split(a: Carried, indices: list[int], axis: int) -> list[Carried]:
    edges = [0, *indices, a.shape[axis]]
    places = np.arange(a.shape[axis])
    return [
        a.moved(lambda x, p=places[i:j]: x.take(p, axis))  # type: ignore[misc]
        for i, j in pairwise(edges)
    ]


FUNCTIONS.update(
    {
        np.pad: lambda a, widths: a.moved(lambda x: np.pad(x, widths)),
        np.split: _split,
        # Inside of activations, whose results `Stored` replaces by those of `activated`.
        np.clip: lambda a, low, high: Carried(np.clip(a.value, low, high)),
        np.full_like: lambda a, fill: np.full(a.shape, fill),
        sliding_window_view: lambda a, window, axis: a.moved(
            lambda x: sliding_window_view(x, window, axis)
        ),
    }
)
