"""Wrong ports of the fresh set in NumPy: attention, tokens, heads."""

from __future__ import annotations

import numpy as np

from .fresh import wrong
from .plain import gelu, plain
from .recordings import (
    BLOCKS,
    FEW,
    as_core_ml,
    as_flax,
    as_graph,
    as_images,
    as_ncnn,
    as_rust,
    every,
    first,
    last,
    only,
    shuffled,
    stored,
    without,
)
from .twists import (
    after,
    dropped,
    exchanged,
    given,
    held,
    instead,
    reread,
    rounded,
    table_by,
    tensor,
    three_blocks,
    to_bfloat16,
    to_half,
    uniform,
)

LAKE = "stages.2.blocks.1"  # the first of three blocks
HILL = "stages.1.blocks.2"
SMALL = "stages.2.blocks.2"  # the first of two
INSIDE = only("pixel_values", "*.token_mixer.*", "*.norm1")
FINE = without("*.q", "*.k", "*.v", "*.scores", "*.biased", "*.context")


def signed(grid: tuple[int, int]) -> np.ndarray:
    """Number distances by |Δy| and signed Δx, as tables of 2w − 1 columns have it."""
    places = np.stack(np.indices(grid), -1).reshape(-1, 2)
    d = places[:, None] - places + np.array(grid) - 1
    return np.asarray(d @ np.array([2 * grid[1] - 1, 1]))


# q, k, v and heads


wrong("Flax: q, k and v are thirds; only the attention's inside", "lake",
      f"{LAKE}.token_mixer.attn", "qkv_blocks",
      plain({"*.token_mixer.[qkv]": three_blocks}, as_flax, INSIDE))  # fmt: skip
wrong("Core ML: q, k and v are thirds, no inside", "hill", f"{HILL}.token_mixer.attn",
      "qkv_blocks",
      plain({"*.token_mixer.[qkv]": three_blocks}, as_core_ml,
            without("*.token_mixer.?", "*.scores", "*.biased", "*.attn")))  # fmt: skip
wrong("C++: k before q", "small", f"{SMALL}.token_mixer.attn", "qkv_order",
      plain({"*.token_mixer.[qk]": lambda step, x, part, **own: step(x, 1 - part, **own)},
            as_ncnn))  # fmt: skip
wrong("Rust: heads turned by one", "lake", f"{LAKE}.token_mixer.proj", "head_order",
      plain({"*.context": lambda step, attn, v: step(np.roll(attn, 1, 1), np.roll(v, 1, 1))},
            as_rust, FINE))  # fmt: skip
wrong("Keras: values of a head lie beside those of the next", "hill",
      f"{HILL}.token_mixer.proj", "head_order",
      plain({"*.context": lambda step, attn, v: (attn @ v).transpose(0, 2, 3, 1).reshape(
          v.shape[0], v.shape[2], -1)}, as_graph, BLOCKS))  # fmt: skip

# Scores

wrong("Flax: scores divided by the width of values", "small", f"{SMALL}.token_mixer.attn",
      "scores_scaled_by_dim",
      plain({"*.scores": given(scale=12**-0.5)}, as_flax))  # fmt: skip
wrong("C++: no scale in the last block", "lake", "stages.2.blocks.3.token_mixer.attn",
      "scores_not_scaled",
      plain({"stages.2.blocks.3.*.scores": given(scale=1.0)}, as_ncnn, FINE))  # fmt: skip
wrong("Rust: softmax over heads, in the second block", "lake",
      "stages.2.blocks.2.token_mixer.attn", "softmax_axis",
      plain({"stages.2.blocks.2.*.attn": given(axis=1)}, as_rust, BLOCKS))  # fmt: skip
wrong("GPU: powers of two for powers of e", "hill", f"{HILL}.token_mixer.attn", None,
      plain({"*.attn": lambda step, x: step(x * np.float32(np.log(2)))}, as_ncnn))  # fmt: skip
wrong("language model: causal mask", "small", f"{SMALL}.token_mixer.attn", None,
      plain({"*.attn": lambda step, x: step(np.where(np.tri(x.shape[-1], dtype=bool), x,
                                                     np.float32(-1e4)))}, as_flax,
            FINE))  # fmt: skip
wrong("Keras: dropout left on in the attention", "lake", f"{LAKE}.token_mixer.proj", None,
      plain({"*.context": lambda step, attn, v: step(dropped(0.2)(lambda x: x, attn), v)},
            as_graph))  # fmt: skip

