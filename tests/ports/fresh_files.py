"""Wrong ports of the fresh set that are files of networks: graphs and checkpoints."""

from __future__ import annotations

import numpy as np
import torch

from npformer.layers import Array

from .checkpoint_ports import checkpoint, half
from .fresh import wrong
from .graphs import (
    Graph,
    become,
    change,
    leave_out,
    ours,
    put,
    run_by_runtime,
    sums,
    theirs,
)
from .libraries import at

LAKE = "stages.2.blocks.1"  # the first of three blocks
HILL = "stages.1.blocks.2"
FIRST = "stages.0.blocks.0"


def columns_first(graph: Graph) -> None:
    """Exchange rows and columns before tokens are made of them."""
    graph.insert("Transpose", graph.nodes("Reshape")[0], 0, perm=[0, 1, 3, 2])


def second_sum_without_branch(graph: Graph) -> None:
    graph.bypass(sums(graph)[5])


def last_sum_without_residual(graph: Graph) -> None:
    graph.bypass(sums(graph)[-1], input=1)


def all_constants_in_half(graph: Graph) -> None:
    for tensor in graph.graph.initializer:
        array = graph.array(tensor.name)
        if array.dtype == np.float32:
            graph.put(tensor.name, array.astype(np.float16))


def query_and_key_exchanged(graph: Graph) -> None:
    """Let the first split give k for q."""
    outputs = graph.nodes("Split")[0].output
    outputs[0], outputs[1] = outputs[1], outputs[0]


def second_average_as_maximum(graph: Graph) -> None:
    node = graph.nodes("AveragePool")[1]
    node.op_type = "MaxPool"
    kept = [a for a in node.attribute if a.name != "count_include_pad"]
    del node.attribute[:]
    node.attribute.extend(kept)


def last_eps(graph: Graph) -> None:
    """Change ε of the last layer norm, which this opset spells out."""
    under_root = graph.maker(graph.nodes("Sqrt")[-1].input[0])
    for name in under_root.input:
        if getattr(graph.maker(name), "op_type", "Constant") == "Constant":
            graph.put(name, np.float32(1e-3))


# npformer's own graph

wrong("edited: GELU for the second ReLU", "hill", "stem.act2", "activation",
      ours(become("Relu", 1, "Gelu")))  # fmt: skip
wrong("edited: Mish in one MLP", "lake", "stages.1.blocks.1.mlp.act", "activation",
      ours(become("Gelu", 2, "Mish")))  # fmt: skip
wrong("edited: GELU by tanh in the last MLP alone", "lake", "stages.2.blocks.3.mlp.act",
      "gelu_tanh",
      ours(change("Gelu", -1, approximate="tanh")))  # fmt: skip
wrong("edited: one pooling of five pixels", "hill", "stages.1.blocks.0.token_mixer",
      "pooling_other",
      ours(change("AveragePool", 2, kernel_shape=[5, 5], pads=[2, 2, 2, 2])))  # fmt: skip
wrong("edited: one pooling is a maximum", "lake", "stages.1.blocks.0.token_mixer",
      "pooling_other",
      ours(second_average_as_maximum))  # fmt: skip
wrong("edited: windows of a downsampling dilated", "small", "stages.1.downsample.conv", "stride",
      ours(change("Conv", 4, dilations=[2, 2], pads=[2, 2, 2, 2])))  # fmt: skip
wrong("edited: softmax over heads in the second block", "lake",
      "stages.2.blocks.2.token_mixer.attn", "softmax_axis",
      ours(change("Softmax", 1, axis=1)))  # fmt: skip
wrong("edited: no norm before the first MLP on tokens", "hill", f"{HILL}.norm2", "norm_missing",
      ours(leave_out("LayerNormalization", 1)), also=(f"{HILL}.mlp.fc1",))  # fmt: skip
wrong("edited: maximum over tokens", "small", "pooled", "mean_missing",
      ours(become("ReduceMean", 0, "ReduceMax")))  # fmt: skip
wrong("edited: rows and columns exchanged before tokens", "lake", "stages.2.blocks.0",
      ("token_order", "flatten_order"),
      ours(columns_first))  # fmt: skip
wrong("edited: an MLP's branch is left out", "lake", "stages.1.blocks.1", "residual_missing",
      ours(second_sum_without_branch))  # fmt: skip
wrong("edited: no residual at the very end", "hill", "stages.1.blocks.2", "residual_missing",
      ours(last_sum_without_residual))  # fmt: skip
wrong("edited: the head alone in half", "hill", "head", "half_precision",
      ours(lambda graph: graph.in_half(graph.nodes("MatMul")[-1])), also=("logits",))  # fmt: skip
wrong("edited: all constants stored in half", "lake", "stem.conv1", "half_precision",
      ours(all_constants_in_half))  # fmt: skip
