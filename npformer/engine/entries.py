"""The compiled functions that Python calls, and how: through ctypes, by Numba's convention."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from ..layers import Array

Entry: TypeAlias = Callable[..., int]
"""A compiled function. It takes two addresses, to which Numba's functions write a result and an
error, then what `arguments` makes of each array, and the numbers. It returns 0 if all went well."""


class Takes(NamedTuple):
    """How many arrays and numbers a compiled function takes."""

    arrays: int
    numbers: int


ENTRIES = {
    "execute": Takes(5, 6),
    "weigh_along": Takes(3, 7),
    "weigh_down": Takes(3, 7),
    "look_up": Takes(3, 1),
}
"""By name: `npformer.engine.walk.execute`, and the kernels of `npformer.kernels.antialias`."""


def symbol(name: str) -> str:
    """Name one of `ENTRIES` in machine code."""
    return f"npformer_{name}"


def function_at(address: int, takes: Takes) -> Entry:
    """Return the compiled function at an address."""
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    array = [pointer, pointer, number, number, pointer, number, number]
    values = [pointer, pointer, *takes.arrays * array, *takes.numbers * [number]]
    return ctypes.CFUNCTYPE(ctypes.c_int32, *values)(address)


def arguments(array: Array) -> tuple[int | None, ...]:
    """A flat array as Numba's functions take it: owner, parent, size, …, address, shape, step."""
    size, step = len(array), array.itemsize
    return None, None, size, step, array.ctypes.data, size, step
