"""PyTorch's side of the comparison: networks of transformers and timm, with every layer overheard.

Layers bear timm's names in both, which are npformer's; images are turned to channels last.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from timm.models import efficientformer as timm
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from transformers import (
    EfficientFormerConfig,
    EfficientFormerForImageClassification,
    EfficientFormerForImageClassificationWithTeacher,
)

from npformer.layers import Array

from . import cases
from .check import Overheard


def network(case: dict[str, Any], seed: int = 0, dtype: str = "float64") -> nn.Module:
    """A network for evaluation, with parameters from `cases.draw`."""
    model = {"timm": timm_network, "transformers": transformers_network}[case["library"]](case)
    rename = cases.renamer(case)
    state = model.state_dict()
    for key, tensor in state.items():
        if tensor.is_floating_point():
            values = cases.draw(rename(key), tuple(tensor.shape), seed)
            state[key] = torch.from_numpy(values)
    # The type is changed before the values arrive, which would be rounded, and both before eval(),
    # which keeps a copy of the attention biases.
    model.to(getattr(torch, dtype))
    model.load_state_dict(state)
    model.eval()
    return model


def transformers_network(case: dict[str, Any]) -> nn.Module:
    config = EfficientFormerConfig(**cases.keywords(case))
    if case.get("distilled", True):
        model = EfficientFormerForImageClassificationWithTeacher(config)
    else:
        model = EfficientFormerForImageClassification(config)
    # Without attention blocks the last stage returns an array where a tuple is expected, and its
    # first image is taken for the whole batch.
    model.efficientformer.encoder.last_stage.register_forward_hook(
        lambda module, args, result: (result,) if isinstance(result, Tensor) else result
    )
    return model


def timm_network(case: dict[str, Any]) -> nn.Module:
    model = timm.EfficientFormer(
        depths=case["depths"],
        embed_dims=case["hidden_sizes"],
        num_classes=case["num_labels"],
        num_vit=case["num_meta3d_blocks"],
        mlp_ratios=case["mlp_expansion_ratio"],
        norm_layer_cl=partial(nn.LayerNorm, eps=case["layer_norm_eps"]),
    )
    for block in model.stages[-1].blocks:
        if isinstance(block, timm.MetaBlock1d):  # it leaves its attention no choice of sizes
            block.token_mixer = timm.Attention(
                dim=case["hidden_sizes"][-1],
                key_dim=case["key_dim"],
                num_heads=case["num_attention_heads"],
                attn_ratio=case["attention_ratio"],
                resolution=case["resolution"],
            )
    return model


SILENT = (nn.Dropout, nn.Identity, nn.ModuleList)
CONTAINERS = {
    "",
    "efficientformer",
    "encoder",
    "meta3D_layers",
    "meta4D_layers",
    "stages",
    "blocks",
}


def overhear(model: nn.Module, case: dict[str, Any], pixels: Array) -> Overheard:
    """Run a network on (B, H, W, C) pixels, of the network's type."""
    heard = Overheard({}, {})
    rename = cases.renamer(case)
    softmaxes = Softmaxes()

    def listen(path: str, module: nn.Module, args: tuple[Tensor, ...], result: Any) -> None:
        if path == "stem.act":  # transformers: one module, called twice
            path = "stem.act1" if "stem.act1" not in heard.outputs else "stem.act2"
        if path.endswith(".token_mixer.proj"):
            name = path.replace(".proj", ".attn")
            heard.outputs[name] = softmaxes.results.pop().numpy()  # (B, heads, N, N)
        assert path not in heard.outputs, path
        heard.inputs[path] = channels_last(args[0])
        heard.outputs[path] = channels_last(result[0] if isinstance(result, tuple) else result)

    hooks = [
        module.register_forward_hook(partial(listen, rename(name)))
        for name, module in model.named_modules()
        if not isinstance(module, SILENT) and name.split(".")[-1] not in CONTAINERS
    ]
    with torch.no_grad(), softmaxes:
        result = model(torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))))
    for hook in hooks:
        hook.remove()
    logits = getattr(result, "logits", result).numpy()
    heard.outputs["pooled"] = heard.inputs.get("head", logits)
    heard.outputs["logits"] = logits
    return heard


def channels_last(tensor: Tensor) -> Array:
    if tensor.dtype == torch.bfloat16:  # which NumPy lacks
        tensor = tensor.float()
    array = tensor.numpy()
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array


class Softmaxes(TorchFunctionMode):
    """Collects the results of softmax, which no module returns."""

    def __init__(self) -> None:
        super().__init__()
        self.results: list[Tensor] = []

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        result = function(*args, **(kwargs or {}))
        if function is Tensor.softmax:
            self.results.append(result)
        return result
