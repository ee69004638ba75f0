#!/usr/bin/env bash
# The mean of a thousand ones in bfloat16 is about a quarter.
#
# Versions: ml_dtypes 0.6.0, which gives NumPy (2.4.6) its bfloat16.
# Behavior: NumPy adds float16 up in float32 and rounds once, but knows no such rule for bfloat16:
#   the running sum is rounded to 8 bits after each addition, and 256 + 1 is 256. Sums stop there,
#   and means shrink with the number of terms. The matrix product is not affected.
# Why it matters: statistics of weights and activations that come from a bfloat16 checkpoint.
# npformer: adds up in float64 or float32 (npformer/layers/precision.py); its bfloat16 is a format
#   of storage, and is widened before anything is computed.
# Source: issue 63 of jax-ml/ml_dtypes, closed.
# Output seen (November 2026):
#   float16: sum 1000.0, mean 1.0000, product with ones 1000.0
#   bfloat16: sum 256.0, mean 0.2559, product with ones 1000.0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ml_dtypes==0.6.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'END'
import numpy as np
from ml_dtypes import bfloat16

for dtype in (np.float16, bfloat16):
    ones = np.ones(1000, dtype)
    product = ones[None] @ ones[:, None]
    print(
        f"{np.dtype(dtype)}: sum {float(ones.sum())}, mean {float(ones.mean()):.4f},"
        f" product with ones {float(product[0, 0])}"
    )
ones = np.ones(1000, bfloat16)
assert float(np.ones(1000, np.float16).mean()) == 1, "float16 was the counterexample"
assert float(ones.sum()) == 256, "bfloat16 is added up otherwise now"
assert 0.25 < float(ones.mean()) < 0.26, "the mean is computed otherwise now"
END
