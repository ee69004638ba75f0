"""What kernels and plan agree on: how numbers lie in memory. Plain NumPy.

**Rows.** Everything lies in flat arrays of float32. A matrix is named by the index of its first
number and the step from one row to the next; rows have room for whole vectors of 16.

**Panels.** The weights that the micro-kernel reads one after the other should lie one after the
other. So a weight matrix is cut into panels of 16 columns, each stored row by row; the last one is
filled up with zeros. The bias follows the panels.
"""

from __future__ import annotations

from ..layers import Array, Linear

LANES = 16
"""Numbers in a vector, on every machine: AVX-512 has room for 16, AVX2 for 8, NEON for 4."""

NONE, RELU, GELU = range(3)
"""Which activation follows a product."""


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
