"""ONNX files, parts of them and nodes: each right one passes, a wrong one is named."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper

from npformer.errors import ConfigError, WeightsError
from npformer.layers import Linear
from npformer.testing import check_layer
from npformer.testing.adapters import Onnx

FLOAT = TensorProto.FLOAT
RNG = np.random.default_rng(0)


def model(nodes, tensors, x=(None, None, 4), name="x", output="y"):
    """A model of these nodes and tensors."""
    graph = helper.make_graph(
        nodes, "layer",
        [helper.make_tensor_value_info(name, FLOAT, x)],
        [helper.make_tensor_value_info(output, FLOAT, None)],
        [numpy_helper.from_array(array.astype(np.float32), key) for key, array in tensors.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def mlp_model(approximate="none", prefix=""):
    """An MLP by timm's names, with PyTorch's axes."""
    shapes = {"fc1.weight": (6, 4), "fc1.bias": (6,), "fc2.weight": (4, 6), "fc2.bias": (4,)}
    tensors = {prefix + key: RNG.standard_normal(shape) for key, shape in shapes.items()}
    nodes = [
        helper.make_node("Transpose", [f"{prefix}fc1.weight"], ["w1"], perm=[1, 0]),
        helper.make_node("MatMul", ["x", "w1"], ["a"]),
        helper.make_node("Add", ["a", f"{prefix}fc1.bias"], ["b"]),
        helper.make_node("Gelu", ["b"], ["c"], name="act", approximate=approximate),
        helper.make_node("Transpose", [f"{prefix}fc2.weight"], ["w2"], perm=[1, 0]),
        helper.make_node("MatMul", ["c", "w2"], ["d"]),
        helper.make_node("Add", ["d", f"{prefix}fc2.bias"], ["y"]),
    ]
    return model(nodes, tensors)


@pytest.mark.parametrize("prefix", ["", "stages.3.blocks.4.mlp."])
def test_a_file(tmp_path, prefix):
    path = tmp_path / "mlp.onnx"
    onnx.save(mlp_model(prefix=prefix), path)
    report = check_layer("mlp", path, examples=40)
    assert report, report
    assert report.dtype == "float32"


def test_gelu_by_tanh_is_named():
    report = check_layer("mlp", mlp_model("tanh"))
    assert report.mistake == "tanh GELU", report


def test_a_part_of_a_file():
    whole = mlp_model()
    assert check_layer("gelu", whole, adapter=Onnx(input="b", output="c"), examples=40)
    assert check_layer("gelu", whole, adapter=Onnx(node="act"), examples=40)
    assert not check_layer("relu", whole, adapter=Onnx(node="act"), seconds=0)


def test_without_onnx_runtime(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    assert check_layer("mlp", mlp_model(), examples=10)


NODES = [
    ("layer_norm", helper.make_node("LayerNormalization", ["x", "w", "b"], ["y"], epsilon=1e-5),
     {"eps": 1e-5}),
    ("batch_norm", helper.make_node("BatchNormalization", ["x", "w", "b", "m", "v"], ["y"]), {}),
    ("conv2d", helper.make_node("Conv", ["x", "w", "b"], ["y"], strides=[2, 2],
     pads=[1, 1, 1, 1]), {"stride": 2, "padding": 1}),
    ("linear", helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=1), {}),
    ("linear", helper.make_node("Gemm", ["x", "w", "b"], ["y"]), {}),
    ("softmax", helper.make_node("Softmax", ["x"], ["y"], axis=-1), {}),
    ("relu", helper.make_node("Relu", ["x"], ["y"]), {}),
    ("gelu", helper.make_node("Gelu", ["x"], ["y"]), {}),
    ("average_pool", helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[3, 3],
     pads=[1, 1, 1, 1]), {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("layer", "node", "options"), NODES, ids=lambda v: getattr(v, "op_type", v)
)
def test_a_node(layer, node, options):
    report = check_layer(layer, node, options=options, examples=40)
    assert report, report


def test_a_pool_that_counts_its_padding_is_named():
    node = helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1],
                            count_include_pad=1)  # fmt: skip
    assert check_layer("average_pool", node).mistake == "border counted"


def test_parameters_without_names_are_passed():
    p = Linear(RNG.standard_normal((4, 5)).astype(np.float32), np.ones(5, np.float32))
    nodes = [
        helper.make_node("MatMul", ["x", "onnx::MatMul_7"], ["a"]),
        helper.make_node("Add", ["a", "b"], ["y"]),
    ]
    made = model(nodes, {"onnx::MatMul_7": p.weight, "b": p.bias})
    assert check_layer("linear", made, adapter=Onnx(parameters=p), examples=40)
    with pytest.raises(WeightsError, match=r"no tensor 'weight'.*Onnx\(parameters=p\)"):
        check_layer("linear", made)


@pytest.mark.parametrize(
    ("adapter", "words"),
    [
        (Onnx(node="softmax"), r"has no node 'softmax'; its first nodes are"),
        (Onnx(input="q", output="y"), r"an array of the graph is 'q'; expected one that"),
    ],
)
def test_what_a_graph_does_not_have_is_answered(adapter, words):
    with pytest.raises(ConfigError, match=words):
        check_layer("mlp", mlp_model(), adapter=adapter)


def test_what_is_no_graph_is_answered(tmp_path):
    place = tmp_path / "model.onnx"
    place.write_bytes(b"\xff\xfe no graph")
    with pytest.raises(ConfigError, match="is no ONNX graph"):
        check_layer("mlp", place)
    with pytest.raises(OSError, match="model2"):
        check_layer("mlp", tmp_path / "model2.onnx")
    with pytest.raises(ConfigError, match="theirs is 3; expected a file"):
        check_layer("mlp", 3, adapter=Onnx())
