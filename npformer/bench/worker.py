"""The process of one contender: ``python -m npformer.bench.worker NAME FOLDER [training]``.

Reads a task from each line of standard input and answers on standard output.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from ..layers import Array
from . import peers, training_peers


def main(name: str, folder: Path, training: bool = False) -> None:
    """Answer tasks until standard input ends."""
    out = sys.stdout
    sys.stdout = sys.stderr  # so that nothing a runtime prints is taken for an answer
    x = np.load(folder / "x.npy")
    make = (training_peers.MAKERS if training else peers.MAKERS)[name]
    ready: dict[int, peers.Contender] = {}
    for line in sys.stdin:
        task = json.loads(line)
        threads = task.get("threads", 1)
        if threads not in ready:
            ready[threads] = make(folder, threads)
        run = ready[threads]
        if "check" in task:
            expected = np.load(folder / "expected.npy")
            found = training_peers.two_losses(run, x) if training else run(x)
            answer: dict[str, Any] = {
                "difference": difference(found, expected),
                "precision": run.precision(),
            }
        else:
            images = np.resize(x, (task["batch"], *x.shape[1:]))
            times = measure(run, images, task["seconds"])
            answer = {"seconds": times, "memory": peak_memory()}
        print(json.dumps(answer), file=out, flush=True)


def difference(found: Array, expected: Array) -> float:
    """Return the largest difference, relative to the largest expected value."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def measure(run: peers.Contender, images: Array, seconds: float) -> list[float]:
    """Return times for one image.

    A short sleep comes first, because threads of the previous contender may still spin; then a run
    that does not count.

    Parameters
    ----------
    run : callable
    images : ndarray, shape (B, H, W, 3)
    seconds : float
        Runs are repeated until this much time has passed.

    Returns
    -------
    list of float
        In seconds.
    """
    time.sleep(min(0.05, seconds))
    run(images)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        run(images)
        stop = time.perf_counter()
        times.append((stop - start) / len(images))
        if stop >= end:
            return times


def peak_memory() -> int:
    """Return the peak memory of this process in MB; 0 if the system does not report it."""
    try:  # getrusage would include the process that this one was forked from
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return next(int(row.split()[1]) // 1024 for row in status.splitlines() if "VmHWM" in row)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:] == ["training"])
