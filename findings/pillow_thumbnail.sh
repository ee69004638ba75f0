#!/usr/bin/env bash
# `thumbnail` gives other pixels for a photograph that something has looked at before.
#
# Versions: Pillow 13.0.0, NumPy 2.4.6.
# Behavior: `Image.open` reads the head of a file only. If `thumbnail` comes next, the JPEG
#   decoder is asked for a smaller picture (`draft`), which it makes from fewer coefficients. If
#   anything has loaded the pixels in between, such as `getpixel`, `show` or a check for damage,
#   the full picture is reduced instead. Size, filter and file are the same; pixels differ by
#   several steps of 8 bits. Neither is what `resize` gives with the same filter.
# Why it matters: a line that only inspects the photograph changes the input of the network.
# npformer: decodes in full unless `--decode fast` asks for the shortcut;
#   docs/howto/many_photographs.md has what that does to accuracy.
# Source: Pillow's reference, Image.thumbnail and Image.draft; pull request 6539 of
#   python-pillow/Pillow.
# Output seen (November 2026):
#   largest difference of two pixels, of 255
#   fresh and looked at: 9
#   fresh and resize: 5
#   looked at and resize: 7
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'END'
import io

import numpy as np
from PIL import Image

y, x = np.mgrid[:1200, :1600]
waves = [127 + 120 * np.sin(x / 9 + y / 31), 127 + 120 * np.sin(y / 7), (x + y) % 256]
file = io.BytesIO()
Image.fromarray(np.stack(waves, -1).astype(np.uint8)).save(file, "JPEG", quality=90)


def opened():
    return Image.open(io.BytesIO(file.getvalue()))


fresh, looked_at = opened(), opened()
looked_at.getpixel((0, 0))
for image in (fresh, looked_at):
    image.thumbnail((256, 256))
assert fresh.size == looked_at.size == (256, 192)
plain = opened().resize(fresh.size, Image.BICUBIC)


def difference(one, other):
    return int(np.abs(np.asarray(one, int) - np.asarray(other, int)).max())


print("largest difference of two pixels, of 255")
print("fresh and looked at:", difference(fresh, looked_at))
print("fresh and resize:", difference(fresh, plain))
print("looked at and resize:", difference(looked_at, plain))
assert difference(fresh, looked_at) > 3, "it does not matter any more"
assert difference(fresh, plain) > 3
assert difference(looked_at, plain) > 3
END
