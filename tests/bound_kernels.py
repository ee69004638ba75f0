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
