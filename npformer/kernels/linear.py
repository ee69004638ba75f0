"""Linear layer: the matrix product that nearly all of the network's time goes into.

    y[i, j] = act(bias[j] + Σₖ x[i, k] w[k, j])  (+ residual[i, j])

**The micro-kernel.** A core starts two fused multiply-adds in each cycle, but can load only two
vectors from memory in that time. So a number that has been loaded must be used several times: a
tile of y lives in registers, and for each k a row of weights and a column of x are loaded, and
meet. AVX2 has sixteen registers of 8 numbers; a tile of 6 rows × 16 columns takes twelve of them,
and each k brings 8 loads and 12 multiply-adds. AVX-512 has thirty-two registers of 16; a tile of 14
rows × 32 columns, of two panels, takes twenty-eight, and each k brings 16 loads and 28
multiply-adds. The multipliers never wait. With a single panel they would: so the last three panels
of an odd number go together, if the rows fill tiles of 7.

**Packing.** Weights are read from panels of 16 columns, see `npformer.kernels.layout`; activations
where they are: with channels last, the numbers of a pixel already lie side by side.

**Prefetching.** A large matrix comes from main memory, whose first answer takes as long as a
thousand multiply-adds. While the first tile of a panel is computed, the next panel is asked for.
Beside the 28 multiply-adds of a wide tile asking costs nothing, and every tile does.

**Epilogue.** What follows the sums is done while they are at hand. ReLU and the residual take one
instruction a vector, in the registers of the tile. GELU takes thirty and needs registers of its
own; it follows when a panel is complete, whose few kilobytes are still in the nearest cache.

**Order.** Each y[i, j] is summed over k from 0 upwards, in one chain of fused multiply-adds that
begins with the bias, or with what it is told, whatever the tile that it falls in. So results are
the same bits for any number of threads and any batch.

References: Goto & van de Geijn 2008, "Anatomy of high-performance matrix multiplication"; Van Zee &
van de Geijn 2015, "BLIS".
"""

from __future__ import annotations

from collections.abc import Callable

from ..layers import Array
from .activations import gelu_of_double, relu
from .layout import GELU, LANES, RELU
from .vector import (
    SHORT,
    TALL,
    WIDE,
    Tile,
    add_rows,
    each,
    inlined,
    kernel,
    load,
    load_rows,
    prefetch,
    rank_one,
    store,
    store_rows,
    zeros,
)

ONE_RUN, FROM_BIAS, PACKED = (1, 0), (-1, 0), (0, -1)
"""What `linear` is told when there is nothing to say. (Defaults would be compiled once for each
choice of them.)"""


