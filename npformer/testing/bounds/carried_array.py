"""Arrays that carry a bound on the rounding error of whoever computes them in float32.

Each number is three: its value, computed in float64; how far a right implementation in float32 may
be from it; and its *mass*, what is left of the formula if every term counts as positive. An
operation adds up the errors of what it is given, and one rounding of its own:

    a + b    error = ea + eb + u m                                 m = ma + mb
    a b      error = |a| eb + |b| ea + ea eb + u m                 m = ma mb
    a / b    error = (ea + |a/b| eb) / (|b| − eb) + 5 u m          m = ma / |b|
    Σ aᵢ bᵢ  error = Σ (|aᵢ| eᵢ + …) + g(n) u m                    m = Σ m(aᵢ) m(bᵢ)

with u = 2⁻²⁴. This is running error analysis (Higham, *Accuracy and Stability of Numerical
Algorithms*, 2002, sections 3.1 and 3.3), except that the rounding is relative to the mass instead
of the value: the mass is the same however terms are grouped, multiplied out or folded into each
other, so the bound holds for all these ways to compute the same. g(n) is n, the worst case, for
short sums, and 8 √n for longer ones: roundings do not all point the same way (Higham & Mary 2019,
"A new approach to probabilistic rounding error analysis", theorem 2.4, with λ = 8).

Over many layers the worst case, every rounding in the worst direction, is far from what happens.
There, the same roundings are made at random (Monte Carlo arithmetic; Parker 1997, "Monte Carlo
arithmetic: exploiting randomness in floating-point arithmetic"), and their effect is observed some
times: an array that is made with ``random`` does that, and carries no errors. They are uniform, of
standard deviation u. If they were u, up or down, two of them that meet would cancel in every second
sample, and once in 256 times in all of eight: no error would be seen where there is one.

The layers run on these arrays as they are, since NumPy lets other classes take over its functions
(NEP 13 and NEP 18). Every array remembers what it was made from, so that `gradients` can walk back
through a layer: the bounds of its gradients need no second analysis, and their values check the
layer's own backward function. What a function of NumPy does to the three is told in `carried`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from typing import Any, TypeAlias

import numpy as np

from ...layers import Array
from .arithmetic import ARITHMETICS

UNIT = ARITHMETICS["float32"].u
CERTAINTY = 8.0
"""λ of long sums: a sum leaves its bound with a probability below 2 exp(−λ²/2) = 3e-14."""


Move: TypeAlias = Callable[[Array], Array]
"""Something that only moves numbers: a reshape, a slice, a border of zeros."""
_serial = count()

UFUNCS: dict[np.ufunc, Callable[..., Any]] = {}
"""What `carried` knows of NumPy's elementwise functions and ``@``."""
FUNCTIONS: dict[Any, Callable[..., Any]] = {}
"""What it knows of NumPy's other functions."""


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
    share = shares(random, value.shape)
    return Carried(value + UNIT * np.sqrt(units) * mass * share, 0, mass, random=random)


def shares(random: np.random.RandomState, shape: tuple[int, ...]) -> Array:
    """Return random roundings of standard deviation 1, uniform as roundings are."""
    return random.uniform(-np.sqrt(3), np.sqrt(3), shape)
