"""Run an ONNX graph by ONNX Runtime, and record every array on the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import RecordingError
from ...files.optional import optional
from ...layers import Array
from .recorded import Recorded

VIEWS = {
    "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Shape", "Gather",
    "Slice", "Split", "Constant", "ConstantOfShape", "Expand", "Concat", "Dropout",
    "DequantizeLinear", "QuantizeLinear",
}  # fmt: skip
"""Operators whose results are other views of arrays that are recorded, or shapes."""

Feed = Callable[[int, int], Array]
"""Makes pixel values, (1, height, width, C), channels last."""


def record_onnx(path: Path, size: tuple[int, int], channels: int, feed: Feed) -> Recorded:
    """Run a graph as it is written, without ONNX Runtime's changes.

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
    """
    with optional("onnx", "comparing with an ONNX file", "npformer[peers]"):
        import onnx
    with optional("onnxruntime", "comparing with an ONNX file", "npformer[peers]"):
        import onnxruntime

    try:
        model = onnx.load(str(path))
    except OSError:
        raise
    except Exception as error:  # of protobuf, whose classes differ between its versions
        raise RecordingError(f"{path}: is no ONNX graph ({_first_line(error)})") from error
    if not model.graph.node:
        raise RecordingError(f"{path}: is no ONNX graph, or an empty one: it has no nodes")
    outputs = [value.name for value in model.graph.output]
    shown = set(outputs)
    for node in model.graph.node:
        for name in node.output:
            if name and name not in shown and node.op_type not in VIEWS:
                model.graph.output.append(onnx.ValueInfoProto(name=name))
                shown.add(name)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            _with_weights(model, path), options, providers=["CPUExecutionProvider"]
        )
        entry, pixels = _input(session, path, size, channels, feed)
        names = [value.name for value in session.get_outputs()]
        found = session.run(names, {entry.name: _as_wanted(entry, pixels, channels, path)})
    except RecordingError:
        raise
    except Exception as error:  # ONNX Runtime's classes differ between its versions
        raise RecordingError(
            f"{path}: ONNX Runtime cannot run it ({_first_line(error)})"
        ) from error
    arrays = {
        name: array
        for name, array in zip(names, found, strict=True)
        if isinstance(array, np.ndarray) and array.dtype.kind == "f"
    }
    return Recorded(str(path), arrays, tuple(outputs), pixels, is_graph=True)


def _with_weights(model: Any, path: Path) -> Any:
    """Return what a session is made from: the model's bytes, or if they are too many, a file's."""
    try:
        return model.SerializeToString()
    except Exception as error:
        raise RecordingError(
            f"{path}: is too large to be run with all its arrays exposed ({_first_line(error)})"
        ) from error


def _input(
    session: Any, path: Path, size: tuple[int, int], channels: int, feed: Feed
) -> tuple[Any, Array]:
    """Find the picture among a graph's inputs, and make one that fits."""
    entries = session.get_inputs()
    shapes = ", ".join(f"{entry.name} {entry.shape}" for entry in entries)
    if len(entries) != 1 or len(entries[0].shape) != 4:
        raise RecordingError(
            f"{path}: its inputs are {shapes or 'none'}; expected one, a batch of pictures with "
            "four axes"
        )
    entry = entries[0]
    last = entry.shape[-1] == channels and entry.shape[1] != channels
    if not last and isinstance(entry.shape[1], int) and entry.shape[1] != channels:
        raise RecordingError(
            f"{path}: its input is {shapes}; expected {channels} channels, at the second or the "
            "last place"
        )
    sides = entry.shape[1:3] if last else entry.shape[2:]
    height, width = (
        side if isinstance(side, int) else usual for side, usual in zip(sides, size, strict=True)
    )
    pixels = feed(height, width)
    if isinstance(entry.shape[0], int):
        pixels = np.repeat(pixels, entry.shape[0], axis=0)
    return entry, pixels


def _as_wanted(entry: Any, pixels: Array, channels: int, path: Path) -> Array:
    """Lay out pixels as a graph wants them."""
    kinds = {"tensor(float)": "f4", "tensor(float16)": "f2", "tensor(double)": "f8"}
    if entry.type not in kinds:
        raise RecordingError(
            f"{path}: its input holds {entry.type}; expected preprocessed pixels, real numbers"
        )
    last = entry.shape[-1] == channels and entry.shape[1] != channels
    x = pixels if last else np.moveaxis(pixels, -1, 1)
    return np.ascontiguousarray(x, dtype=kinds[entry.type])


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
