"""The folded network as an ONNX graph, for runtimes that read one.

Channels first, as these runtimes expect. Everything that can be folded (batch norm, layer scale …)
is folded already; convolutions, GELU, pooling and matrix products remain.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..checkpoints import read
from ..checks import require
from ..engine.fold import (
    FoldedAttentionBlock,
    FoldedNetwork,
    FoldedPoolingBlock,
    fold,
)
from ..errors import ConfigError
from ..files.atomic import replacing
from ..files.optional import optional
from ..files.paths import as_path
from ..layers import Array, Conv2d, Linear, head_sizes, relative_position_bias
from ..network.configuration import EfficientFormerConfig

OPSET = 20
"""The first ONNX version with GELU as an operator"""


ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "gelu": ("Gelu", {}),
    "gelu_python": ("Gelu", {}),
    "gelu_new": ("Gelu", {"approximate": "tanh"}),
    "gelu_pytorch_tanh": ("Gelu", {"approximate": "tanh"}),
    "relu": ("Relu", {}),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.01}),
    "linear": ("Identity", {}),
    "mish": ("Mish", {}),
    "selu": ("Selu", {}),
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
}
"""The operator and its attributes for each ``hidden_act`` that is an operator of ONNX."""


class Exported(NamedTuple):
    """What `export` has written."""

    path: Path
    shape: tuple[int, int, int]
    """channels, height and width of the input ``pixel_values``"""
    outputs: int
    """length of the output ``logits`` for each image"""


def write_onnx(folder: Path) -> Path:
    """Write ``model.onnx`` beside the weights in a folder, unless it exists, and return its path.

    Raises
    ------
    MissingPackage
        If onnx is not installed.
    ConfigError
        If ONNX has no operator for the activation.
    """
    path = folder / "model.onnx"
    return path if path.exists() else export(folder, path).path


def export(
    source: str | PathLike[str], path: str | PathLike[str], entry: str | None = None
) -> Exported:
    """Write a network as an ONNX graph, in float32, for a batch of any length.

    Its input, ``pixel_values``, are preprocessed images with their channels first; its output,
    ``logits``, is the mean of both heads, the only head, or the pooled features.

    Parameters
    ----------
    source : str or path
        As in `npformer.checkpoints.read`.
    path : str or path
        The file to write; it appears whole or not at all.
    entry : str, optional
        As in `npformer.checkpoints.read`.

    Returns
    -------
    Exported

    Raises
    ------
    MissingPackage
        If onnx is not installed.
    ConfigError
        If the path is an address, ONNX has no operator for the activation, or the configuration of
        the source is unusable.
    MissingWeights, WeightsError, UnsafeCheckpointError, OfflineError
        If the source cannot be read.
    OSError
        If a file cannot be read or written.
    """
    with optional("onnx", "a graph for ONNX Runtime or OpenVINO", "npformer[onnx]"):
        import onnx

    place = as_path(path, "the path to write", ConfigError)
    found = read(source, entry=entry)
    config = found.config
    require(config.hidden_act in ACTIVATIONS, "hidden_act", config.hidden_act,
            f"for ONNX one of {', '.join(ACTIVATIONS)}")  # fmt: skip
    model = Graph(fold(found.params, config, average_heads=True), config).model()
    with replacing(place) as temporary:
        onnx.save(model, str(temporary))
    params = found.params
    outputs = len(params.norm.bias) if params.head is None else len(params.head.bias)
    return Exported(place, (config.num_channels, *config.image_shape), outputs)


class Graph:
    """Nodes and weights of a network.

    Parameters
    ----------
    p : FoldedNetwork
    config : EfficientFormerConfig
    """

    def __init__(self, p: FoldedNetwork, config: EfficientFormerConfig) -> None:
        self.config = config
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        x = "pixel_values"
        for conv in p.stem:
            x = self.add("Relu", self.conv(x, conv, 2, 1))
        for stage in p.stages:
            if stage.downsample is not None:
                stride, padding = config.downsample_stride, config.downsample_pad
                x = self.conv(x, stage.downsample, stride, padding)
            for block in stage.blocks:
                if isinstance(block, FoldedPoolingBlock):
                    x = self.pooling_block(x, block)
                elif isinstance(block, FoldedAttentionBlock):
                    x = self.attention_block(x, block)
                else:
                    flat = self.add("Reshape", x, self.weight(np.array([0, 0, -1])))
                    x = self.add("Transpose", flat, perm=[0, 2, 1])  # (B, C, N) -> (B, N, C)
        x = self.layer_norm(x, p.norm.weight, p.norm.bias)
        x = self.add("ReduceMean", x, self.weight(np.array([1])), keepdims=0)
        if p.head is not None:
            x = self.linear(x, p.head)
        self.add("Identity", x, name="logits")

    def model(self) -> Any:
        """Return the complete ONNX model."""
        from onnx import TensorProto, helper

        shape: list[Any] = ["batch", self.config.num_channels, *self.config.image_shape]
        graph = helper.make_graph(
            self.nodes,
            "efficientformer",
            [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", None])],
            self.weights,
        )
        opset = helper.make_opsetid("", OPSET)
        return helper.make_model(graph, opset_imports=[opset], ir_version=9)

    def add(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Add a node and return the name of its result."""
        from onnx import helper

        name = name or f"x{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def weight(self, array: Array) -> str:
        """Add a constant and return its name."""
        from onnx import numpy_helper

        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def conv(self, x: str, p: Conv2d, stride: int = 1, padding: int = 0) -> str:
        """Add a convolution.

        Parameters
        ----------
        x : str
            Name of the input.
        p : Conv2d
            Its weight, (kh, kw, in, out), becomes (out, in, kh, kw).
        stride, padding : int

        Returns
        -------
        str
            Name of the output.
        """
        kernel, bias = self.weight(p.weight.transpose(3, 2, 0, 1)), self.weight(p.bias)
        return self.add(
            "Conv", x, kernel, bias, strides=[stride] * 2, pads=[padding] * 4
        )  # fmt: skip

    def linear(self, x: str, p: Linear) -> str:
        """Add a linear layer."""
        return self.add("Add", self.add("MatMul", x, self.weight(p.weight)), self.weight(p.bias))

    def activation(self, x: str) -> str:
        """Add the activation of the configuration."""
        operator, attributes = ACTIVATIONS[self.config.hidden_act]
        return self.add(operator, x, **attributes)

    def layer_norm(self, x: str, weight: Array, bias: Array) -> str:
        """Add a layer norm over the last axis."""
        eps = self.config.layer_norm_eps
        return self.add(
            "LayerNormalization", x, self.weight(weight), self.weight(bias), axis=-1, epsilon=eps
        )

    def pooling_block(self, x: str, p: FoldedPoolingBlock) -> str:
        """Pooling block, with 1×1 convolutions for its linear layers."""
        k = self.config.pool_size
        pooled = self.add(
            "AveragePool", x, kernel_shape=[k, k], pads=[k // 2] * 4, count_include_pad=0
        )
        mixed = self.add("Sub", pooled, x)
        if p.ls1 is not None:
            mixed = self.add("Mul", mixed, self.weight(p.ls1.gamma[:, None, None]))
        x = self.add("Add", x, mixed)
        fc1, fc2 = (Conv2d(layer.weight[None, None], layer.bias) for layer in p.mlp)
        return self.add("Add", x, self.conv(self.activation(self.conv(x, fc1)), fc2))

    def attention_block(self, x: str, p: FoldedAttentionBlock) -> str:
        """Attention block."""
        mixer = p.token_mixer
        C, n, (K, V) = mixer.qkv.weight.shape[0], len(mixer.attention_biases), head_sizes(mixer)
        one, zero = np.ones(C, np.float32), np.zeros(C, np.float32)
        qkv = self.linear(self.layer_norm(x, one, zero), mixer.qkv)
        by_head = self.add("Reshape", qkv, self.weight(np.array([0, 0, n, 2 * K + V])))
        by_head = self.add("Transpose", by_head, perm=[0, 2, 1, 3])  # (B, heads, N, 2K + V)
        q, k, v = (
            self.add("Slice", by_head, *(self.weight(np.array([i])) for i in (start, stop, 3)))
            for start, stop in ((0, K), (K, 2 * K), (2 * K, 2 * K + V))
        )
        scores = self.add("MatMul", q, self.add("Transpose", k, perm=[0, 1, 3, 2]))
        attn = self.add(
            "Softmax",
            self.add("Add", scores, self.weight(relative_position_bias(mixer.attention_biases))),
            axis=-1,
        )
        y = self.add("Transpose", self.add("MatMul", attn, v), perm=[0, 2, 1, 3])
        y = self.add("Reshape", y, self.weight(np.array([0, 0, n * V])))
        x = self.add("Add", x, self.linear(y, mixer.proj))
        hidden = self.activation(self.linear(self.layer_norm(x, one, zero), p.mlp.fc1))
        return self.add("Add", x, self.linear(hidden, p.mlp.fc2))
