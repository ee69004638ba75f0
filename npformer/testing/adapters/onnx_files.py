"""An ONNX file, a part of one, or a single node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any, Literal

import numpy as np

from ...checkpoints.naming import Naming
from ...checks import require
from ...errors import ConfigError, WeightsError
from ...files.optional import optional
from ...files.paths import as_path
from ...layers import Array
from ...network.tree import build, leaves
from ..layer_strategies import arguments
from ..layer_table import Shape
from ..onnx_graphs import read_graph, runner
from .names import Match, match, native_axes, skeleton, torch_axes
from .port import (
    Port,
    channels_first,
    channels_last,
    default_options,
    forward_only,
    of_fixed_size,
    tokens_of,
)


@dataclass(frozen=True)
class Onnx:
    """A file, an ``onnx.ModelProto`` or an ``onnx.NodeProto``, run by ONNX Runtime if there is one.

    Its sizes stay as they are. The tensors that have the names of a layer's parameters are replaced
    by drawn ones. Of a node, they are its inputs after the first, in npformer's order.

    Attributes
    ----------
    input, output : str, optional
        Names of the arrays between which the layer lies; the input and first output of the graph if
        not given.
    node : str, optional
        Name of a single node of the graph, in place of `input` and `output`.
    parameters : NamedTuple, optional
        The parameters that the file holds, if its tensors have lost their names; they are kept.
    channels : {"first", "last"}
        Where the channels of images are.
    naming : {"timm", "hf", "original"}, optional
        Whose names the tensors have; found out if not given.
    """

    input: str | None = None
    output: str | None = None
    node: str | None = None
    parameters: Any = None
    channels: Literal["first", "last"] = "first"
    naming: Naming | None = None

    def port(self, layer: str, theirs: Any, options: Mapping[str, Any]) -> Port:
        """Make the graph callable as npformer's layer is.

        Parameters
        ----------
        layer : str
        theirs : str, path, onnx.ModelProto or onnx.NodeProto
        options : mapping
            What the graph was made with, such as ``eps``; npformer's defaults otherwise.

        Returns
        -------
        Port

        Raises
        ------
        MissingPackage
            If onnx is not installed.
        ConfigError
            If it is no graph, has not one input, or the layer has no such option.
        WeightsError
            If its tensors are not those of the layer.
        OSError
            If the file cannot be read.
        """
        with optional("onnx", "an ONNX file", "npformer[onnx]"):
            import onnx
        forward_only(layer, "an ONNX graph")
        values = default_options(layer, options)
        if isinstance(theirs, onnx.NodeProto):
            model, names = _graph_of(theirs), _by_place(layer, theirs)
            x = theirs.input[0]
            run = _Graph(model, "the node", x, names, self.channels, _axes(theirs))
            return Port(
                run,
                lambda dtype: arguments(layer, dtype, options=values, shape=_rank(theirs, layer)),
                ("float32",),
                any_size=False,
            )
        model, source = load(theirs)
        x, node = self.input, None
        if self.node is not None:
            node = _node(model, self.node, source)
            x = next(name for name in node.input if name not in _tensors(model))
        if self.node is not None or self.output is not None or x is not None:
            output = node.output[0] if node is not None else self.output
            model = _part(model, x, output, source)
        x = _input(model, source)
        tensors = _tensors(model)
        if self.parameters is not None:
            found, like = {}, {"p": self.parameters}
        elif node is not None:
            found = _by_place(layer, node)
            like = {"like": _tree(layer, found, tensors, _axes(node), source)}
        else:
            matched = _match(layer, tensors, source, self.naming)
            found, like = matched.names, {"like": matched.parameters}
        dtype, shape = _make_replaceable(model, found.values(), x, self.channels)
        run = _Graph(model, source, x, found, self.channels, _axes(node))
        return Port(
            run, of_fixed_size(layer, values, shape=shape, **like), (dtype,), any_size=False
        )


class _Graph:
    """Runs a graph on an input and the parameters of a layer."""

    def __init__(
        self, model: Any, source: str, x: str, names: dict[str, str], channels: str,
        axes: Callable[[str, Array], Array],
    ) -> None:  # fmt: skip
        self.run = runner(model, source, ConfigError, threads=1)
        self.x, self.names, self.axes = x, names, axes
        self.is_first = channels == "first"

    def __call__(self, x: Array, *rest: Any) -> Array:
        """Return what the graph makes of an input."""
        feeds = {self.x: channels_first(x) if self.is_first else np.ascontiguousarray(x)}
        if self.names:
            for path, leaf in leaves(rest[0]):
                feeds[self.names[path]] = np.ascontiguousarray(self.axes(path, leaf))
        y = np.asarray(self.run(feeds)[0])
        return channels_last(y) if self.is_first else y


def load(theirs: Any) -> tuple[Any, str]:
    """Return a copy of a model, and what messages call it.

    Raises
    ------
    ConfigError
        If it is no model.
    OSError
        If the file cannot be read.
    """
    import onnx

    if isinstance(theirs, onnx.ModelProto):
        copied = onnx.ModelProto()
        copied.CopyFrom(theirs)
        return _with_initializers(copied), "the ONNX model"
    require(isinstance(theirs, (str, PathLike)), "theirs", theirs,
            "a file, an onnx.ModelProto or an onnx.NodeProto")  # fmt: skip
    place = as_path(theirs, "the ONNX file", ConfigError)
    return _with_initializers(read_graph(place, ConfigError)), str(place)


def _with_initializers(model: Any) -> Any:
    """Make initializers of the constants of a graph, so that there is one kind of tensors."""
    for node in list(model.graph.node):
        values = [a.t for a in node.attribute if a.name == "value"]
        if node.op_type == "Constant" and values:
            values[0].name = node.output[0]
            model.graph.initializer.append(values[0])
            model.graph.node.remove(node)
    return model


def _tensors(model: Any) -> dict[str, Array]:
    """Return the tensors that a graph holds, by name."""
    from onnx import numpy_helper

    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}


def _match(layer: str, tensors: dict[str, Array], source: str, naming: Naming | None) -> Match:
    try:
        return match(layer, tensors, source, naming)
    except WeightsError as error:
        raise WeightsError(
            f"{error}. If the export has lost the names, pass the parameters that the file holds, "
            "Onnx(parameters=p)"
        ) from None


def _node(model: Any, name: str, source: str) -> Any:
    """Return the node of this name, or with a result of this name."""
    for node in model.graph.node:
        if name == node.name or name in node.output:
            return node
    some = ", ".join(node.name or node.output[0] for node in model.graph.node[:5])
    raise ConfigError(f"{source} has no node {name!r}; its first nodes are {some}")


def _part(model: Any, x: str | None, output: str | None, source: str) -> Any:
    """Cut the part between two arrays out of a model."""
    import onnx
    from onnx.utils import Extractor

    x = x or _input(model, source)
    output = output or model.graph.output[0].name
    model = onnx.shape_inference.infer_shapes(model)
    known = {name for node in model.graph.node for name in (*node.input, *node.output)}
    for name in (x, output):
        require(name in known, "an array of the graph", name, f"one that {source} has")
    for name in {x, output} - {v.name for v in [*model.graph.value_info, *model.graph.input,
                                                *model.graph.output]}:  # fmt: skip
        model.graph.value_info.append(
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        )
    return Extractor(model).extract_model([x], [output])


def _input(model: Any, source: str) -> str:
    """Return the name of the one array that goes into a graph."""
    held = {t.name for t in model.graph.initializer}
    names = [value.name for value in model.graph.input if value.name not in held]
    require(len(names) == 1, "the inputs of the graph", ", ".join(names),
            f"one; name one by Onnx(input=…, output=…) to check a part of {source}")  # fmt: skip
    return names[0]


def _make_replaceable(model: Any, names: Any, x: str, channels: str) -> tuple[str, Shape | None]:
    """Let tensors of a graph be fed; return the type and the shape of its input, channels last."""
    from onnx import TensorProto, helper

    tensors = {t.name: t for t in model.graph.initializer}
    given = {value.name: value for value in model.graph.input}
    for name in names:
        if name in tensors and name not in given:
            held = tensors[name]
            model.graph.input.append(
                helper.make_tensor_value_info(name, held.data_type, list(held.dims))
            )
    kind = given[x].type.tensor_type
    types = {TensorProto.FLOAT: "float32", TensorProto.DOUBLE: "float64"}
    require(kind.elem_type in types, "the type of the input",
            TensorProto.DataType.Name(kind.elem_type), "FLOAT or DOUBLE")  # fmt: skip
    if not kind.HasField("shape"):
        return types[kind.elem_type], None
    shape = tuple(d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim)
    if channels == "first" and len(shape) == 4:
        shape = (shape[0], *shape[2:], shape[1])
    return types[kind.elem_type], shape


def _graph_of(node: Any) -> Any:
    """Return a model of a single node whose inputs are all fed."""
    import onnx
    from onnx import helper

    float32 = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [node], "node",
        [helper.make_tensor_value_info(name, float32, None) for name in node.input],
        [helper.make_tensor_value_info(node.output[0], float32, None)],
    )  # fmt: skip
    opset = helper.make_opsetid(node.domain, 20)
    return helper.make_model(graph, opset_imports=[opset], ir_version=9)


def _by_place(layer: str, node: Any) -> dict[str, str]:
    """Name the parameters of a layer by the inputs of a node after the first."""
    paths = [path for path, _ in leaves(skeleton(layer))]
    names = list(node.input)[1:]
    require(len(paths) == len(names), f"the inputs of {node.op_type}", len(node.input),
            f"{len(paths) + 1}: x{''.join(f', {path}' for path in paths)}")  # fmt: skip
    return dict(zip(paths, names, strict=True))


def _axes(node: Any) -> Callable[[str, Array], Array]:
    """Return how a parameter is turned into the axes of ONNX, which are PyTorch's but for Gemm."""
    transposed = node is not None and any(a.name == "transB" and a.i for a in node.attribute)
    if node is not None and node.op_type == "Gemm" and not transposed:
        return lambda path, leaf: leaf
    return torch_axes


def _tree(
    layer: str, names: dict[str, str], tensors: dict[str, Array],
    axes: Callable[[str, Array], Array], source: str,
) -> Any:  # fmt: skip
    """Return the parameters of a node, whose inputs the file holds."""

    def fill(path: str, leaf: Any) -> Array:
        require(names[path] in tensors, f"{path}, {names[path]!r}", "computed in the graph",
                f"a tensor that {source} holds")  # fmt: skip
        held = tensors[names[path]]
        return native_axes(held) if axes is torch_axes else held

    return build(fill, skeleton(layer))


def _rank(node: Any, layer: str) -> Shape | None:
    """Return the axes that the input of a node has, where npformer's may have any number."""
    return (None, None) if node.op_type == "Gemm" else tokens_of(layer)
