"""Arrays that carry a bound on the rounding error of whoever computes them in float32.

Each number is three: its value, computed in float64; how far a right implementation in float32 may
be from it; and its *mass*, what is left of the formula if every term counts as positive. An
operation adds up the errors of what it is given, and one rounding of its own:

    a + b    error = ea + eb + u m                                 m = ma + mb
    a b      error = |a| eb + |b| ea + ea eb + u m                 m = ma mb
    a / b    error = (ea + |a/b| eb) / (|b| − eb) + u m            m = ma / |b|
    Σ aᵢ bᵢ  error = Σ (|aᵢ| eᵢ + …) + g(n) u m                    m = Σ m(aᵢ) m(bᵢ)

with u = 2⁻²⁴. This is running error analysis (Higham, *Accuracy and Stability of Numerical
Algorithms*, 2002, sections 3.1 and 3.3), except that the rounding is relative to the mass instead
of the value: the mass is the same however terms are grouped, multiplied out or folded into each
other, so the bound holds for all these ways to compute the same. g(n) is n, the worst case, for
short sums, and 8 √n for longer ones: roundings do not all point the same way (Higham & Mary 2019,
"A new approach to probabilistic rounding error analysis", theorem 2.4, with λ = 8).

Over many layers the worst case, every rounding in the worst direction, is far from what happens.
There, the same roundings are made at random, up or down (Monte Carlo arithmetic; Parker 1997,
"Monte Carlo arithmetic: exploiting randomness in floating-point arithmetic"), and their effect is
observed some times: an array that is made with ``random`` does that, and carries no errors.

The layers run on these arrays as they are, since NumPy lets other classes take over its functions
(NEP 13 and NEP 18). Every array remembers what it was made from, so that `gradients` can walk back
through a layer: the bounds of its gradients need no second analysis, and their values check the
layer's own backward function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count, pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ...layers import DERIVATIVES, Activation, Array

UNIT = 2.0**-24
"""Half the distance from 1 to the next number of float32: the largest relative rounding error."""
CERTAINTY = 8.0
"""λ of long sums: a sum leaves its bound with a probability below 2 exp(−λ²/2) = 3e-14."""
LIBRARY = 4
"""Error of exp, and of the share of an activation, in libraries; in units."""
CURVATURE = 1.0
"""No activation without kinks bends more than that: the largest second derivative is 0.85."""

Move: TypeAlias = Callable[[Array], Array]
"""Something that only moves numbers: a reshape, a slice, a border of zeros."""
_serial = count()


class Carried(np.lib.mixins.NDArrayOperatorsMixin):
    """An array with the error and the mass of each number.

    Parameters
    ----------
    value : ndarray of float64
    error, mass : ndarray, optional
        Of the same shape; by default the numbers are exact.
    parents : iterable of (Carried, callable)
        What it was made from, each with the function that leads a gradient back to it.
    random : numpy.random.RandomState, optional
        With it, what is computed from this array is rounded at random instead of carrying errors.
    """

    dtype = np.dtype(np.float64)

    def __init__(
        self,
        value: Array,
        error: Array | float = 0.0,
        mass: Array | None = None,
        parents: Iterable[tuple[Carried, Callable[[Carried], Carried]]] = (),
        random: np.random.RandomState | None = None,
    ) -> None:
        self.value = np.asarray(value, np.float64)
        self.error = error if isinstance(error, np.ndarray) else np.full(self.value.shape, error)
        self.mass = abs(self.value) if mass is None else mass
        self.parents = tuple(parents)
        self.random = random
        self.number = next(_serial)
        self.shape, self.ndim, self.size = self.value.shape, self.value.ndim, self.value.size

    def __len__(self) -> int:
        return len(self.value)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        """Compute by `UFUNCS` what NumPy's elementwise functions and ``@`` compute."""
        if method != "__call__" or options or ufunc not in UFUNCS:
            return NotImplemented
        return UFUNCS[ufunc](*map(carried, inputs))

    def __array_function__(
        self, function: Any, types: Any, args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        """Compute by `FUNCTIONS` what NumPy's other functions compute."""
        if function not in FUNCTIONS:
            return NotImplemented
        return FUNCTIONS[function](*args, **options)

    def __getitem__(self, index: Any) -> Carried:
        return self.moved(lambda a: a[index])

    @property
    def T(self) -> Carried:  # noqa: N802 - NumPy's name
        """Transposed."""
        return self.moved(np.transpose)

    def astype(self, dtype: Any, copy: bool = True) -> Carried:
        """As it is: there is one type."""
        return self

    def reshape(self, *shape: Any) -> Carried:
        """As NumPy's."""
        return self.moved(lambda a: a.reshape(*shape))

    def swapaxes(self, first: int, second: int) -> Carried:
        """As NumPy's."""
        return self.moved(lambda a: a.swapaxes(first, second))

    def transpose(self, *axes: int) -> Carried:
        """As NumPy's."""
        return self.moved(lambda a: a.transpose(*axes))

    def max(self, axis: int, keepdims: bool) -> Carried:
        """The greatest; as a constant, for `softmax` is the same whatever is subtracted."""
        return Carried(self.value.max(axis, keepdims=keepdims))

    def sum(self, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Carried:
        """As NumPy's."""
        kept = self.value.sum(axis, keepdims=True).shape
        n = self.size // max(int(np.prod(kept)), 1)
        value, error, mass = (
            a.sum(axis, keepdims=keepdims) for a in (self.value, self.error, self.mass)
        )
        y = rounded((self,), value, error, mass, n - 1)

        def back(g: Carried) -> Carried:
            return g.reshape(kept).moved(lambda a: np.broadcast_to(a, self.shape))

        y.parents = ((self, back),)
        return y

    def mean(self, axis: Any, dtype: Any = None, keepdims: bool = False) -> Carried:
        """As NumPy's."""
        total = self.sum(axis, keepdims=keepdims)
        return total / (self.size // max(total.size, 1))

    def var(self, axis: Any, dtype: Any = None, keepdims: bool = False) -> Carried:
        """As NumPy's."""
        return np.square(self - self.mean(axis, keepdims=True)).mean(axis, keepdims=keepdims)

    def settled(self) -> Carried:
        """The same as a result that everybody stores, and nobody takes apart again."""
        back = [(self, Carried.settled)]
        return Carried(self.value, self.error, None, back, self.random)

    def moved(self, move: Move) -> Carried:
        """Move the numbers; a gradient goes back the same way."""

        def back(g: Carried) -> Carried:
            # Counted from 1, so that 0 stands for a number that was not there before.
            source = np.asarray(move(np.arange(1, self.size + 1).reshape(self.shape))).ravel()

            def gathered(a: Array) -> Array:
                return np.bincount(source, a.ravel(), self.size + 1)[1:].reshape(self.shape)

            value, error, mass = gathered(g.value), gathered(g.error), gathered(g.mass)
            sums = np.maximum(gathered(np.ones(g.shape)) - 1, 0)
            return rounded((g,), value, error, mass, sums)

        value, error, mass = (move(a) for a in (self.value, self.error, self.mass))
        return Carried(value, error, mass, [(self, back)], self.random)


def carried(x: Any, random: np.random.RandomState | None = None) -> Carried:
    """Return a number or an array as one that is exact."""
    return x if isinstance(x, Carried) else Carried(np.asarray(x, np.float64), random=random)


def rounded(
    inputs: Iterable[Carried], value: Array, error: Array, mass: Array, units: Any = 1
) -> Carried:
    """Return the result of an operation, with its rounding.

    Parameters
    ----------
    inputs : iterable of Carried
        What it was computed from.
    value, error, mass : ndarray
        The exact result, the error that the inputs bring, and the mass.
    units : int or ndarray of int
        How many roundings there are, one after the other.

    Returns
    -------
    Carried
        Without parents.
    """
    random = next((x.random for x in inputs if x.random is not None), None)
    if random is None:
        growth = np.minimum(units, CERTAINTY * np.sqrt(units))
        return Carried(value, error + UNIT * growth * mass, mass)
    signs = 1 - 2 * random.randint(0, 2, value.shape)
    return Carried(value + UNIT * np.sqrt(units) * mass * signs, 0, mass, random=random)


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
    y = rounded((a, b), value, error, a.mass / abs(b.value))
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
    y = rounded((a,), value, value * np.expm1(a.error), value, LIBRARY)
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
    y = rounded((a,), value, (abs(slope) + bend) * a.error, abs(a.value), LIBRARY)
    rate = rounded((a,), slope, bend, np.ones(a.shape), 4 * LIBRARY)
    y.parents = ((a, lambda g: g * rate),)
    y.mass = abs(value)
    return y


UFUNCS: dict[np.ufunc, Callable[..., Carried]] = {
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
}  # fmt: skip
"""What the layers use of NumPy's elementwise functions."""


def _split(a: Carried, indices: list[int], axis: int) -> list[Carried]:
    edges = [0, *indices, a.shape[axis]]
    places = np.arange(a.shape[axis])
    return [
        a.moved(lambda x, p=places[i:j]: x.take(p, axis))  # type: ignore[misc]
        for i, j in pairwise(edges)
    ]


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.pad: lambda a, widths: a.moved(lambda x: np.pad(x, widths)),
    np.split: _split,
    # Inside of activations, whose results `Stored` replaces by those of `activated`.
    np.clip: lambda a, low, high: Carried(np.clip(a.value, low, high)),
    np.full_like: lambda a, fill: np.full(a.shape, fill),
    sliding_window_view: lambda a, window, axis: a.moved(
        lambda x: sliding_window_view(x, window, axis)
    ),
}
"""What the layers use of NumPy's other functions."""
