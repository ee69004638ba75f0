#!/usr/bin/env bash
# Each large photograph that Pillow decodes gets its memory anew from the system, page by page.
#
# Versions: Pillow 13.0.0, on Linux.
# Behavior: pixels lie in blocks of up to 16 MB. Freed blocks are given back to the system unless
#   Pillow is told to keep some, and the default is to keep none. So every page of a 12-megapixel
#   photograph (48 MB) is a page fault, each time. With four blocks kept there are hardly any.
# Why it matters: a classifier that looks at thousands of photographs decodes most of its time.
# npformer: while it looks at many photographs it has Pillow keep blocks, of a size that holds a
#   whole photograph (npformer/images/memory.py).
# Source: Pillow's reference, "Block allocator".
# Output seen (November 2026; pages of 4 kB, the exact numbers vary):
#   pages of the photograph: 11718
#   page faults for each decoding: 11687, with four blocks kept: 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0
"$folder/venv/bin/python" - <<'END'
import io
import mmap
import resource

from PIL import Image

file = io.BytesIO()
Image.new("RGB", (4000, 3000), (90, 120, 150)).save(file, "JPEG")
pages = 4000 * 3000 * 4 // mmap.PAGESIZE


def faults():
    """Count the page faults of decoding the photograph once, on average of four times."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        with Image.open(io.BytesIO(file.getvalue())) as image:
            image.load()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 4


faults()  # what is needed only once
default = faults()
Image.core.set_blocks_max(4)
faults()
kept = faults()
print(f"pages of the photograph: {pages}")
print(f"page faults for each decoding: {default}, with four blocks kept: {kept}")
assert default > 0.9 * pages, "blocks are kept by default now"
assert kept < 0.1 * pages, "keeping blocks does not help any more"
END
