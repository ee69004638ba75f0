"""Whether a port is what it says: its numbers beside the reference's, without `npformer.compare`.

``python tests/ports_rate.py --check`` looks at all of them.
"""

from __future__ import annotations

import numpy as np
import torch

from npformer import checkpoints
from npformer.layers import Array
from npformer.network import forward

from .answers import Made, Port, accepted, last_of
from .graphs import session
from .shop import Reference, Shop

ROUNDING = 1e-5
"""What right networks may differ by in float32, of the largest number of an array"""
DIFFERENCE = 3e-6
"""What wrong networks differ by at least"""


def objection(shop: Shop, port: Port, made: Made) -> str | None:
    """Say why a port is not what it says, or None.

    A recording has to be wrong first where its author says, as near as can be told; of everything
    else, which only those can look into who run it, the answers have to be right or wrong.
    """
    reference = shop.reference(port.network)
    order = shop.order(reference)
    if made.heard is None:
        if is_recording(made):
            return None  # under names that only the runtime knows
        off = difference(*answers(reference, made))
        right = off < ROUNDING if port.first is None else off > DIFFERENCE
        return None if right else f"the answer is off by {off:.1e} of its largest number"
    if "pixel_values" not in made.heard:
        return None
    if made.image is not None:
        off = difference(made.heard["pixel_values"], shop.photo_pixels(reference))
        if (off < ROUNDING) != (port.first is None):
            return f"the picture is off by {off:.1e} of its largest number"
        found = first_difference(reference, order, made, ROUNDING)
        return None if found is None else f"{found} is wrong; only the picture should be"
    found = first_difference(reference, order, made, DIFFERENCE if port.first else ROUNDING)
    if port.first is None:
        return None if found is None else f"{found} is wrong"
    if last_of(found, order) in accepted(port, made, order):
        return None
    return f"{found} is wrong first, not {port.first}"


def is_recording(made: Made) -> bool:
    """Whether a file holds arrays, rather than a network."""
    return made.paths != () and str(made.other).endswith((".npz", ".safetensors"))


def answers(reference: Reference, made: Made) -> tuple[Array, Array]:
    """Return the logits of a module, a graph or a checkpoint, and those of the reference."""
    pixels = reference.pixels(2)
    first = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    if isinstance(made.other, torch.nn.Module):
        with torch.no_grad():
            result = made.other(torch.from_numpy(first))
        logits = getattr(result, "logits", result).numpy()
    elif made.other.suffix == ".onnx":
        runtime = session(made.other)
        logits = runtime.run(None, {runtime.get_inputs()[0].name: first})[0]
    else:
        other = checkpoints.read(made.other)
        logits = forward(pixels, other.params, other.config).logits
    return logits, reference.trace(pixels)["logits"]


def first_difference(
    reference: Reference, order: list[str], made: Made, tolerance: float
) -> str | None:
    """Return the first recorded array that differs from the reference's, by their paths."""
    heard = made.heard or {}
    expected = reference.trace(np.asarray(heard["pixel_values"], np.float32))
    for path in order:
        if path in heard and difference(heard[path], expected[path]) > tolerance:
            return path
    return None


def difference(theirs: Array, right: Array) -> float:
    """Return the largest difference, of the largest number."""
    if theirs.shape != right.shape:
        return np.inf
    return float(np.abs(theirs - right).max() / np.abs(right).max())