wrong("edited: projection without its bias", "hill", f"{HILL}.token_mixer.proj", "bias_zero",
      ours(put("Add", 8, 1, np.zeros_like)))  # fmt: skip
wrong("edited: residual kept out, run elsewhere", "small", "stages.2.blocks.3",
      "residual_missing",
      run_by_runtime(last_sum_without_residual))  # fmt: skip
wrong("edited: pooling counts padding once, run elsewhere", "lake",
      "stages.1.blocks.1.token_mixer", "pooling_counts_padding",
      run_by_runtime(change("AveragePool", 2, count_include_pad=1)))  # fmt: skip


# PyTorch's graphs, with older operators or unfolded

wrong("opset 14: epsilon of the last norm", "lake", "norm", "eps",
      theirs(last_eps, opset=14))  # fmt: skip
wrong("opset 14: GELU with another constant", "small", f"{FIRST}.mlp.act", ("activation", None),
      theirs(put("Div", 0, 1, lambda x: 0 * x + np.float32(1.5)), opset=14))  # fmt: skip
wrong("opset 14: k for q", "lake", f"{LAKE}.token_mixer.attn", "qkv_order",
      theirs(query_and_key_exchanged, opset=14))  # fmt: skip
wrong("unfolded: epsilon of one batch norm", "lake", "stages.1.blocks.0.mlp.norm2", "eps",
      theirs(change("BatchNormalization", 6, epsilon=1e-2), folded=False))  # fmt: skip
wrong("unfolded: a batch norm is left out", "hill", "stages.1.downsample.norm", "norm_missing",
      theirs(leave_out("BatchNormalization", 6), library="transformers",
             folded=False))  # fmt: skip
wrong("exported: the first convolution mirrors at the border", "lake", "stem.conv1", "padding",
      theirs(patch=at("stem.conv1", padding_mode="reflect",
                      _reversed_padding_repeated_twice=[1, 1, 1, 1])))  # fmt: skip
wrong("exported: biases of a wider grid in one block", "lake",
      "stages.2.blocks.3.token_mixer.attn", "bias_other_grid",
      theirs(patch=at("2.blocks.3.token_mixer", attention_bias_idxs=torch.tensor(
          [[(abs(a // 3 - b // 3) * 4 + abs(a % 3 - b % 3)) % 9 for b in range(9)]
           for a in range(9)]))))  # fmt: skip


def k_before_q(array: Array, heads: int, K: int) -> Array:
    by_head = array.reshape(heads, -1, *array.shape[1:])
    order = [*range(K, 2 * K), *range(K), *range(2 * K, by_head.shape[1])]
    return by_head[:, order].reshape(array.shape)


# Checkpoints

wrong("checkpoint: kernel of a downsampling flipped", "lake", "stages.1.downsample.conv",
      "weight_transposed",
      checkpoint({"1.downsample.conv.weight": lambda w: w[:, :, ::-1, ::-1]},
                 file="safetensors"))  # fmt: skip
wrong("checkpoint: deviation for variance", "hill", "stem.norm2", "parameter",
      checkpoint({"stem.norm2.running_var": np.sqrt}))  # fmt: skip
wrong("checkpoint: half precision in one MLP", "small", "stages.2.blocks.3.mlp.fc1",
      "half_precision",
      checkpoint({"2.blocks.3.mlp.fc1.weight": half, "2.blocks.3.mlp.fc2.weight": half},
                 file="pth"))  # fmt: skip
wrong("checkpoint: head read as its transpose", "lake", "head", "weight_transposed",
      checkpoint({"head.weight": lambda w: w.T.reshape(w.shape)}))  # fmt: skip
wrong("checkpoint: k before q in every head", "lake", f"{LAKE}.token_mixer.qkv", "qkv_order",
      checkpoint({".qkv.weight": lambda w: k_before_q(w, 2, 8),
                  ".qkv.bias": lambda w: k_before_q(w, 2, 8)}))  # fmt: skip
wrong("checkpoint: first norm of a block as it is initialized", "hill", f"{HILL}.norm1",
      ("random_start", "parameter"),
      checkpoint({f"{HILL}.norm1.weight": np.ones_like,
                  f"{HILL}.norm1.bias": np.zeros_like}))  # fmt: skip
wrong("checkpoint: configuration says gelu_new", "hill", f"{FIRST}.mlp.act", "gelu_tanh",
      checkpoint(hidden_act="gelu_new"))  # fmt: skip
wrong("checkpoint: configuration has the epsilon of Keras", "lake", "stem.norm1", "eps",
      checkpoint(batch_norm_eps=1e-3))  # fmt: skip
wrong("checkpoint: biases of convolutions lost in a stage", "small",
      "stages.1.downsample.conv", "bias_zero",
      checkpoint({"stages.1.downsample.conv.bias": np.zeros_like,
                  "stages.1.blocks.0.mlp.fc1.bias": np.zeros_like}, file="pth"))  # fmt: skip
