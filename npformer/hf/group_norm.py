"""Group normalization with one group (Wu & He 2018, equation 3), over all numbers of an image.

    y = (x − mean(x)) / √(variance(x) + ε) · weight + bias      weight and bias for each channel

It follows the feature maps of `npformer.hf.backbone` if that is wanted, and is no part of the
network: hence it is here and not in `npformer.layers`, and has no gradient. Reference:
``torch.nn.GroupNorm(1, C)``.
"""

from __future__ import annotations

import numpy as np

from ..layers import Array, LayerNorm
from ..layers.precision import half_in_float32, mean64


@half_in_float32
def group_norm(x: Array, p: LayerNorm, eps: float = 1e-5) -> Array:
    """Normalize each image by the mean and variance of all its numbers.

    Parameters
    ----------
    x : ndarray, shape (B, C, H, W)
    p : LayerNorm
        Weight and bias, each of shape (C,).
    eps : float
        Added to the variance.

    Returns
    -------
    ndarray of the shape of `x`
    """
    axes = (1, 2, 3)
    centered = x - mean64(x, axes, keepdims=True)
    variance = mean64(np.square(centered), axes, keepdims=True)  # (B, 1, 1, 1)
    weight, bias = p.weight[:, None, None], p.bias[:, None, None]  # (C, 1, 1)
    return centered / np.sqrt(variance + eps) * weight + bias
