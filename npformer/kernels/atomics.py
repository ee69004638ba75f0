"""Atomic counters, through which threads share the work of a plan.

``fetch_add`` is one indivisible instruction, and also a fence: whatever a thread wrote to memory
before it is visible to every thread that sees the new count.
"""

from __future__ import annotations

from typing import Any

from ..layers import Array
from .vector import INDEX, emits, member


def fetch_add(counters: Array, i: int, amount: int) -> int:
    """Add to ``counters[i]`` and return its old value.

    Parameters
    ----------
    counters : ndarray of int64
    i : int
        Which counter.
    amount : int
        What is added.
    """
    before = int(counters[i])
    counters[i] += amount
    return before


@emits(fetch_add, lambda counters, i, amount: INDEX(counters, INDEX, INDEX))
def _fetch_add(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    counters, i, amount = values
    data = member(context, builder, signature.args[0], counters, "data")
    return builder.atomic_rmw("add", builder.gep(data, [i]), amount, "seq_cst")


def atomic_load(counters: Array, i: int) -> int:
    """Return ``counters[i]`` as it is in memory now.

    Parameters
    ----------
    counters : ndarray of int64
    i : int
        Which counter.
    """
    return int(counters[i])


@emits(atomic_load, lambda counters, i: INDEX(counters, INDEX))
def _atomic_load(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    counters, i = values
    data = member(context, builder, signature.args[0], counters, "data")
    return builder.load_atomic(builder.gep(data, [i]), ordering="seq_cst", align=8)
