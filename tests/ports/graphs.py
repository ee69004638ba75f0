"""ONNX files as ports: exported by PyTorch from timm's modules, or by npformer, and edited."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from npformer.bench.onnx_graph import export
from npformer.layers import Array

from .answers import Made, Maker
from .libraries import Patch, patched
from .recordings import save
from .shop import Reference, Shop

Edit = Callable[["Graph"], None]


class Graph:
    """An ONNX model that is edited in place.

    Parameters
    ----------
    model : onnx.ModelProto
    """

    def __init__(self, model: Any) -> None:
        self.model, self.graph = model, model.graph

    def nodes(self, operator: str) -> list[Any]:
        """Return the nodes of an operator, in order."""
        return [node for node in self.graph.node if node.op_type == operator]

    def set(self, node: Any, **attributes: Any) -> None:
        """Set attributes of a node."""
        kept = [a for a in node.attribute if a.name not in attributes]
        made = [onnx.helper.make_attribute(name, value) for name, value in attributes.items()]
        del node.attribute[:]
        node.attribute.extend([*kept, *made])

    def bypass(self, node: Any, input: int = 0) -> None:
        """Let everybody read the input of a node in the place of its output."""
        for other in self.graph.node:
            for i, name in enumerate(other.input):
                if name == node.output[0]:
                    other.input[i] = node.input[input]
        self.graph.node.remove(node)

    def array(self, name: str) -> Array:
        """Return a constant."""
        return numpy_helper.to_array(self._holder(name))

    def put(self, name: str, array: Array) -> None:
        """Exchange a constant."""
        old = self._holder(name)
        array = np.ascontiguousarray(array, self.array(name).dtype)
        old.CopyFrom(numpy_helper.from_array(array, old.name))

    def _holder(self, name: str) -> Any:
        for tensor in self.graph.initializer:
            if tensor.name == name:
                return tensor
        node = self.maker(name)
        if node is None or node.op_type != "Constant":
            raise KeyError(name)
        return node.attribute[0].t

    def maker(self, name: str) -> Any:
        """Return the node that makes an array."""
        return next((node for node in self.graph.node if name in node.output), None)

    def insert(self, operator: str, node: Any, input: int, **attributes: Any) -> None:
        """Put a node of one input between a node and one of its inputs."""
        name = f"{node.input[input]}_{operator.lower()}_{len(self.graph.node)}"
        new = onnx.helper.make_node(operator, [node.input[input]], [name], **attributes)
        node.input[input] = name
        place = list(self.graph.node).index(node)
        self.graph.node.insert(place, new)

    def in_half(self, node: Any) -> None:
        """Let a node round what it takes to half precision."""
        for i, name in enumerate(node.input):
            if name:
                self.insert("Cast", node, i, to=onnx.TensorProto.FLOAT16)
                self.insert("Cast", node, i, to=onnx.TensorProto.FLOAT)


def sums(graph: Graph) -> list[Any]:
    """Return the nodes that add a branch to what it branched off from, two for each block."""
    held = {tensor.name for tensor in graph.graph.initializer}
    return [node for node in graph.nodes("Add") if not held & {*node.input}]


def become(operator: str, place: int, new: str) -> Edit:
    """Return the edit that makes one node of an operator another's."""

    def edit(graph: Graph) -> None:
        graph.nodes(operator)[place].op_type = new

    return edit


def change(operator: str, place: int, **attributes: object) -> Edit:
    """Return the edit that sets attributes of one node."""
    return lambda graph: graph.set(graph.nodes(operator)[place], **attributes)


def leave_out(operator: str, place: int) -> Edit:
    """Return the edit that lets readers of one node read its input."""
    return lambda graph: graph.bypass(graph.nodes(operator)[place])


def put(operator: str, place: int, input: int, new: Callable[[Array], Array]) -> Edit:
    """Return the edit that changes a constant which a node reads."""

    def edit(graph: Graph) -> None:
        name = graph.nodes(operator)[place].input[input]
        graph.put(name, new(graph.array(name)))

    return edit


def ours(*edits: Edit) -> Maker:
    """Return the maker of npformer's own, folded graph."""

    def make(shop: Shop, reference: Reference, path: Path) -> Made:
        place = path.with_name(f"{path.name}.onnx")
        export(reference.folder, place)
        return edited(place, edits, seen_in_ours(shop.order(reference)))

    return make


def theirs(
    *edits: Edit,
    patch: Patch | None = None,
    library: str = "timm",
    opset: int = 17,
    folded: bool = True,
) -> Maker:
    """Return the maker of a graph that PyTorch exports from a module of a library.

    `folded` says whether PyTorch folds batch norms and constants.
    """

    def make(shop: Shop, reference: Reference, path: Path) -> Made:
        model = patched(reference, patch, library)
        place = path.with_name(f"{path.name}.onnx")
        export_module(model, reference, place, opset, folded)
        order = shop.order(reference)
        return edited(place, edits, seen_in_theirs(order) if folded else tuple(order))

    return make


