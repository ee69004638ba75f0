"""Right ports: other libraries, runtimes, sums in another order, folded, recorded in many ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from npformer import engine
from npformer.network import Trace

from .answers import Made, Maker, right
from .checkpoint_ports import checkpoint
from .graphs import ours, run_by_openvino, run_by_runtime, session, theirs
from .libraries import hooked, module, replaced
from .recordings import (
    BLOCKS,
    FEW,
    Arrays,
    as_images,
    as_keras,
    crowded,
    first,
    fold,
    last,
    numbered,
    only,
    recorded,
    shuffled,
    tokens_last,
    without,
    without_batch,
    written,
)
from .shop import Reference, Shop

# The port written here, recorded in many ways

for name, network, make in (
    ("as PyTorch records", "small", recorded()),
    ("as PyTorch records, to safetensors", "deep", recorded(kind="safetensors")),
    ("as TensorFlow records", "tiny", recorded(None, as_keras)),
    ("numbers for names", "square", recorded(None, numbered)),
    ("names and order without meaning", "small", recorded(None, shuffled)),
    ("names and order without meaning, blocks only", "deep", recorded(None, shuffled, BLOCKS)),
    ("one image without its axis", "oblong", recorded(None, without_batch)),
    ("tokens as images", "deep", recorded(None, tokens_last)),
    ("width before height", "oblong", recorded(None, as_images)),
    ("between arrays that do not belong to it", "small", recorded(None, crowded)),
    ("three images", "square", recorded(None, last, batch=3)),
    ("in float64", "small", recorded(double=True)),
    ("in float64, stages only", "deep", recorded(None, last, FEW, double=True)),
    ("blocks only", "tiny", recorded(None, last, BLOCKS, "safetensors")),
    ("answer and picture only", "tiny", recorded(None, last, only("pixel_values", "logits"))),
    ("batch norms folded", "small", recorded(None, last, fold)),
    ("batch norms folded, numbers for names", "deep", recorded(None, numbered, fold)),
    ("attention only", "small", recorded(None, first, only("pixel_values", "*.token_mixer*"))),
    ("one call for the attention", "deep", recorded({"*.token_mixer": "sdpa"}, last)),
    ("averages by convolutions", "small", recorded({"*.token_mixer": "as_convolution"})),
    ("GELU by hand", "tiny", recorded({"*.act": "gelu_by_hand"}, as_keras)),
    ("a single head", "alone", recorded(None, last)),
):
    right(f"written here: {name}", network, make)


# As before training

for name, network, make in (
    ("recorded", "new small", recorded()),
    ("recorded, order without meaning", "new deep", recorded(None, shuffled)),
    ("folded", "new small", recorded(None, last, fold)),
    ("folded, order without meaning", "new deep", recorded(None, shuffled, fold)),
    ("blocks", "new small", recorded(None, numbered, BLOCKS)),
    ("timm, run", "new small", module()),
    ("timm, folded", "new small", module(lambda model: folded(model))),
    ("timm, recorded", "new square", hooked(dress=shuffled)),
    ("transformers, run", "new deep", module(library="transformers")),
    ("timm's graph", "new small", theirs()),
    ("timm's graph, nothing folded", "new oblong", theirs(folded=False)),
    ("transformers' graph", "new deep", theirs(library="transformers")),
    ("npformer's graph", "new small", ours()),
    ("npformer's graph, one head", "new alone", ours()),
    ("npformer's graph, run elsewhere", "new deep", run_by_runtime()),
    ("npformer's graph, L1", "new l1", ours()),
):
    right(f"new weights: {name}", network, make)


# Libraries


def folded(model: Any) -> None:
    """Fold timm's batch norms by PyTorch's own function."""
    fuse = torch.nn.utils.fusion.fuse_conv_bn_eval
    for part in list(model.modules()):
        pairs = [("conv1", "norm1"), ("conv2", "norm2"), ("conv", "norm"), ("fc1", "norm1"),
                 ("fc2", "norm2")]  # fmt: skip
        for conv, norm in pairs:
            if hasattr(part, conv) and isinstance(getattr(part, norm, None), nn.BatchNorm2d):
                setattr(part, conv, fuse(getattr(part, conv), getattr(part, norm)))
                setattr(part, norm, nn.Identity())


def channels_last_in_memory(model: Any) -> Any:
    return model.to(memory_format=torch.channels_last)


for name, network, make in (
    ("timm, run", "small", module()),
    ("timm, run, oblong", "oblong", module()),
    ("timm, run, all square", "square", module()),
    ("timm, run, folded", "small", module(folded)),
    ("timm, run, channels last in memory", "tiny", module(channels_last_in_memory)),
    ("timm, recorded", "tiny", hooked(dress=numbered)),
    ("timm, recorded, channels last in memory", "square", hooked(channels_last_in_memory)),
    ("timm, recorded, two images", "small", hooked(batch=2, dress=shuffled)),
    ("timm, tanh-free GELU by a module", "small",
     module(replaced("mlp.act", lambda _: nn.GELU("none")))),
    ("transformers, run", "deep", module(library="transformers")),
    ("transformers, run, one head", "alone", module(library="transformers")),
    ("transformers, recorded", "deep", hooked(library="transformers", dress=last)),
    ("transformers, recorded, modules only", "deep",
     hooked(library="transformers", keep=without("*.attn"), kind="safetensors")),
    ("timm's graph by PyTorch", "small", theirs()),
    ("timm's graph by PyTorch, oblong", "oblong", theirs()),
    ("transformers' graph by PyTorch", "deep", theirs(library="transformers")),
    ("npformer's graph", "small", ours()),
    ("npformer's graph, deep", "deep", ours()),
    ("npformer's graph, tiny", "tiny", ours()),
    ("npformer's graph, one head", "alone", ours()),
    ("npformer's graph, run elsewhere", "square", run_by_runtime()),
    ("npformer's graph in OpenVINO", "small", run_by_openvino()),
    ("npformer's graph in OpenVINO, oblong", "oblong", run_by_openvino()),
    ("the same checkpoint in timm's names", "small", checkpoint(file="safetensors")),
    ("the same checkpoint in a folder", "deep", checkpoint()),
    ("the same checkpoint of the original", "square", checkpoint(naming="original", file="pth")),
):  # fmt: skip
    right(name, network, make)


# npformer's own engines


def traced(kind: str, keep: Any = None) -> Maker:
    """Return the maker of what one of npformer's engines records in float32."""

    def make(shop: Shop, reference: Reference, path: Path) -> Made:
        pixels = reference.pixels(8, 2)
        trace = Trace()
        run = engine.make_forward(reference.params, reference.config, kind)
        logits = run(pixels, trace).logits
        heard: Arrays = {"pixel_values": pixels, **trace, "logits": logits}
        return written({k: np.array(v) for k, v in heard.items()}, last,
                       keep or (lambda heard: heard), "npz", path)  # fmt: skip

    return make


def optimized(shop: Shop, reference: Reference, path: Path) -> Made:
    """Record inputs and outputs of npformer's graph after all optimizations of the runtime."""
    made = ours()(shop, reference, path)
    pixels = reference.pixels(2)
    runtime = session(made.other)
    logits = runtime.run(None, {"pixel_values": pixels.transpose(0, 3, 1, 2).copy()})[0]
    heard = {"pixel_values": pixels, "logits": logits}
    return written(heard, first, lambda heard: heard, "npz", path)


right("NumPy in float32", "tiny", traced("numpy"))
right("Numba in float32", "small", traced("numba"))
right("Numba in float32, blocks only", "tiny", traced("numba", BLOCKS))
right("optimized by ONNX Runtime, answer only", "tiny", optimized)
right("npformer's graph, L1", "l1", ours())
