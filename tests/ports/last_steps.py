"""Wrong ports of the last set in NumPy, whose steps are twisted."""

from __future__ import annotations

import numpy as np

from .last import wrong
from .plain import distances, gelu_tanh, plain, relu, windows
from .recordings import (
    BLOCKS,
    FEW,
    as_core_ml,
    as_flax,
    as_graph,
    as_images,
    as_keras,
    as_ncnn,
    as_rust,
    crowded,
    every,
    first,
    fold,
    last,
    numbered,
    only,
    shuffled,
    stored,
    without,
)
from .twists import (
    after,
    bordered,
    dilated,
    dropped,
    exchanged,
    given,
    held,
    in_half,
    instead,
    of_batch,
    reread,
    rounded,
    table_by,
    tensor,
    three_blocks,
    to_bfloat16,
    to_half,
    uniform,
)

REEF = "stages.3.blocks.2"  # the only block on tokens
COVE = "stages.1.blocks.2"  # the first of two
NEXT = "stages.1.blocks.3"
MODULES = without("*.q", "*.k", "*.v", "*.scores", "*.biased", "*.context", "*.pool", "*.residual1")

# Convolutions and batch norms

wrong("`same` in one downsampling", "reef", "stages.2.downsample.conv", "padding",
      plain({"stages.2.downsample.conv": given(pads=(0, 1, 0, 1))}, as_flax, MODULES))  # fmt: skip
wrong("the border is the other side", "cove", "stem.conv1", "padding",
      plain({"stem.conv1": bordered("wrap")}, as_ncnn))  # fmt: skip
wrong("all padding before the first row", "cove", "stem.conv2", "padding",
      plain({"stem.conv2": given(pads=(2, 0, 2, 0))}, numbered, every(2)))  # fmt: skip
wrong("windows of the second convolution dilated", "cove", "stem.conv2", "stride",
      plain({"stem.conv2": dilated}, as_rust, MODULES))  # fmt: skip
wrong("rows and columns of the last kernels exchanged", "reef", "stages.3.downsample.conv",
      "weight_transposed",
      plain({"stages.3.downsample.conv": held(1, lambda w: w.swapaxes(0, 1))}, as_keras,
            every(3)))  # fmt: skip
wrong("second layer of an MLP read as its transpose, folded", "reef", "stages.1.blocks.0.mlp.norm2",
      "weight_transposed",
      plain({"stages.1.blocks.0.mlp.fc2": held(1, reread)}, as_rust, fold),
      also=("stages.1.blocks.0.mlp.fc2",))  # fmt: skip
wrong("no bias in the very first convolution", "cove", "stem.conv1", "bias_zero",
      plain({"stem.conv1": held(2, np.zeros_like)}, as_graph))  # fmt: skip
wrong("no bias in the last downsampling", "reef", "stages.3.downsample.conv", "bias_zero",
      plain({"stages.3.downsample.conv": held(2, np.zeros_like)}, shuffled, MODULES))  # fmt: skip
wrong("epsilon of one norm in the stem, blocks recorded", "reef", "stem.norm2", "eps",
      plain({"stem.norm2": given(eps=1e-2)}, as_flax, BLOCKS))  # fmt: skip
wrong("epsilon of the second stage's norms", "cove", "stages.1.downsample.norm", "eps",
      plain({"stages.1.*norm": given(eps=1e-3), "stages.1.*.mlp.norm?": given(eps=1e-3)},
            as_core_ml, MODULES))  # fmt: skip
wrong("an MLP's first norm forgotten", "cove", "stages.1.blocks.0.mlp.norm1", "norm_missing",
      plain({"stages.1.blocks.0.mlp.norm1": instead(lambda x: x)}, as_keras))  # fmt: skip
wrong("norm after the stem's first convolution run and folded", "cove", "stem.norm1", "norm_twice",
      plain({"stem.norm1": lambda step, x, *held, **own: step(step(x, *held, **own), *held, **own)},
            as_ncnn, fold))  # fmt: skip
wrong("a stage left in training", "cove", "stages.1.downsample.norm", "batch_statistics",
      plain({"stages.1.downsample.norm": of_batch, "stages.1.*.mlp.norm?": of_batch}, first,
            batch=2))  # fmt: skip
