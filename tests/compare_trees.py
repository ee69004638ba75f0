"""Speed of two versions of npformer, in alternation.

    git worktree add ../before REVISION
    python tests/compare_trees.py ../before . [--model l1] [--batch 1,8] [--threads 1,2]

A process for each tree takes its turn of a fraction of a second, so that a slow moment of the
machine hits both; needs an otherwise idle machine. Both need the same names of what is called here.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from itertools import product
from statistics import median, quantiles
from time import perf_counter

SECONDS, TURNS = 0.35, 40
"""of a turn; how many there are"""


def serve(model: str) -> None:
    """Answer each line (batch, threads) with the seconds of some forward passes."""
    import numpy as np

    from npformer import engine
    from npformer.network import EfficientFormerConfig, initialize

    config = EfficientFormerConfig.variant(model)
    forward = engine.make_forward(initialize(config, 1), config, "numba")
    rng = np.random.default_rng(0)
    for line in sys.stdin:
        batch, threads = json.loads(line)
        engine.set_num_threads(threads)
        x = rng.normal(size=(batch, *config.image_shape, 3)).astype("float32")
        forward(x)
        times: list[float] = []
        while sum(times) < SECONDS or len(times) < 3:
            start = perf_counter()
            forward(x)
            times.append(perf_counter() - start)
        print(json.dumps(times), flush=True)


def start(tree: str, model: str) -> subprocess.Popen[str]:
    """Start the process of one tree."""
    command = [sys.executable, __file__, "--serve", "--model", model]
    environment = os.environ | {"PYTHONPATH": os.path.realpath(tree)}
    return subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def ask(process: subprocess.Popen[str], case: tuple[int, int]) -> float:
    """Return the median of one turn, in seconds."""
    assert process.stdin is not None
    assert process.stdout is not None
    print(json.dumps(case), file=process.stdin, flush=True)
    return median(json.loads(process.stdout.readline()))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("trees", nargs="*", metavar="TREE", help="folder that holds npformer/")
    parser.add_argument("--model", default="l1")
    parser.add_argument("--batch", default="1,8")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        return serve(args.model)
    if len(args.trees) != 2:
        parser.error("give two trees, the older one first")
    processes = [start(tree, args.model) for tree in args.trees]
    print(f"{'model':5} {'batch':>5} {'threads':>7} {'first ms':>9} {'second ms':>9}  second÷first")
    batches, threads = (map(int, text.split(",")) for text in (args.batch, args.threads))
    for case in product(batches, threads):
        turns = []
        for turn in range(TURNS):
            order = (0, 1) if turn % 2 else (1, 0)
            found = {i: ask(processes[i], case) for i in order}
            turns.append((found[0], found[1]))
        first, second = (1000 * median(times) for times in zip(*turns, strict=True))
        low, middle, high = quantiles([b / a for a, b in turns], n=4)
        print(
            f"{args.model:5} {case[0]:5} {case[1]:7} {first:9.2f} {second:9.2f}  "
            f"{middle:.3f} ({low:.3f} – {high:.3f})",
            flush=True,
        )
    for process in processes:
        process.communicate()


if __name__ == "__main__":
    main()
