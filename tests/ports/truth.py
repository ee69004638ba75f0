"""Whether a port is what it says: its numbers beside the reference's, without `npformer.compare`.

``python tests/ports_rate.py --check`` looks at all of them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from npformer import checkpoints
from npformer.layers import Array
from npformer.network import Trace, forward

from .answers import Made, Port, accepted, last_of
from .graphs import session
from .libraries import listen
from .shop import Reference, Shop

ROUNDING = 1e-5
"""What right networks may differ by in float32, of the largest number of an array"""
DIFFERENCES = (ROUNDING, 5e-6, 3e-6)
"""What wrong networks may be told by: where the rounding before is smaller, so may the fault be"""


def objection(shop: Shop, port: Port, made: Made) -> str | None:
    """Say why a port is not what it says, or None.

    A port has to be wrong first where its author says, as near as can be told. Recordings under
    names that only a runtime knows are searched for every array that they may hold.
    """
    reference = shop.reference(port.network)
    order = shop.order(reference)
    heard = made.heard
    if heard is None:
        heard = overheard(reference, made)
        if port.first is None:  # what is folded elsewhere differs inside
            heard = {path: heard[path] for path in ("pixel_values", "logits") if path in heard}
    if "pixel_values" not in heard:
        return None
    if made.image is not None:
        off = difference(heard["pixel_values"], shop.photo_pixels(reference))
        if (off < ROUNDING) != (port.first is None):
            return f"the picture is off by {off:.1e} of its largest number"
        found = first_difference(reference, order, heard, ROUNDING)
        return None if found is None else f"{found} is wrong; only the picture should be"
    found = first_difference(reference, order, heard, ROUNDING)
    if port.first is None:
        return None if found is None else f"{found} is wrong"
    seen = made._replace(heard=heard)
    paths = {last_of(path, order) for path in accepted(port, seen, order)}
    firsts = [first_difference(reference, order, heard, size) for size in DIFFERENCES]
    if paths & {last_of(first, order) for first in firsts}:
        return None
    return f"{firsts[-1]} is wrong first, not {port.first}"


def overheard(reference: Reference, made: Made) -> Mapping[str, Array]:
    """Run a network, or open a recording, and return what it computes, by timm's paths."""
    pixels = reference.pixels(2)
    if isinstance(made.other, torch.nn.Module):
        model = made.other
        pixels = pixels.astype(str(next(model.parameters()).dtype).removeprefix("torch."))
        library = "timm" if type(model).__module__.startswith("timm") else "transformers"
        heard = listen(model, reference, pixels, library)
        return {path: heard[path] for path in heard if path in made.paths}
    if made.other.suffix == ".onnx":
        runtime = session(made.other, "none", every=True)
        first = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
        arrays = runtime.run(None, {runtime.get_inputs()[0].name: first})
        return recognized(reference, made, pixels, arrays)
    if made.other.suffix == ".npz":
        arrays = dict(np.load(made.other))
        pixels = np.ascontiguousarray(arrays.pop("pixel_values").transpose(0, 2, 3, 1))
        return recognized(reference, made, pixels, list(arrays.values()))
    if made.paths:
        return {}  # OpenVINO's, which are not the arrays of the graph
    trace = Trace()
    other = checkpoints.read(made.other)
    trace("pixel_values", pixels)
    trace("logits", forward(pixels, other.params, other.config, trace).logits)
    return trace


def recognized(
    reference: Reference, made: Made, pixels: Array, arrays: list[Array]
) -> dict[str, Array]:
    """Return which of the reference's arrays are among others: the nearest of the same shape.

    A path that should be seen and has none of its shape gets an array of infinite numbers.
    """
    expected = reference.trace(pixels)
    turned = [array.transpose(0, 2, 3, 1) for array in arrays if array.ndim == 4]
    found = {"pixel_values": pixels}
    for path in made.paths:
        if path not in expected or path == "pixel_values":
            continue
        right = expected[path]
        same = [array for array in (*arrays, *turned) if array.shape == right.shape]
        found[path] = min(
            same, key=lambda array: difference(array, right), default=np.full(right.shape, np.inf)
        )
    return found


def first_difference(
    reference: Reference, order: list[str], heard: Mapping[str, Array], tolerance: float
) -> str | None:
    """Return the first recorded array that differs from the reference's, by their paths."""
    expected = reference.trace(np.asarray(heard["pixel_values"], np.float32))
    for path in order:
        if path in heard and not difference(heard[path], expected[path]) <= tolerance:
            return path
    return None


def difference(theirs: Array, right: Array) -> float:
    """Return the largest difference, of the largest number."""
    if theirs.shape != right.shape:
        return np.inf
    return float(np.abs(theirs - right).max() / np.abs(right).max())
