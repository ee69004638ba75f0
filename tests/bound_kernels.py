"""npformer's kernels as functions of whole arrays; needs Numba."""

from __future__ import annotations

import numpy as np
from numba import njit

from npformer.kernels.activations import gelu as gelu_of_vector
from npformer.kernels.layout import Rows
from npformer.kernels.softmax import softmax as softmax_in_place
from npformer.kernels.vector import load, store
from npformer.layers import Array


@njit
def _gelu(y: Array, x: Array) -> None:
    for i in range(0, len(x), 16):
        store(y, i, gelu_of_vector(load(x, i)))


@njit
def _softmax(x: Array, rows: int, columns: int) -> None:
    softmax_in_place(x, Rows(0, columns), rows, columns)


def gelu(x: Array) -> Array:
    """GELU of numbers, as many as fill vectors of 16."""
    y = np.empty_like(x)
    _gelu(y, np.ascontiguousarray(x))
    return y


def softmax(x: Array) -> Array:
    """Softmax of rows whose length is a multiple of 16."""
    y = np.array(x)
    _softmax(y.reshape(-1), *x.shape)
    return y


def gelu_of_any_size(x: Array) -> Array:
    """GELU of any array of float32."""
    padded = np.zeros(-(-x.size // 16) * 16, x.dtype)
    padded[: x.size] = x.ravel()
    return gelu(padded)[: x.size].reshape(x.shape)


def softmax_of_any_size(x: Array) -> Array:
    """Softmax of any array of float32 along its last axis."""
    rows, columns = x.reshape(-1, x.shape[-1]), x.shape[-1]
    padded = np.full((len(rows), -(-columns // 16) * 16), -np.inf, x.dtype)
    padded[:, :columns] = rows
    return softmax(padded)[:, :columns].reshape(x.shape)
