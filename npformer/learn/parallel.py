"""Reading ahead in worker threads."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_order(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int | None,
    ahead: int,
    wait: bool = True,
) -> Generator[Result, None, None]:
    """Call a function in threads and yield the results in order.

    Parameters
    ----------
    function : callable
    items : iterable
    workers : int, optional
        Number of threads; by default one for each core, at most 8.
    ahead : int
        Limit of results computed before they are needed.
    wait : bool
        Whether to wait for calls that still run when the caller stops early.

    Yields
    ------
    result of `function`

    Raises
    ------
    Exception
        What `function` raises, when its result is due.
    """
    waiting: deque[Callable[[], Result]] = deque()
    pool = ThreadPoolExecutor(workers or min(os.cpu_count() or 1, 8))

    def begin(item: Item) -> Callable[[], Result]:
        try:
            return pool.submit(function, item).result
        except RuntimeError:  # no thread can be started, as at the limit of a container
            return partial(function, item)

    try:
        for item in items:
            waiting.append(begin(item))
            if len(waiting) > ahead:
                yield waiting.popleft()()
        while waiting:
            yield waiting.popleft()()
    finally:  # also if the caller stops early
        pool.shutdown(wait=wait, cancel_futures=True)
