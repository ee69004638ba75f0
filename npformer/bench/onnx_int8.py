"""The network in eight bits as ONNX Runtime quantizes it, in a file that OpenVINO takes as well."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..files.atomic import replacing
from ..files.optional import optional
from ..images.layout import channels_first
from ..layers import Array
from .onnx_graph import write_onnx

OPERATORS = ["Conv", "MatMul", "Gemm"]
"""What is quantized. With all of ONNX Runtime's choice OpenVINO does not take the file."""


def write_int8(folder: Path) -> Path:
    """Write ``model-int8.onnx`` into a folder, unless it exists, and return its path.

    Weights have 8 bits with a sign and a scale for each channel, the inputs of products 8 bits
    without a sign: with a sign, ONNX Runtime leaves half of the convolutions in float32. Ranges are
    those of the images in ``calibration.npy``, (B, H, W, C).

    Raises
    ------
    MissingPackage
        If onnx or ONNX Runtime is not installed.
    ConfigError
        If ONNX has no operator for the activation.
    """
    path = folder / "model-int8.onnx"
    if path.exists():
        return path
    source = write_onnx(folder)
    with optional("onnxruntime", "quantizing an ONNX graph", "npformer[peers]"):
        from onnxruntime import quantization as q

    with replacing(path) as temporary:
        q.quantize_static(
            str(source),
            str(temporary),
            _Images(np.load(folder / "calibration.npy")),
            quant_format=q.QuantFormat.QDQ,
            op_types_to_quantize=OPERATORS,
            per_channel=True,
            activation_type=q.QuantType.QUInt8,
            weight_type=q.QuantType.QInt8,
        )
    return path


class _Images:
    """Images, (B, H, W, C), one after the other, as ONNX Runtime asks for them."""

    def __init__(self, images: Array) -> None:
        self._rest = iter(images)

    def get_next(self) -> dict[str, Array] | None:
        """Return the inputs of the graph, or None after the last."""
        image = next(self._rest, None)
        if image is None:
            return None
        return {"pixel_values": np.ascontiguousarray(channels_first(image[None]))}
