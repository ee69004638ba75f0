"""Compare an answer with the right one, and say how it differs: shape, sign, factor, border, …"""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np

from ..layers import Array
from ..network.tree import leaves
from .cases import Case, Outcome, arrays
from .mistakes import Exercise


def problem(outcome: Outcome, case: Case, exercise: Exercise) -> tuple[str, str]:
    """Say what is wrong with an answer.

    Returns
    -------
    kind, hint : str
        Both empty if the answer is right.
    """
    if outcome.error is not None:
        return "exception", f"{type(outcome.error).__name__}: {outcome.error}"
    if outcome.modified:
        return "argument modified", (
            f"Your function writes into {outcome.modified}, an argument that its caller may still "
            "need. Make a new array: x = x + 1 instead of x += 1."
        )
    if outcome.value is None:
        return "nothing returned", "Your function returns None. Is there a return statement?"
    right, found = dict(leaves(case.expected)), list(leaves(outcome.value))
    if len(found) != len(right):
        names = result_names(case.expected, exercise)
        hint = f"{len(found)} arrays returned; expected {len(right)}: {', '.join(names)}."
        return "number of results", hint
    for (path, expected), (_, got) in zip(right.items(), found, strict=True):
        if wrong := array_problem(got, np.asarray(expected), case.tolerance):
            kind, hint = wrong
            name = result_name(path, exercise)
            return kind, f"{name}: {hint}" if name else hint
    return "", ""


def array_problem(got: Any, expected: Array, tolerance: float) -> tuple[str, str] | None:
    """Say what is wrong with one array; None if it is right."""
    if not isinstance(got, (np.ndarray, np.generic)):
        return "not an array", f"got a {type(got).__name__}; expected a numpy array."
    got = np.asarray(got)
    if got.dtype.kind not in "fiub":
        return "not numbers", f"dtype {got.dtype}; expected {expected.dtype}."
    if got.dtype.kind == "b" != expected.dtype.kind:
        return "dtype", f"dtype bool, a mask; expected numbers, {expected.dtype}."
    if got.shape != expected.shape:
        for axes in permutations(range(got.ndim)):
            if got.transpose(axes).shape == expected.shape:
                return "axes in another order", f"shape {got.shape}; expected {expected.shape}."
        return "shape", f"shape {got.shape}; expected {expected.shape}."
    if not close(got, expected, tolerance):
        return number_problem(as_float(got), as_float(expected), tolerance)
    if got.dtype == expected.dtype:
        return None
    found = f"dtype {got.dtype}; expected {expected.dtype}"
    if expected.dtype.kind in "iu":
        return "dtype", f"{found}: .astype(np.{expected.dtype})."
    return "dtype", (
        f"{found}, as the input has. An array that you make yourself (np.zeros, np.array) is "
        "float64 unless you say dtype=x.dtype."
    )


def as_float(a: Array) -> Array:
    """Return an array that can be subtracted and negated: whole numbers as float64."""
    return a if a.dtype.kind == "f" else a.astype(np.float64)


def number_problem(got: Array, expected: Array, tolerance: float) -> tuple[str, str]:
    """Say how the numbers of an array of the right shape differ from the right ones."""
    if not np.isfinite(got).all() and np.isfinite(expected).all():
        return "not finite", (
            "the result has NaN or infinity: a division by zero, or exp of a large number?"
        )
    if close(-got, expected, tolerance):
        return "wrong sign", "every number has the right size but the wrong sign."
    scale = np.vdot(expected, expected)
    factor = float(np.vdot(expected, got) / scale) if scale else 0.0
    if factor and close(got / factor, expected, tolerance):
        return "constant factor", f"every number is {factor:.4g} times the right one."
    inside = (slice(None), slice(1, -1), slice(1, -1))
    has_inside = expected.ndim == 4 and expected[inside].size > 0
    if has_inside and close(got[inside], expected[inside], tolerance):
        return "border", "right inside the image, wrong at its border."
    if expected.ndim > 1 and len(expected) > 1 and close(got[0], expected[0], tolerance):
        return "batch", "right for the first image of the batch, wrong for others."
    difference = got - expected
    if close(difference, np.broadcast_to(difference.flat[0], got.shape), tolerance):
        return "constant offset", f"every number is off by {difference.flat[0]:.4g}."
    axes = tuple(range(got.ndim - 1))
    if (
        got.ndim > 1
        and got.size > got.shape[-1]
        and close(np.ptp(difference, axes), np.zeros(1), tolerance)
    ):
        return (
            "offset per channel",
            "each channel is off by a constant: a bias or a mean?",
        )
    if close(np.sort(got, None), np.sort(expected, None), tolerance):
        return "order", "the right numbers in the wrong places: a reshape or transpose?"
    where = tuple(int(i) for i in np.unravel_index(np.argmax(abs(difference)), got.shape))
    return "values", f"the largest difference is {abs(difference).max():.4g}, at {list(where)}."


def same(a: Outcome, b: Outcome, case: Case) -> bool:
    """Whether two functions did the same: gave the same numbers, or raised the same exception."""
    if a.error or b.error or a.modified or b.modified:
        return type(a.error) is type(b.error) and a.modified == b.modified
    left, right = list(arrays(a.value)), list(arrays(b.value))
    return len(left) == len(right) and all(
        x.shape == y.shape
        and x.dtype.kind in "fiub"
        and y.dtype.kind in "fiub"
        and close(x, y, case.tolerance)
        for x, y in zip(left, right, strict=True)
    )


def close(a: Array, b: Array, tolerance: float) -> bool:
    """Whether all numbers agree, relative to the largest of them; NaN agrees with NaN."""
    a, b = as_float(a), as_float(b)
    finite = abs(b[np.isfinite(b)])
    scale = max(1.0, float(finite.max(initial=0)))
    return bool(np.allclose(a, b, rtol=0, atol=tolerance * scale, equal_nan=True))


def result_name(path: str, exercise: Exercise) -> str:
    """Return the name of a result: in a backward function 0 is dx, and 1.weight is dp.weight."""
    head, dot, tail = path.partition(".")
    return f"{exercise.results[int(head)]}{dot}{tail}" if head.isdigit() else path


def result_names(expected: Any, exercise: Exercise) -> list[str]:
    """Return the name of every array of a result, in order; "the result" if there is only one."""
    return [result_name(path, exercise) or "the result" for path, _ in leaves(expected)]
