"""Ports of the last set made of libraries, graphs, checkpoints and photographs, and right ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from npformer.layers import Array

from .checkpoint_ports import checkpoint, half, three_blocks
from .graphs import Graph, become, change, leave_out, ours, put, run_by_runtime, sums, theirs
from .last import right, wrong
from .libraries import at, each, forwards, halved, hooked, identity, module, replaced
from .photo_ports import BARE, changed, cut, normal, raw, settings
from .plain import plain
from .recordings import (
    BLOCKS,
    as_core_ml,
    as_flax,
    as_graph,
    as_images,
    as_keras,
    as_ncnn,
    as_rust,
    crowded,
    every,
    fold,
    last,
    shuffled,
    stored,
)
from .shop import Reference, Shop

REEF = "stages.3.blocks.2"
COVE = "stages.1.blocks.2"
NEXT = "stages.1.blocks.3"
IN = "pixel_values"

# npformer's own graph


def half_of_one_product(graph: Graph) -> None:
    """Let the first block's first product on tokens read rounded numbers."""
    graph.in_half(graph.nodes("MatMul")[0])


wrong("graph: one pooling counts padding, the last", "reef", "stages.3.blocks.0.token_mixer",
      "pooling_counts_padding",
      ours(change("AveragePool", -1, count_include_pad=1)))  # fmt: skip
wrong("graph: pooling adds its input", "cove", "stages.1.blocks.0.token_mixer", None,
      ours(become("Sub", 1, "Add")))  # fmt: skip
wrong("graph: first ReLU left out", "reef", "stem.act1", "activation",
      ours(leave_out("Relu", 0)))  # fmt: skip
wrong("graph: an MLP's first bias is zero", "cove", "stages.0.blocks.0.mlp.norm1",
      ("bias_zero", "parameter"),
      ours(put("Conv", 2, 2, np.zeros_like)),
      also=("stages.0.blocks.0.mlp.fc1", "stages.0.blocks.0.mlp.act"))  # fmt: skip
wrong("graph: no softmax", "reef", f"{REEF}.token_mixer.attn", None,
      ours(leave_out("Softmax", 0)))  # fmt: skip
wrong("graph: epsilon of the last norm alone", "cove", "norm", "eps",
      ours(change("LayerNormalization", -1, epsilon=1e-3)))  # fmt: skip
wrong("graph: qkv in half", "cove", f"{COVE}.token_mixer.qkv", "half_precision",
      ours(half_of_one_product))  # fmt: skip
wrong("graph: an attention's branch is left out, run elsewhere", "reef", f"{REEF}.norm2",
      "residual_missing",
      run_by_runtime(lambda graph: graph.bypass(sums(graph)[-2])),
      also=(f"{REEF}.ls1",))  # fmt: skip
wrong("graph: tanh in the first GELU, run elsewhere", "cove", "stages.0.blocks.0.mlp.act",
      "gelu_tanh",
      run_by_runtime(change("Gelu", 0, approximate="tanh")))  # fmt: skip

# PyTorch's graphs

wrong("opset 16: a softmax over heads", "cove", f"{NEXT}.token_mixer.attn", "softmax_axis",
      theirs(change("Softmax", 1, axis=1), opset=16))  # fmt: skip
wrong("nothing folded: a batch norm of the third stage left out", "reef",
      "stages.2.downsample.norm", "norm_missing",
      theirs(leave_out("BatchNormalization", 7), library="transformers", folded=False))  # fmt: skip
wrong("nothing folded: epsilon of the stem", "cove", "stem.norm1", "eps",
      theirs(change("BatchNormalization", 0, epsilon=1e-3), folded=False))  # fmt: skip
wrong("export: maxima for averages in a stage", "cove", "stages.1.blocks.0.token_mixer",
      "pooling_other",
      theirs(patch=replaced("stages.1.blocks.0.token_mixer.pool",
                            lambda _: nn.MaxPool2d(3, 1, 1))))  # fmt: skip

# Checkpoints

wrong("checkpoint: colors of the first kernel reversed, in a folder", "reef", "stem.conv1", "bgr",
      checkpoint({"stem.conv1.weight": lambda w: w[:, ::-1]}), also=(IN,))  # fmt: skip
wrong("checkpoint: thirds in the first attention", "cove", f"{COVE}.token_mixer.qkv",
      "qkv_blocks",
      checkpoint({f"{COVE}.token_mixer.qkv.weight": three_blocks(2, 6, 12),
                  f"{COVE}.token_mixer.qkv.bias": three_blocks(2, 6, 12)}))  # fmt: skip
wrong("checkpoint: configuration pools five pixels", "cove", "stages.0.blocks.0.token_mixer",
      "pooling_other",
      checkpoint(pool_size=5))  # fmt: skip
wrong("checkpoint: biases drawn anew", "reef", f"{REEF}.token_mixer.attn",
      ("random_start", "parameter"),
      checkpoint({"attention_biases": lambda b: 0.02 * np.random.default_rng(2).standard_normal(
          b.shape)}), also=(f"{REEF}.token_mixer",))  # fmt: skip
wrong("checkpoint: the stem in half", "cove", "stem.conv1", "half_precision",
      checkpoint({"stem.conv1.weight": half, "stem.conv2.weight": half}))  # fmt: skip
wrong("checkpoint: an MLP's weight two percent smaller", "reef", "stages.1.blocks.0.mlp.fc1",
      "parameter",
      checkpoint({"stages.1.blocks.0.mlp.fc1.weight": lambda w: 0.98 * w}))  # fmt: skip
wrong("checkpoint: kernel with rows and columns exchanged, of the original", "reef",
      "stages.3.downsample.conv", "weight_transposed",
      checkpoint({"stages.3.downsample.conv.weight": lambda w: w.swapaxes(2, 3)},
                 naming="original", file="pth"))  # fmt: skip

