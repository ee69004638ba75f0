#!/usr/bin/env bash
# Pillow 13 resizes the columns of high pictures first, which moves some pixels by 1.
#
# Versions: Pillow 12.0.0 and 13.0.0, NumPy 2.4.6.
# Behavior: a picture is resized along one axis, rounded to 8 bits, and then along the other. Up
#   to Pillow 12 the rows always came first. Pillow 13 begins with the columns where they lose
#   many more pixels than the rows. The same file, size and filter then give other pixels in the
#   two versions; of wide and of ordinary pictures they are equal.
# Why it matters: "the preprocessing is Pillow's" does not name one result. Stored inputs of a
#   network can differ by one step of 8 bits for high pictures only, which looks like an error of
#   a port.
# npformer: asks the installed Pillow which order it has, and its plain definition, its compiled
#   kernels and the explorer's page follow it (npformer/images/antialias.py).
# Source: pull request 9549 of python-pillow/Pillow.
# Output seen (November 2026):
#   high: 412906701c0e in 12.0.0, 0c089fed4e92 in 13.0.0
#   wide: 052eba241213 in 12.0.0, 052eba241213 in 13.0.0
#   square: 55c1169d0a04 in 12.0.0, 55c1169d0a04 in 13.0.0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 pillow==12.0.0
"$folder/venv/bin/python" - <<'END'
import subprocess
import sys

PROGRAM = """
from hashlib import sha256
import numpy as np
from PIL import Image, __version__
y, x, c = np.mgrid[:3000, :3000, :3]
pixels = ((x * 37 + y * 101 + x * y % 251 + c * 83) % 256).astype(np.uint8)
for name, height, width in (("high", 3000, 300), ("wide", 300, 3000), ("square", 900, 900)):
    small = Image.fromarray(pixels[:height, :width].copy()).resize((224, 224), Image.BICUBIC)
    print(name, sha256(small.tobytes()).hexdigest()[:12])
"""


def seen():
    command = [sys.executable, "-c", PROGRAM]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return dict(line.split() for line in text.splitlines())


old = seen()
install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
subprocess.run([*install, "pillow==13.0.0"], check=True)
new = seen()
for name in old:
    print(f"{name}: {old[name]} in 12.0.0, {new[name]} in 13.0.0")
assert old["high"] != new["high"], "high pictures are resized alike now"
assert old["wide"] == new["wide"], "wide pictures differ too"
assert old["square"] == new["square"], "square pictures differ too"
END
