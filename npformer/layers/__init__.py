"""The layers: one concept per file, in plain NumPy, channels last.

Each file states its equation, its parameters (a NamedTuple of arrays), its function and its
gradient. Nothing here knows about files, Numba, or the network as a whole.
"""

from .activations import DERIVATIVES, Activation, activation_backward, gelu, relu
from .arrays import Array, Rng
from .attend import attend, attend_backward
from .attention import Attention, attention, attention_backward, head_sizes
from .attention_block import AttentionBlock, Flat, attention_block, attention_block_backward, flat
from .batch_norm import (
    BatchNorm,
    batch_norm,
    batch_norm_backward,
    batch_statistics,
)
from .conv2d import Conv2d, as_linear, conv2d, conv2d_backward
from .conv_mlp import ConvMlp, conv_mlp, conv_mlp_backward
from .downsample import Downsample, downsample, downsample_backward
from .dropout import apply_mask, drop_path, drop_path_mask, dropout, dropout_mask
from .erf import erf
from .gelu_polynomial import gelu_polynomial
from .im2col import col2im, im2col
from .layer_norm import LayerNorm, layer_norm, layer_norm_backward
from .layer_scale import LayerScale, layer_scale, layer_scale_backward
from .linear import Linear, linear, linear_backward
from .losses import (
    bce_with_logits,
    bce_with_logits_backward,
    cross_entropy,
    cross_entropy_backward,
    mse,
    mse_backward,
)
from .mlp import Mlp, mlp, mlp_backward
from .more_activations import ACTIVATIONS, gelu_new, selu, sigmoid, silu
from .pooling import average_pool, pooling, pooling_backward
from .pooling_block import PoolingBlock, pooling_block, pooling_block_backward
from .position_bias import relative_position_bias, relative_position_bias_backward
from .quantized_conv2d import (
    QuantizedConv2d,
    quantize_conv2d,
    quantized_as_linear,
    quantized_conv2d,
)
from .quantized_linear import (
    QuantizedLinear,
    QuantizedRows,
    dequantize_linear,
    quantize_linear,
    quantize_rows,
    quantized_linear,
)
from .run import EVALUATION, NO_TAPE, Mode, Run, Trace, training
from .running_stats import update_running_stats
from .softmax import softmax, softmax_backward
from .stem import Stem, stem, stem_backward

__all__ = [
    "ACTIVATIONS",
    "DERIVATIVES",
    "EVALUATION",
    "NO_TAPE",
    "Activation",
    "Array",
    "Attention",
    "AttentionBlock",
    "BatchNorm",
    "Conv2d",
    "ConvMlp",
    "Downsample",
    "Flat",
    "LayerNorm",
    "LayerScale",
    "Linear",
    "Mlp",
    "Mode",
    "PoolingBlock",
    "QuantizedConv2d",
    "QuantizedLinear",
    "QuantizedRows",
    "Rng",
    "Run",
    "Stem",
    "Trace",
    "activation_backward",
    "apply_mask",
    "as_linear",
    "attend",
    "attend_backward",
    "attention",
    "attention_backward",
    "attention_block",
    "attention_block_backward",
    "average_pool",
    "batch_norm",
    "batch_norm_backward",
    "batch_statistics",
    "bce_with_logits",
    "bce_with_logits_backward",
    "col2im",
    "conv2d",
    "conv2d_backward",
    "conv_mlp",
    "conv_mlp_backward",
    "cross_entropy",
    "cross_entropy_backward",
    "dequantize_linear",
    "downsample",
    "downsample_backward",
    "drop_path",
    "drop_path_mask",
    "dropout",
    "dropout_mask",
    "erf",
    "flat",
    "gelu",
    "gelu_new",
    "gelu_polynomial",
    "head_sizes",
    "im2col",
    "layer_norm",
    "layer_norm_backward",
    "layer_scale",
    "layer_scale_backward",
    "linear",
    "linear_backward",
    "mlp",
    "mlp_backward",
    "mse",
    "mse_backward",
    "pooling",
    "pooling_backward",
    "pooling_block",
    "pooling_block_backward",
    "quantize_conv2d",
    "quantize_linear",
    "quantize_rows",
    "quantized_as_linear",
    "quantized_conv2d",
    "quantized_linear",
    "relative_position_bias",
    "relative_position_bias_backward",
    "relu",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softmax_backward",
    "stem",
    "stem_backward",
    "training",
    "update_running_stats",
]
