"""Multilayer perceptron of images (EfficientFormer, equation 4).

    conv_mlp(x) = BN₂(conv₂(act(BN₁(conv₁(x)))))

The same widening by 4 as in `mlp`, for each pixel: the two matrices are 1×1 convolutions, each with
a batch norm, which folds into its convolution at inference. There is an activation after the first
only.
References: ``EfficientFormerConvMlp`` of transformers, ``ConvMlpWithNorm`` of timm.
"""

from __future__ import annotations

from typing import NamedTuple

from .activations import Activation, gelu
from .arrays import Array
from .batch_norm import BatchNorm, batch_norm
from .conv2d import Conv2d, conv2d
from .trace import FORGET, Keep


class ConvMlp(NamedTuple):
    """Parameters of an MLP of images, with 1×1 convolutions: C -> 4C -> C."""

    fc1: Conv2d
    norm1: BatchNorm
    fc2: Conv2d
    norm2: BatchNorm


def conv_mlp(
    x: Array, p: ConvMlp, activation: Activation = gelu, eps: float = 1e-5, keep: Keep = FORGET
) -> Array:
    """Two 1×1 convolutions, each with its batch norm, with an activation between.

    Parameters
    ----------
    x : ndarray, shape (B, H, W, C)
    p : ConvMlp
    activation : callable
    eps : float
        ε of the batch norms.
    keep : Keep
        Sees ``fc1``, ``norm1``, ``act``, ``fc2`` and ``norm2``.

    Returns
    -------
    ndarray, shape (B, H, W, C)
    """
    x = keep("fc1", conv2d(x, p.fc1))  # (B, H, W, C) -> (B, H, W, 4C)
    x = keep("norm1", batch_norm(x, p.norm1, eps))
    x = keep("act", activation(x))
    x = keep("fc2", conv2d(x, p.fc2))  # (B, H, W, 4C) -> (B, H, W, C)
    return keep("norm2", batch_norm(x, p.norm2, eps))
