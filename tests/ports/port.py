"""The network written once more, in PyTorch, with a switch for each fault.

It has the structure and the names of the original's code (``network.0.1.mlp.fc1``), and each module
knows timm's path of itself. `Faults` say which modules do something wrong, and what:

    Port(config, {"*.mlp.act": "gelu_tanh", "norm": "eps=0.001"})
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from npformer.checkpoints import state_dict
from npformer.layers import Array
from npformer.network.configuration import EfficientFormerConfig

from .layers import (
    Activation,
    Attention,
    BatchNorm,
    Conv,
    Faults,
    LayerNorm,
    Linear,
    Part,
    Pooling,
    Softmax,
)
from .shop import Reference


class Mlp4D(Part, nn.Module):
    def __init__(self, width: int, hidden: int, config: EfficientFormerConfig) -> None:
        super().__init__()
        self.fc1 = Conv(width, hidden, 1)
        self.norm1 = BatchNorm(hidden, eps=config.batch_norm_eps)
        self.act = Activation("gelu")
        self.fc2 = Conv(hidden, width, 1)
        self.norm2 = BatchNorm(width, eps=config.batch_norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        if "act_before_norm" in self.wrong:
            x = self.norm1(self.act(self.fc1(x)))
        else:
            x = self.act(self.norm1(self.fc1(x)))
        return self.norm2(self.fc2(x))


class Mlp3D(Part, nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.act = Linear(width, hidden), Activation("gelu")
        self.fc2 = Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class Meta(Part, nn.Module):
    """A block of either kind; pooling blocks have no norms of their own."""

    def __init__(self, mixer: nn.Module, mlp: nn.Module, width: int, eps: float | None) -> None:
        super().__init__()
        if eps is not None:
            self.norm1, self.norm2 = LayerNorm(width, eps=eps), LayerNorm(width, eps=eps)
        self.token_mixer, self.mlp = mixer, mlp
        self.layer_scale_1 = nn.Parameter(torch.ones(width))
        self.layer_scale_2 = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        flat = hasattr(self, "norm1")
        first, second = self.layer_scale_1, self.layer_scale_2
        if "layer_scales_exchanged" in self.wrong:
            first, second = second, first
        normed = self.norm1(x) if flat else x
        x = self.add(x, self.token_mixer(normed), first, normed, 1)
        normed = self.norm2(x) if flat else x
        return self.add(x, self.mlp(normed), second, normed, 2)

    def add(self, x: Tensor, y: Tensor, scale: Tensor, normed: Tensor, which: int) -> Tensor:
        if self.wrong.get("layer_scale_missing") != which:
            y = y * (scale if y.ndim == 3 else scale[:, None, None])
        if self.wrong.get("residual_missing") == which:
            return y
        if self.wrong.get("residual_from_norm") == which:
            return normed + y
        return x + y


class Flat(Part, nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if "columns_first" in self.wrong:
            x = x.transpose(2, 3)
        if "channels_not_moved" in self.wrong:
            return x.reshape(x.shape[0], -1, x.shape[1])
        if "backward" in self.wrong:
            return x.flatten(2).flip(2).transpose(1, 2)
        return x.flatten(2).transpose(1, 2)


class Embedding(Part, nn.Module):
    def __init__(self, before: int, width: int, config: EfficientFormerConfig) -> None:
        super().__init__()
        size, stride, padding = 3, config.downsample_stride, config.downsample_pad
        self.proj = Conv(before, width, size, stride, padding)
        self.norm = BatchNorm(width, eps=config.batch_norm_eps)
        self.act = Activation("relu")

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.proj(x))
        return self.act(x) if "extra_activation" in self.wrong else x


class Port(Part, nn.Module):
    """The network.

    Parameters
    ----------
    reference : Reference
        Whose parameters it gets.
    faults : dict of str to str
    """

    def __init__(self, reference: Reference, faults: Faults | None = None) -> None:
        super().__init__()
        config, faults = reference.config, faults or {}
        sizes, eps = config.hidden_sizes, config.batch_norm_eps
        half = sizes[0] // 2
        self.patch_embed = nn.Sequential(
            Conv(config.num_channels, half, 3, 2, 1), BatchNorm(half, eps=eps), Activation("relu"),
            Conv(half, sizes[0], 3, 2, 1), BatchNorm(sizes[0], eps=eps), Activation("relu"),
        )  # fmt: skip
        names = ("conv1", "norm1", "act1", "conv2", "norm2", "act2")
        for name, layer in zip(names, self.patch_embed, strict=True):
            layer.placed(f"stem.{name}", faults)
        self.network = nn.ModuleList()
        for s, width in enumerate(sizes):
            if s and config.has_downsample(s):
                self.network.append(
                    place(Embedding(sizes[s - 1], width, config), f"stages.{s}.downsample", faults)
                )
            blocks = [build(block, width, config) for block in reference.params.stages[s].blocks]
            for b, block in enumerate(blocks):
                place(block, f"stages.{s}.blocks.{b}", faults)
            self.network.append(nn.Sequential(*blocks))
        self.norm = LayerNorm(sizes[-1], eps=config.layer_norm_eps).placed("norm", faults)
        self.head = Linear(sizes[-1], config.num_labels).placed("head", faults)
        self.two = reference.params.head_dist is not None
        if self.two:
            self.dist_head = Linear(sizes[-1], config.num_labels).placed("head_dist", faults)
        self.placed("logits", faults)
        tensors = state_dict(reference.params, config, "original")
        state = {key: torch.tensor(value) for key, value in tensors.items()}
        self.load_state_dict(state, assign=True)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        if "bgr" in self.wrong:
            x = x.flip(1)
        x = self.patch_embed(x)
        for part in self.network:
            x = part(x)
        x = self.norm(x.mean(1, keepdim=True) if "norm_after_mean" in self.wrong else x)
        x = x.amax(1) if "maximum" in self.wrong else x.mean(1)
        if not self.two or "heads_not_averaged" in self.wrong:
            return self.head(x)
        both = self.head(x) + self.dist_head(x)
        return both if "heads_summed" in self.wrong else both / 2


def build(params: Any, width: int, config: EfficientFormerConfig) -> nn.Module:
    hidden = int(width * config.mlp_expansion_ratio)
    if hasattr(params, "token_mixer"):
        eps = config.layer_norm_eps
        return Meta(Attention(config), Mlp3D(width, hidden), width, eps)
    if hasattr(params, "mlp"):
        return Meta(Pooling(config.pool_size), Mlp4D(width, hidden, config), width, None)
    return Flat()


def place(module: Any, path: str, faults: Faults) -> nn.Module:
    """Tell a module and all within it where they stand."""
    for name, part in module.named_modules():
        name = name.replace("proj", "conv") if path.endswith("downsample") else name
        part.placed(f"{path}.{name}" if name else path, faults)
    return module


def run(model: Port, pixels: Array) -> dict[str, Array]:
    """Record every module, and the answer, by timm's paths; images become channels last."""
    heard: dict[str, Array] = {"pixel_values": pixels}
    hooks = []
    for module in model.modules():
        if isinstance(module, Part) and module is not model:
            hooks.append(module.register_forward_hook(partial(_hear, heard)))
    with torch.no_grad():
        dtype = next(model.parameters()).dtype
        logits = model(torch.from_numpy(channels_first(pixels)).to(dtype))
    for hook in hooks:
        hook.remove()
    return heard | {"logits": logits.numpy()}


def _hear(heard: dict[str, Array], module: Any, _: Any, result: Tensor) -> None:
    inside = isinstance(module, Softmax)  # (B, heads, N, N) is no image
    heard[module.path] = result.numpy().copy() if inside else channels_last(result)


def channels_last(tensor: Tensor) -> Array:
    """Return an array of its own: (B, C, H, W) -> (B, H, W, C)."""
    array = tensor.detach().numpy()
    return np.array(array.transpose(0, 2, 3, 1) if array.ndim == 4 else array)


def channels_first(array: Array) -> Array:
    return np.ascontiguousarray(array.transpose(0, 3, 1, 2))
