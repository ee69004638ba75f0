"""Wrong ports that are ONNX files: exported by PyTorch or by npformer, with nodes edited."""

from __future__ import annotations

import numpy as np
from torch import nn

from .answers import wrong
from .graphs import Edit, Graph, ours, run_by_runtime, theirs
from .libraries import at, each, forwards, replaced, scaled_bias

MIXER = "stages.2.blocks.2.token_mixer"  # of "small"
DEEP = "stages.3.blocks.2.token_mixer"  # of "deep"


def gelu_by_tanh(graph: Graph, start: int = 0) -> None:
    for node in graph.nodes("Gelu")[start:]:
        graph.set(node, approximate="tanh")


def count_padding(graph: Graph) -> None:
    for node in graph.nodes("AveragePool"):
        graph.set(node, count_include_pad=1)


def keep_input(graph: Graph) -> None:
    for node in graph.nodes("Sub"):
        graph.bypass(node)


def scale_missing(graph: Graph) -> None:
    """Leave out the layer scale of the second pooling."""
    graph.bypass(graph.nodes("Mul")[1])


def eps_of_layer_norms(graph: Graph) -> None:
    for node in graph.nodes("LayerNormalization"):
        graph.set(node, epsilon=1e-3)


def softmax_over_queries(graph: Graph) -> None:
    for node in graph.nodes("Softmax"):
        graph.set(node, axis=-2)


def no_last_relu(graph: Graph) -> None:
    graph.bypass(graph.nodes("Relu")[1])


def pads_at_the_end(graph: Graph) -> None:
    for node in graph.nodes("Conv"):
        sides = next((list(a.ints) for a in node.attribute if a.name == "pads"), [0])
        if sides[0]:
            graph.set(node, pads=[0, 0, 1, 1])


def no_bias(graph: Graph) -> None:
    node = graph.nodes("Conv")[1]
    graph.put(node.input[2], 0 * graph.array(node.input[2]))


def attention_biases(graph: Graph) -> str:
    """Return the name of the constant that the first softmax's input adds."""
    added = graph.maker(graph.nodes("Softmax")[0].input[0])
    return str(added.input[1])


def no_attention_biases(graph: Graph) -> None:
    name = attention_biases(graph)
    graph.put(name, 0 * graph.array(name))


def transposed_attention_biases(graph: Graph) -> None:
    name = attention_biases(graph)
    table = graph.array(name)
    rows = round(table.shape[-1] ** 0.5)
    by_row = table.reshape(-1, rows, rows, rows, rows).transpose(0, 2, 1, 4, 3)
    graph.put(name, by_row.reshape(table.shape))


def scaled_attention_biases(graph: Graph) -> None:
    name = attention_biases(graph)
    graph.put(name, graph.array(name) * 6**-0.5)


def half_from(operator: str, start: int, stop: int) -> Edit:
    def edit(graph: Graph) -> None:
        for node in graph.nodes(operator)[start:stop]:
            graph.in_half(node)

    return edit


def new_kernel_at(graph: Graph, place: int) -> None:
    node = graph.nodes("Conv")[place]
    kernel = graph.array(node.input[1])
    rng = np.random.default_rng(3)
    graph.put(node.input[1], 0.02 * rng.standard_normal(kernel.shape))


def swapped_kernels(graph: Graph) -> None:
    node = graph.nodes("Conv")[0]
    graph.put(node.input[1], graph.array(node.input[1]).swapaxes(2, 3))


def bgr_kernels(graph: Graph) -> None:
    node = graph.nodes("Conv")[0]
    graph.put(node.input[1], graph.array(node.input[1])[:, ::-1])


def one_logit(graph: Graph) -> None:
    """Let the bias of one class be another's."""
    last = graph.nodes("Add")[-1]
    bias = graph.array(last.input[1]).copy()
    bias[0] += 0.1
    graph.put(last.input[1], bias)


def unscaled(graph: Graph) -> None:
    """Leave out the scale of the scores, a factor that PyTorch exports as a constant."""
    for softmax in graph.nodes("Softmax"):
        scaled = graph.maker(graph.maker(softmax.input[0]).input[0])
        assert scaled.op_type == "Mul"
        graph.put(scaled.input[1], np.ones_like(graph.array(scaled.input[1])))


# npformer's own graph

wrong("graph: GELU by tanh", "small", "stages.0.blocks.0.mlp.act", "gelu_tanh",
      ours(gelu_by_tanh))  # fmt: skip
wrong("graph: GELU by tanh on tokens", "deep", "stages.3.blocks.2.mlp.act", "gelu_tanh",
      ours(lambda graph: gelu_by_tanh(graph, -1)))  # fmt: skip
wrong("graph: padding counts in averages", "deep", "stages.0.blocks.0.token_mixer",
      "pooling_counts_padding",
      ours(count_padding))  # fmt: skip
