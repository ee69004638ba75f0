"""The peak of the processor: fused multiply-adds on numbers that never leave registers."""

from __future__ import annotations

import threading
import time

import numpy as np

from ..layers import Array

STEPS = 500_000


def fma_peak(threads: int, repeats: int = 7) -> float:
    """Measure the peak.

    Parameters
    ----------
    threads : int
        Number of cores that work at once.
    repeats : int
        Number of measurements; the fastest counts.

    Returns
    -------
    float
        GFLOP/s; a multiply-add is two operations.
    """
    from ..kernels.vector import TALL, compiled, load_rows, rank_one, store_rows, zeros

    def multiply_add(m: Array, steps: int) -> None:
        tile = load_rows(zeros(TALL, 1), m, 0, 16)
        for _ in range(steps):
            tile = rank_one(tile, m, 0, 0, m, 0, 0)
        store_rows(m, 0, 16, tile)

    run = compiled(multiply_add)
    run(np.zeros(TALL * 16, np.float32), 1)
    best = float("inf")
    for _ in range(repeats):
        memories = [np.zeros(TALL * 16, np.float32) for _ in range(threads)]
        helpers = [threading.Thread(target=run, args=(m, STEPS)) for m in memories[1:]]
        start = time.perf_counter()
        for helper in helpers:
            helper.start()
        run(memories[0], STEPS)
        for helper in helpers:
            helper.join()
        best = min(best, time.perf_counter() - start)
    return 2e-9 * threads * TALL * 16 * STEPS / best
