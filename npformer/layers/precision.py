"""Precision: long sums are added up in float64, and float16 is computed in float32.

Along any axis but the last, NumPy adds one number after another in their own type. Once a sum is
large, each further number is rounded to what it can still resolve: over the pixels of a large batch
float32 loses half of its digits, and in float16 4000 ones add up to 2048. Float16 also ends at
65,504, so that the square of 256 is infinite. PyTorch computes in wider types as well
(``at::acc_type``, ``at::opmath_type``).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from .arrays import Array

P = ParamSpec("P")
R = TypeVar("R")
Axes = int | tuple[int, ...]


def sum64(x: Array, axes: Axes, keepdims: bool = False) -> Array:
    """Sum over axes, added up in float64, in the type of `x`."""
    return x.sum(axes, np.float64, keepdims=keepdims).astype(x.dtype)


def mean64(x: Array, axes: Axes, keepdims: bool = False) -> Array:
    """Mean over axes, added up in float64, in the type of `x`."""
    return x.mean(axes, np.float64, keepdims=keepdims).astype(x.dtype)


def var64(x: Array, axes: Axes, keepdims: bool = False) -> Array:
    """Biased variance over axes, computed in float64, in the type of `x`."""
    return x.var(axes, np.float64, keepdims=keepdims).astype(x.dtype)


def half_in_float32(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function compute in float32 if its first argument is float16, and return float16.

    Other types are computed in as they are. Arrays may be parts of named tuples.
    """

    @wraps(function)
    def computed(*args: P.args, **kwargs: P.kwargs) -> R:
        first = next(iter((*args, *kwargs.values())))
        if not holds_half(first):
            return function(*args, **kwargs)
        args, kwargs = retyped((args, kwargs), np.float16, np.float32)
        result: R = retyped(function(*args, **kwargs), np.float32, np.float16)
        return result

    return computed


def holds_half(tree: object) -> bool:
    """Whether an array is float16, or one of those in a tuple."""
    if isinstance(tree, tuple):
        return any(map(holds_half, tree))
    return isinstance(tree, np.ndarray) and tree.dtype == np.float16


def retyped(tree: Any, old: DTypeLike, new: DTypeLike) -> Any:
    """Return an array, or all arrays in tuples and dicts, with the type `new` instead of `old`."""
    if isinstance(tree, (np.ndarray, np.generic)):
        return tree.astype(new) if tree.dtype == old else tree
    if isinstance(tree, dict):
        return {key: retyped(value, old, new) for key, value in tree.items()}
    if isinstance(tree, tuple):
        parts = [retyped(part, old, new) for part in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)
    return tree
