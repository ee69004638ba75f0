#!/usr/bin/env bash
# Whether safetensors reads bfloat16 into NumPy depends on what else the program has imported.
#
# Versions: safetensors 0.8.0, NumPy 2.4.6, ml_dtypes 0.6.0.
# Behavior: `load_file` asks NumPy for a type of the name "bfloat16". There is none until
#   something imports ml_dtypes, which need not be the program itself: then it is read. `load`,
#   for the same file in memory, has a list of types without it and ends in a KeyError in either
#   case.
# Why it matters: many published checkpoints of vision networks are stored in bfloat16, and NumPy
#   is where a reader without PyTorch wants them.
# npformer: has its own table of types and its own bfloat16 (npformer/checkpoints/dtypes.py),
#   reads these tensors exactly, and writes them.
# Source: the format lists BF16 among its types (README of the safetensors repository, "Format").
# Output seen (November 2026):
#   ml_dtypes is installed
#   load: KeyError: 'BF16'
#   load_file: TypeError: data type 'bfloat16' not understood
#   ml_dtypes is imported
#   load: KeyError: 'BF16'
#   load_file: [1.0, 2.0]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  safetensors==0.8.0 numpy==2.4.6 ml_dtypes==0.6.0
"$folder/venv/bin/python" - <<'END'
import json
import subprocess
import sys
import tempfile
from pathlib import Path

# The smallest whole file: one tensor, 1.0 and 2.0.
header = json.dumps({"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
header += b" " * (-len(header) % 8)
data = len(header).to_bytes(8, "little") + header + bytes.fromhex("803f0040")
path = Path(tempfile.mkdtemp(dir=Path(sys.prefix).parent), "w.safetensors")
path.write_bytes(data)

PROGRAM = """
import sys
if len(sys.argv) > 2:
    import ml_dtypes
from safetensors.numpy import load, load_file
for name, call in (
    ("load", lambda: load(open(sys.argv[1], "rb").read())),
    ("load_file", lambda: load_file(sys.argv[1])),
):
    try:
        print(f"{name}: {call()['w'].astype(float).tolist()}")
    except Exception as error:
        print(f"{name}: {type(error).__name__}: {error}")
"""


def seen(*arguments):
    command = [sys.executable, "-c", PROGRAM, str(path), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


installed = seen()
print("ml_dtypes is installed", installed, sep="\n", end="")
imported = seen("import")
print("ml_dtypes is imported", imported, sep="\n", end="")
assert "[1.0, 2.0]" not in installed, "it is read without the import now"
assert imported == "load: KeyError: 'BF16'\nload_file: [1.0, 2.0]\n", "the two agree now"
END
