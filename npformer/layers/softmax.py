"""Softmax over the last axis.

    softmax(x)ᵢ = exp(xᵢ) / Σⱼ exp(xⱼ) = exp(xᵢ − max x) / Σⱼ exp(xⱼ − max x)

The second form is the same number and cannot overflow: the largest exponent is 0.
"""

from __future__ import annotations

import numpy as np

from .arrays import Array


def softmax(x: Array) -> Array:
    """Turn scores into positive weights that sum to one.

    Parameters
    ----------
    x : ndarray, shape (..., N)

    Returns
    -------
    ndarray of the shape of `x`
    """
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def softmax_backward(dy: Array, y: Array) -> Array:
    """Gradient of `softmax`, from its *output* y.

        ∂yᵢ/∂xⱼ = yᵢ (δᵢⱼ − yⱼ)    so    dx = y · (dy − Σⱼ dyⱼ yⱼ)

    Parameters
    ----------
    dy, y : ndarray, shape (..., N)

    Returns
    -------
    ndarray of the shape of `y`
    """
    return y * (dy - (dy * y).sum(-1, keepdims=True))
