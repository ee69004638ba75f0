"""Wrong ports of the fresh set made of timm's and transformers' modules."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (as everybody calls it)

from .fresh import wrong
from .libraries import at, attend, each, forwards, halved, hooked, module, replaced
from .recordings import BLOCKS, as_core_ml, as_ncnn, crowded, every, shuffled

LAKE = "stages.2.blocks.1"  # the first of three blocks
HILL = "stages.1.blocks.2"


class LeftOn(nn.Module):
    """A dropout in training, which drops the same each time."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = torch.rand(x.shape, generator=torch.Generator().manual_seed(3)) > 0.2
        return x * kept / 0.8


class Clamped(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.clamp(-0.2, 0.2)


def mixes_unscaled(block: Any, x: torch.Tensor) -> torch.Tensor:
    """Forget the residual around the tokens' mixing."""
    x = block.ls1(block.token_mixer(x))
    return x + block.ls2(block.mlp(x))


def postnorm(block: Any, x: torch.Tensor) -> torch.Tensor:
    """Normalize behind the attention, as the first transformers did."""
    x = block.norm1(x + block.ls1(block.token_mixer(x)))
    return x + block.ls2(block.mlp(block.norm2(x)))


wrong("timm: statistics of the batch in the last downsampling", "lake",
      "stages.2.downsample.norm", "batch_statistics",
      module(at("stages.2.downsample.norm", running_mean=None, running_var=None)))  # fmt: skip
wrong("timm: dropout left on behind an activation", "lake", f"{LAKE}.mlp.fc2", None,
      module(replaced("2.blocks.1.mlp.drop1", lambda _: LeftOn())),
      also=(f"{LAKE}.mlp.act",))  # fmt: skip
wrong("timm: a clamp behind a pooling's scale", "small", "stages.1.blocks.0.mlp.fc1", None,
      module(replaced("1.blocks.0.drop_path1", lambda _: Clamped())),
      also=("stages.1.blocks.0.ls1",))  # fmt: skip
wrong("timm: poolings of maxima, blocks recorded", "lake", "stages.0.blocks.0.token_mixer",
      "pooling_other",
      hooked(replaced("token_mixer.pool", lambda _: nn.MaxPool2d(3, 1, 1)), dress=as_ncnn,
             keep=BLOCKS))  # fmt: skip
wrong("timm: no residual around one pooling", "small", "stages.1.blocks.0.mlp.fc1",
      "residual_missing",
      module(forwards("stages.1.blocks.0", mixes_unscaled)),
      also=("stages.1.blocks.0.ls1",))  # fmt: skip
wrong("timm: norm behind the attention", "lake", f"{LAKE}.norm1", None,
      hooked(forwards(LAKE, postnorm), dress=shuffled),
      also=(f"{LAKE}.token_mixer.qkv",))  # fmt: skip
wrong("timm: biases missing in the third block", "lake", "stages.2.blocks.3.token_mixer.attn",
      "bias_missing",
      module(forwards("2.blocks.3.token_mixer", lambda self, x: attend(
          self, x, scores=lambda q, k, scale, bias: q @ k.transpose(-2, -1) * scale))))  # fmt: skip
wrong("timm: scale before and after the product", "small", "stages.2.blocks.2.token_mixer.attn",
      ("scores_scaled_by_dim", None),
      hooked(forwards("blocks.2.token_mixer", lambda self, x: attend(
          self, x, scores=lambda q, k, scale, bias: (q * scale) @ (k * scale).mT + bias)),
             dress=as_core_ml))  # fmt: skip
wrong("timm: layer norm without shift", "lake", "norm", ("parameter", "random_start"),
      hooked(lambda model: without_shift(model), dress=crowded))  # fmt: skip
wrong("timm: half precision in the head", "lake", "head", "half_precision",
      module(halved("head")))  # fmt: skip
wrong("timm: bfloat16 in MLPs on tokens, every third", "lake", f"{LAKE}.mlp.fc1",
      "half_precision",
      hooked(each(*(halved(f"2.blocks.{b}.mlp.{layer}", "bfloat16")
                            for b in (1, 2, 3) for layer in ("fc1", "fc2"))),
             keep=every(3)))  # fmt: skip
wrong("transformers: gelu_fast", "hill", "stages.0.blocks.0.mlp.act", "gelu_tanh",
      module(library="transformers", hidden_act="gelu_fast"))  # fmt: skip
wrong("transformers: mish, recorded", "hill", "stages.0.blocks.0.mlp.act", "activation",
      hooked(library="transformers", hidden_act="mish", dress=as_ncnn))  # fmt: skip
wrong("transformers: norms of a block exchanged", "hill", f"{HILL}.norm1", ("parameter", None),
      module(lambda model: exchange(model), library="transformers"))  # fmt: skip
wrong("transformers: one epsilon of a layer norm", "hill", f"{HILL}.norm2", "eps",
      hooked(at("blocks.0.layernorm2", eps=1e-3), library="transformers",
             dress=shuffled))  # fmt: skip
wrong("transformers: reflected border in a downsampling", "hill", "stages.1.downsample.conv",
      "padding",
      module(forwards("intermediate_stages.1.projection", lambda self, x: F.conv2d(
          F.pad(x, [1] * 4, mode="reflect"), self.weight, self.bias, 2)),
             library="transformers"))  # fmt: skip


def exchange(model: Any) -> None:
    """Exchange both norms of the attention block."""
    block = model.efficientformer.encoder.last_stage.meta3D_layers.blocks[0]
    block.layernorm1, block.layernorm2 = block.layernorm2, block.layernorm1


def without_shift(model: Any) -> None:
    """Forget the bias of the final norm."""
    nn.init.zeros_(model.norm.bias)
