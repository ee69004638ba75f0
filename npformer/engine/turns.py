"""Turns of threads on the cores: when a thread keeps its core, gives it away, or moves to another.

Beside a busy program, two threads on two cores have one core and a half: one of them takes turns
with the stranger. What counts then is where it is stopped. In the middle of a part it keeps the
part, and all wait until it runs again, milliseconds later: two threads are then no faster than one.
Between two parts it keeps nothing, and the others go on without it. Hence three rules.

* A thread *offers* its core by itself, between two parts, before the system would take it away. If
  nobody wants the core, that costs less than a microsecond in a turn of milliseconds. One that was
  stopped all the same, as a part that takes too long tells, has a new turn.
* A thread that waits keeps its core for as long as a part may take, because what is given away is
  away for milliseconds. Then it yields: whoever it waits for is stopped, maybe for want of a core.
* Threads of one call that find themselves on the same core, while the stranger has another for
  itself, part: the later one moves to a core that none of them is on (on Linux only; elsewhere they
  take turns). Which cores it may use is the same afterwards. Only helpers move: the thread that
  called is its owner's.

None of this changes a number: which thread computes a part never does.
"""

from __future__ import annotations

from ..kernels.atomics import atomic_load
from ..kernels.layout import PLACE, WORDS
from ..kernels.scheduling import clock, current_core, get_cores, set_cores, yield_thread
from ..kernels.vector import kernel
from ..layers import Array

LOOKS = 250
"""How often to look at a counter before looking at the clock: about a microsecond."""
PATIENCE = 1_000_000
"""Nanoseconds for which a thread waits without giving its core away, or longer: for as long as its
longest part took, since a thread that is not stopped has finished its own by then."""
TICK = 4_000_000
"""Nanoseconds between two ticks of Linux's clock, with the usual setting. Turns change at ticks,
and ticks are at multiples of this: a program that is offered the core just before one keeps it to
the next but one. So both get about half."""
TURN = 3_600_000
"""Nanoseconds from a tick after which a thread offers its core to others."""


@kernel
def shares_core(counters: Array, threads: int, thread: int) -> bool:
    """Tell whether another thread of the call was last seen on the core that this one is on.

    Parameters
    ----------
    counters : ndarray of int64
        See `execute`.
    threads, thread : int
        How many threads are expected, and which of them this is.
    """
    core = current_core() + 1
    counters[thread * PLACE] = core
    for other in range(threads):
        if core > 0 and other != thread and atomic_load(counters, other * PLACE) == core:
            return True
    return False


@kernel
def leave_core(counters: Array, threads: int, thread: int) -> bool:
    """Move to a core where no thread of the call was last seen; tell whether there is one.

    The set of cores that the thread may use is the same afterwards.

    Parameters
    ----------
    counters : ndarray of int64
        See `execute`.
    threads, thread : int
        How many threads are expected, and which of them this is.
    """
    allowed = thread * PLACE + 1
    wanted = allowed + WORDS
    if get_cores(counters, allowed) < 0:
        return False
    for i in range(WORDS):
        counters[wanted + i] = counters[allowed + i]
    for other in range(threads):
        core = atomic_load(counters, other * PLACE) - 1
        if 0 <= core < 64 * WORDS:
            counters[wanted + core // 64] &= ~(1 << core % 64)
    some = 0
    for i in range(WORDS):
        some |= counters[wanted + i]
    if some == 0 or set_cores(counters, wanted) < 0:
        return False
    set_cores(counters, allowed)
    counters[thread * PLACE] = current_core() + 1
    return True


@kernel
def new_turn() -> int:
    """Return when a turn began of a thread that just got its core: at the last tick, or the next.

    Whoever gets a core between two ticks has a short turn; just before a tick, a whole one.
    """
    return (clock() + TICK - TURN) // TICK * TICK


@kernel
def offer(counters: Array, threads: int, thread: int) -> int:
    """Let others have the core, or leave it to the thread of this call that is on it too.

    Parameters
    ----------
    counters : ndarray of int64
        See `execute`.
    threads, thread : int
        How many threads are expected, and which of them this is. Number 0 never moves.

    Returns
    -------
    int
        When this thread's next turn begins, by `clock`.
    """
    moved = False
    if thread > 0 and shares_core(counters, threads, thread):
        moved = leave_core(counters, threads, thread)
    if not moved:
        yield_thread()
    return new_turn()


@kernel
def wait(
    counters: Array, i: int, count: int, threads: int, thread: int, begun: int, patience: int
) -> int:
    """Wait until a counter has reached `count`.

    Parameters
    ----------
    counters : ndarray of int64
        See `execute`.
    i : int
        Which counter.
    count : int
        What to wait for.
    threads, thread : int
        How many threads are expected, and which of them this is.
    begun : int
        When the turn of this thread began.
    patience : int
        Nanoseconds for which to keep the core, unless a thread that is waited for is on it.

    Returns
    -------
    int
        When the turn of this thread began that it has now.
    """
    looks, until = 0, 0
    while atomic_load(counters, i) < count:
        looks += 1
        if looks % LOOKS == 0:
            now = clock()
            if until == 0:
                until = now + patience
            if now > min(until, begun + TURN) or shares_core(counters, threads, thread):
                begun = offer(counters, threads, thread)
                until = begun + patience
    return begun
