"""Relative position bias: what attention knows about where tokens lie (LeViT, section 4).

    table[h, i, j] = biases[h, |yᵢ − yⱼ|, |xᵢ − xⱼ|]

The N tokens are the pixels of a grid. For each head, the scores of a query i and a key j receive a
bias that is learned for each *distance* (|Δy|, |Δx|) between the two. References:
``attention_biases`` and ``attention_bias_idxs`` of transformers and timm.
"""

from __future__ import annotations

import numpy as np

from .arrays import Array


def relative_position_bias(biases: Array) -> Array:
    """Spread the bias of each distance over all pairs of tokens.

    Parameters
    ----------
    biases : ndarray, shape (heads, rows, columns) or (heads, rows, columns, rows, columns)
        By distance; or by pair of positions, as `npformer.network.resize` can make them.

    Returns
    -------
    ndarray, shape (heads, N, N) with ``N = rows·columns``
    """
    heads, rows, columns = biases.shape[:3]
    if biases.ndim == 5:
        return biases.reshape(heads, rows * columns, rows * columns)
    down, across = distances(rows, columns)
    return biases[:, down, across]


def relative_position_bias_backward(dtable: Array, biases: Array) -> Array:
    """Gradient of `relative_position_bias`: a bias receives the sum over all pairs that used it.

    Parameters
    ----------
    dtable : ndarray, shape (heads, N, N)
    biases : ndarray
        What forward was given.

    Returns
    -------
    ndarray of the shape of `biases`
    """
    heads, rows, columns = biases.shape[:3]
    if biases.ndim == 5:
        return dtable.reshape(biases.shape)
    down, across = distances(rows, columns)
    sums = np.zeros((rows * columns, heads))  # float64, for a distance has many pairs
    np.add.at(sums, down * columns + across, dtable.transpose(1, 2, 0))
    return sums.T.reshape(biases.shape).astype(dtable.dtype)


def distances(rows: int, columns: int) -> tuple[Array, Array]:
    """|Δy| and |Δx| of every pair of tokens of a grid, (N, N) each."""
    y, x = np.divmod(np.arange(rows * columns), columns)  # (N,) each: row and column of a token
    return abs(y[:, None] - y), abs(x[:, None] - x)
