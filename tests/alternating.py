"""Times of functions that take turns, so that whatever slows the machine slows all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import quantiles
from time import perf_counter
from typing import Any


def quartiles(
    functions: Mapping[str, Callable[[], Any]], turns: int = 15, seconds: float = 0.25
) -> dict[str, list[float]]:
    """Return the quartiles of the milliseconds of a call, for each function.

    Parameters
    ----------
    functions : mapping of str to callable
    turns : int
        How often each has its turn. One more, before the others, warms up.
    seconds : float
        How long a turn lasts; one call at least.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(turns + 1):
        for name, function in functions.items():
            end = perf_counter() + seconds
            while (start := perf_counter()) < end:
                function()
                if turn:
                    times[name].append(1e3 * (perf_counter() - start))
    return {name: quantiles(found, n=4) for name, found in times.items()}
