"""One input, what an implementation makes of it, and how that compares with its bound."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..layers import Array
from ..network.tree import leaves, transform
from ..teach.cases import Outcome
from .tolerance import Right, right_result


class Trial(NamedTuple):
    """One input, and what an implementation made of it."""

    args: tuple[Any, ...]
    outcome: Outcome
    right: Right
    dtype: str
    """what the implementation computes in"""
    ratio: float
    """largest error ÷ bound; infinite if there are no numbers of the right shape"""

    @property
    def is_wrong(self) -> bool:
        """Whether no right implementation gives this."""
        return self.ratio > 1


def attempt(layer: str, function: Callable[..., Any], args: tuple[Any, ...], dtype: str) -> Trial:
    """Run an implementation on one input.

    Parameters
    ----------
    layer : str
    function : callable
        Takes the arguments of npformer's layer.
    args : tuple
    dtype : str

    Returns
    -------
    Trial
    """
    right = right_result(layer, args, dtype)
    try:
        with np.errstate(all="ignore"):
            outcome = Outcome(transform(np.asarray, function(*args)))
    except Exception as error:
        outcome = Outcome(error=error)
    return Trial(args, outcome, right, dtype, ratio(outcome, right))


def ratio(outcome: Outcome, right: Right) -> float:
    """Return the largest error ÷ bound of an outcome."""
    found = [leaf for _, leaf in leaves(outcome.value)]
    if outcome.error is not None or len(found) != len(right.arrays):
        return float("inf")
    triples = zip(found, right.arrays, right.bounds, strict=True)
    return max(float(_ratios(*triple).max(initial=0.0)) for triple in triples)


def worst(trial: Trial) -> str:
    """Say where the error is largest beside its bound; nothing if there are no numbers for it."""
    if not 1 < trial.ratio < float("inf"):
        return ""
    found = [leaf for _, leaf in leaves(trial.outcome.value)]
    every = [_ratios(*t) for t in zip(found, trial.right.arrays, trial.right.bounds, strict=True)]
    k = max(range(len(every)), key=lambda i: every[i].max(initial=0.0))
    at = np.unravel_index(int(np.argmax(every[k])), every[k].shape)
    place = f" at {[int(i) for i in at]}" if at else ""
    return (
        f"The largest error{place}, {found[k][at]:.8g} in place of "
        f"{trial.right.arrays[k][at]:.8g}, is {trial.ratio:.3g} times what rounding can do in "
        f"{trial.dtype}."
    )


def _ratios(found: Array, right: Array, bound: Array) -> Array:
    """Return error ÷ bound of each number; where the bound is infinite, anything is right."""
    if found.shape != right.shape or found.dtype.kind not in "fiu":
        return np.array(np.inf)
    with np.errstate(all="ignore"):
        error = np.abs(found.astype(np.float64) - right)
        equal = (found == right) | (np.isnan(found) & np.isnan(right)) | np.isinf(bound)
        return np.where(equal, 0, np.nan_to_num(error / bound, nan=np.inf, posinf=np.inf))