@inlined
def multiply(
    tile: Tile, m: Array, x: int, x_step: int, w: Array, panel: int, size: int, K: int, ahead: bool
) -> Tile:
    """Micro-kernel: add the product of a few rows of x and K rows of a panel to a tile.

    Four steps a turn, so that counting and finding the rows costs next to nothing. With `ahead`,
    the next panel, `size` numbers behind this one, is brought into the cache in the meantime.
    """
    for k in range(0, K - 3, 4):
        at, row = x + k, panel + LANES * k
        if ahead:
            prefetch(w, row + size)
            prefetch(w, row + size + LANES)
            prefetch(w, row + size + 2 * LANES)
            prefetch(w, row + size + 3 * LANES)
        tile = rank_one(tile, m, at, x_step, w, row, size)
        tile = rank_one(tile, m, at + 1, x_step, w, row + LANES, size)
        tile = rank_one(tile, m, at + 2, x_step, w, row + 2 * LANES, size)
        tile = rank_one(tile, m, at + 3, x_step, w, row + 3 * LANES, size)
    for k in range(K // 4 * 4, K):
        tile = rank_one(tile, m, x + k, x_step, w, panel + LANES * k, size)
    return tile


@inlined
def multiply_wide(
    tile: Tile, m: Array, x: int, x_step: int, w: Array, panel: int, size: int, K: int, ahead: bool
) -> Tile:
    """Do as `multiply` does, with two or three panels: a number of x is loaded once for all.

    The next panels are always asked for, which costs nothing here.
    """
    for k in range(K):
        row = panel + LANES * k
        prefetch(w, row + len(tile) * size)
        prefetch(w, row + (len(tile) + 1) * size)
        if len(tile) == 3:
            prefetch(w, row + (len(tile) + 2) * size)
        tile = rank_one(tile, m, x + k, x_step, w, row, size)
    return tile


@inlined
def apply_gelu(m: Array, y: int, y_step: int, rows: int) -> None:
    """Apply GELU, of twice each number, to a panel of y."""
    for i in range(rows):
        store(m, y + i * y_step, gelu_of_double(load(m, y + i * y_step)))


@inlined
def row_block(
    micro_kernel: Callable[..., Tile], like: Tile, i: int, rows: int, m: Array, y: int,
    y_step: int, x: int, x_step: int, runs: int, run_step: int, w: Array, panel: int, size: int,
    bias: int, K: int, activation: int, residual: int, residual_step: int, start: int,
    start_step: int,
) -> int:  # fmt: skip
    """Rows from i on, as many as fill tiles of the height of `like`; return where that ends.

    What can be done to the sums while they are in registers is done there: the epilogue.
    """
    height, run = len(like[0]), K // runs
    while i + height <= rows:
        if start < 0:
            tile = load_rows(like, w, bias, 0)
        else:
            tile = load_rows(like, m, start + i * start_step, start_step)
        for u in range(runs):
            here, row = x + i * x_step + u * run_step, panel + u * run * LANES
            tile = micro_kernel(tile, m, here, x_step, w, row, size, run, i == 0)
        if activation == RELU:
            tile = each(relu, tile)
        if residual >= 0:
            tile = add_rows(load_rows(tile, m, residual + i * residual_step, residual_step), tile)
        store_rows(m, y + i * y_step, y_step, tile)
        i += height
    return i


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
    runs: int,
    run_step: int,
    start: int,
    start_step: int,
    size: int,
    bias: int,
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
    runs, run_step : int
        Into how many equal runs the K numbers of an input row are divided, and how far it is from
        one to the next. The rows of a convolution's window are such. Otherwise `ONE_RUN`.
    start, start_step : int
        What the sums begin with instead of the bias; may be y itself. Otherwise `FROM_BIAS`.
    size, bias : int
        How far it is from one panel to the next, and where the bias lies, if the panels are parts
        of larger ones. Otherwise `PACKED`.

    Notes
    -----
    Up to three panels meet all rows before the next are fetched, and stay in the nearest cache.
    Rows that do not fill tall tiles make short ones: of 7 beside 14, as nearly always the number of
    pixels is a multiple of 7; of 5 beside 6, in as many fives as it takes (49 = 4·6 + 5·5). Tiles
    of 4 and of 1 take what is left.
    """
    tall = rows if WIDE else rows - SHORT * min((TALL - rows % TALL) % TALL, rows // SHORT)
    size = size if size > 0 else K * LANES
    bias = bias if bias >= 0 else panels + count * K * LANES
    j = first
    while j < last:
        across = 1
        if WIDE and j + 1 < last:
            across = 3 if j + 3 == last and rows % 7 == 0 else 2
        to, add = y + j * LANES, residual + j * LANES if residual >= 0 else residual
        begin = start + j * LANES if start >= 0 else start
        inputs = x, x_step, runs, run_step, w, panels + j * size, size, bias + j * LANES, K
        fixed = m, to, y_step, *inputs, activation, add, residual_step, begin, start_step
        if across == 3:
            row_block(multiply_wide, zeros(7, 3), 0, rows, *fixed)
        elif across == 2:
            i = row_block(multiply_wide, zeros(TALL, 2), 0, rows, *fixed)
            i = row_block(multiply_wide, zeros(SHORT, 2), i, rows, *fixed)
            i = row_block(multiply_wide, zeros(4, 2), i, rows, *fixed)
            i = row_block(multiply_wide, zeros(1, 2), i, rows, *fixed)
        else:
            i = row_block(multiply, zeros(TALL, 1), 0, tall, *fixed)
            i = row_block(multiply, zeros(SHORT, 1), i, rows, *fixed)
            i = row_block(multiply, zeros(4, 1), i, rows, *fixed)
            i = row_block(multiply, zeros(1, 1), i, rows, *fixed)
        if activation == GELU:
            for p in range(across):
                apply_gelu(m, to + p * LANES, y_step, rows)
        j += across


@inlined
def accumulate(
    zero: Tile, m: Array, y: int, y_step: int, x: int, x_step: int, dy: int, dy_step: int,
    rows: int, adds: bool,
) -> None:  # fmt: skip
    """Tile of xᵀ dy of the size of `zero`; stored or added to y."""
    tile = zero
    for i in range(rows):
        tile = rank_one(tile, m, x + i * x_step, 1, m, dy + i * dy_step, LANES)
    if adds:
        tile = add_rows(load_rows(tile, m, y, y_step), tile)
    store_rows(m, y, y_step, tile)


@kernel
def linear_backward(
    m: Array,
    y: int,
    y_step: int,
    x: int,
    x_step: int,
    K: int,
    dy: int,
    dy_step: int,
    panels: int,
    rows: int,
    chunk: int,
    first: int,
    last: int,
) -> None:
    """Some tiles of the gradient of a weight matrix, ``dW = xᵀ dy``.

    Parameters
    ----------
    m : ndarray of float32, flat
    y, y_step : int
        Result, with room for ``tile_rows(K) · TALL`` rows; those beyond K mean nothing.
    x, x_step : int
        K numbers in each row. Up to `TALL` − 1 numbers behind a row are read.
    K : int
    dy, dy_step, panels : int
        `panels` times 16 numbers in each row.
    rows : int
        How many rows x and dy have.
    chunk : int
        How many of them to go through at a time: so many that they stay in the second-level cache,
        from which all tiles read them.
    first, last : int
        Which tiles, counted row by row: there are `tile_rows` rows of `tile_columns`.

    Notes
    -----
    The micro-kernel is that of `linear`, with x read across instead of along its rows. A tile
    starts from zero for each chunk, whose sums are then added up: always in the same order, and
    with smaller rounding errors than one long chain.
    """
    across = (panels + 1) // 2 if WIDE else panels
    for start in range(0, rows, chunk):
        count = min(chunk, rows - start)
        for tile in range(first, last):
            k, j = tile // across * TALL, tile % across * (2 if WIDE else 1)
            two = WIDE and j + 1 < panels
            to = y + k * y_step + j * LANES
            at, row = x + start * x_step + k, dy + start * dy_step + j * LANES
            fixed = m, to, y_step, at, x_step, row, dy_step, count, start > 0
            if two and K - k > SHORT:
                accumulate(zeros(TALL, 2), *fixed)
            elif two:
                accumulate(zeros(SHORT, 2), *fixed)
            elif K - k > SHORT:
                accumulate(zeros(TALL, 1), *fixed)
            else:
                accumulate(zeros(SHORT, 1), *fixed)


def tile_rows(K: int) -> int:
    """How many tiles of `linear_backward` lie above each other."""
    return -(-K // TALL)


def tile_columns(panels: int) -> int:
    """How many tiles of `linear_backward` lie side by side."""
    return -(-panels // 2) if WIDE else panels
