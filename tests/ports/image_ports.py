"""Wrong ports, written here: the stem, norms, activations, pooling, blocks on images."""

from __future__ import annotations

from .answers import wrong
from .recordings import (
    BLOCKS,
    FEW,
    as_images,
    as_keras,
    crowded,
    fold,
    last,
    numbered,
    recorded,
    shuffled,
    without,
    without_batch,
)

# Convolutions

wrong("padding of a stride as in TensorFlow", "small", "stem.conv1", "padding",
      recorded({"*conv*": "padding"}, last))  # fmt: skip
wrong("only downsamplings pad as TensorFlow does", "deep", "stages.1.downsample.conv", "padding",
      recorded({"*.downsample.conv": "padding"}, as_keras, batch=2))  # fmt: skip
wrong("edges repeated in the place of zeros", "small", "stages.1.downsample.conv",
      ("padding", "padding_edge"),
      recorded({"*.downsample.conv": "padding_edge"}))  # fmt: skip
wrong("stem of strides 4 and 1", "small", "stem.conv1", "stride",
      recorded({"stem.conv1": "stride=4", "stem.conv2": "stride=1"}, last))  # fmt: skip
wrong("kernels of the stem with rows for columns", "deep", "stem.conv1", "weight_transposed",
      recorded({"stem.conv?": "weight_transposed"}, last, batch=2))  # fmt: skip
wrong("kernel of a downsampling with rows for columns", "tiny", "stages.2.downsample.conv",
      "weight_transposed",
      recorded({"stages.2.downsample.conv": "weight_transposed"}, shuffled))  # fmt: skip
wrong("kernels flipped as in signal processing", "small", "stages.1.downsample.conv",
      ("kernel_flipped", "weight_transposed", "parameter", None),
      recorded({"*.downsample.conv": "kernel_flipped"}))  # fmt: skip
wrong("no bias in the second convolution", "deep", "stem.conv2", "bias_zero",
      recorded({"stem.conv2": "bias_zero"}, numbered))  # fmt: skip
wrong("no bias before any batch norm", "small", "stem.conv1", "bias_zero",
      recorded({"*.conv*": "bias_zero", "stages.0.*.fc?": "bias_zero"}, last))  # fmt: skip
wrong("no bias where the norm is folded", "square", "stem.norm1", "bias_zero",
      recorded({"stem.conv1": "bias_zero"}, keep=fold), also=("stem.conv1",))  # fmt: skip
wrong("colors exchanged within the network", "tiny", "stem.conv1", "bgr",
      recorded({"logits": "bgr"}), also=("pixel_values",))  # fmt: skip

# Batch norms

wrong("epsilon of Keras in all batch norms", "small", "stem.norm1", "eps",
      recorded({"*norm?": "eps=0.001", "*.downsample.norm": "eps=0.001", "stages.2.blocks.[23].*":
                "eps=1e-5"}, as_keras))  # fmt: skip
wrong("epsilon of Keras, folded", "deep", "stem.norm1", "eps",
      recorded({"stem.norm?": "eps=0.001", "*.downsample.norm": "eps=0.001",
                "*.mlp.norm?": "eps=0.001"}, last, fold, batch=2))  # fmt: skip
wrong("epsilon of one batch norm", "tiny", "stages.1.blocks.1.mlp.norm1", "eps",
      recorded({"stages.1.blocks.1.mlp.norm1": "eps=0.0001"}, shuffled))  # fmt: skip
wrong("no norm after downsampling", "deep", "stages.1.downsample.norm", "norm_missing",
      recorded({"*.downsample.norm": "norm_missing"}, numbered))  # fmt: skip
wrong("a norm of the stem is missing", "tiny", "stem.norm2", "norm_missing",
      recorded({"stem.norm2": "norm_missing"}, last, kind="safetensors"))  # fmt: skip
wrong("norms folded and applied all the same", "small", "stem.norm1", "norm_twice",
      recorded({"stem.norm?": "norm_twice"}, keep=fold))  # fmt: skip
wrong("one norm folded and applied", "square", "stages.0.blocks.0.mlp.norm2", "norm_twice",
      recorded({"stages.0.blocks.0.mlp.norm2": "norm_twice"}, last))  # fmt: skip
wrong("left in training", "deep", "stem.norm1", "batch_statistics",
      recorded({"*norm*": "batch_statistics"}, batch=2))  # fmt: skip
wrong("one norm left in training", "tiny", "stages.1.blocks.0.mlp.norm2", "batch_statistics",
      recorded({"stages.1.blocks.0.mlp.norm2": "batch_statistics"}, as_keras))  # fmt: skip
# No number tells this from another running variance.
wrong("divided by the variance", "small", "stages.1.blocks.0.mlp.norm1", (None, "parameter"),
      recorded({"stages.1.blocks.0.mlp.norm1": "variance"}, last))  # fmt: skip