wrong("augmentation: noise left on behind a downsampling", "reef", "stages.1.downsample.norm", None,
      plain({"stages.1.downsample.norm": after(lambda x: x + np.float32(0.05) * np.random.
             default_rng(1).standard_normal(x.shape, np.float32))}, as_rust, MODULES))  # fmt: skip
wrong("mean added where it is to be subtracted", "reef", "stages.0.blocks.0.mlp.norm2",
      ("parameter", None),
      plain({"stages.0.blocks.0.mlp.norm2": lambda step, x, w, b, mean, variance, **own: step(
          x, w, b, -mean, variance, **own)}, as_graph))  # fmt: skip

# Activations, pooling, blocks

wrong("GELU by tanh in the third stage, stages recorded", "reef", "stages.2.blocks.0.mlp.act",
      "gelu_tanh",
      plain({"stages.2.*.act": instead(gelu_tanh)}, as_flax, FEW))  # fmt: skip
wrong("GELU by tanh on tokens, one image without its axis", "cove", f"{COVE}.mlp.act", "gelu_tanh",
      plain({f"{COVE[:-1]}[23].mlp.act": instead(gelu_tanh)}, as_ncnn, every(2)))  # fmt: skip
wrong("ELU in an MLP", "reef", "stages.1.blocks.0.mlp.act", "activation",
      plain({"stages.1.blocks.0.mlp.act": instead(lambda x: np.where(x > 0, x, np.expm1(x)))},
            as_keras))  # fmt: skip
wrong("no activation in the last MLP", "cove", f"{NEXT}.mlp.act", "activation",
      plain({f"{NEXT}.mlp.act": instead(lambda x: x)}, crowded, MODULES))  # fmt: skip
wrong("ReLU before the sum of a block", "reef", "stages.0.blocks.0.ls2", ("activation", None),
      plain({"stages.0.blocks.0.ls2": after(relu)}, as_rust, MODULES))  # fmt: skip
wrong("padding counted from the second stage on", "reef", "stages.1.blocks.0.token_mixer",
      "pooling_counts_padding",
      plain({"stages.[123].*.pool": given(counts=True)}, as_core_ml, MODULES))  # fmt: skip
wrong("no subtraction, folded", "cove", "stages.0.blocks.0.token_mixer", "pooling_keeps_input",
      plain({"*.token_mixer": lambda step, y, x, **own: y}, as_graph,
            lambda heard: fold(MODULES(heard))))  # fmt: skip
wrong("minimum of the windows", "reef", "stages.2.blocks.0.token_mixer", "pooling_other",
      plain({"stages.2.blocks.0.token_mixer.pool": lambda step, x, size: np.min(
          windows(x, size), axis=0)}, as_keras, MODULES))  # fmt: skip
wrong("subtraction halved", "cove", "stages.1.blocks.0.token_mixer", None,
      plain({"stages.1.blocks.0.token_mixer": lambda step, y, x: y - x / 2}, as_ncnn))  # fmt: skip
wrong("no scale of a pooling, shuffled", "reef", "stages.1.blocks.0.ls1", "layer_scale_missing",
      plain({"stages.1.blocks.0.ls1": instead(lambda x: x)}, shuffled, MODULES))  # fmt: skip
wrong("layer scale added", "cove", "stages.0.blocks.0.ls1", None,
      plain({"stages.0.blocks.0.ls1": lambda step, x, gamma: x + gamma}, as_rust))  # fmt: skip
wrong("both layer scales of a block exchanged", "cove", f"{COVE}.ls1", ("parameter", None),
      plain(None, as_flax, MODULES, tensors=exchanged(f"{COVE}.ls1.", f"{COVE}.ls2.")))  # fmt: skip
wrong("no residual around a pooling, and GELU by tanh behind", "reef", "stages.0.blocks.0.mlp.fc1",
      "residual_missing",
      plain({"stages.0.blocks.0.residual1": lambda step, x, y: y,
             "*.mlp.act": instead(gelu_tanh)}, as_keras, MODULES),
      also=("stages.0.blocks.0.ls1",))  # fmt: skip
wrong("dropout left on behind the stem", "cove", "stem.act2", None,
      plain({"stem.act2": dropped(0.05)}, as_graph, MODULES))  # fmt: skip
wrong("third stage in half throughout", "reef", "stages.2.downsample.conv", "half_precision",
      plain({"stages.2.*conv": in_half, "stages.2.*.fc?": in_half}, as_ncnn, MODULES))  # fmt: skip
