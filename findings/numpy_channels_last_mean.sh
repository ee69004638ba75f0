#!/usr/bin/env bash
# The mean of each channel is a hundred times less exact if channels come last.
#
# Versions: NumPy 2.4.6.
# Behavior: along the last axis in memory NumPy adds numbers up by halves (pairwise), and the
#   error hardly grows. Along the other axes it keeps one running sum in the type of the array. So
#   `x.mean((0, 1, 2))` of an array (B, H, W, C) in float32 is off by 1e-5, where the same numbers
#   as (B, C, H, W) are off by 6e-8.
# Why it matters: the statistics of batch norm are exactly these means. A port that is right
#   differs from the reference by more than its layers explain.
# npformer: adds up in float64 (npformer/layers/precision.py) and returns the type of the input.
# Source: NumPy's reference of `numpy.sum`, notes; issue 13734 of numpy/numpy.
# Output seen (November 2026):
#   channels last: relative error 1e-05
#   channels first: relative error 6e-08
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6
"$folder/venv/bin/python" - <<'END'
import numpy as np

x = np.random.default_rng(0).normal(100, 1, (1, 512, 512, 8)).astype(np.float32)
exact = x.mean((0, 1, 2), dtype=float)
first = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
errors = {
    "channels last": np.abs(x.mean((0, 1, 2)) / exact - 1).max(),
    "channels first": np.abs(first.mean((0, 2, 3)) / exact - 1).max(),
}
for name, error in errors.items():
    print(f"{name}: relative error {error:.0e}")
assert errors["channels last"] > 50 * errors["channels first"], "both are as exact now"
END
