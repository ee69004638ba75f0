"""Layer normalization over the last axis (Ba, Kiros & Hinton 2016, equation 4).

    y = (x − mean(x)) / √(variance(x) + ε) · weight + bias

Mean and (biased) variance are those of each token by itself, so nothing has to be remembered from
training, and nothing can be folded away at inference. Reference: torch.nn.LayerNorm. ε is 1e-12 in
transformers' EfficientFormer and 1e-5 in timm's and the original's: take it from the configuration.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .arrays import Array
from .precision import half_in_float32, sum64


class LayerNorm(NamedTuple):
    """Parameters of a layer normalization, both of shape (C,)."""

    weight: Array
    bias: Array


@half_in_float32
def layer_norm(x: Array, p: LayerNorm, eps: float = 1e-12) -> Array:
    """Normalize each token.

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
    centered = x - x.mean(-1, keepdims=True)
    variance = np.square(centered).mean(-1, keepdims=True)  # (B, N, 1)
    return centered / np.sqrt(variance + eps) * p.weight + p.bias


@half_in_float32
def layer_norm_backward(
    dy: Array, x: Array, p: LayerNorm, eps: float = 1e-12
) -> tuple[Array, LayerNorm]:
    """Gradient of `layer_norm`.

        dx = (g − mean(g) − x̂ · mean(g · x̂)) / σ,    g = dy · weight,    x̂ = (x − mean(x)) / σ

    Without the two means this would be the gradient of a constant scaling. They take out of g what
    the norm takes out of x: a common shift (it changes mean(x) alone) and a common stretch along x̂
    (it changes σ alone) leave y as it is, so dx must be orthogonal to both.

    Parameters
    ----------
    dy, x : ndarray, shape (B, N, C)
    p : LayerNorm
    eps : float

    Returns
    -------
    dx : ndarray of the shape of `x`
    dp : LayerNorm
    """
    centered = x - x.mean(-1, keepdims=True)
    sigma = np.sqrt(np.square(centered).mean(-1, keepdims=True) + eps)  # (B, N, 1)
    x_hat = centered / sigma
    g = dy * p.weight
    dx = (g - g.mean(-1, keepdims=True) - x_hat * (g * x_hat).mean(-1, keepdims=True)) / sigma
    C = x.shape[-1]
    return dx, LayerNorm(sum64((dy * x_hat).reshape(-1, C), 0), sum64(dy.reshape(-1, C), 0))
