"""The contenders: each is made from a folder with weights, for a number of threads.

Each runs as a careful user would run it: ONNX Runtime and OpenVINO with a graph in which everything
that can be folded is folded already; PyTorch with the channels-last layout and in inference mode.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from .. import engine
from ..checkpoints import read
from ..checkpoints.assemble import state_dict
from ..images.layout import channels_first
from ..layers import Array
from .onnx_graph import write_onnx

Contender: TypeAlias = Callable[[Array], Array]
"""Images, (B, H, W, 3), to logits, (B, labels)"""
Maker: TypeAlias = Callable[[Path, int], Contender]
"""From a folder with weights and a number of threads"""


def npformer(folder: Path, threads: int) -> Contender:
    """Make npformer with its compiled kernels."""
    found = read(folder)
    run = engine.make_forward(found.params, found.config, "numba")
    del found

    def forward(x: Array) -> Array:
        engine.set_num_threads(threads)
        return run(x).logits

    return forward


def numpy(folder: Path, threads: int) -> Contender:
    """Make npformer with plain NumPy layers, whose BLAS decides the number of threads."""
    found = read(folder)
    run = engine.make_forward(found.params, found.config, "numpy")
    return lambda x: run(x).logits


def onnxruntime(folder: Path, threads: int) -> Contender:
    """Make ONNX Runtime with all optimizations."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    path = write_onnx(folder)
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(["logits"], {"pixel_values": _channels_first(x)})[0]


def openvino(folder: Path, threads: int) -> Contender:
    """Make OpenVINO in float32, like all others."""
    import openvino as ov

    core = ov.Core()
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    model = core.compile_model(core.read_model(str(write_onnx(folder))), "CPU", settings)
    return lambda x: model({"pixel_values": _channels_first(x)})["logits"]


def timm_model(folder: Path) -> Any:
    """Return timm's PyTorch model with the weights of a folder."""
    import torch
    from timm.models import efficientformer

    library: Any = efficientformer  # its annotations are narrower than what it accepts
    found = read(folder)
    config = found.config
    model = library.EfficientFormer(
        depths=tuple(config.depths),
        embed_dims=tuple(config.hidden_sizes),
        num_classes=config.num_labels,
        downsamples=(False, *map(bool, config.downsamples[:-1])),
        num_vit=config.num_meta3d_blocks,
        norm_layer_cl=partial(torch.nn.LayerNorm, eps=config.layer_norm_eps),
    )
    for block in model.stages[-1].blocks:
        if isinstance(block, library.MetaBlock1d):  # timm's attention always has 7×7 tokens
            block.token_mixer = library.Attention(
                config.dim,
                config.key_dim,
                config.num_attention_heads,
                config.attention_ratio,
                config.token_grid,
            )
    tensors = state_dict(found.params, config, "timm")
    model.load_state_dict({k: torch.tensor(v) for k, v in tensors.items()})
    return model


def transformers_model(folder: Path) -> Any:
    """Return the PyTorch model of Hugging Face transformers with the weights of a folder."""
    from transformers import EfficientFormerForImageClassificationWithTeacher as Model

    return Model.from_pretrained(folder)


def pytorch(make: Callable[[Path], Any], compiled: bool = False) -> Maker:
    """Return the maker of PyTorch's forward pass: channels last, inference mode."""

    def maker(folder: Path, threads: int) -> Contender:
        import torch

        model = make(folder).eval().to(memory_format=torch.channels_last)
        if compiled:
            model = torch.compile(model, dynamic=False)  # compiling for each size is fastest

        def run(x: Array) -> Array:
            torch.set_num_threads(threads)
            with torch.inference_mode():
                outputs = model(channels_first_view(x))
                logits: Array = getattr(outputs, "logits", outputs).numpy()
            return logits

        return run

    return maker


def channels_first_view(x: Array) -> Any:
    """Return images as a PyTorch tensor, (B, C, H, W), that stays channels last in memory."""
    import torch

    return torch.from_numpy(x).permute(0, 3, 1, 2)


def _channels_first(x: Array) -> Array:
    return np.ascontiguousarray(channels_first(x))


MAKERS: dict[str, Maker] = {
    "npformer": npformer,
    "numpy": numpy,
    "onnxruntime": onnxruntime,
    "openvino": openvino,
    "timm": pytorch(timm_model),
    "timm compiled": pytorch(timm_model, compiled=True),
    "transformers": pytorch(transformers_model),
    "transformers compiled": pytorch(transformers_model, compiled=True),
}