# Attention biases

wrong("C++: biases scaled with the scores, blocks recorded", "hill", f"{HILL}.token_mixer.attn",
      "bias_scaled",
      plain({"*.biased": lambda step, x, table, **own: step(x, table * np.float32(5**-0.5),
                                                            **own)}, as_ncnn, BLOCKS))  # fmt: skip
wrong("Flax: table of biases by columns, in the first block", "lake",
      f"{LAKE}.token_mixer.attn", "bias_transposed",
      plain({f"{LAKE}.*.biased": table_by(lambda d, grid: d @ np.array([1, grid[0]]))},
            as_flax))  # fmt: skip
wrong("Swin: biases numbered by signed distances", "hill", f"{HILL}.token_mixer.attn",
      "bias_other_grid",
      plain({"*.biased": lambda step, x, table, grid: x + table[:, signed(grid) % table.shape[1]]},
            as_rust))  # fmt: skip
wrong("Rust: biases of a grid of seven columns", "small", f"{SMALL}.token_mixer.attn",
      "bias_other_grid",
      plain({"*.biased": table_by(lambda d, grid: d @ np.array([7, 1]))}, as_rust,
            FINE))  # fmt: skip
wrong("C++: biases of the last block missing", "small", "stages.2.blocks.3.token_mixer.attn",
      "bias_missing",
      plain({"stages.2.blocks.3.*.biased": lambda step, x, *_, **own: x}, as_ncnn,
            every(3)))  # fmt: skip
wrong("Core ML: biases subtracted", "lake", f"{LAKE}.token_mixer.attn", None,
      plain({"*.biased": lambda step, x, table, **own: step(x, -table, **own)},
            as_core_ml))  # fmt: skip

# Linear layers, norms, activations, residuals

wrong("Rust: q, k and v read as their transpose", "hill", f"{HILL}.token_mixer.qkv",
      "weight_transposed",
      plain({"*.qkv": held(1, reread)}, as_rust))  # fmt: skip
wrong("Keras: projection without bias, in one block", "lake",
      "stages.2.blocks.2.token_mixer.proj", "bias_zero",
      plain({"stages.2.blocks.2.*.proj": held(2, np.zeros_like)}, as_graph))  # fmt: skip
wrong("Flax: its epsilon of layer norms", "lake", f"{LAKE}.norm1", "eps",
      plain({f"{LAKE[:-1]}?.norm?": given(eps=1e-3), "norm": given(eps=1e-3)}, as_flax,
            BLOCKS))  # fmt: skip
wrong("Keras: epsilon of the final norm alone", "hill", "norm", "eps",
      plain({"norm": given(eps=1e-3)}, as_graph))  # fmt: skip
wrong("Core ML: layer norm over tokens", "small", f"{SMALL}.norm1", "norm_axis",
      plain({"stages.2.blocks.?.norm1": given(axis=1)}, as_core_ml))  # fmt: skip
wrong("Rust: norm by the root of the mean square", "lake", "stages.2.blocks.3.norm2", "norm_axis",
      plain({"stages.2.blocks.3.norm2": lambda step, x, weight, bias, eps: x / np.sqrt(
          np.square(x).mean(-1, keepdims=True) + np.float32(eps)) * weight + bias},
            as_rust))  # fmt: skip
wrong("C++: no norm before the second MLP", "small", "stages.2.blocks.3.norm2", "norm_missing",
      plain({"stages.2.blocks.3.norm2": instead(lambda x: x)}, as_ncnn))  # fmt: skip
wrong("C++: first norm of a block run twice", "hill", f"{HILL}.norm1", "norm_twice",
      plain({f"{HILL}.norm1": lambda step, x, *held, **own: step(step(x, *held, **own), *held,
                                                                 **own)}, as_ncnn))  # fmt: skip
wrong("Rust: norm never loaded", "hill", f"{HILL}.norm2", ("random_start", "parameter"),
      plain({f"{HILL}.norm2": lambda step, x, weight, bias, **own: step(
          x, np.ones_like(weight), np.zeros_like(bias), **own)}, as_rust))  # fmt: skip
wrong("Keras: an MLP's second layer never loaded", "lake", "stages.2.blocks.2.mlp.fc2",
      "random_start",
      plain(None, as_graph, tensors=tensor("stages.2.blocks.2.mlp.fc2.weight",
                                           uniform(60**-0.5))))  # fmt: skip
