#!/usr/bin/env bash
# OpenVINO's resizing "as Pillow" is Pillow's for bytes but for a few, and not for floats.
#
# Versions: OpenVINO 2026.4.1, Pillow 13.0.0, NumPy 2.4.6, on a CPU.
# Behavior: preprocessing can be built into a model, and RESIZE_BICUBIC_PILLOW is the filter for
#   networks whose pixels came from Pillow. On a tensor of bytes fewer than one number in a
#   thousand differs, by 1. On a float tensor nothing is rounded or limited between the two axes:
#   bright edges overshoot 255, by more than 5. RESIZE_CUBIC does not average where it makes a
#   picture smaller; it is another picture altogether.
# Why it matters: the order of "convert to float" and "resize" in the preprocessing of a port
#   decides.
# npformer: resizes bytes, to the bits of the installed Pillow (npformer/images/antialias.py).
# Source: the header of OpenVINO's ResizeAlgorithm, which speaks of matching Pillow.
# Output seen (November 2026):
#   as Pillow, bytes: 0.025% of the numbers differ by more than rounding, at most by 1.0; the
#     largest number is 255.0
#   as Pillow, floats: 3.010% of the numbers differ by more than rounding, at most by 17.2; the
#     largest number is 268.2
#   cubic, bytes: 97.708% of the numbers differ by more than rounding, at most by 118.0; the
#     largest number is 255.0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  openvino==2026.4.1 pillow==13.0.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'END'
import numpy as np
import openvino as ov
from openvino import opset13 as op
from openvino.preprocess import PrePostProcessor, ResizeAlgorithm
from PIL import Image

y, x, c = np.mgrid[:300, :400, :3]
pixels = ((x * 37 + y * 101 + x * y % 251 + c * 83) % 256).astype(np.uint8)
pillow = np.asarray(Image.fromarray(pixels).resize((224, 224), Image.BICUBIC), float)


def resized(algorithm, bytes_first):
    """Let a model that does nothing else resize the picture."""
    image = op.parameter([1, 224, 224, 3], np.float32)
    steps = PrePostProcessor(ov.Model([op.add(image, op.constant(np.float32(0)))], [image]))
    kind = ov.Type.u8 if bytes_first else ov.Type.f32
    steps.input().tensor().set_element_type(kind).set_shape([1, 300, 400, 3])
    steps.input().tensor().set_layout(ov.Layout("NHWC"))
    steps.input().model().set_layout(ov.Layout("NHWC"))
    work = steps.input().preprocess().resize(algorithm)
    if bytes_first:
        work.convert_element_type(ov.Type.f32)
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    model = ov.Core().compile_model(steps.build(), "CPU", settings)
    return model(pixels[None].astype(np.uint8 if bytes_first else np.float32))[0][0]


found = {}
for name, algorithm, bytes_first in (
    ("as Pillow, bytes", ResizeAlgorithm.RESIZE_BICUBIC_PILLOW, True),
    ("as Pillow, floats", ResizeAlgorithm.RESIZE_BICUBIC_PILLOW, False),
    ("cubic, bytes", ResizeAlgorithm.RESIZE_CUBIC, True),
):
    result = resized(algorithm, bytes_first)
    off = np.abs(result - pillow)
    found[name] = (off > 0.75).mean(), off.max(), result.max()
    print(
        f"{name}: {found[name][0]:.3%} of the numbers differ by more than rounding,"
        f" at most by {off.max():.1f}; the largest number is {result.max():.1f}"
    )
assert 0 < found["as Pillow, bytes"][0] < 1e-3
assert found["as Pillow, bytes"][1] == 1
assert found["as Pillow, floats"][2] > 260, "floats are limited now"
assert found["cubic, bytes"][1] > 50, "the plain cubic averages now"
END
