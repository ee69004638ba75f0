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
from . import peers, steps


def main(name: str, folder: Path, training: bool = False) -> None:
    """Answer tasks until there are no more."""
    out = sys.stdout
    sys.stdout = sys.stderr  # whatever a runtime prints is no answer
    x = np.load(folder / "x.npy")
    make = (steps.MAKERS if training else peers.MAKERS)[name]
    ready: dict[int, peers.Run] = {}
    for line in sys.stdin:
        task = json.loads(line)
        threads = task.get("threads", 1)
        if threads not in ready:
            ready[threads] = make(folder, threads)
        run = ready[threads]
        if "check" in task:
            expected = np.load(folder / "expected.npy")
            found = steps.two_losses(run, x) if training else run(x)
            answer: dict[str, Any] = {"error": difference(found, expected)}
        else:
            images = np.resize(x, (task["batch"], *x.shape[1:]))
            times = measure(run, images, task["seconds"])
            answer = {"seconds": times, "memory": peak_memory()}
        print(json.dumps(answer), file=out, flush=True)


def difference(found: Array, expected: Array) -> float:
    """Largest difference, relative to the largest number."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def measure(run: peers.Run, images: Array, seconds: float) -> list[float]:
    """Times for one image: of as many runs as fit into some seconds, after one that does not count.

    A short sleep comes first: threads of the contender before may still be looking for work.
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
    """Most memory that this process has had, in MB; 0 where the system does not tell."""
    try:  # not by getrusage, whose answer includes the process that this one was forked from
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return next(int(row.split()[1]) // 1024 for row in status.splitlines() if "VmHWM" in row)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:] == ["training"])