wrong("Rust: biases of a block never loaded", "lake", "stages.2.blocks.3.token_mixer.attn",
      ("bias_missing", "random_start"),
      plain(None, as_rust, FINE, tensors=tensor("2.blocks.3.token_mixer.attention_biases",
                                                np.zeros_like)))  # fmt: skip
wrong("Core ML: activation behind an MLP on tokens", "lake", f"{LAKE}.mlp.fc2",
      ("activation", None),
      plain({f"{LAKE}.mlp.fc2": after(gelu)}, as_core_ml))  # fmt: skip
wrong("Flax: no layer scale of one attention, blocks recorded", "small", "stages.2.blocks.3.ls1",
      "layer_scale_missing",
      plain({"stages.2.blocks.3.ls1": instead(lambda x: x)}, as_flax, BLOCKS))  # fmt: skip
wrong("Flax: no residual around the last MLP", "lake", "stages.2.blocks.3", "residual_missing",
      plain({"stages.2.blocks.3": lambda step, x, y: y}, as_flax, FEW))  # fmt: skip
wrong("converter: two attention blocks exchanged", "small", f"{SMALL}.norm1",
      ("parameter", None),
      plain(None, as_rust, tensors=exchanged("stages.2.blocks.2.",
                                             "stages.2.blocks.3.")))  # fmt: skip

# Half precision

wrong("ncnn: attention inside in half", "lake", f"{LAKE}.token_mixer.attn", "half_precision",
      plain({f"*.{name}": rounded(to_half) for name in ("scores", "attn", "context")},
            as_ncnn, FINE))  # fmt: skip
wrong("JAX: only the heads in bfloat16", "small", "head", "half_precision",
      plain({"head*": rounded(to_bfloat16)}, as_flax))  # fmt: skip

# Tokens and heads

wrong("Keras: channels last read as channels first while flattening", "hill", "stages.1.blocks.1",
      ("flatten_order", "channels_last"),
      plain({"stages.1.blocks.1": lambda step, x: x.reshape(
          x.shape[0], x.shape[3], -1).transpose(0, 2, 1)}, as_graph))  # fmt: skip
wrong("C++: columns of tokens mirrored", "lake", "stages.2.blocks.0", "token_order",
      plain({"stages.2.blocks.0": lambda step, x: step(x[:, :, ::-1])}, as_ncnn))  # fmt: skip
wrong("Core ML: first token for the mean", "hill", "pooled", "mean_missing",
      plain({"pooled": lambda step, x: x[:, 0]}, as_core_ml))  # fmt: skip
wrong("C++: sum of the tokens for the mean", "lake", "pooled", "mean_missing",
      plain({"pooled": lambda step, x: x.sum(1)}, as_ncnn, FEW))  # fmt: skip
wrong("Rust: distillation head without its bias", "lake", "head_dist", "bias_zero",
      plain({"head_dist": held(2, np.zeros_like)}, as_rust))  # fmt: skip
wrong("Flax: distillation head alone", "small", "logits", "heads_not_averaged",
      plain({"logits": lambda step, x, y: y}, shuffled), also=("head", "head_dist"))  # fmt: skip
wrong("Keras: probabilities for logits", "hill", "logits", None,
      plain({"logits": lambda step, x: np.exp(x) / np.exp(x).sum(-1, keepdims=True)}, as_graph),
      also=("head",))  # fmt: skip

# Two faults, and recordings in half

wrong("two: biases by columns, and no scale later", "small", f"{SMALL}.token_mixer.attn",
      "bias_transposed",
      plain({"*.biased": table_by(lambda d, grid: d @ np.array([1, grid[0]])),
             "stages.2.blocks.3.ls2": instead(lambda x: x)}, as_images))  # fmt: skip
wrong("stored in half: scores not scaled", "hill", f"{HILL}.token_mixer.attn",
      "scores_not_scaled",
      plain({"*.scores": given(scale=1.0)}, stored("float16", first)))  # fmt: skip
wrong("stored in half: no residual around an attention", "lake", "stages.2.blocks.2.norm2",
      "residual_missing",
      plain({"stages.2.blocks.2.residual1": lambda step, x, y: y}, stored("float16", last), FINE),
      also=("stages.2.blocks.2.ls1",))  # fmt: skip
