"""The contenders: each is made from a folder with weights, for a number of threads.

Each runs as a careful user would run it: ONNX Runtime and OpenVINO with a graph in which everything
that can be folded is folded already; PyTorch with the channels-last layout and in inference mode.
OpenVINO runs as it comes, in numbers of its own choice, and held to float32 as well.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .. import engine
from ..checkpoints import quantized, read, read_any
from ..checkpoints.assemble import state_dict
from ..engine.compensate import quantize_compensated
from ..engine.fold import FoldedNetwork
from ..images.layout import channels_first
from ..layers import Array
from ..network import EfficientFormer
from ..network.tree import leaves
from . import precision
from .onnx_graph import write_onnx
from .onnx_int8 import write_int8


class Contender(NamedTuple):
    """A network that is ready to run."""

    run: Callable[[Array], Array]
    """images, (B, H, W, 3), to logits, (B, labels)"""
    precision: Callable[[], str]
    """in which numbers it computes, read from what runs"""

    def __call__(self, x: Array) -> Array:
        """Run the network on images."""
        return self.run(x)


Maker: TypeAlias = Callable[[Path, int], Contender]
"""From a folder with weights and a number of threads"""


def npformer(folder: Path, threads: int) -> Contender:
    """Make npformer with its compiled kernels."""
    found = read_any(folder)
    run = engine.make_forward(found.params, found.config, "numba")
    names = dtypes(found.params)
    del found

    def forward(x: Array) -> Array:
        engine.set_num_threads(threads)
        return run(x).logits

    return Contender(forward, lambda: names)


def npformer_int8(folder: Path, threads: int) -> Contender:
    """Make npformer in eight bits, from a folder that is written if it does not exist."""
    place = folder / "int8"
    if not place.exists():
        found = read(folder)
        images = np.load(folder / "calibration.npy")
        params = quantize_compensated(found.params, found.config, images)
        quantized.write(place, found.config, params)
    return npformer(place, threads)


def numpy(folder: Path, threads: int) -> Contender:
    """Make npformer with plain NumPy layers, whose BLAS decides the number of threads."""
    found = read_any(folder)
    run = engine.make_forward(found.params, found.config, "numpy")
    return Contender(lambda x: run(x).logits, lambda: dtypes(found.params))


def dtypes(params: EfficientFormer | FoldedNetwork) -> str:
    """Return the types of the parameters, the smallest first, in which npformer computes."""
    found = {leaf.dtype for _, leaf in leaves(params)}
    return " + ".join(str(dtype) for dtype in sorted(found, key=lambda d: (d.itemsize, str(d))))


def onnxruntime(write: Callable[[Path], Path]) -> Maker:
    """Return the maker of ONNX Runtime with all optimizations.

    Parameters
    ----------
    write : callable
        Writes the graph into a folder, unless it is there, and returns its path.
    """

    def maker(folder: Path, threads: int) -> Contender:
        import onnxruntime as ort

        path = write(folder)

        def session(optimized: Path | None = None) -> Any:
            options = ort.SessionOptions()
            options.intra_op_num_threads = threads
            options.inter_op_num_threads = 1
            if optimized is not None:
                options.optimized_model_filepath = str(optimized)
                options.log_severity_level = 3  # it warns that other processors differ
            return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

        def read_precision() -> str:
            optimized = path.with_name(f"optimized-{path.name}")
            session(optimized)
            return precision.of_onnxruntime(optimized)

        runtime = session()
        return Contender(
            lambda x: runtime.run(["logits"], {"pixel_values": _channels_first(x)})[0],
            read_precision,
        )

    return maker


def openvino(write: Callable[[Path], Path], **settings: str) -> Maker:
    """Return the maker of OpenVINO.

    Parameters
    ----------
    write : callable
        As for ONNX Runtime.
    **settings : str
        Besides the number of threads. Without any OpenVINO chooses the numbers that it computes in.
    """

    def maker(folder: Path, threads: int) -> Contender:
        import openvino as ov

        core = ov.Core()
        usual = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
        model = core.compile_model(core.read_model(str(write(folder))), "CPU", usual | settings)
        return Contender(
            lambda x: model({"pixel_values": _channels_first(x)})["logits"],
            lambda: precision.of_openvino(model),
        )

    return maker


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

        return Contender(run, lambda: torch_dtypes(model))

    return maker


def torch_dtypes(model: Any) -> str:
    """Return the types of a PyTorch model's parameters, in which it computes without autocast."""
    return " + ".join(sorted({str(p.dtype).removeprefix("torch.") for p in model.parameters()}))


def channels_first_view(x: Array) -> Any:
    """Return images as a PyTorch tensor, (B, C, H, W), that stays channels last in memory."""
    import torch

    return torch.from_numpy(x).permute(0, 3, 1, 2)


def _channels_first(x: Array) -> Array:
    return np.ascontiguousarray(channels_first(x))


_FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32"}
"""Holds OpenVINO to float32, where its graph does not say 8 bits."""

MAKERS: dict[str, Maker] = {
    "npformer": npformer,
    "npformer int8": npformer_int8,
    "numpy": numpy,
    "onnxruntime float32": onnxruntime(write_onnx),
    "onnxruntime int8": onnxruntime(write_int8),
    "openvino as it comes": openvino(write_onnx),
    "openvino float32": openvino(write_onnx, **_FLOAT32),
    "openvino int8": openvino(write_int8, **_FLOAT32),
    "timm": pytorch(timm_model),
    "timm compiled": pytorch(timm_model, compiled=True),
    "transformers": pytorch(transformers_model),
    "transformers compiled": pytorch(transformers_model, compiled=True),
}

WRITERS = tuple(
    name for name in MAKERS if name.startswith(("npformer int8", "onnxruntime", "openvino"))
)
"""Contenders whose files have to be written first, by a process whose memory does not count."""
