#!/usr/bin/env bash
# Starting a cluster of Dask on this machine leaves the rest of the program with one thread.
#
# Versions: distributed 2026.8.0.
# Behavior: workers should each compute with one thread, so `LocalCluster` sets OMP_NUM_THREADS,
#   MKL_NUM_THREADS and OPENBLAS_NUM_THREADS to 1, in the environment of the program that starts
#   them. They stay there when the cluster is closed. Whatever is imported or started later has
#   one thread: NumPy's products, PyTorch, subprocesses.
# Why it matters: "after the cluster, evaluation on all cores" runs on one of them, and no message
#   says so.
# npformer: its own threads follow NPFORMER_NUM_THREADS and npformer.set_num_threads, not these
#   variables; docs/howto/cluster.md warns of the rest.
# Source: issue 6749 of dask/distributed (environment of workers in the parent); pull request 6841
#   chose it.
# Output seen (November 2026):
#   before: {'OMP_NUM_THREADS': None, 'MKL_NUM_THREADS': None, 'OPENBLAS_NUM_THREADS': None}
#   after the cluster is closed: {'OMP_NUM_THREADS': '1', 'MKL_NUM_THREADS': '1',
#     'OPENBLAS_NUM_THREADS': '1'}
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check distributed==2026.8.0
cat > "$folder/program.py" <<'END'
import os

from distributed import LocalCluster

NAMES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def seen():
    return {name: os.environ.get(name) for name in NAMES}


if __name__ == "__main__":
    for name in NAMES:
        os.environ.pop(name, None)
    before = seen()
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None):
        pass
    after = seen()
    print("before:", before)
    print("after the cluster is closed:", after)
    assert set(before.values()) == {None}
    assert set(after.values()) == {"1"}, "the environment is restored now"
END
"$folder/venv/bin/python" "$folder/program.py"
