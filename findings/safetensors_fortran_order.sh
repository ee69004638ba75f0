#!/usr/bin/env bash
# safetensors writes an array in Fortran order as if it were in C order: other numbers come back.
#
# Versions: safetensors 0.8.0; 0.7.0 wrote such arrays correctly. NumPy 2.4.6.
# Behavior: `safetensors.numpy.save` takes the memory of the array as it lies, and its shape. A
#   transposed matrix is contiguous and dense, but in Fortran order: no error, and what is read
#   back has the right shape and its numbers in other places.
# Why it matters: whoever ports a network between layouts saves `weight.T`. The port loads, runs
#   and answers nonsense.
# npformer: writes files itself, in C order whatever the array (npformer/checkpoints/
#   safetensors_file.py), and keeps the library for reading.
# Source: the docstring asks for contiguous and dense tensors; issue 825 of
#   safetensors/safetensors, open in November 2026, reports the change.
# Output seen (November 2026):
#   0.7.0 [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]] -> [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]] same
#   0.8.0 [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]] -> [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]] other
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 safetensors==0.7.0
"$folder/venv/bin/python" - <<'END'
import subprocess
import sys

PROGRAM = """
import numpy as np
import safetensors
from safetensors.numpy import load, save
weight = np.arange(6, dtype=np.float32).reshape(2, 3).T
assert weight.flags.f_contiguous
back = load(save({"w": weight}))["w"]
same = np.array_equal(back, weight)
print(safetensors.__version__, weight.tolist(), "->", back.tolist(), "same" if same else "other")
"""


def seen():
    command = [sys.executable, "-c", PROGRAM]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    print(text)
    return text.split()[-1]


before = seen()
install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
subprocess.run([*install, "safetensors==0.8.0"], check=True)
after = seen()
assert (before, after) == ("same", "other"), "0.7.0 or 0.8.0 behaves otherwise now"
END
