"""Every contender that is installed gives our logits; the ONNX graph is our network."""

from __future__ import annotations

import numpy as np
import pytest
from engine_cases import config, images, network

from npformer.bench import peers
from npformer.checkpoints import write
from npformer.network import forward


@pytest.mark.parametrize("name", ["onnxruntime", "openvino", "timm", "transformers"])
@pytest.mark.filterwarnings("ignore")
def test_contender(name, tmp_path):
    pytest.importorskip(name)
    if name in ("onnxruntime", "openvino"):
        pytest.importorskip("onnx")
    c, x = config(), images(2)
    p = network(c)
    write(tmp_path, c, p)
    want = forward(x, p, c).logits
    found = np.asarray(peers.MAKERS[name](tmp_path, 1)(x))
    assert np.abs(found - want).max() <= 1e-5 * np.abs(want).max()


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
