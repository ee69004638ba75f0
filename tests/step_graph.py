"""The steps of a network as an ONNX graph that returns what is asked for, for other runtimes.

Nothing is folded here: runtimes fold for themselves what nobody wants to see. Images have their
channels first, as these runtimes expect.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from npformer.layers import ACTIVATIONS, Array, gelu, relative_position_bias, relu
from npformer.testing import Step

OPSET = 20


def is_image(path: str, array: Array) -> bool:
    """Whether an array of four axes is an image, and not one of the heads of an attention."""
    heads = path.rpartition(".")[2] in ("q", "k", "v", "scores", "biased", "attn")
    return array.ndim == 4 and not heads


def turned(arrays: dict[str, Array], first: bool) -> dict[str, Array]:
    """Turn the channels of all images to the front, or from there to the end."""
    axes = (0, 3, 1, 2) if first else (0, 2, 3, 1)
    return {
        path: np.ascontiguousarray(a.transpose(axes)) if is_image(path, a) else a
        for path, a in arrays.items()
    }


class Graph:
    """Nodes and weights; a node's result has the path of its step."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def weight(self, array: Array) -> str:
        from onnx import numpy_helper

        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        from onnx import helper

        name = name or f"x{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def step(self, step: Step) -> None:
        x, p, o, name = step.inputs, step.params, step.options, step.path
        whole = lambda *numbers: self.weight(np.array(numbers, np.int64))  # noqa: E731
        if step.layer == "conv2d":
            stride, padding = o.get("stride", 1), o.get("padding", 0)
            kernel, bias = self.weight(p.weight.transpose(3, 2, 0, 1)), self.weight(p.bias)
            self.add("Conv", *x, kernel, bias, strides=[stride] * 2, pads=[padding] * 4, name=name)
        elif step.layer == "batch_norm":
            parts = [self.weight(part) for part in p]
            self.add("BatchNormalization", *x, *parts, epsilon=o["eps"], name=name)
        elif step.layer == "activation":
            operators = {gelu: "Gelu", relu: "Relu"}
            self.add(operators[ACTIVATIONS[o["name"]]], *x, name=name)
        elif step.layer == "average_pool":
            k = o["size"]
            window = {"kernel_shape": [k, k], "pads": [k // 2] * 4}
            self.add("AveragePool", *x, **window, count_include_pad=0, name=name)
        elif step.layer == "subtract":
            self.add("Sub", *x, name=name)
        elif step.layer == "residual":
            self.add("Add", *x, name=name)
        elif step.layer == "layer_scale":
            tokens = ".token_mixer" not in name and self.tokens(name)
            self.add(
                "Mul", *x, self.weight(p.gamma if tokens else p.gamma[:, None, None]), name=name
            )
        elif step.layer == "flat":
            flat = self.add("Reshape", *x, whole(0, 0, -1))
            self.add("Transpose", flat, perm=[0, 2, 1], name=name)
            self.flat = name.rpartition(".")
        elif step.layer == "layer_norm":
            parts = [self.weight(part) for part in p]
            self.add("LayerNormalization", *x, *parts, axis=-1, epsilon=o["eps"], name=name)
        elif step.layer == "linear":
            self.add(
                "Add", self.add("MatMul", *x, self.weight(p.weight)), self.weight(p.bias), name=name
            )
        elif step.layer == "split_head":
            by_head = self.add("Reshape", *x, whole(0, 0, o["heads"], -1))
            by_head = self.add("Transpose", by_head, perm=[0, 2, 1, 3])
            start = o["part"] * o["K"]
            stop = start + o["K"] if o["part"] < 2 else 2**31
            self.add("Slice", by_head, whole(start), whole(stop), whole(3), name=name)
        elif step.layer == "scores":
            k = self.add("Transpose", x[1], perm=[0, 1, 3, 2])
            scale = self.weight(np.array(o["scale"], np.float32))
            self.add("Mul", self.add("MatMul", x[0], k), scale, name=name)
        elif step.layer == "position_bias":
            self.add("Add", *x, self.weight(relative_position_bias(p)), name=name)
        elif step.layer == "softmax":
            self.add("Softmax", *x, axis=-1, name=name)
        elif step.layer == "weighted_sum":
            y = self.add("Transpose", self.add("MatMul", *x), perm=[0, 2, 1, 3])
            self.add("Reshape", y, whole(0, 0, -1), name=name)
        elif step.layer == "token_mean":
            self.add("ReduceMean", *x, whole(1), keepdims=0, name=name)
        elif step.layer == "average":
            half = self.weight(np.array(0.5, np.float32))
            self.add("Mul", self.add("Add", *x), half, name=name)
        else:
            self.add("Identity", *x, name=name)

    def tokens(self, name: str) -> bool:
        """Whether a step of a block works on tokens: it comes behind `flat` in the same stage."""
        stage, _, flat = getattr(self, "flat", ("", "", ""))
        block = name.removeprefix(f"{stage}.").split(".")[0]
        return bool(stage) and name.startswith(stage) and int(block) > int(flat)


def graph(chain: Sequence[Step], shape: tuple[int, ...], outputs: Sequence[str]) -> bytes:
    """The model; `shape` is that of the input, channels first."""
    from onnx import TensorProto, helper

    made = Graph()
    for step in chain:
        made.step(step)
    info = helper.make_tensor_value_info
    model = helper.make_graph(
        made.nodes, "steps", [info("pixel_values", TensorProto.FLOAT, list(shape))],
        [info(path, TensorProto.FLOAT, None) for path in outputs], made.weights,
    )  # fmt: skip
    opset = helper.make_opsetid("", OPSET)
    return helper.make_model(model, opset_imports=[opset], ir_version=9).SerializeToString()


def onnxruntime(model: bytes) -> Callable[[Array], list[Array]]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"pixel_values": x})


def openvino(model: bytes) -> Callable[[Array], list[Array]]:
    import openvino as ov

    core = ov.Core()
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 2}
    compiled = core.compile_model(core.read_model(model), "CPU", settings)
    return lambda x: [compiled(x)[i] for i in range(len(compiled.outputs))]


def recorded(
    chain: Sequence[Step], x: Array, outputs: Sequence[str], runtime: Callable[..., Any]
) -> dict[str, Array]:
    """Run steps in a runtime; return what was asked for, and the input."""
    images = turned({"pixel_values": x}, first=True)["pixel_values"]
    found = runtime(graph(chain, images.shape, outputs))(images)
    arrays = dict(zip(outputs, map(np.array, found), strict=True))
    return turned(arrays, first=False) | {"pixel_values": x}
