"""Pooling block for a few pixels: pooling, both matrix products, both residual connections.

    x ← x + γ (average_pool(x) − x)
    x ← x + act(x W₁ + b₁) W₂ + b₂

The hidden map is four times as wide as x. Written out whole it would travel to memory and back;
that of a few dozen pixels is still in the second-level cache when the second product reads it.
"""

from __future__ import annotations

from ..layers import Array
from .layout import LANES, NO_PAIRS, NO_ROWS, NONE, Image, Pairs, Panels, Rows, Span
from .linear import dense
from .pooling import pooling
from .strassen import strassen
from .vector import kernel


@kernel
def pooling_block(
    m: Array,
    y: int,
    x: Image,
    size: int,
    w: Array,
    gamma: int,
    fc1: Panels,
    fc2: Panels,
    activation: int,
    pairs: int,
    pixels: Span,
    scratch: int,
) -> None:
    """Some pixels of a pooling block.

    Parameters
    ----------
    m : ndarray of float32, flat
        Holds x and y.
    y : int
        Result; pixels lie as those of x do. Not x itself, which neighbors still read.
    x : Image
        Input.
    size : int
        Side of the pooling window, odd.
    w : ndarray of float32, flat
        The weights, which hold the layer scale and both layers.
    gamma : int
        Where the layer scale begins.
    fc1, fc2 : Panels
        Layers of the MLP. If pixels are paired, the sums that `strassen` needs lie behind each.
    activation : int
        One of those in `npformer.kernels.layout`, between the layers.
    pairs : int
        How many pixels are multiplied together with the pixel that is `pairs` behind them, as
        `npformer.kernels.strassen` does; none if it is 0.
    pixels : Span
        Which pixels, counted row by row. If pixels are paired, these and their partners; from
        number `pairs` on those number ``2 · pairs`` and up, which have no partner.
    scratch : int
        Space in m for one row of the pooled image and one of the hidden map for each of `pixels`;
        for two of each and for what `strassen` needs, if pixels are paired.
    """
    step, wide = x.step, fc1.number * LANES
    end = min(pixels.last, pairs)
    if pixels.first < end:
        rows = end - pixels.first
        hidden = scratch + 2 * rows * step
        more = hidden + 2 * rows * wide
        lower = Span(pixels.first + pairs, end + pairs)
        pooling(m, Rows(scratch, step), x, size, w, gamma, Span(pixels.first, end))
        pooling(m, Rows(scratch + rows * step, step), x, size, w, gamma, lower)
        mixed = Pairs(scratch, step, rows * step)
        between = Pairs(hidden, wide, rows * wide)
        to = Pairs(y + pixels.first * step, step, pairs * step)
        strassen(m, between, mixed, w, fc1, rows, activation, NO_PAIRS, more)
        strassen(m, to, between, w, fc2, rows, NONE, mixed, more)
    begin = max(pixels.first, pairs) + pairs
    rows = pixels.last + pairs - begin
    if rows > 0:
        single, hidden_map = Rows(scratch, step), Rows(scratch + rows * step, wide)
        pooling(m, single, x, size, w, gamma, Span(begin, begin + rows))
        dense(m, hidden_map, single, w, fc1, rows, activation, NO_ROWS)
        dense(m, Rows(y + begin * step, step), hidden_map, w, fc2, rows, NONE, single)
