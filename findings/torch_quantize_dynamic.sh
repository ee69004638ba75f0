#!/usr/bin/env bash
# In eight bits PyTorch's answer about a photograph depends on the others in its batch.
#
# Versions: PyTorch 2.13.0 on a CPU.
# Behavior: `quantize_dynamic` measures the range of activations at each call, over the whole
#   batch, and rounds all rows to 256 steps of it. A neighbor with numbers ten times as large
#   leaves an ordinary row some 25 steps. The same row alone and beside it gives answers that
#   differ by a tenth and more; in float32 they agree to 1e-6.
# Why it matters: an accuracy measured in batches of 64 is not that of single photographs, and a
#   run is not repeatable in another order.
# npformer: rounds activations by rows, so that a row's answer does not depend on the others
#   (npformer/layers/quantized_linear.py).
# Source: PyTorch's reference of quantize_dynamic does not speak of batches; pull request 22432 of
#   pytorch/executorch measures what one range for all rows costs.
# Output seen (November 2026):
#   float32: alone and beside a neighbor, relative difference 2e-07
#   eight bits: alone and beside a neighbor, relative difference 1e-01
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'END'
import warnings

import torch

warnings.simplefilter("ignore")
torch.manual_seed(0)
plain = torch.nn.Sequential(torch.nn.Linear(448, 100)).eval()
quantized = torch.ao.quantization.quantize_dynamic(plain, {torch.nn.Linear}, torch.qint8)
row, neighbor = torch.randn(1, 448), 10 * torch.randn(1, 448)
errors = {}
with torch.no_grad():
    for name, network in (("float32", plain), ("eight bits", quantized)):
        alone, beside = network(row), network(torch.cat([row, neighbor]))[:1]
        errors[name] = float((alone - beside).abs().max() / alone.abs().max())
        print(f"{name}: alone and beside a neighbor, relative difference {errors[name]:.0e}")
assert errors["float32"] < 1e-5
assert errors["eight bits"] > 0.02, "rows do not depend on each other now"
END