wrong("every result stored in bfloat16", "cove", "stem.conv1", "half_precision",
      plain({"s*": after(to_bfloat16)}, as_rust, MODULES, "safetensors"))  # fmt: skip
wrong("an MLP's first layer left at its start", "cove", f"{NEXT}.mlp.fc1", "random_start",
      plain(None, as_flax, MODULES,
            tensors=tensor(f"{NEXT}.mlp.fc1.weight", uniform(18**-0.5))))  # fmt: skip

# Attention

wrong("thirds for q, k and v, with the inside", "reef", f"{REEF}.token_mixer.attn", "qkv_blocks",
      plain({"*.token_mixer.[qkv]": three_blocks}, as_rust))  # fmt: skip
wrong("thirds for q, k and v in the second block, every second array", "cove",
      f"{NEXT}.token_mixer.attn", "qkv_blocks",
      plain({f"{NEXT}.token_mixer.[qkv]": three_blocks}, as_ncnn,
            lambda heard: every(2)(MODULES(heard))))  # fmt: skip
wrong("q, v, k in each head", "cove", f"{COVE}.token_mixer.attn", "qkv_order",
      plain({"*.token_mixer.[kv]": lambda step, qkv, part, heads, K: qkv.reshape(
          *qkv.shape[:2], heads, -1).transpose(0, 2, 1, 3)[..., -K:] if part == 1 else
          qkv.reshape(*qkv.shape[:2], heads, -1).transpose(0, 2, 1, 3)[..., K:-K]}, as_graph,
            MODULES))  # fmt: skip
wrong("heads of the context side by side in reverse", "reef", f"{REEF}.token_mixer.proj",
      "head_order",
      plain({"*.context": lambda step, attn, v: step(attn[:, ::-1], v[:, ::-1])}, as_flax,
            BLOCKS))  # fmt: skip
wrong("scaled by the width of all keys", "reef", f"{REEF}.token_mixer.attn",
      "scores_scaled_by_dim",
      plain({"*.scores": given(scale=12**-0.5)}, as_keras, MODULES))  # fmt: skip
wrong("not scaled in the second block, blocks recorded", "cove", f"{NEXT}.token_mixer.attn",
      "scores_not_scaled",
      plain({f"{NEXT}.*.scores": given(scale=1.0)}, as_core_ml, BLOCKS))  # fmt: skip
wrong("softmax over queries, the inside alone", "reef", f"{REEF}.token_mixer.attn",
      "softmax_axis",
      plain({"*.attn": given(axis=-2)}, as_flax,
            only("pixel_values", f"{REEF}.*", "stages.3.downsample*",
                 "stages.3.blocks.?")))  # fmt: skip
wrong("one more in the softmax's sum", "cove", f"{COVE}.token_mixer.attn", None,
      plain({"*.attn": lambda step, x: np.exp(x) / (1 + np.exp(x).sum(-1, keepdims=True))}, as_rust,
            MODULES))  # fmt: skip
wrong("scores cut off at 0.2", "reef", f"{REEF}.token_mixer.attn", None,
      plain({"*.scores": after(lambda x: np.minimum(x, np.float32(0.2)))}, as_ncnn))  # fmt: skip
wrong("biases scaled in the second block of an oblong grid", "cove",
      f"{NEXT}.token_mixer.attn", "bias_scaled",
      plain({f"{NEXT}.*.biased": lambda step, x, table, **own: step(
          x, table * np.float32(6**-0.5), **own)}, as_flax))  # fmt: skip
wrong("no biases, every second array", "cove", f"{COVE}.token_mixer.attn", "bias_missing",
      plain({"*.biased": lambda step, x, *_, **own: x}, as_rust,
            lambda heard: every(2)(MODULES(heard))))  # fmt: skip
wrong("biases by columns of an oblong grid", "cove", f"{COVE}.token_mixer.attn",
      ("bias_transposed", "bias_other_grid"),
      plain({"*.biased": table_by(lambda d, grid: d @ np.array([1, grid[0]]))}, as_images,
            MODULES))  # fmt: skip
wrong("biases by the sum of both distances", "cove", f"{COVE}.token_mixer.attn", "bias_other_grid",
      plain({"*.biased": table_by(lambda d, grid: d.sum(-1))}, as_core_ml, MODULES))  # fmt: skip