# Activations

wrong("GELU by tanh", "small", "stages.0.blocks.0.mlp.act", "gelu_tanh",
      recorded({"*.act": "gelu_tanh"}))  # fmt: skip
wrong("GELU by tanh on images only", "deep", "stages.0.blocks.0.mlp.act", "gelu_tanh",
      recorded({"stages.[012].*.act": "gelu_tanh"}, as_images, kind="safetensors"))  # fmt: skip
wrong("GELU by tanh in the second stage, blocks recorded", "small", "stages.1.blocks.0.mlp.act",
      "gelu_tanh",
      recorded({"stages.1.*.act": "gelu_tanh"}, last, BLOCKS))  # fmt: skip
wrong("GELU by a sigmoid", "deep", "stages.0.blocks.0.mlp.act", "activation",
      recorded({"*.act": "quick_gelu"}, numbered))  # fmt: skip
wrong("SiLU in one block", "tiny", "stages.2.blocks.1.mlp.act", "activation",
      recorded({"stages.2.blocks.1.mlp.act": "silu"}, shuffled))  # fmt: skip
wrong("no ReLU at the end of the stem", "small", "stem.act2", "activation",
      recorded({"stem.act2": "nothing"}, last))  # fmt: skip
wrong("GELU in the stem", "deep", "stem.act1", "activation",
      recorded({"stem.act?": "as_gelu"}, shuffled))  # fmt: skip
wrong("leaky ReLU in the stem", "tiny", "stem.act1", "activation",
      recorded({"stem.act1": "leaky"}))  # fmt: skip
wrong("ReLU after downsampling", "small", "stages.1.downsample", ("activation", None),
      recorded({"*.downsample": "extra_activation"}, keep=without("*.downsample.*")))  # fmt: skip
wrong("activation before the norm", "small", "stages.0.blocks.0.mlp.norm1", (None, "activation"),
      recorded({"stages.0.blocks.0.mlp": "act_before_norm"}),
      also=("stages.0.blocks.0.mlp.act",))  # fmt: skip

# Pooling and blocks

wrong("padding counts in averages", "small", "stages.0.blocks.0.token_mixer",
      "pooling_counts_padding",
      recorded({"*.token_mixer": "pooling_counts_padding"}, without_batch))  # fmt: skip
wrong("padding counts, in the last stage", "tiny", "stages.3.blocks.0.token_mixer",
      "pooling_counts_padding",
      recorded({"stages.3.blocks.0.token_mixer": "pooling_counts_padding"}, last, FEW))  # fmt: skip
wrong("pooling does not subtract", "tiny", "stages.0.blocks.0.token_mixer", "pooling_keeps_input",
      recorded({"stages.?.blocks.?.token_mixer": "pooling_keeps_input"}, last, BLOCKS))  # fmt: skip
wrong("one pooling does not subtract", "deep", "stages.2.blocks.1.token_mixer",
      "pooling_keeps_input",
      recorded({"stages.2.blocks.1.token_mixer": "pooling_keeps_input"}, as_keras))  # fmt: skip
wrong("maximum in the place of the average", "deep", "stages.0.blocks.0.token_mixer",
      (None, "pooling_other"),
      recorded({"stages.?.blocks.?.token_mixer": "maximum"}))  # fmt: skip
wrong("windows of five pixels", "small", "stages.0.blocks.0.token_mixer", (None, "pooling_other"),
      recorded({"*.token_mixer": "pool_size=5"}, numbered))  # fmt: skip
wrong("no scale of the pooling branch", "small", "stages.0.blocks.0.ls1", "layer_scale_missing",
      recorded({"stages.[01].blocks.?": "layer_scale_missing=1"}, last))  # fmt: skip
wrong("no scale of an image MLP", "deep", "stages.1.blocks.0.ls2", "layer_scale_missing",
      recorded({"stages.1.blocks.0": "layer_scale_missing=2"}, numbered, fold))  # fmt: skip
wrong("both scales exchanged", "square", "stages.0.blocks.0.ls1", ("parameter", None),
      recorded({"stages.0.blocks.0": "layer_scales_exchanged"}))  # fmt: skip
wrong("no residual around an image MLP", "tiny", "stages.1.blocks.1", "residual_missing",
      recorded({"stages.1.blocks.1": "residual_missing=2"}))  # fmt: skip
wrong("no residual around a pooling", "small", "stages.1.blocks.0.mlp.fc1", "residual_missing",
      recorded({"stages.1.blocks.0": "residual_missing=1"}, last),
      also=("stages.1.blocks.0.ls1",))  # fmt: skip
wrong("no residual at all, with other arrays between", "small", "stages.0.blocks.0",
      "residual_missing",
      recorded({"stages.?.blocks.[023]": "residual_missing=2"}, crowded))  # fmt: skip
