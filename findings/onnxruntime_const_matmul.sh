#!/usr/bin/env bash
# In its default format ONNX Runtime ignores the option that spares products of activations.
#
# Versions: ONNX Runtime 1.32.0, onnx 1.23.2, NumPy 2.4.6.
# Behavior: `MatMulConstBOnly` is documented to restrict `quantize_static` to products with
#   constant matrices. It does in the format QOperator. In QDQ, the default and recommended one,
#   the file is the same with and without it: operands and results of both products of attention,
#   queries with keys and scores with values, are rounded to eight bits.
# Why it matters: attention scores are what eight bits harm first. Whoever sets the option to
#   spare them measures something else.
# npformer: its eight bits concern matrices of weights only (npformer/layers/quantized_linear.py).
#   Other runtimes are measured with their defaults, and docs/performance.md says which.
# Source: the docstring of onnxruntime.quantization.quantize_static.
# Output seen (November 2026):
#   QDQ, by default: weights, scores, values
#   QDQ, only constants: weights, scores, values; same file: True
#   QOperator, by default: weights, scores, values
#   QOperator, only constants: weights; same file: False
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
"$folder/venv/bin/python" - <<'END'
import logging
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization

logging.disable(logging.WARNING)
folder = Path(tempfile.mkdtemp(dir=Path(sys.prefix).parent))
rng = np.random.default_rng(0)
weight = numpy_helper.from_array(rng.normal(size=(8, 8)).astype(np.float32), "w")
nodes = [
    helper.make_node("MatMul", ["x", "w"], ["q"], "weights"),
    helper.make_node("Transpose", ["q"], ["k"], "turn", perm=[0, 2, 1]),
    helper.make_node("MatMul", ["q", "k"], ["s"], "scores"),
    helper.make_node("Softmax", ["s"], ["a"], "softmax"),
    helper.make_node("MatMul", ["a", "q"], ["y"], "values"),
]
ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 8]) for name in "xy"]
graph = helper.make_graph(nodes, "attention", ends[:1], ends[1:], [weight])
opset = [helper.make_opsetid("", 17)]
onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), folder / "float.onnx")


class Reader(quantization.CalibrationDataReader):
    def __init__(self):
        rng = np.random.default_rng(1)
        self.left = [{"x": rng.normal(size=(1, 4, 8)).astype(np.float32)} for _ in range(4)]

    def get_next(self):
        return self.left.pop() if self.left else None


def quantized(form, only_constants):
    """Return the graph, and the products that are quantized in it."""
    path, options = folder / "eight.onnx", {"MatMulConstBOnly": only_constants}
    quantization.quantize_static(
        folder / "float.onnx", path, Reader(), form, extra_options=options
    )
    made = onnx.load(path).graph
    maker = {name: node.op_type for node in made.node for name in node.output}
    found = []
    for node in made.node:
        operands = {maker.get(name) for name in node.input}
        in_qdq = node.op_type == "MatMul" and operands == {"DequantizeLinear"}
        in_qdq = in_qdq and form == quantization.QuantFormat.QDQ
        if in_qdq or node.op_type == "QLinearMatMul":
            found.append(node.name.removesuffix("_quant"))
    return made.SerializeToString(deterministic=True), found


found = {}
for form in (quantization.QuantFormat.QDQ, quantization.QuantFormat.QOperator):
    usual, usually = quantized(form, False)
    only, constants = quantized(form, True)
    found[form.name] = usual == only, usually, constants
    print(f"{form.name}, by default: {', '.join(usually)}")
    print(f"{form.name}, only constants: {', '.join(constants)}; same file: {usual == only}")
everything = ["weights", "scores", "values"]
assert found["QDQ"] == (True, everything, everything), "the option is heeded in QDQ now"
assert found["QOperator"] == (False, everything, ["weights"])
END
