"""Whether two arrays hold the same numbers, in any order of axes.

Frameworks lay out the same numbers differently: channels first or last, the pixels of an image as a
list, heads beside or below each other. An `Arrangement` is one such way: axes exchanged, and
neighbors among them merged or split. Nothing else counts as the same: reshaping (C, N) into (N, C),
where the axes ought to be exchanged, is a fault that must be found.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import permutations
from typing import NamedTuple

import numpy as np

from ...layers import Array

SAMPLES = 64
"""How many numbers are compared before all are."""


class Arrangement(NamedTuple):
    """How to lay out a found array as another: split axes, exchange them, merge."""

    split: tuple[int, ...]
    axes: tuple[int, ...]
    shape: tuple[int, ...]

    def __call__(self, found: Array) -> Array:
        """Lay out an array in `shape`."""
        return found.reshape(self.split).transpose(self.axes).reshape(self.shape)

    def keeps_order(self) -> bool:
        """Whether the last two axes stand in their order, or all axes in the reverse of it."""
        turned = self.axes == tuple(reversed(range(len(self.axes))))
        return len(self.axes) < 2 or turned or self.axes[-2] < self.axes[-1]

    def sample(self, found: Array, places: Array) -> Array:
        """Return the numbers that come to lie at flat `places`, without moving the others."""
        order = [self.split[axis] for axis in self.axes]
        index = np.unravel_index(places, order)
        back: list[Array] = [np.empty(0)] * len(order)
        for axis, along in zip(self.axes, index, strict=True):
            back[axis] = along
        return found.reshape(self.split)[tuple(back)]


@lru_cache(maxsize=4096)
def arrangements(found: tuple[int, ...], expected: tuple[int, ...]) -> tuple[Arrangement, ...]:
    """List the ways to lay out an array of one shape in another, the likeliest first.

    Parameters
    ----------
    found, expected : tuple of int

    Returns
    -------
    tuple of Arrangement
    """
    if math.prod(found) != math.prod(expected) or not math.prod(found):
        return ()
    ways: dict[tuple[tuple[int, ...], tuple[int, ...]], Arrangement] = {}
    few, many = _squeezed(found), _squeezed(expected)
    for axes in _orders(len(few)):  # exchange the found axes, then merge some
        if _merges([few[axis] for axis in axes], many):
            ways.setdefault((few, axes), Arrangement(few, axes, expected))
    for axes in _orders(len(many)):  # split the found axes, then exchange
        split = tuple(many[axis] for axis in axes)
        if _merges(split, few):
            back = tuple(int(i) for i in np.argsort(axes))
            ways.setdefault((split, back), Arrangement(split, back, expected))
    return tuple(ways.values())


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1) or (1,)


def _orders(n: int) -> Iterator[tuple[int, ...]]:
    """Orders of up to five axes: unchanged, the usual ones, then all others."""
    return permutations(range(n)) if n <= 5 else iter([tuple(range(n))])


def _merges(fine: tuple[int, ...] | list[int], coarse: tuple[int, ...]) -> bool:
    """Whether `coarse` is `fine` with neighboring axes merged."""
    sizes = iter(fine)
    for whole in coarse:
        size = 1
        while size < whole:
            size *= next(sizes, 0) or whole + 1
        if size != whole:
            return False
    return next(sizes, None) is None


class Expected:
    """An array that is looked for, with the bound within which it must be met.

    Parameters
    ----------
    array : ndarray of float64
    bound : ndarray of float64, of the same shape
        The most that a right result differs by.
    ordered : bool
        Whether the last two axes may not be exchanged, as queries and keys: a transposed attention
        is another one.
    """

    def __init__(self, array: Array, bound: Array, ordered: bool = False) -> None:
        self.array, self.bound, self.ordered = array, bound, ordered
        # Sums do not depend on the order: most arrays are refused by them alone.
        self._total = array.sum()
        self._square = np.square(array).sum()  # vdot would wait for threads
        slack = np.square(bound).sum()
        self._slack = np.sqrt(slack * array.size)  # Cauchy and Schwarz: Σ|b| ≤ √n ‖b‖
        self._square_slack = 2 * np.sqrt(slack * self._square) + slack  # and Σ|2ab| ≤ 2‖a‖‖b‖
        self._places = places_in(array.size)
        self._values = array.reshape(-1)[self._places]
        self._bounds = bound.reshape(-1)[self._places]

    def match(self, found: Array, sums: tuple[float, float]) -> tuple[Arrangement, float] | None:
        """Find an arrangement in which an array is this one.

        Parameters
        ----------
        found : ndarray
        sums : pair of float
            Of its numbers, and of their squares.

        Returns
        -------
        arrangement : Arrangement
        ratio : float
            Largest error, in units of its bound; at most 1.
        """
        rounding = 1e-12 * (1 + self._square)
        near = abs(sums[0] - self._total) <= self._slack + rounding
        if not (near and abs(sums[1] - self._square) <= self._square_slack + rounding):
            return None
        best = None
        for way in arrangements(found.shape, self.array.shape):
            if self.ordered and not way.keeps_order():
                continue
            sample = way.sample(found, self._places)
            if np.all(abs(sample - self._values) <= self._bounds):
                ratio = self.ratio(way(found))
                if ratio <= 1 and (best is None or ratio < best[1]):
                    best = way, ratio
                    break
        return best

    def ratio(self, laid_out: Array) -> float:
        """Return the largest error of an array in units of its bound; inf if one is not finite."""
        with np.errstate(invalid="ignore", over="ignore"):
            ratio = np.max(abs(laid_out - self.array) / self.bound)
        return float(ratio) if np.isfinite(ratio) else math.inf


def places_in(size: int) -> Array:
    """Return flat places of some numbers, at equal distances."""
    step = max(1, size // SAMPLES)
    return np.arange(step // 2, size, step)


def sums_of(array: Array) -> tuple[float, float]:
    """Sum of the numbers of an array, and of their squares."""
    flat = array.reshape(-1).astype(np.float64, copy=False)
    with np.errstate(invalid="ignore", over="ignore"):
        return float(flat.sum()), float(np.square(flat).sum())


def misread_layouts(x: Array) -> tuple[Array, Array]:
    """Read the channels of an image (B, H, W, C) as if they were first; and the reverse."""
    B, H, W, C = x.shape
    first = np.ascontiguousarray(np.moveaxis(x, -1, 1))
    return np.moveaxis(x.reshape(B, C, H, W), 1, -1), first.reshape(x.shape)


def likeness(a: Array, b: Array) -> float:
    """Return the correlation of two arrays of one size; 0 if one of them is constant."""
    with np.errstate(all="ignore"):
        a, b = a.ravel() - a.mean(), b.ravel() - b.mean()
        value = float(a @ b / np.sqrt((a @ a) * (b @ b)))
    return value if np.isfinite(value) else 0.0
