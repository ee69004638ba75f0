"""Linear layer: the matrix product that nearly all of the network's time goes into.

    y[i, j] = act(bias[j] + Σₖ x[i, k] w[k, j])  (+ residual[i, j])

**The micro-kernel.** A core starts two fused multiply-adds of 8 numbers in each cycle, but can load
only two vectors from memory in that time. So a number that has been loaded must be used several
times: a tile of 6 rows × 16 columns of y lives in twelve registers, and for each k the 16 weights
``w[k, j:j+16]`` and the 6 numbers ``x[i:i+6, k]`` are loaded and give 96 multiply-adds. That is
twelve instructions of work for eight of loading, and the multipliers never wait.

**Packing.** Weights are read from panels of 16 columns, see `npformer.kernels.layout`; activations
where they are: with channels last, the numbers of a pixel already lie side by side.

**Prefetching.** A large matrix comes from main memory, whose first answer takes as long as a
thousand multiply-adds. While the first tile of a panel is computed, the next panel is asked for.

**Epilogue.** What follows the sums is done while they are at hand. ReLU and the residual take one
instruction a vector, in the registers of the tile. GELU takes thirty and needs registers of its
own; it follows when a panel is complete, whose few kilobytes are still in the nearest cache.

**Order.** Each y[i, j] is summed over k from 0 upwards, in one chain of fused multiply-adds that
begins with the bias, whatever the tile that it falls in. So results are the same bits for any
number of threads and any batch.

References: Goto & van de Geijn 2008, "Anatomy of high-performance matrix multiplication"; Van Zee &
van de Geijn 2015, "BLIS".
"""

from __future__ import annotations

from ..layers import Array
from .activations import gelu, relu
from .layout import GELU, LANES, RELU
from .vector import (
    Tile,
    add_rows,
    each,
    inlined,
    kernel,
    load,
    load_rows,
    prefetch,
    rank_one,
    repeat,
    splat,
    store,
    store_rows,
)


@inlined
def multiply(
    tile: Tile, m: Array, x: int, x_step: int, w: Array, panel: int, K: int, ahead: bool
) -> Tile:
    """Micro-kernel: add the product of a few rows of x and a panel of weights to a tile.

    Four steps a turn, so that counting and finding the rows costs next to nothing. With `ahead`,
    the next panel is brought into the cache in the meantime.
    """
    for k in range(0, K - 3, 4):
        at, row = x + k, panel + LANES * k
        if ahead:
            prefetch(w, row + K * LANES)
            prefetch(w, row + K * LANES + LANES)
            prefetch(w, row + K * LANES + 2 * LANES)
            prefetch(w, row + K * LANES + 3 * LANES)
        tile = rank_one(tile, m, at, x_step, load(w, row))
        tile = rank_one(tile, m, at + 1, x_step, load(w, row + LANES))
        tile = rank_one(tile, m, at + 2, x_step, load(w, row + 2 * LANES))
        tile = rank_one(tile, m, at + 3, x_step, load(w, row + 3 * LANES))
    for k in range(K // 4 * 4, K):
        tile = rank_one(tile, m, x + k, x_step, load(w, panel + LANES * k))
    return tile


@inlined
def finish(
    tile: Tile,
    m: Array,
    y: int,
    y_step: int,
    activation: int,
    adds: bool,
    residual: int,
    residual_step: int,
) -> None:
    """Epilogue: what can be done to the sums while they are in registers; then store them."""
    if activation == RELU:
        tile = each(relu, tile)
    if adds:
        tile = add_rows(load_rows(tile, m, residual, residual_step), tile)
    store_rows(m, y, y_step, tile)


@inlined
def bend(m: Array, y: int, y_step: int, rows: int) -> None:
    """Apply GELU to a panel of y; two rows at a time, as one alone does not fill a processor."""
    for i in range(0, rows - 1, 2):
        two = load_rows(repeat(splat(0.0), 2), m, y + i * y_step, y_step)
        store_rows(m, y + i * y_step, y_step, each(gelu, two))
    if rows % 2:
        last = y + (rows - 1) * y_step
        store(m, last, gelu(load(m, last)))


@kernel
def linear(
    m: Array,
    y: int,
    y_step: int,
    x: int,
    x_step: int,
    w: Array,
    panels: int,
    K: int,
    count: int,
    rows: int,
    first: int,
    last: int,
    activation: int,
    residual: int,
    residual_step: int,
) -> None:
    """Some rows and panels of a linear layer with what follows it.

    Parameters
    ----------
    m : ndarray of float32, flat
        Holds y, x and the residual.
    y, y_step : int
        Result.
    x, x_step : int
        Input, K numbers in each row.
    w : ndarray of float32, flat
        Holds, from index `panels`, a packed layer: `count` panels of K rows and the bias.
    panels, K, count : int
    rows : int
        How many rows.
    first, last : int
        Which panels: from `first` up to, not including, `last`.
    activation : int
        One of those in `npformer.kernels.layout`.
    residual, residual_step : int
        Added to the result unless negative; may be y itself. Not together with GELU.

    Notes
    -----
    A panel meets all rows before the next one is fetched, so it stays in the nearest cache. Six
    rows make the best tile, and five are as good; so the rows are dealt out in sixes and as many
    fives as it takes (49 = 4·6 + 5·5), and one by one only where that does not work out.
    """
    fives = min((6 - rows % 6) % 6, rows // 5)
    sixes = (rows - 5 * fives) // 6
    for j in range(first, last):
        panel = panels + j * K * LANES
        bias = load(w, panels + count * K * LANES + j * LANES)
        yi, xi, ri = y + j * LANES, x, residual + j * LANES
        for i in range(sixes):
            if i == 0:
                tile = multiply(repeat(bias, 6), m, xi, x_step, w, panel, K, True)
            else:
                tile = multiply(repeat(bias, 6), m, xi, x_step, w, panel, K, False)
            finish(tile, m, yi, y_step, activation, residual >= 0, ri, residual_step)
            yi, xi, ri = yi + 6 * y_step, xi + 6 * x_step, ri + 6 * residual_step
        for _ in range(fives):
            tile5 = multiply(repeat(bias, 5), m, xi, x_step, w, panel, K, False)
            finish(tile5, m, yi, y_step, activation, residual >= 0, ri, residual_step)
            yi, xi, ri = yi + 5 * y_step, xi + 5 * x_step, ri + 5 * residual_step
        for _ in range(rows - 6 * sixes - 5 * fives):
            tile1 = multiply(repeat(bias, 1), m, xi, x_step, w, panel, K, True)
            finish(tile1, m, yi, y_step, activation, residual >= 0, ri, residual_step)
            yi, xi, ri = yi + y_step, xi + x_step, ri + residual_step
        if activation == GELU:
            bend(m, y + j * LANES, y_step, rows)
