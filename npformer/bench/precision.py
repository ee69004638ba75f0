"""In which numbers a runtime computes: read from what it made of the network, not assumed.

A runtime may choose others than those of the file: OpenVINO takes bfloat16 by itself where the
processor has it, and ONNX Runtime leaves some layers of an 8-bit graph in float32.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PRODUCTS = ("Conv", "MatMul", "Gemm", "FullyConnected")
"""What the names of operators that multiply matrices contain."""

MOVES = {
    *("QuantizeLinear", "DequantizeLinear", "Identity", "Slice", "ReorderInput", "ReorderOutput"),
    *("Input", "Output", "Const", "Reorder", "Convert", "FakeQuantize", "Split"),
    *("Reshape", "Transpose", "Cast", "Concat", "Squeeze", "Unsqueeze"),
}
"""Operators that compute nothing: they move numbers, or change their type."""

NAMES = {
    **dict.fromkeys(("i8", "u8"), "int8"),
    "bf16": "bfloat16",
    "f16": "float16",
    "f32": "float32",
    "f64": "float64",
}
"""The field's names of types, by OpenVINO's."""


def described(operators: Iterable[tuple[str, str]]) -> str:
    """Say in which numbers a network is computed.

    Parameters
    ----------
    operators : iterable of (str, str)
        Name and precision of each operator as it runs.

    Returns
    -------
    str
        The precisions of the products of matrices, the most frequent first, and that of most
        other operators if it is another, such as ``"int8 + float32"``.
    """
    products: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for name, precision in operators:
        if any(word in name for word in PRODUCTS):
            products[precision] += 1
        elif name not in MOVES:
            others[precision] += 1
    ordered = [precision for precision, _ in products.most_common()]
    ordered += [precision for precision, _ in others.most_common(1)]
    return " + ".join(dict.fromkeys(ordered))


def of_openvino(compiled: Any) -> str:
    """Say in which numbers a compiled model of OpenVINO computes, from its runtime model."""
    found = []
    for operator in compiled.get_runtime_model().get_ops():
        facts = operator.get_rt_info()
        name, precision = (str(facts[key].value) for key in ("layerType", "runtimePrecision"))
        found.append((name, NAMES.get(precision, precision)))
    return described(found)


def of_onnxruntime(optimized: Path) -> str:
    """Say in which numbers ONNX Runtime computes, from the graph that it wrote after optimizing."""
    import onnx

    graph = onnx.load(str(optimized)).graph
    kind = graph.input[0].type.tensor_type.elem_type
    floating = str(onnx.helper.tensor_dtype_to_np_dtype(kind))
    return described(
        (n.op_type, "int8" if _is_integer(n.op_type) else floating) for n in graph.node
    )


def _is_integer(operator: str) -> bool:
    """Whether an operator of ONNX Runtime takes 8-bit numbers, as QLinearConv and QGemm do."""
    return "Integer" in operator or operator.startswith(("QLinear", "QGemm", "DynamicQuantize"))
