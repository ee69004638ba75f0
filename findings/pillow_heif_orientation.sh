#!/usr/bin/env bash
# One photograph, saved as JPEG and as HEIC, lies on its side in one and is upright in the other.
#
# Versions: pillow-heif 1.8.1, Pillow 13.0.0.
# Behavior: Pillow opens a JPEG with the EXIF orientation 6 as it is stored and leaves turning it
#   to the caller. pillow-heif opens the same photograph upright, with the sides exchanged, sets
#   the orientation in its EXIF data to 1, and keeps the old one as
#   `info["original_orientation"]`. `draft` does nothing there. `exif_transpose` is right for
#   both.
# Why it matters: a program that reads the orientation itself, such as one that takes both kinds
#   from a telephone, turns one of them twice or the other not at all.
# npformer: `exif_transpose` for every kind; HEIC is opened without registering anything with
#   Pillow (npformer/images/heif.py).
# Source: `original_orientation` in pillow-heif's reference; issue 86 of bigcat88/pillow_heif.
# Output seen (November 2026):
#   JPEG: size, orientation, size when turned: ((64, 32), 6, (32, 64))
#       original_orientation: None
#   HEIF: size, orientation, size when turned: ((32, 64), 1, (32, 64))
#       original_orientation: 6
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  pillow==13.0.0 pillow-heif==1.8.1
"$folder/venv/bin/python" - <<'END'
import io

import pillow_heif
from PIL import Image, ImageOps

pillow_heif.register_heif_opener()
exif = Image.Exif()
ORIENTATION = 274
exif[ORIENTATION] = 6
photo = Image.new("RGB", (64, 32), "red")
found = {}
for kind in ("JPEG", "HEIF"):
    file = io.BytesIO()
    photo.save(file, kind, exif=exif.tobytes())
    image = Image.open(file)
    upright = ImageOps.exif_transpose(image)
    found[kind] = image.size, image.getexif().get(ORIENTATION), upright.size
    print(f"{kind}: size, orientation, size when turned: {found[kind]}")
    print("    original_orientation:", image.info.get("original_orientation"))
assert found["JPEG"] == ((64, 32), 6, (32, 64)), "JPEG was the known half"
assert found["HEIF"] == ((32, 64), 1, (32, 64)), "HEIC is opened otherwise now"
assert image.info["original_orientation"] == 6
assert image.draft("RGB", (8, 8)) is None, "draft does something now"
END
