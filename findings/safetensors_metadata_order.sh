#!/usr/bin/env bash
# The same weights, saved twice by safetensors with the same metadata, are two different files.
#
# Versions: safetensors 0.8.0, NumPy 2.4.6.
# Behavior: tensors are written in a fixed order, but the entries of the metadata in a random one,
#   another at each call. With several entries the bytes differ from save to save, and so does a
#   SHA-256 of the file. Without metadata they do not.
# Why it matters: stored activations and checkpoints are kept by their hash.
# npformer: its own files are written in the order given
#   (npformer/checkpoints/safetensors_file.py), and the stored activations of its tests, which the
#   library writes, have one entry only.
# Source: issue 584 of safetensors/safetensors, open in November 2026.
# Output seen (November 2026):
#   0 entries of metadata, saved 50 times: different files: False
#   1 entries of metadata, saved 50 times: different files: False
#   8 entries of metadata, saved 50 times: different files: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check safetensors==0.8.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'END'
from hashlib import sha256

import numpy as np
from safetensors.numpy import save

tensors = {"w": np.zeros(3, np.float32), "b": np.zeros(2, np.float32)}
files = {}
for entries in (0, 1, 8):
    metadata = {f"key {i}": "text" for i in range(entries)} or None
    files[entries] = len({sha256(save(tensors, metadata)).hexdigest() for _ in range(50)})
    print(f"{entries} entries of metadata, saved 50 times: different files: {files[entries] > 1}")
assert files[0] == files[1] == 1, "files of at most one entry differ now"
assert files[8] > 1, "the order is fixed now"
END
