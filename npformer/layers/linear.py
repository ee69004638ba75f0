"""Linear layer.

    y = x W + b                                              torch.nn.Linear computes x Wᵀ + b

npformer stores W as (in, out), the transpose of PyTorch's: the formula then has no transpose, and
the same matrix is a 1×1 convolution of channels-last images.
"""

from __future__ import annotations

from typing import NamedTuple

from .arrays import Array
from .precision import sum64


class Linear(NamedTuple):
    """Parameters of a linear layer."""

    weight: Array
    """(C_in, C_out)"""
    bias: Array
    """(C_out,)"""


def linear(x: Array, p: Linear) -> Array:
    """Multiply the last axis by a matrix and add a bias.

    Parameters
    ----------
    x : ndarray, shape (B, ..., C_in)
    p : Linear

    Returns
    -------
    ndarray, shape (B, ..., C_out)

    Notes
    -----
    The batch axis stays outside the matrix product: a BLAS may sum in another order for a taller
    matrix, so this is what makes an image's numbers independent of its neighbors in the batch.
    """
    C_in, C_out = p.weight.shape
    rows = x.reshape(len(x), -1, C_in) if x.size else x.reshape(len(x), 0, C_in)  # (B, ·, C_in)
    y = rows @ p.weight + p.bias  # (B, ·, C_in) -> (B, ·, C_out)
    return y.reshape(*x.shape[:-1], C_out)


def linear_backward(dy: Array, x: Array, p: Linear) -> tuple[Array, Linear]:
    """Gradient of `linear`.

        dx = dy Wᵀ        dW = xᵀ dy        db = Σ dy

    The sums run over the batch and all positions: each of them used the same W and b.

    Parameters
    ----------
    dy : ndarray, shape (B, ..., C_out)
        Gradient of the loss with respect to the output.
    x : ndarray, shape (B, ..., C_in)
        What forward was given.
    p : Linear

    Returns
    -------
    dx : ndarray of the shape of `x`
    dp : Linear
    """
    C_in, C_out = p.weight.shape
    columns = x.reshape(-1, C_in).T  # (C_in, B·positions)
    rows = dy.reshape(-1, C_out)  # (B·positions, C_out)
    dx = (rows @ p.weight.T).reshape(x.shape)  # (B·positions, C_out) -> (B, ..., C_in)
    return dx, Linear(columns @ rows, sum64(rows, 0))
