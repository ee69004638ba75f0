#!/usr/bin/env bash
# On some processors OpenVINO computes a float32 network in bfloat16, without being asked.
#
# Versions: OpenVINO 2026.4.1, NumPy 2.4.6, on CPUs that can multiply bfloat16 (AVX-512 BF16,
#   AMX).
# Behavior: model, weights and input are float32, and so is the type of the answer. Products are
#   computed in bfloat16 all the same, with a relative error around 1e-3. On another processor the
#   same program is exact to 1e-6. INFERENCE_PRECISION_HINT=f32 switches it off. Where a processor
#   has no bfloat16 this script says so, and checks nothing else.
# Why it matters: a port that agrees on one machine and disagrees on the next; a comparison of
#   speed in which one side counts with 8 bits of precision.
# npformer: `npformer bench` measures both, as it comes and with the hint, and names the precision
#   (docs/performance.md).
# Source: OpenVINO's documentation, "Precision Control" and "CPU Device".
# Output seen (November 2026, AMD EPYC, Zen 4):
#   this processor multiplies bfloat16: True
#   off by 3e-03 by itself, by 7e-07 if asked for float32
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check openvino==2026.4.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'END'
import numpy as np
import openvino as ov
from openvino import opset13 as op

rng = np.random.default_rng(0)
weight = rng.normal(size=(448, 448)).astype(np.float32)
vector = rng.normal(size=(1, 448)).astype(np.float32)
x = op.parameter([1, 448], np.float32)
model = ov.Model([op.matmul(x, op.constant(weight), False, False)], [x])
exact = vector.astype(float) @ weight
core = ov.Core()


def error(**settings):
    answer = core.compile_model(model, "CPU", settings)(vector)[0]
    assert answer.dtype == np.float32
    return np.abs(answer - exact).max() / np.abs(exact).max()


can = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
by_itself, asked = error(), error(INFERENCE_PRECISION_HINT="f32")
print("this processor multiplies bfloat16:", can)
print(f"off by {by_itself:.0e} by itself, by {asked:.0e} if asked for float32")
assert asked < 2e-6
assert (by_itself > 2e-4) == can, "it chooses otherwise now"
END
