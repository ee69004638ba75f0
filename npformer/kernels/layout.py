"""What kernels and plan agree on: how numbers lie in memory. Plain NumPy.

**Rows.** Everything lies in flat arrays of float32. A matrix is named by the index of its first
number and the step from one row to the next; rows have room for whole vectors of 16.

**Panels.** The weights that the micro-kernel reads one after the other should lie one after the
other. So a weight matrix is cut into panels of 16 columns, each stored row by row; the last one is
filled up with zeros. The bias follows the panels.
"""

from __future__ import annotations

import numpy as np

from ..layers import Array, Linear

LANES = 16
"""Numbers in a vector, on every machine: AVX-512 has room for 16, AVX2 for 8, NEON for 4."""

NONE, RELU, GELU = range(3)
"""Which activation follows a product. GELU is that of twice the sums: whoever packs a layer before
it halves the weights, which costs no bit and saves a multiplication for each number."""

STRASSEN_MIN_WIDTH = 96
"""Fewer inputs or outputs than that are multiplied in one piece;"""
STRASSEN_MAX_WEIGHT = 2.0**20
"""and so is a layer with larger weights or biases"""


def padded(columns: int) -> int:
    """Room for a row: the next multiple of 16."""
    return -(-columns // LANES) * LANES


def framed(width: int, channels: int) -> int:
    """Room for a row of pixels in a frame, one of zeros at each end, and for a vector too much."""
    return (width + 2) * channels + LANES


def stem_scratch(rows: int, width: int, channels: int, between: int) -> int:
    """How many numbers `npformer.kernels.stem.stem` needs for so many rows of its result."""
    half = (width + 1) // 2
    return (4 * rows + 3) * framed(width, channels) + (2 * rows + 1) * framed(half, between)


def packed_size(K: int, N: int) -> int:
    """How many numbers `pack` makes of a K × N layer."""
    return (K + 1) * padded(N)


def pack(p: Linear, out: Array) -> None:
    """Lay out a weight matrix and its bias as the micro-kernel reads them.

    Parameters
    ----------
    p : Linear
        K × N.
    out : ndarray of float32, shape (packed_size(K, N),)
        Panel after panel of K × 16 numbers, then the bias.
    """
    K, N = p.weight.shape
    width = padded(N)
    panels = out[: K * width].reshape(width // LANES, K, LANES)
    whole = N // LANES
    panels[:whole] = p.weight[:, : whole * LANES].reshape(K, whole, LANES).swapaxes(0, 1)
    if whole < len(panels):
        panels[whole] = 0
        panels[whole, :, : N % LANES] = p.weight[:, whole * LANES :]
    out[K * width :] = 0
    out[K * width : K * width + N] = p.bias


def use_strassen(p: Linear) -> bool:
    """Whether a layer can be multiplied as `npformer.kernels.strassen` does, and should be.

    Its halves have to consist of whole panels, and its weights to be numbers that can be added. A
    small one has too few multiply-adds to save some.
    """
    K, N = p.weight.shape
    if min(K, N) < STRASSEN_MIN_WIDTH or K % (2 * LANES) > 0 or N % (2 * LANES) > 0:
        return False
    return all(max(leaf.max(), -leaf.min()) < STRASSEN_MAX_WEIGHT for leaf in p)


def pack_sums(p: Linear, out: Array) -> None:
    """Lay out the sums of quarters of a weight matrix that `npformer.kernels.strassen` needs.

    Parameters
    ----------
    p : Linear
        K × N, both multiples of 32.
    out : ndarray of float32, shape (sums_size(K, N),)
        Four packed layers of half the size both ways. That of T₁ has a bias: what that of the
        right columns has more than that of the left.
    """
    K, N = p.weight.shape
    quarters = p.weight.astype(np.float64).reshape(2, K // 2, 2, N // 2).swapaxes(1, 2)
    (b11, b12), (b21, b22) = quarters
    left, right = p.bias.astype(np.float64).reshape(2, N // 2)
    t1, t3 = b12 - b11, b22 - b12
    t2 = b22 - t1
    nothing = np.zeros(N // 2)
    biases = right - left, nothing, nothing, nothing
    for t, bias, place in zip((t1, t2, t3, b21 - t2), biases, out.reshape(4, -1), strict=True):
        pack(Linear(t, bias), place)


def sums_size(K: int, N: int) -> int:
    """How many numbers `pack_sums` makes of a K × N layer."""
    return 4 * packed_size(K // 2, N // 2)


def strassen_scratch(pairs: int, K: int, N: int) -> int:
    """How many numbers `npformer.kernels.strassen.strassen` needs for so many pairs of rows."""
    return padded(pairs * (2 * K + 3 * (N // 2) + 1))
