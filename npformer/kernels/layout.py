"""What kernels and plan agree on: how numbers lie in memory. Plain NumPy.

**Rows.** Everything lies in flat arrays of float32, and a matrix in them is a `Rows`: where it
begins, and the step from one row to the next. Rows have room for whole vectors of 16.

**Panels.** Weights that the micro-kernel reads one after the other should lie one after the other.
So a weight matrix is cut into panels of 16 columns, each stored row by row, the last one filled up
with zeros. The bias follows the panels.

Kernels take these named tuples where an address alone would not say what lies there; compiled, a
tuple is nothing but its numbers in registers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..layers import Array, Linear, QuantizedLinear

LANES = 16
"""Numbers in a vector, on every machine: AVX-512 has room for 16, AVX2 for 8, NEON for 4."""

NONE, RELU, GELU = range(3)
"""Which activation follows a product. The kernels' GELU is that of twice the sums: whoever packs a
layer before it halves the weights, which costs no bit and saves a multiplication per number."""

WORDS = 16
"""Numbers of 64 bits in a set of processor cores, with a bit for each of 1024, as in Linux."""
PLACE = 1 + 2 * WORDS
"""Numbers about each thread of a call, before the counters of the steps: the core that it is on,
counted from 1, or 0 if that is not known; and room for two sets of cores."""

STRASSEN_MIN_WIDTH = 96
"""Layers with fewer inputs or outputs are multiplied in one piece,"""
STRASSEN_MAX_WEIGHT = 2.0**20
"""and so are layers with larger weights or biases."""


class Rows(NamedTuple):
    """A matrix."""

    at: int
    """index of its first number; negative if there is no matrix"""
    step: int
    """numbers from one row to the next"""


class Pairs(NamedTuple):
    """A matrix of which every row has a partner, as `npformer.kernels.strassen` needs it."""

    at: int
    """index of its first number; negative if there is no matrix"""
    step: int
    """numbers from one row to the next"""
    apart: int
    """numbers from a row to its partner"""


class Image(NamedTuple):
    """An image, channels last: its pixels are the rows of a matrix, row of pixels by row."""

    at: int
    """index of its first number"""
    step: int
    """numbers from one pixel to the next"""
    height: int
    width: int
    channels: int


class Window(NamedTuple):
    """The window of a convolution, in pixels."""

    size: int
    """length of its sides"""
    stride: int
    padding: int
    """zeros around the image"""


class Span(NamedTuple):
    """A part of what a kernel could compute: from number `first` up to, not including, `last`."""

    first: int
    last: int


class Runs(NamedTuple):
    """How the K numbers of an input row lie: in runs of equal length, not all side by side."""

    number: int
    step: int
    """numbers from the beginning of one run to that of the next"""


class Panels(NamedTuple):
    """A packed linear layer, or some of its rows and columns."""

    at: int
    """index of the first panel"""
    K: int
    """rows"""
    number: int
    """how many panels"""
    step: int
    """numbers from one panel to the next"""
    bias: int
    """index of the bias of the first panel"""


class Heads(NamedTuple):
    """Sizes in attention."""

    tokens: int
    K: int
    """width of a query and of a key"""
    V: int
    """width of a value"""


NO_ROWS = Rows(-1, 0)
NO_PAIRS = Pairs(-1, 0, 0)
ONE_RUN = Runs(1, 0)


def rows_from(matrix: Rows, i: int) -> Rows:
    """Row number `i` of a matrix and those below it; of no matrix, none."""
    return Rows(matrix.at + i * matrix.step if matrix.at >= 0 else matrix.at, matrix.step)


def columns_from(matrix: Rows, j: int) -> Rows:
    """Column number `j` of a matrix and those right of it; of no matrix, none."""
    return Rows(matrix.at + j if matrix.at >= 0 else matrix.at, matrix.step)


def whole_layer(at: int, K: int, panels: int) -> Panels:
    """The layer that `pack` has written to index `at`, with so many rows and panels."""
    return Panels(at, K, panels, K * LANES, at + panels * K * LANES)


def panels_from(layer: Panels, j: int) -> Panels:
    """Panel number `j` of a layer and those behind it."""
    at, bias = layer.at + j * layer.step, layer.bias + j * LANES
    return Panels(at, layer.K, layer.number - j, layer.step, bias)


def padded(columns: int) -> int:
    """Room for a row: the next multiple of 16."""
    return -(-columns // LANES) * LANES


def framed(width: int, channels: int) -> int:
    """Room for a row of pixels with a pixel of zeros at each end, and for overrun by a vector."""
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


HEAD = 4
"""Slots before the groups of a rounded row: its step, its least number, the difference of that and
the greatest, and one for whole sixteen bytes (`npformer.kernels.quantized_linear`)."""


def rounded_size(K: int, group: int) -> int:
    """Room for a rounded row of K numbers, of which a slot holds `group`."""
    return HEAD + padded(K) // group


def quantized_layer(at: int, K: int, panels: int, group: int) -> Panels:
    """The layer that `pack_quantized` has written to index `at`: K counted in groups."""
    groups = (K + group - 1) // group
    step = groups * LANES
    return Panels(at, groups, panels, step, at + panels * step)


def quantized_size(K: int, N: int, group: int) -> int:
    """How many slots `pack_quantized` makes of a K × N layer."""
    layer = quantized_layer(0, K, padded(N) // LANES, group)
    return padded(layer.bias) + 3 * padded(N)


def pack_quantized(p: QuantizedLinear, out: Array, group: int) -> None:
    """Lay out a layer in eight bits as the micro-kernel reads it.

    Parameters
    ----------
    p : QuantizedLinear
        K × N.
    out : ndarray of float32, shape (quantized_size(K, N, group),)
        Panel after panel of ⌈K / group⌉ × 16 slots, each with `group` numbers of a column; then the
        columns' sums, scales and biases.
    group : int
        How many rows of a column lie side by side, see `npformer.kernels.integers`.
    """
    K, N = p.weight.shape
    columns = padded(N)
    layer = quantized_layer(0, K, columns // LANES, group)
    whole = np.zeros((layer.K * group, columns), f"int{32 // group}")
    whole[:K, :N] = p.weight
    panels = whole.reshape(layer.K, group, -1, LANES).transpose(2, 0, 3, 1)
    out[: layer.bias].view(whole.dtype).reshape(panels.shape)[:] = panels
    rest = out[layer.bias :][: 3 * columns].reshape(3, columns)
    rest[:] = 0
    rest[:, :N] = p.weight.sum(0, dtype=np.int32), p.scale, p.bias


def use_strassen(p: Linear) -> bool:
    """Whether a layer can be multiplied as `npformer.kernels.strassen` does, and should be.

    Its halves must consist of whole panels, and adding its weights must not overflow. A small layer
    has too few multiply-adds for it to pay.
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
        Four packed layers of half the size both ways, T₁ … T₄. T₁ carries a bias: the right
        columns' minus the left's.
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


