#!/usr/bin/env bash
# In PyTorch antialiasing changes a picture that is enlarged, if the filter is bicubic.
#
# Versions: PyTorch 2.13.0.
# Behavior: antialiasing averages where a picture becomes smaller. Where it becomes larger there
#   is nothing to average, and the bilinear filter gives the same numbers with and without
#   `antialias=True`. The bicubic one does not: another filter is used, with the coefficient -0.75
#   without antialiasing, as OpenCV has it, and -0.5 with it, as Pillow has it.
# Why it matters: preprocessing that is ported from Pillow's bicubic needs `antialias=True` even
#   for small pictures, which are enlarged.
# npformer: resizes with Pillow's filters, to the bits of Pillow (npformer/images/antialias.py).
# Source: pull request 68819 of pytorch/pytorch; the reference of torch.nn.functional.interpolate
#   names neither coefficient.
# Output seen (November 2026):
#   bilinear: a point, enlarged to twice its size, without antialiasing and with it
#       [0.0, 0.0, 0.25, 0.75]
#       [0.0, 0.0, 0.25, 0.75]
#   bicubic: a point, enlarged to twice its size, without antialiasing and with it
#       [-0.0352, -0.1055, 0.2617, 0.8789]
#       [-0.0234, -0.0703, 0.2266, 0.8672]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'END'
import torch
from torch.nn.functional import interpolate

point = torch.zeros(1, 1, 1, 9)
point[..., 4] = 1


def enlarged(mode, antialias):
    return interpolate(point, size=(1, 18), mode=mode, antialias=antialias).flatten()


differences = {}
for mode in ("bilinear", "bicubic"):
    plain, smooth = enlarged(mode, False), enlarged(mode, True)
    differences[mode] = float((plain - smooth).abs().max())
    print(f"{mode}: a point, enlarged to twice its size, without antialiasing and with it")
    for numbers in (plain, smooth):
        print("   ", [round(x, 4) for x in numbers[5:9].tolist()])


def keys(a, distance):
    """Weight of Keys' cubic filter between 1 and 2 pixels away."""
    return a * (distance**3 - 5 * distance**2 + 8 * distance - 4)


assert differences["bilinear"] == 0
assert float(enlarged("bicubic", False)[5]) == keys(-0.75, 1.75), "another coefficient now"
assert float(enlarged("bicubic", True)[5]) == keys(-0.5, 1.75), "another coefficient now"
END