wrong("biases of a token and its mirror", "reef", f"{REEF}.token_mixer.attn", "bias_other_grid",
      plain({"*.biased": lambda step, x, table, grid: x + table[:, distances(grid)[::-1] @ [
          grid[1], 1]]}, as_ncnn))  # fmt: skip
wrong("projection read as its transpose", "cove", f"{COVE}.token_mixer.proj", "weight_transposed",
      plain({f"{COVE}.*.proj": held(1, reread)}, as_graph, MODULES))  # fmt: skip
wrong("q, k and v without bias, stored in half", "reef", f"{REEF}.token_mixer.qkv", "bias_zero",
      plain({"*.qkv": held(2, np.zeros_like)}, stored("float16", last), MODULES))  # fmt: skip
wrong("softmax alone in half", "cove", f"{COVE}.token_mixer.attn", "half_precision",
      plain({"*.attn": rounded(to_half)}, as_keras, MODULES))  # fmt: skip

# Layer norms, tokens, heads

wrong("epsilon before the MLP alone", "reef", f"{REEF}.norm2", "eps",
      plain({f"{REEF}.norm2": given(eps=1e-3)}, as_keras, MODULES))  # fmt: skip
wrong("one thousandth in the final norm, blocks recorded", "cove", "norm", "eps",
      plain({"norm": given(eps=1e-3)}, numbered, BLOCKS))  # fmt: skip
wrong("norm over tokens and channels", "cove", f"{COVE}.norm1", "norm_axis",
      plain({f"{COVE}.norm1": given(axis=(1, 2))}, as_rust, MODULES))  # fmt: skip
wrong("no norm before the second attention", "cove", f"{NEXT}.norm1", "norm_missing",
      plain({f"{NEXT}.norm1": instead(lambda x: x)}, as_core_ml, MODULES))  # fmt: skip
wrong("no final norm, stages recorded", "reef", "norm", "norm_missing",
      plain({"norm": instead(lambda x: x)}, as_ncnn, FEW))  # fmt: skip
wrong("no scale of the last MLP, blocks recorded", "reef", f"{REEF}.ls2", "layer_scale_missing",
      plain({f"{REEF}.ls2": instead(lambda x: x)}, as_keras, BLOCKS))  # fmt: skip
wrong("no residual around the second attention", "cove", f"{NEXT}.norm2", "residual_missing",
      plain({f"{NEXT}.residual1": lambda step, x, y: y}, as_flax),
      also=(f"{NEXT}.ls1",))  # fmt: skip
wrong("no residual around a token MLP", "cove", COVE, "residual_missing",
      plain({COVE: lambda step, x, y: y}, as_graph, MODULES))  # fmt: skip
wrong("every second row of tokens runs backward", "cove", "stages.1.blocks.1", "token_order",
      plain({"stages.1.blocks.1": lambda step, x: step(np.stack([
          row[:, ::-1] if i % 2 else row for i, row in enumerate(x.swapaxes(0, 1))], 1))},
            as_rust))  # fmt: skip
wrong("channels last flattened as if first", "reef", "stages.3.blocks.1",
      ("flatten_order", "channels_last"),
      plain({"stages.3.blocks.1": lambda step, x: x.reshape(
          x.shape[0], x.shape[3], -1).swapaxes(1, 2)}, as_keras, MODULES))  # fmt: skip
wrong("median of the tokens", "reef", "pooled", "mean_missing",
      plain({"pooled": lambda step, x: np.median(x, 1)}, as_rust, MODULES))  # fmt: skip
wrong("distillation head got the other's weights", "reef", "head_dist",
      ("parameter", "heads_not_averaged"),
      plain(None, as_ncnn, MODULES, tensors=lambda held: held | {
          f"head_dist.{name}": held[f"head.{name}"] for name in ("weight", "bias")}))  # fmt: skip
wrong("class head without its bias", "cove", "head", "bias_zero",
      plain({"head": held(2, np.zeros_like)}, as_graph, MODULES))  # fmt: skip
wrong("heads summed, not halved", "cove", "logits", "heads_not_averaged",
      plain({"logits": lambda step, x, y: x + y}, as_flax, FEW))  # fmt: skip
wrong("logarithms of probabilities for logits", "reef", "logits", None,
      plain({"logits": after(lambda x: x - np.log(np.exp(x).sum(-1, keepdims=True)))},
            as_keras, MODULES))  # fmt: skip