TAPS = 4
"""How many neighbors are weighed at a time when a photograph is resized: the bytes of a slot."""
WEIGHT_BITS = 24
"""Bits of a weight there, with its sign."""


def digits_of(group: int) -> int:
    """How many digits a weight has, of as many bits as `npformer.kernels.integers` multiplies."""
    return -(-WEIGHT_BITS * group // 32)


def slots_of(group: int) -> int:
    """Slots of `TAPS` weights with all their digits."""
    return digits_of(group) * TAPS // group


def pack_taps(start: Array, weights: Array, length: int, group: int) -> tuple[Array, int] | None:
    """Lay out the weights by which a side is resized, as the kernels read them.

    Parameters
    ----------
    start : ndarray of int, shape (N,)
        The first pixel that is weighed, for each pixel of the result.
    weights : ndarray of int32, shape (N, K)
        The weights from there on. They are 0 outside of the side.
    length : int
        Pixels of the side.
    group : int
        How many bytes or shorts are multiplied together, see `npformer.kernels.integers`.

    Returns
    -------
    (ndarray of int32, int) or None
        For each pixel of the result where its groups of four begin, and then their digits, lowest
        first; and how many groups each has. None if so many pixels are not there.
    """
    N, K = weights.shape
    groups = -(-K // TAPS)
    if TAPS * groups > length:
        return None
    begin = np.clip(start, 0, length - TAPS * groups)
    rest = np.zeros((N, TAPS * groups), np.int32)
    row, column = weights.nonzero()
    rest[row, (start - begin)[row] + column] = weights[row, column]
    bits, digits = 32 // group, []
    for _ in range(digits_of(group) - 1):
        digits.append(rest.astype(f"int{bits}"))  # the lowest bits, with a sign
        rest = (rest - digits[-1]) >> bits
    digits.append(rest.astype(f"int{bits}"))
    packed = np.stack(digits, axis=1).reshape(N, len(digits), groups, TAPS).swapaxes(1, 2)
    if group == 2:
        packed = packed[..., [0, 2, 1, 3]]
    slots = np.ascontiguousarray(packed).reshape(N, -1).view(np.int32)
    return np.concatenate([begin[:, None], slots], axis=1, dtype=np.int32).reshape(-1), groups
