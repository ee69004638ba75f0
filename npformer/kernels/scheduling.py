"""What a thread asks of the operating system's scheduler, from machine code.

Threads of this process and of others take turns on the cores. A thread can give the rest of its
turn away, see how long it has had it, and on Linux learn which core it is on and choose another;
elsewhere everything about cores answers −1.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from ..layers import Array
from .layout import WORDS
from .vector import INDEX, emits, member

LINUX = sys.platform == "linux"
MONOTONIC, UPTIME_RAW = 1, 8
"""Numbers of the clocks that never go backwards, on Linux and on macOS."""

_INT, _LONG = ir.IntType(32), ir.IntType(64)
_POINTER = _LONG.as_pointer()


def _call(builder: Any, name: str, result: Any, *values: Any) -> Any:
    """Call a function of the system's library."""
    kind = ir.FunctionType(result, [value.type for value in values])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), values)


def yield_thread() -> None:
    """Let the operating system run another thread, if one is waiting for this core."""


@emits(yield_thread, lambda: types.void())
def _yield_thread(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    _call(builder, "SwitchToThread" if sys.platform == "win32" else "sched_yield", _INT)
    return context.get_dummy_value()


def clock() -> int:
    """Nanoseconds since some moment, which is the same for all threads."""
    return time.monotonic_ns()


@emits(clock, lambda: INDEX())
def _clock(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    if sys.platform == "darwin":
        return _call(builder, "clock_gettime_nsec_np", _LONG, _INT(UPTIME_RAW))
    time = builder.bitcast(cgutils.alloca_once(builder, ir.ArrayType(_LONG, 2)), _POINTER)
    if sys.platform == "win32":  # counts tenths of microseconds
        _call(builder, "QueryPerformanceCounter", _INT, time)
        return builder.mul(builder.load(time), _LONG(100))
    _call(builder, "clock_gettime", _INT, _INT(MONOTONIC), time)
    seconds, rest = builder.load(time), builder.load(builder.gep(time, [_LONG(1)]))
    return builder.add(builder.mul(seconds, _LONG(10**9)), rest)


def current_core() -> int:
    """Return the number of the core that this thread is on; -1 where that cannot be known."""
    return -1


@emits(current_core, lambda: INDEX())
def _current_core(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    if not LINUX:
        return _LONG(-1)
    return builder.sext(_call(builder, "sched_getcpu", _INT), _LONG)


def get_cores(sets: Array, at: int) -> int:
    """Write the set of cores that this thread may use to ``sets[at : at + WORDS]``.

    Parameters
    ----------
    sets : ndarray of int64
        Core c is bit ``c % 64`` of number ``c // 64`` of a set.
    at : int
        Where the set begins.

    Returns
    -------
    int
        Negative if that is impossible, as with more cores than a set has room for.
    """
    return -1


@emits(get_cores, lambda sets, at: INDEX(sets, INDEX))
def _get_cores(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    return _affinity(context, builder, signature, values, "sched_getaffinity")


def set_cores(sets: Array, at: int) -> int:
    """Allow this thread the cores of the set ``sets[at : at + WORDS]``; it moves to one of them.

    Parameters
    ----------
    sets : ndarray of int64
        As `get_cores` writes them.
    at : int
        Where the set begins.

    Returns
    -------
    int
        Negative if that is impossible; then nothing has changed.
    """
    return -1


@emits(set_cores, lambda sets, at: INDEX(sets, INDEX))
def _set_cores(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    return _affinity(context, builder, signature, values, "sched_setaffinity")


def _affinity(context: Any, builder: Any, signature: Any, values: Any, name: str) -> Any:
    """Call one of both functions, for this thread, with a set of cores."""
    if not LINUX:
        return _LONG(-1)
    sets, at = values
    place = builder.gep(member(context, builder, signature.args[0], sets, "data"), [at])
    answer = _call(builder, name, _INT, _INT(0), _LONG(8 * WORDS), place)
    return builder.sext(answer, _LONG)
