"""Layer normalisation over the last axis (Ba, Kiros & Hinton 2016, equation 4).

    y = (x − mean(x)) / √(variance(x) + ε) · weight + bias

Mean and (biased) variance are those of each token by itself, so nothing has to be remembered from
training, and nothing can be folded away at inference. Reference: torch.nn.LayerNorm. ε is 1e-12 in
transformers' EfficientFormer and 1e-5 in timm's and the original's: take it from the configuration.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .arrays import Array


class LayerNorm(NamedTuple):
    """Parameters of a layer normalisation, both of shape (C,)."""

    weight: Array
    bias: Array


def layer_norm(x: Array, p: LayerNorm, eps: float = 1e-12) -> Array:
    """Normalise each token.

    Parameters
    ----------
    x : ndarray, shape (B, N, C)
    p : LayerNorm
    eps : float
        Added to the variance.

    Returns
    -------
    ndarray of the shape of `x`
    """
    centred = x - x.mean(-1, keepdims=True)
    variance = np.square(centred).mean(-1, keepdims=True)  # (B, N, 1)
    return centred / np.sqrt(variance + eps) * p.weight + p.bias