wrong("graph: pooling does not subtract", "small", "stages.0.blocks.0.token_mixer",
      "pooling_keeps_input",
      ours(keep_input))  # fmt: skip
wrong("graph: a layer scale is missing", "square", "stages.1.blocks.0.ls1", "layer_scale_missing",
      ours(scale_missing))  # fmt: skip
wrong("graph: another epsilon", "small", "stages.2.blocks.2.norm1", "eps",
      ours(eps_of_layer_norms))  # fmt: skip
wrong("graph: softmax over queries", "oblong", "stages.1.blocks.2.token_mixer.attn",
      "softmax_axis",
      ours(softmax_over_queries))  # fmt: skip
wrong("graph: no second ReLU in the stem", "square", "stem.act2", "activation",
      ours(no_last_relu))  # fmt: skip
wrong("graph: padding at the end only", "small", "stem.conv1", "padding",
      ours(pads_at_the_end))  # fmt: skip
wrong("graph: a convolution without its bias", "deep", "stem.conv2",
      ("bias_zero", "parameter"),
      ours(no_bias))  # fmt: skip
wrong("graph: no attention biases", "small", f"{MIXER}.attn", "bias_missing",
      ours(no_attention_biases))  # fmt: skip
wrong("graph: attention biases by columns", "square", "stages.1.blocks.2.token_mixer.attn",
      "bias_transposed",
      ours(transposed_attention_biases))  # fmt: skip
wrong("graph: attention biases scaled", "small", f"{MIXER}.attn", "bias_scaled",
      ours(scaled_attention_biases))  # fmt: skip
wrong("graph: half precision in two convolutions", "tiny", "stem.conv2", "half_precision",
      ours(half_from("Conv", 1, 3)))  # fmt: skip
wrong("graph: half precision in all matrix products", "deep", f"{DEEP}.qkv", "half_precision",
      ours(half_from("MatMul", 0, 99)))  # fmt: skip
wrong("graph: a kernel left at its start", "small", "stages.0.blocks.0.mlp.fc2",
      ("random_start", "parameter"),
      ours(lambda graph: new_kernel_at(graph, 3)))  # fmt: skip
wrong("graph: kernels with rows for columns", "deep", "stem.conv1", "weight_transposed",
      ours(swapped_kernels))  # fmt: skip
wrong("graph: colors exchanged in the kernels", "tiny", "stem.conv1", "bgr",
      ours(bgr_kernels), also=("pixel_values",))  # fmt: skip
wrong("graph: one class's bias", "small", "logits", "parameter",
      ours(one_logit), also=("head", "head_dist"))  # fmt: skip
wrong("graph: GELU by tanh, run elsewhere", "tiny", "stages.0.blocks.0.mlp.act", "gelu_tanh",
      run_by_runtime(gelu_by_tanh))  # fmt: skip
wrong("graph: padding counts, run elsewhere", "square", "stages.0.blocks.0.token_mixer",
      "pooling_counts_padding",
      run_by_runtime(count_padding))  # fmt: skip

# PyTorch's graph of timm and transformers

wrong("export: GELU by tanh", "small", "stages.0.blocks.0.mlp.act", "gelu_tanh",
      theirs(patch=replaced("mlp.act", lambda _: nn.GELU("tanh"))))  # fmt: skip
wrong("export: padding counts in averages", "square", "stages.0.blocks.0.token_mixer",
      "pooling_counts_padding",
      theirs(count_padding))  # fmt: skip
wrong("export: scores not scaled", "small", f"{MIXER}.attn", "scores_not_scaled",
      theirs(unscaled))  # fmt: skip
wrong("export: pooling does not subtract", "oblong", "stages.0.blocks.0.token_mixer",
      "pooling_keeps_input",
      theirs(patch=forwards("blocks.0.token_mixer", lambda self, x: self.pool(x))))  # fmt: skip
wrong("export: epsilon of Keras in batch norms", "small", "stem.norm1", "eps",
      theirs(patch=each(*(at(norm, eps=1e-3) for norm in (
          "stem.norm1", "stem.norm2", "mlp.norm1", "mlp.norm2", "downsample.norm")))),
      also=("stem.conv1",))  # fmt: skip
wrong("export: biases scaled with the scores", "oblong", "stages.1.blocks.2.token_mixer.attn",
      "bias_scaled",
      theirs(patch=forwards("blocks.2.token_mixer", scaled_bias)))  # fmt: skip
wrong("export: SiLU, from transformers", "deep", "stages.0.blocks.0.mlp.act", "activation",
      theirs(patch=replaced("mlp.activation", lambda _: nn.SiLU()),
             library="transformers"))  # fmt: skip
wrong("export: no final norm", "square", "norm", "norm_missing",
      theirs(patch=lambda model: setattr(model, "norm", nn.Identity())))  # fmt: skip
