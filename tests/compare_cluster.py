"""Photographs a second of a local Dask cluster, beside one process with as many threads.

    python tests/compare_cluster.py [--workers 2] [--photographs 384] [--rounds 3]

Both write Parquet, in alternation, with full decoding. Needs an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

from compare_folders import make_folder, make_model


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--photographs", type=int, default=384)
    parser.add_argument("--side", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    words = parser.parse_args()
    from distributed import Client, LocalCluster

    import npformer
    from npformer import scale

    with tempfile.TemporaryDirectory() as place:
        folder = make_folder(Path(place) / "in", words.side, words.photographs)
        model = make_model(Path(place), "l1")
        npformer.set_num_threads(words.workers)
        cluster = LocalCluster(words.workers, threads_per_worker=1, dashboard_address=None)
        taken: dict[str, list[float]] = {"one process": [], "cluster": []}
        with cluster, Client(cluster) as client:
            for turn in range(words.rounds + 1):  # the first compiles, and imports in the workers
                for name in taken:
                    start = time.perf_counter()
                    scale.classify(
                        folder, model, output=f"{place}/{turn} {name}.parquet",
                        client=client if name == "cluster" else None,
                    )  # fmt: skip
                    if turn:
                        taken[name].append(time.perf_counter() - start)
    for name, times in taken.items():
        print(f"{name:12} {words.photographs / median(times):6.1f} photographs a second")
    print(f"cluster ÷ one process {median(taken['one process']) / median(taken['cluster']):.2f}")


if __name__ == "__main__":
    main()
