"""The readable floor: one concept a file, plain NumPy, channels last.

Each file states its equation, its parameters (a NamedTuple of arrays) and its function. Nothing
here knows of files, of Numba or of the network as a whole.
"""

from .activations import ACTIVATIONS, Activation, gelu, gelu_new, relu, selu, sigmoid, silu
from .arrays import Array, Rng
from .attention import Attention, attention, bias_table, head_sizes
from .attention_block import AttentionBlock, Flat, attention_block, flat
from .batch_norm import BatchNorm, batch_norm, batch_statistics, update_running
from .conv2d import Conv2d, conv2d, patches
from .conv_mlp import ConvMlp, conv_mlp
from .dropout import drop_path, dropout
from .erf import erf
from .layer_norm import LayerNorm, layer_norm
from .layer_scale import LayerScale, layer_scale
from .linear import Linear, linear
from .mlp import Mlp, mlp
from .pooling import average_pool, pooling
from .pooling_block import PoolingBlock, pooling_block
from .softmax import softmax
from .trace import FORGET, Forget, Keep, Trace

__all__ = [
    "ACTIVATIONS",
    "FORGET",
    "Activation",
    "Array",
    "Attention",
    "AttentionBlock",
    "BatchNorm",
    "Conv2d",
    "ConvMlp",
    "Flat",
    "Forget",
    "Keep",
    "LayerNorm",
    "LayerScale",
    "Linear",
    "Mlp",
    "PoolingBlock",
    "Rng",
    "Trace",
    "attention",
    "attention_block",
    "average_pool",
    "batch_norm",
    "batch_statistics",
    "bias_table",
    "conv2d",
    "conv_mlp",
    "drop_path",
    "dropout",
    "erf",
    "flat",
    "gelu",
    "gelu_new",
    "head_sizes",
    "layer_norm",
    "layer_scale",
    "linear",
    "mlp",
    "patches",
    "pooling",
    "pooling_block",
    "relu",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "update_running",
]
