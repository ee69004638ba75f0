"""Every contender that is installed gives our logits; the ONNX graph is our network."""

from __future__ import annotations

import numpy as np
import pytest
from engine_cases import config, images, network

from npformer.bench import measure, onnx_graph, peers, precision
from npformer.checkpoints import quantized, write
from npformer.commands.main import main
from npformer.engine.fold import folded_forward
from npformer.engine.quantize import quantize
from npformer.errors import ConfigError
from npformer.layers import Conv2d, QuantizedConv2d, QuantizedLinear, dequantize_linear
from npformer.network import forward
from npformer.network.tree import build, leaves


@pytest.fixture
def folder(tmp_path):
    c = config()
    write(tmp_path, c, network(c))
    np.save(tmp_path / "calibration.npy", images(4))
    return tmp_path


def off_by(found, c):
    want = forward(images(2), network(c), c).logits
    return np.abs(np.asarray(found) - want).max() / np.abs(want).max()


@pytest.mark.parametrize(
    "name", ["onnxruntime float32", "openvino float32", "timm", "transformers"]
)
@pytest.mark.filterwarnings("ignore")
def test_contender(name, folder):
    pytest.importorskip(name.split()[0])
    if name in peers.WRITERS:
        pytest.importorskip("onnx")
    made = peers.MAKERS[name](folder, 1)
    assert off_by(made(images(2)), config()) <= 1e-5
    assert made.precision() == "float32"


@pytest.mark.parametrize("name", ["onnxruntime int8", "openvino int8"])
@pytest.mark.filterwarnings("ignore")
def test_contenders_in_eight_bits(name, folder):
    """Every product is computed in eight bits, and nothing in bfloat16 without a word."""
    for package in ("onnx", "onnxruntime", name.split()[0]):
        pytest.importorskip(package)
    made = peers.MAKERS[name](folder, 1)
    assert made.precision() == "int8 + float32"
    assert 1e-4 < off_by(made(images(2)), config()) <= 0.1


def test_openvino_as_it_comes_says_what_it_chose(folder):
    pytest.importorskip("onnx")
    ov = pytest.importorskip("openvino")
    core = ov.Core()
    chosen = core.compile_model(core.read_model(onnx_graph.write_onnx(folder)), "CPU")
    hint = chosen.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    made = peers.MAKERS["openvino as it comes"](folder, 1)
    assert made.precision() == precision.NAMES[hint]
    assert off_by(made(images(2)), config()) <= measure.limit(made.precision())


def test_half_a_graph_in_eight_bits_is_said_to_be_so(folder):
    """What ONNX Runtime leaves in float32 shows in the graph that it runs."""
    onnx = pytest.importorskip("onnx")
    path = onnx_graph.write_onnx(folder)
    assert precision.of_onnxruntime(path) == "float32"
    model = onnx.load(str(path))
    for node in [node for node in model.graph.node if node.op_type == "Conv"][:2]:
        node.op_type = "QLinearConv"
    onnx.save(model, str(path))
    assert precision.of_onnxruntime(path) == "float32 + int8"


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"num_meta3d_blocks": 0}, {"id2label": {}}, {"pool_size": 5},
        {"use_layer_scale": False},
        {"resolution": [2, 3], "image_size": [64, 96]}, {"layer_norm_eps": 0.1},
        *({"hidden_act": name} for name in onnx_graph.ACTIVATIONS),
    ],
    ids=str,
)  # fmt: skip
def test_an_exported_graph_is_the_network(changes, tmp_path):
    onnx = pytest.importorskip("onnx")
    ort = pytest.importorskip("onnxruntime")
    c = config(**changes)
    p = network(c)
    write(tmp_path / "a", c, p)
    done = onnx_graph.export(tmp_path / "a", tmp_path / "a.onnx")
    onnx.checker.check_model(str(done.path), full_check=True)
    session = ort.InferenceSession(str(done.path), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).standard_normal((2, *c.image_shape, 3)).astype("f4")
    (logits,) = session.run(None, {"pixel_values": x.transpose(0, 3, 1, 2)})
    want = forward(x, p, c).logits
    assert done.shape == (3, *c.image_shape)
    assert logits.shape == (2, done.outputs)
    assert np.abs(logits - want).max() <= 1e-5 * np.abs(want).max()


@pytest.mark.parametrize("distilled", [True, False])
def test_a_network_in_eight_bits_is_exported_with_them(distilled, tmp_path, capsys):
    """The graph has our whole numbers, and computes what they mean in float32."""
    onnx = pytest.importorskip("onnx")
    ort = pytest.importorskip("onnxruntime")
    c = config()
    tree = quantize(network(c, distilled=distilled), c)
    quantized.write(tmp_path / "a", c, tree)
    assert main(["convert", str(tmp_path / "a"), str(tmp_path / "a.onnx")]) == 0
    onnx.checker.check_model(str(tmp_path / "a.onnx"), full_check=True)
    graph = onnx.load(str(tmp_path / "a.onnx")).graph
    whole = [w for w in graph.initializer if w.data_type == onnx.TensorProto.INT8]
    assert len(whole) == sum(leaf.dtype == "int8" for _, leaf in leaves(tree))
    options = ort.SessionOptions()  # optimized, it rounds the rows as well, in a way of its own
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(
        str(tmp_path / "a.onnx"), options, providers=["CPUExecutionProvider"]
    )
    x = images(2)
    (logits,) = session.run(None, {"pixel_values": x.transpose(0, 3, 1, 2)})

    def real(_, node):
        if isinstance(node, QuantizedLinear):
            return dequantize_linear(node)
        if isinstance(node, QuantizedConv2d):
            return Conv2d(node.weight * node.scale, node.bias)
        return node

    kinds = (QuantizedLinear, QuantizedConv2d)
    meant = build(real, tree, is_leaf=lambda node: isinstance(node, kinds))
    want = folded_forward(x, meant, c).logits
    assert np.abs(logits - want).max() <= 1e-5 * np.abs(want).max()


def test_what_onnx_has_no_operator_for_is_refused(tmp_path):
    pytest.importorskip("onnx")
    c = config(hidden_act="laplace")
    write(tmp_path / "a", c, network(c))
    with pytest.raises(ConfigError, match="hidden_act is 'laplace'; expected for ONNX one of gelu"):
        onnx_graph.export(tmp_path / "a", tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()


def test_the_command_exports(tmp_path, capsys):
    pytest.importorskip("onnx")
    path = tmp_path / "tiny.onnx"
    assert main(["convert", "tiny", str(path)]) == 0
    shape = "pixel_values (batch, 3, 128, 128) -> logits (batch, 200), float32"
    assert capsys.readouterr().out == f"{path}: {shape}\n"
    assert path.stat().st_size > 10**6


def test_openvino_and_onnxruntime_share_a_file(tmp_path):
    pytest.importorskip("onnx")
    from npformer.bench.onnx_graph import write_onnx

    c = config(use_layer_scale=False, id2label={})
    write(tmp_path, c, network(c, distilled=False))
    first = write_onnx(tmp_path)
    made = first.stat().st_mtime_ns
    assert write_onnx(tmp_path).stat().st_mtime_ns == made
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession(str(first), providers=["CPUExecutionProvider"])
    x = images(1)
    (logits,) = session.run(None, {"pixel_values": x.transpose(0, 3, 1, 2)})
    want = forward(x, network(c, distilled=False), c).logits
    assert np.abs(logits - want).max() <= 1e-5 * np.abs(want).max()
