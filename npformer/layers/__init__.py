"""The readable floor: one concept a file, plain NumPy, channels last.

Each file states its equation, its parameters (a NamedTuple of arrays) and its function. Nothing
here knows of files, of Numba or of the network as a whole.
"""

from .activations import (
    ACTIVATIONS,
    DERIVATIVES,
    Activation,
    activation_backward,
    gelu,
    gelu_new,
    relu,
    selu,
    sigmoid,
    silu,
)
from .arrays import Array, Rng
from .attention import (
    Attention,
    attention,
    attention_backward,
    bias_table,
    bias_table_backward,
    head_sizes,
)
from .attention_block import AttentionBlock, Flat, attention_block, attention_block_backward, flat
from .batch_norm import (
    BatchNorm,
    batch_norm,
    batch_norm_backward,
    batch_statistics,
    move_running,
    update_running,
)
from .conv2d import Conv2d, conv2d, conv2d_backward, patches, patches_backward
from .conv_mlp import ConvMlp, conv_mlp, conv_mlp_backward
from .downsample import Downsample, downsample, downsample_backward
from .dropout import drop_path, dropout, masked
from .erf import erf
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
from .mode import EVALUATION, Mode, training
from .pooling import average_pool, pooling, pooling_backward
from .pooling_block import PoolingBlock, pooling_block, pooling_block_backward
from .softmax import softmax, softmax_backward
from .stem import Stem, stem, stem_backward
from .trace import EMPTY, FORGET, Forget, Keep, Trace

__all__ = [
    "ACTIVATIONS",
    "DERIVATIVES",
    "EMPTY",
    "EVALUATION",
    "FORGET",
    "Activation",
    "Array",
    "Attention",
    "AttentionBlock",
    "BatchNorm",
    "Conv2d",
    "ConvMlp",
    "Downsample",
    "Flat",
    "Forget",
    "Keep",
    "LayerNorm",
    "LayerScale",
    "Linear",
    "Mlp",
    "Mode",
    "PoolingBlock",
    "Rng",
    "Stem",
    "Trace",
    "activation_backward",
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
    "bias_table",
    "bias_table_backward",
    "conv2d",
    "conv2d_backward",
    "conv_mlp",
    "conv_mlp_backward",
    "cross_entropy",
    "cross_entropy_backward",
    "downsample",
    "downsample_backward",
    "drop_path",
    "dropout",
    "erf",
    "flat",
    "gelu",
    "gelu_new",
    "head_sizes",
    "layer_norm",
    "layer_norm_backward",
    "layer_scale",
    "layer_scale_backward",
    "linear",
    "linear_backward",
    "masked",
    "mlp",
    "mlp_backward",
    "move_running",
    "mse",
    "mse_backward",
    "patches",
    "patches_backward",
    "pooling",
    "pooling_backward",
    "pooling_block",
    "pooling_block_backward",
    "relu",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softmax_backward",
    "stem",
    "stem_backward",
    "training",
    "update_running",
]