# timm and transformers


class Rescaled(nn.Module):
    """What stochastic depth left behind: a branch divided by what survives."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / 0.9


def columns_first(_: Any, x: torch.Tensor) -> torch.Tensor:
    return x.transpose(2, 3).flatten(2).transpose(1, 2)


wrong("timm: ReLU on tokens, run", "cove", f"{COVE}.mlp.act", "activation",
      module(at("blocks.2.mlp", act=nn.ReLU())))  # fmt: skip
wrong("timm: tokens by columns, run", "cove", "stages.1.blocks.1", ("token_order", "flatten_order"),
      module(forwards("stages.1.blocks.1", columns_first)))  # fmt: skip
wrong("timm: no scale of the last MLP", "cove", f"{NEXT}.ls2", "layer_scale_missing",
      module(replaced("1.blocks.3.ls2", identity)))  # fmt: skip
wrong("timm: an image MLP's branch rescaled", "cove", "stages.0.blocks.0", None,
      hooked(replaced("0.blocks.0.drop_path2", lambda _: Rescaled()), dress=as_ncnn))  # fmt: skip
wrong("timm: half precision in projections, blocks recorded", "cove", f"{COVE}.token_mixer.proj",
      "half_precision",
      hooked(each(halved("2.token_mixer.proj"), halved("3.token_mixer.proj")), keep=BLOCKS,
             dress=as_keras))  # fmt: skip
wrong("timm: padding counted in one stage, run", "cove", "stages.1.blocks.0.token_mixer",
      "pooling_counts_padding",
      module(at("stages.1.blocks.0.token_mixer.pool", count_include_pad=True)))  # fmt: skip
wrong("transformers: GELU by PyTorch's tanh", "reef", "stages.0.blocks.0.mlp.act", "gelu_tanh",
      hooked(library="transformers", hidden_act="gelu_pytorch_tanh", dress=shuffled))  # fmt: skip
wrong("transformers: no norm before the MLP", "reef", f"{REEF}.norm2", "norm_missing",
      module(replaced("blocks.0.layernorm2", identity), library="transformers"))  # fmt: skip
wrong("transformers: statistics of the batch in the stem", "reef", "stem.norm2",
      "batch_statistics",
      module(at("patch_embed.batchnorm_after", running_mean=None, running_var=None),
             library="transformers"))  # fmt: skip

# Photographs


def brighter(x: Array) -> Array:
    """Correct a gamma that was corrected already."""
    return normal(np.clip(raw(x), 0, 1) ** (1 / 2.2))


def larger(shop: Shop, reference: Reference) -> Array:
    side = min(reference.config.image_shape) * 5 // 4
    return shop.photo_pixels(reference, size={"shortest_edge": side})


CIFAR = {"image_mean": [0.4914, 0.4822, 0.4465], "image_std": [0.247, 0.2435, 0.2616]}

wrong("photo: mean and deviation of CIFAR", "cove", IN, "mean_std",
      plain(photo=settings(**CIFAR), dress=as_keras))  # fmt: skip
wrong("photo: deviation of another set, picture not recorded", "reef", IN, "mean_std",
      plain(photo=settings(image_std=CIFAR["image_std"]), dress=as_ncnn, keep=BARE))  # fmt: skip
wrong("photo: Hamming's window", "reef", IN, "resize",
      plain(photo=settings(resample=5), dress=as_flax))  # fmt: skip
wrong("photo: resized to five fourths", "cove", IN, ("resize", "crop"),
      plain(photo=larger, dress=as_rust))  # fmt: skip
wrong("photo: upper right corner, picture not recorded", "reef", IN, "crop",
      plain(photo=cut(0, 1), dress=as_graph, keep=BARE))  # fmt: skip
wrong("photo: BGR, blocks recorded", "cove", IN, "bgr",
      plain(photo=changed(lambda x: normal(raw(x)[..., ::-1])), dress=as_core_ml,
            keep=BLOCKS))  # fmt: skip
wrong("photo: from 0 to 2", "reef", IN, ("rescale", "mean_std"),
      plain(photo=changed(lambda x: normal(2 * raw(x))), dress=shuffled))  # fmt: skip
wrong("photo: a second gamma", "cove", IN, None,
      plain(photo=changed(brighter), dress=as_keras))  # fmt: skip
wrong("photo: upside down", "reef", IN, None,
      plain(photo=changed(lambda x: x[:, ::-1]), dress=as_rust))  # fmt: skip

# Right ones

for name, network, make in (
    ("Flax's names, two images", "reef", plain(None, as_flax, batch=2)),
    ("Keras' names, folded", "cove", plain(None, as_keras, fold)),
    ("ncnn's blobs, blocks only", "reef", plain(None, as_ncnn, BLOCKS)),
    ("every second array of float64", "cove", plain(None, as_rust, every(2), dtype="float64")),
    ("stored as float16", "cove", plain(None, stored("float16", last))),
    ("among other arrays", "reef", plain(None, crowded, kind="npz")),
    ("photograph, width before height", "cove", plain(photo=settings(), dress=as_images)),
    ("timm, run in float64", "cove", module(lambda model: model.double())),
    ("timm, recorded", "cove", hooked(dress=shuffled, kind="safetensors")),
    ("transformers, run", "reef", module(library="transformers")),
    ("transformers, opset 15", "reef", theirs(library="transformers", opset=15)),
    ("timm, nothing folded", "cove", theirs(folded=False)),
    ("npformer's graph", "reef", ours()),
    ("npformer's graph by the runtime", "cove", run_by_runtime()),
    ("a checkpoint of transformers", "reef", checkpoint(naming="hf", file="pth")),
):
    right(f"at last: {name}", network, make)
