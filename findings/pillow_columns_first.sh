#!/usr/bin/env bash
# Pillow 13 resizes the columns of high pictures first, which gives other pixels than Pillow 12.
#
# Versions: Pillow 12.0.0 and 13.0.0, NumPy 2.4.6.
# Behavior: a picture is resized along one axis, rounded to 8 bits, and then along the other. Up
#   to Pillow 12 the rows always came first. Pillow 13 begins with the columns where they lose
#   many more pixels than the rows. The same file, size and filter then give other pixels in the
#   two versions; of wide and of ordinary pictures they are equal.
# Why it matters: "the preprocessing is Pillow's" does not name one result. Stored inputs of a
#   network differ by some steps of 8 bits for high pictures only, which looks like an error of a
#   port.
# npformer: asks the installed Pillow which order it has, and its plain definition, its compiled
#   kernels and the explorer's page follow it (npformer/images/antialias.py).
# Source: pull request 9549 of python-pillow/Pillow.
# Output seen (November 2026):
#   high: 20.3% of the numbers differ, by at most 3 of 255
#   wide: 0.0% of the numbers differ, by at most 0 of 255
#   square: 0.0% of the numbers differ, by at most 0 of 255
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 pillow==12.0.0
"$folder/venv/bin/python" - <<'END'
import subprocess
import sys
import tempfile

import numpy as np

PROGRAM = """
import sys
import numpy as np
from PIL import Image
y, x, c = np.mgrid[:3000, :3000, :3]
pixels = ((x * 37 + y * 101 + x * y % 251 + c * 83) % 256).astype(np.uint8)
sizes = {"high": (3000, 300), "wide": (300, 3000), "square": (900, 900)}
small = {
    name: np.asarray(Image.fromarray(pixels[:h, :w].copy()).resize((224, 224), Image.BICUBIC))
    for name, (h, w) in sizes.items()
}
np.savez(sys.argv[1], **small)
"""


def seen():
    with tempfile.NamedTemporaryFile(suffix=".npz", dir=sys.prefix) as file:
        subprocess.run([sys.executable, "-c", PROGRAM, file.name], check=True)
        return dict(np.load(file.name))


old = seen()
install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
subprocess.run([*install, "pillow==13.0.0"], check=True)
new = seen()
most = {}
for name in old:
    off = np.abs(old[name].astype(int) - new[name])
    most[name] = off.max()
    print(f"{name}: {(off > 0).mean():.1%} of the numbers differ, by at most {off.max()} of 255")
assert 1 <= most["high"] <= 5, "high pictures are resized alike now"
assert most["wide"] == 0, "wide pictures differ too"
assert most["square"] == 0, "square pictures differ too"
END
