"""Run an ONNX graph, and record every array on the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...errors import RecordingError
from ...files.optional import optional
from ...layers import Array
from ..onnx_graphs import read_graph, runner
from .recorded import Recorded

VIEWS = {
    "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Shape", "Gather",
    "Slice", "Split", "Constant", "ConstantOfShape", "Expand", "Concat", "Dropout",
    "DequantizeLinear", "QuantizeLinear",
}  # fmt: skip
"""Operators whose results are other views of arrays that are recorded, or shapes."""

Feed = Callable[[int, int], Array]
"""Makes pixel values, (1, height, width, C), channels last."""

TYPES = {"FLOAT": "f4", "FLOAT16": "f2", "DOUBLE": "f8"}
"""What an input may hold, by ONNX's names."""


class Entry(NamedTuple):
    """The input of a graph."""

    name: str
    shape: list[int | str]
    """sizes, or names of those that are open"""
    kind: str
    """by ONNX's names"""

    def __str__(self) -> str:
        return f"{self.name} {self.kind} [{', '.join(str(n) for n in self.shape)}]"


def record_onnx(path: Path, size: tuple[int, int], channels: int, feed: Feed) -> Recorded:
    """Run a graph as it is written, without a runtime's changes.

    Parameters
    ----------
    path : Path
    size : (height, width)
        Of images, in pixels, where the graph leaves it open.
    channels : int
    feed : callable
        ``feed(height, width)`` makes the pixel values.

    Returns
    -------
    Recorded

    Raises
    ------
    RecordingError
        If the file is no ONNX graph, or not one with a picture for its input.
    MissingPackage
        If onnx or onnxruntime is not installed.
    OSError
        If the file cannot be read.
    """
    for package in ("onnx", "onnxruntime"):
        with optional(package, "comparing with an ONNX file", "npformer[peers]"):
            __import__(package)

    model = read_graph(path, RecordingError)
    entry, is_last = _input(model, path, channels)
    outputs = [value.name for value in model.graph.output]
    names = [*outputs, *_others(model, {*outputs})]
    run = runner(model, str(path), RecordingError)
    pixels = _pixels(entry, is_last, size, feed)
    x = pixels if is_last else np.moveaxis(pixels, -1, 1)
    found = run({entry.name: np.ascontiguousarray(x, dtype=TYPES[entry.kind])})
    arrays = {
        name: array
        for name, array in zip(names, found, strict=True)
        if isinstance(array, np.ndarray) and array.dtype.kind == "f"
    }
    return Recorded(str(path), arrays, tuple(outputs), pixels, is_graph=True)


def _others(model: Any, shown: set[str]) -> list[str]:
    """Make outputs of all arrays that are computed on the way, and return their names."""
    import onnx

    names = dict.fromkeys(
        name
        for node in model.graph.node
        if node.op_type not in VIEWS
        for name in node.output
        if name and name not in shown
    )
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return list(names)


def _input(model: Any, path: Path, channels: int) -> tuple[Entry, bool]:
    """Find the picture among a graph's inputs, and whether its channels are last."""
    from onnx import TensorProto

    held = {tensor.name for tensor in model.graph.initializer}
    entries = []
    for value in model.graph.input:
        if value.name not in held:
            kind = value.type.tensor_type
            shape = [n.dim_value or n.dim_param or "?" for n in kind.shape.dim]
            entries.append(Entry(value.name, shape, TensorProto.DataType.Name(kind.elem_type)))
    if len(entries) != 1 or len(entries[0].shape) != 4:
        raise RecordingError(
            f"{path}: its inputs are {', '.join(map(str, entries)) or 'none'}; expected one, a "
            "batch of pictures with four axes"
        )
    entry = entries[0]
    is_last = entry.shape[-1] == channels and entry.shape[1] != channels
    if not is_last and isinstance(entry.shape[1], int) and entry.shape[1] != channels:
        raise RecordingError(
            f"{path}: its input is {entry}; expected {channels} channels, at the second or the "
            "last place"
        )
    if entry.kind not in TYPES:
        raise RecordingError(
            f"{path}: its input is {entry}; expected preprocessed pixels, real numbers"
        )
    return entry, is_last


def _pixels(entry: Entry, is_last: bool, size: tuple[int, int], feed: Feed) -> Array:
    """Make pixels of the sizes that a graph wants."""
    sides = entry.shape[1:3] if is_last else entry.shape[2:]
    height, width = (
        side if isinstance(side, int) else usual for side, usual in zip(sides, size, strict=True)
    )
    pixels = feed(height, width)
    count = entry.shape[0]
    return np.repeat(pixels, count, axis=0) if isinstance(count, int) else pixels
