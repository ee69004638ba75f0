#!/usr/bin/env bash
# A network that OpenVINO saves comes back with other weights, unless told not to.
#
# Versions: OpenVINO 2026.4.1, NumPy 2.4.6, on a CPU.
# Behavior: `save_model` stores weights in float16 by default; `serialize`, for the same model, in
#   float32. The file read again answers with a relative error of 1e-4 or more, with all
#   arithmetic in float32. A matrix in which hardly a number fits float16 is stored in float32 by
#   the same call.
# Why it matters: a port is compared before it is saved, or after: the same code, 1000 times
#   further off. The error looks like a wrong epsilon.
# npformer: `npformer bench` gives OpenVINO the ONNX file and saves nothing
#   (npformer/bench/peers.py).
# Source: OpenVINO's documentation of save_model, compress_to_fp16.
# Output seen (November 2026):
#   usual weights, save_model: 2 bytes a weight, off by 2e-04
#   usual weights, serialize: 4 bytes a weight, off by 3e-07
#   tiny weights, save_model: 4 bytes a weight, off by 1e-07
#   tiny weights, serialize: 4 bytes a weight, off by 1e-07
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check openvino==2026.4.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'END'
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as op

folder = Path(tempfile.mkdtemp(dir=Path(sys.prefix).parent))
rng = np.random.default_rng(0)
vector = rng.normal(size=(1, 64)).astype(np.float32)
found = {}
for name, scale in (("usual", 1), ("tiny", 1e-9)):
    weight = (rng.normal(size=(64, 64)) * scale).astype(np.float32)
    x = op.parameter([1, 64], np.float32)
    model = ov.Model([op.matmul(x, op.constant(weight), False, False)], [x])
    exact = vector.astype(float) @ weight
    for how, save in (("save_model", ov.save_model), ("serialize", ov.serialize)):
        path = folder / f"{name}_{how}.xml"
        save(model, path)
        settings = {"INFERENCE_PRECISION_HINT": "f32"}
        answer = ov.Core().compile_model(path, "CPU", settings)(vector)[0]
        size = os.path.getsize(path.with_suffix(".bin")) // weight.size
        found[name, how] = size, np.abs(answer - exact).max() / np.abs(exact).max()
        print(f"{name} weights, {how}: {size} bytes a weight, off by {found[name, how][1]:.0e}")
assert found["usual", "save_model"][0] == 2, "float32 is the default now"
assert found["usual", "save_model"][1] > 5e-5
assert found["usual", "serialize"][0] == 4
assert found["usual", "serialize"][1] < 2e-6
assert found["tiny", "save_model"][0] == 4, "tiny weights are stored in float16 now"
END