class Logits(nn.Module):
    """A module of transformers that returns an array alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.model(x)
        return getattr(found, "logits", found)


def export_module(
    model: nn.Module, reference: Reference, path: Path, opset: int = 17, folded: bool = True
) -> None:
    """Write a module as an ONNX graph, with whatever PyTorch folds or nothing."""
    pixels = torch.from_numpy(reference.pixels().transpose(0, 3, 1, 2).copy())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of traced shapes, and of the exporter's age
        torch.onnx.export(
            Logits(model), (pixels,), str(path), input_names=["input"], output_names=["output"],
            opset_version=opset, dynamo=False, do_constant_folding=folded,
            training=getattr(torch.onnx.TrainingMode, "EVAL" if folded else "PRESERVE"),
        )  # fmt: skip


def edited(path: Path, edits: tuple[Edit, ...], seen: tuple[str, ...]) -> Made:
    """Edit a file, and check that it is still a graph."""
    if edits:
        graph = Graph(onnx.load(path))
        for edit in edits:
            edit(graph)
        onnx.checker.check_model(graph.model)
        onnx.save(graph.model, path)
    return Made(path, paths=seen)


def session(path: Path, level: str = "all", every: bool = False) -> Any:
    """Open a file with ONNX Runtime; `every` array becomes an output."""
    import onnxruntime as ort

    model = onnx.load(path)
    if every:
        named = {output.name for output in model.graph.output}
        outputs = [name for node in model.graph.node for name in node.output]
        model.graph.output.extend(
            onnx.ValueInfoProto(name=name) for name in outputs if name and name not in named
        )
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if level == "none":
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def run_by_runtime(*edits: Edit, level: str = "none") -> Maker:
    """Return the maker of what ONNX Runtime gives for every node of npformer's graph."""

    def make(shop: Shop, reference: Reference, path: Path) -> Made:
        made = ours(*edits)(shop, reference, path)
        runtime = session(made.other, level, every=True)
        pixels = reference.pixels(4).transpose(0, 3, 1, 2).copy()
        names = [output.name for output in runtime.get_outputs()]
        arrays = dict(zip(names, runtime.run(None, {"pixel_values": pixels}), strict=True))
        return made._replace(other=save({"pixel_values": pixels} | arrays, path))

    return make


def run_by_openvino() -> Maker:
    """Return the maker of what OpenVINO, held to float32, gives for every node."""

    def make(shop: Shop, reference: Reference, path: Path) -> Made:
        import openvino as ov

        made = ours()(shop, reference, path)
        core = ov.Core()
        model = core.read_model(str(made.other))
        silent = {"Parameter", "Result", "Constant", "Convert", "ShapeOf", "Gather", "Concat"}
        seen = [op.output(0) for op in model.get_ordered_ops() if op.get_type_name() not in silent]
        model.add_outputs([output for output in seen if output.get_element_type() == ov.Type.f32])
        compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        pixels = reference.pixels(4).transpose(0, 3, 1, 2).copy()
        found = compiled({"pixel_values": pixels})
        arrays = {f"ov_{i}": np.array(value) for i, value in enumerate(found.values())}
        return made._replace(other=save({"pixel_values": pixels} | arrays, path, "safetensors"))

    return make


def seen_in_ours(order: list[str]) -> tuple[str, ...]:
    """Return which of timm's arrays are in npformer's graph, in which all that can is folded."""
    hidden = (
        "stem.conv?", "*.downsample.conv", "*.mlp.fc2", "*.mlp.norm2", "*.mlp", "*.qkv",
        "*.token_mixer.proj", "*.blocks.?.norm?", "head", "head_dist",
    )  # fmt: skip

    def seen(name: str) -> bool:
        mixes_tokens = name.endswith(".token_mixer") and f"{name}.proj" in order
        with_norm = name.endswith(".mlp.fc1") and name.replace("fc1", "norm1") in order
        return not (with_norm or mixes_tokens or any(fnmatchcase(name, p) for p in hidden))

    return tuple(filter(seen, order))


def seen_in_theirs(order: list[str]) -> tuple[str, ...]:
    """Return which of timm's arrays are in PyTorch's graph, in which batch norms are folded."""
    norms = {"conv1": "norm1", "conv2": "norm2", "fc1": "norm1", "fc2": "norm2", "conv": "norm"}

    def seen(name: str) -> bool:
        module, _, layer = name.rpartition(".")
        return f"{module}.{norms.get(layer)}" not in order

    return tuple(filter(seen, order))
