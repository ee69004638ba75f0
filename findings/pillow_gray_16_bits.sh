#!/usr/bin/env bash
# A gray PNG of 16 bits and half brightness becomes white in Pillow; a colored one stays gray.
#
# Versions: Pillow 13.0.0.
# Behavior: `convert("RGB")` of a gray picture of 16 bits (mode I;16) cuts values off at 255, so
#   that nearly everything is white, and so does `convert("L")`. Of 16-bit RGB and of gray with
#   alpha the decoder keeps the high byte: the same brightness is 128 there.
# Why it matters: scans, X-rays, depth maps and microscopes write such files, and most pipelines
#   call `convert("RGB")` on whatever comes. There is no warning.
# npformer: scales 16 bits so that 65535 is white (docs/cases.md, case 23).
# Source: issues 1108, 2574 and 3011 of python-pillow/Pillow.
# Output seen (November 2026):
#   gray: mode I;16, as RGB (255, 255, 255)
#   gray with alpha: mode RGBA, as RGB (128, 128, 128)
#   RGB: mode RGB, as RGB (128, 128, 128)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0
"$folder/venv/bin/python" - <<'END'
import io
import struct
import zlib

from PIL import Image


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(color_type, *pixel):
    """Write a PNG of 2x2 equal pixels with 16 bits for each number."""
    row = b"\0" + struct.pack(f">{len(pixel)}H", *pixel) * 2
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 16, color_type, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(row * 2))
        + chunk(b"IEND", b"")
    )


HALF, OPAQUE = 32768, 65535
found = {}
for name, color_type, pixel in (
    ("gray", 0, [HALF]),
    ("gray with alpha", 4, [HALF, OPAQUE]),
    ("RGB", 2, [HALF] * 3),
):
    image = Image.open(io.BytesIO(png(color_type, *pixel)))
    found[name] = image.convert("RGB").getpixel((0, 0))
    print(f"{name}: mode {image.mode}, as RGB {found[name]}")
assert found["gray"] == (255, 255, 255), "gray is not cut off any more"
assert found["gray with alpha"] == found["RGB"] == (128, 128, 128)
END
