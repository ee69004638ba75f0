#!/usr/bin/env bash
# `x.sum()` in a compiled function of Numba is not NumPy's: float32 is added up one after the
# other.
#
# Versions: Numba 0.68.1, NumPy 2.4.6.
# Behavior: NumPy adds a contiguous axis up by halves (pairwise), so that the error hardly grows
#   with the length. Numba's `sum` and `mean` keep one running sum of the type of the array. Of
#   2^24 + 1000 ones in float32 the last 1000 have no effect, and of ordinary numbers three more
#   digits are wrong. No warning, and the same text of the program.
# Why it matters: `@njit` is advertised as the same function, only faster; means over pixels are
#   where it shows.
# npformer: kernels keep 16 partial sums (npformer/kernels/layer_norm.py) or add up in float64
#   (npformer/kernels/batch_norm.py), and the law of each kernel compares it with the plain layer.
# Source: issue 2855 of numba/numba, open in November 2026.
# Output seen (November 2026):
#   ones: 16778216; NumPy's sum 16778216, Numba's 16777216
#   mean of a million pixels, relative error: NumPy 7e-09, Numba 2e-05
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numba==0.68.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'END'
import numba
import numpy as np


@numba.njit
def compiled(x):
    return x.sum(), x.mean()


ones = np.ones(2**24 + 1000, np.float32)
print(f"ones: {ones.size}; NumPy's sum {int(ones.sum())}, Numba's {int(compiled(ones)[0])}")
assert ones.sum() == ones.size
assert compiled(ones)[0] == 2**24, "Numba adds up otherwise now"

pixels = np.random.default_rng(0).uniform(0, 255, 1_000_000).astype(np.float32)
exact = pixels.mean(dtype=float)
off = abs(float(pixels.mean()) / exact - 1), abs(float(compiled(pixels)[1]) / exact - 1)
print(f"mean of a million pixels, relative error: NumPy {off[0]:.0e}, Numba {off[1]:.0e}")
assert off[0] < 1e-6 < off[1], "the mean is as exact as NumPy's now"
END
