"""Right ports of the fresh set: sums in another order, other types, other files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from npformer import engine
from npformer.layers import Array
from npformer.network import Trace

from .answers import Made, Maker
from .checkpoint_ports import checkpoint
from .fresh import right
from .graphs import run_by_openvino, run_by_runtime, theirs
from .libraries import hooked, module
from .plain import Plain, plain
from .recordings import (
    BLOCKS,
    FEW,
    as_core_ml,
    as_flax,
    as_graph,
    as_images,
    as_ncnn,
    as_rust,
    crowded,
    every,
    first,
    fold,
    last,
    only,
    shuffled,
    stored,
)
from .shop import Reference, Shop

BACKWARD = {
    "*conv*": lambda step, x, kernel, bias, stride, pads: step(
        x[..., ::-1], kernel[:, :, ::-1], bias, stride=stride, pads=pads
    ),
    "*.fc?": lambda step, x, weight, bias: (x[..., ::-1] @ weight[::-1]) + bias,
    "*.attn": lambda step, x: np.exp(x) / np.exp(x).sum(-1, keepdims=True),
    "norm": lambda step, x, weight, bias, eps: (x - x.mean(-1, keepdims=True))
    / np.sqrt((x * x).mean(-1, keepdims=True) - np.square(x.mean(-1, keepdims=True)) + eps)
    * weight + bias,
}  # fmt: skip
"""Sums in the reverse order, a softmax without its maximum, a variance of one pass"""


def in_bfloat16(shop: Shop, reference: Reference, path: Path) -> Made:
    """Store a float32 run in bfloat16."""
    heard = Plain(reference).run(reference.pixels(13))
    place = path.with_name(f"{path.name}.safetensors")
    save_file(
        {name: torch.tensor(np.ascontiguousarray(array)).bfloat16()
         for name, array in first(heard).items()}, place
    )  # fmt: skip
    return Made(place, None, heard)


def engines(keep: Any) -> Maker:
    """Return the maker of what npformer's fast engine records, compressed."""

    def make(shop: Shop, reference: Reference, path: Path) -> Made:
        pixels, trace = reference.pixels(14), Trace()
        run = engine.make_forward(reference.params, reference.config, "numba")
        logits = run(pixels, trace).logits
        heard = {"pixel_values": pixels, **trace, "logits": logits}
        kept = {name: np.array(array) for name, array in keep(heard).items()}
        place = path.with_name(f"{path.name}.npz")
        written: dict[str, Array] = {f"z/{name}": array for name, array in kept.items()}
        np.savez_compressed(place, **written)
        return Made(place, None, kept)

    return make


for name, network, make in (
    ("in Flax's names", "lake", plain(None, as_flax)),
    ("ncnn's blobs", "hill", plain(None, as_ncnn)),
    ("Core ML's variables, to safetensors", "small", plain(None, as_core_ml, kind="safetensors")),
    ("TensorFlow's names, folded", "lake", plain(None, as_graph, fold)),
    ("every third array", "hill", plain(None, as_rust, every(3))),
    ("attention's inside only", "lake",
     plain(None, as_flax, only("pixel_values", "*.token_mixer.*"))),
    ("two images between other arrays", "hill", plain(None, crowded, batch=2)),
    ("sums backward", "lake", plain(BACKWARD, as_rust)),
    ("sums backward, blocks only", "hill", plain(BACKWARD, as_graph, BLOCKS)),
    ("float64", "hill", plain(None, shuffled, dtype="float64")),
    ("float64, stored as float32", "lake", plain(None, stored("float32", last), dtype="float64")),
    ("stored as float16", "lake", plain(None, stored("float16", first))),
    ("stored as float16, blocks only", "hill", plain(None, stored("float16", as_flax), BLOCKS)),
    ("stored as bfloat16", "small", in_bfloat16),
    ("width before height, stages only", "lake", plain(None, as_images, FEW)),
    ("timm, float64 parameters", "lake", module(lambda model: model.double())),
    ("timm, three images", "lake", hooked(batch=3, dress=as_core_ml)),
    ("timm, opset 14", "small", theirs(opset=14)),
    ("timm, nothing folded", "lake", theirs(opset=16, folded=False)),
    ("transformers, nothing folded", "hill", theirs(library="transformers", folded=False)),
    ("transformers, recorded", "hill", hooked(library="transformers", dress=shuffled)),
    ("npformer's graph by the runtime, optimized", "lake", run_by_runtime(level="all")),
    ("npformer's graph by OpenVINO", "hill", run_by_openvino()),
    ("the fast engine", "hill", engines(lambda heard: heard)),
    ("the fast engine, tiny, every third", "tiny", engines(every(3))),
    ("a checkpoint of transformers", "hill", checkpoint(naming="hf", file="safetensors")),
):  # fmt: skip
    right(f"elsewhere: {name}", network, make)
