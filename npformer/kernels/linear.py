"""Linear layer: the matrix product that nearly all of the network's time goes into.

    y[i, j] = act(bias[j] + Σₖ x[i, k] w[k, j])  (+ residual[i, j])

**The micro-kernel.** A core starts two fused multiply-adds in each cycle, but can load only two
vectors from memory in that time. So a number that has been loaded must be used several times: a
tile of y lives in registers, and for each k a row of weights and a column of x are loaded and
multiplied. AVX2 has sixteen registers of 8 numbers; a tile of 6 rows × 16 columns takes twelve of
them, and each k brings 8 loads and 12 multiply-adds. AVX-512 has thirty-two registers of 16; a tile
of 14 rows × 32 columns, of two panels, takes twenty-eight, and each k brings 16 loads and 28
multiply-adds. The multipliers never wait. With a single panel they would: so if the number of
panels is odd, the last three go together, as long as the rows fill tiles of 7.

**Packing.** Weights are read from panels of 16 columns, see `npformer.kernels.layout`; activations
where they are: with channels last, the numbers of a pixel already lie side by side.

**Prefetching.** A large matrix comes from main memory, whose first answer takes as long as a
thousand multiply-adds. While the first tile of a panel is computed, the next panel is prefetched.
Beside the 28 multiply-adds of a wide tile a prefetch costs nothing, and every tile does it.

**Epilogue.** What follows the sums is done while they are at hand. ReLU and the residual take one
instruction a vector, in the registers of the tile. GELU takes thirty and needs registers of its
own; it is applied when a panel is complete, whose few kilobytes are still in the nearest cache.

**Order.** Each y[i, j] is summed over k from 0 upwards, in one chain of fused multiply-adds that
begins with the bias or with `start`, whichever tile it falls in. So results are the same bits for
any number of threads and any batch.

References: Goto & van de Geijn 2008, "Anatomy of high-performance matrix multiplication"; Van Zee &
van de Geijn 2015, "BLIS".
"""

from __future__ import annotations

from collections.abc import Callable

from ..layers import Array
from .activations import gelu_of_double, relu
from .layout import (
    GELU,
    LANES,
    NO_ROWS,
    ONE_RUN,
    RELU,
    Panels,
    Rows,
    Runs,
    Span,
    columns_from,
    panels_from,
    rows_from,
    whole_layer,
)
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

inlined(rows_from)
inlined(columns_from)
inlined(panels_from)
inlined(whole_layer)


@inlined
def multiply(tile: Tile, m: Array, x: Rows, w: Array, panel: Rows, K: int, ahead: bool) -> Tile:
    """Micro-kernel: add the product of a few rows of x and K rows of a panel to a tile.

    Parameters
    ----------
    tile : Tile
        Of one panel.
    m : ndarray of float32, flat
    x : Rows
        As many as the tile has.
    w : ndarray of float32, flat
    panel : Rows
        Where the rows of the panel begin; its step is that to the next panel.
    K : int
        How many numbers of x, and rows of the panel.
    ahead : bool
        Whether to bring the next panel into the cache in the meantime.

    Returns
    -------
    Tile

    Notes
    -----
    Four steps a turn, so that counting and finding the rows costs next to nothing.
    """
    for k in range(0, K - 3, 4):
        at, row = x.at + k, panel.at + LANES * k
        if ahead:
            prefetch(w, row + panel.step)
            prefetch(w, row + panel.step + LANES)
            prefetch(w, row + panel.step + 2 * LANES)
            prefetch(w, row + panel.step + 3 * LANES)
        tile = rank_one(tile, m, at, x.step, w, row, panel.step)
        tile = rank_one(tile, m, at + 1, x.step, w, row + LANES, panel.step)
        tile = rank_one(tile, m, at + 2, x.step, w, row + 2 * LANES, panel.step)
        tile = rank_one(tile, m, at + 3, x.step, w, row + 3 * LANES, panel.step)
    for k in range(K // 4 * 4, K):
        tile = rank_one(tile, m, x.at + k, x.step, w, panel.at + LANES * k, panel.step)
    return tile


@inlined
def multiply_wide(
    tile: Tile, m: Array, x: Rows, w: Array, panel: Rows, K: int, ahead: bool
) -> Tile:
    """Do as `multiply` does, with two or three panels: a number of x is loaded once for all.

    The next panels are always brought into the cache, which costs nothing here.
    """
    for k in range(K):
        row = panel.at + LANES * k
        prefetch(w, row + len(tile) * panel.step)
        prefetch(w, row + (len(tile) + 1) * panel.step)
        if len(tile) == 3:
            prefetch(w, row + (len(tile) + 2) * panel.step)
        tile = rank_one(tile, m, x.at + k, x.step, w, row, panel.step)
    return tile


@inlined
def finish(tile: Tile, m: Array, y: Rows, i: int, activation: int, residual: Rows) -> None:
    """Apply ReLU to a tile and add the residual, if there are such, and write it from row i on."""
    if activation == RELU:
        tile = each(relu, tile)
    if residual.at >= 0:
        past = load_rows(tile, m, residual.at + i * residual.step, residual.step)
        tile = add_rows(past, tile)
    store_rows(m, y.at + i * y.step, y.step, tile)


@inlined
def tall_rows(rows: int) -> int:
    """How many of the rows tall tiles of one panel take, so that few are left; see `linear`."""
    return rows if WIDE else rows - SHORT * min((TALL - rows % TALL) % TALL, rows // SHORT)


@inlined
def panels_across(panels: Span, j: int, rows: int) -> int:
    """How many panels a tile takes from number j on; see `linear`."""
    if WIDE and j + 1 < panels.last:
        return 3 if j + 3 == panels.last and rows % 7 == 0 else 2
    return 1


@inlined
def apply_gelu(m: Array, y: Rows, rows: int) -> None:
    """Apply GELU, of twice each number, to a panel of y."""
    for i in range(rows):
        store(m, y.at + i * y.step, gelu_of_double(load(m, y.at + i * y.step)))


@inlined
def row_block(
    micro_kernel: Callable[..., Tile], like: Tile, i: int, rows: int, m: Array, y: Rows, x: Rows,
    runs: Runs, w: Array, layer: Panels, activation: int, residual: Rows, start: Rows,
) -> int:  # fmt: skip
    """Multiply rows from number i on, as many as fill tiles; return where that ends.

    What can be done to the sums while they are in registers is done there: the epilogue.

    Parameters
    ----------
    micro_kernel : callable
        `multiply` or `multiply_wide`.
    like : Tile
        Of the size of the tiles.
    i, rows : int
        First row, and their number.
    m, y, x, runs, w, layer, activation, residual, start
        As in `linear`, from the first panel of the tiles on.

    Returns
    -------
    int
        Number of the first row that is left.
    """
    height, run = len(like[0]), layer.K // runs.number
    while i + height <= rows:
        if start.at < 0:
            tile = load_rows(like, w, layer.bias, 0)
        else:
            tile = load_rows(like, m, start.at + i * start.step, start.step)
        for u in range(runs.number):
            here = Rows(x.at + i * x.step + u * runs.step, x.step)
            panel = Rows(layer.at + u * run * LANES, layer.step)
            tile = micro_kernel(tile, m, here, w, panel, run, i == 0)
        finish(tile, m, y, i, activation, residual)
        i += height
    return i


@kernel
def linear(
    m: Array,
    y: Rows,
    x: Rows,
    w: Array,
    layer: Panels,
    rows: int,
    activation: int,
    residual: Rows,
    panels: Span,
    runs: Runs,
    start: Rows,
) -> None:
    """Some rows and panels of a linear layer with what follows it.

    Parameters
    ----------
    m : ndarray of float32, flat
        Holds y, x, residual and start.
    y : Rows
        Result.
    x : Rows
        Input, K numbers in each row.
    w : ndarray of float32, flat
        Holds the layer.
    layer : Panels
        Weights and bias.
    rows : int
        How many rows.
    activation : int
        One of those in `npformer.kernels.layout`.
    residual : Rows
        Added to the result, if there is one; may be y itself. Not together with GELU.
    panels : Span
        Which panels.
    runs : Runs
        How the numbers of an input row lie. The rows of a convolution's window are such runs;
        otherwise there is `ONE_RUN`.
    start : Rows
        What the sums begin with instead of the bias, if there is such; may be y itself.

    Notes
    -----
    Up to three panels meet all rows before the next are fetched, and stay in the nearest cache.
    Rows that do not fill tall tiles make short ones: of 7 beside 14, as nearly always the number of
    pixels is a multiple of 7; of 5 beside 6, in as many fives as it takes (49 = 4·6 + 5·5). Tiles
    of 4 and of 1 take the rest.
    """
    tall = tall_rows(rows)
    j = panels.first
    while j < panels.last:
        across = panels_across(panels, j, rows)
        c = j * LANES
        to, here = columns_from(y, c), panels_from(layer, j)
        past, begin = columns_from(residual, c), columns_from(start, c)
        fixed = m, to, x, runs, w, here, activation, past, begin
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
                apply_gelu(m, columns_from(to, p * LANES), rows)
        j += across


@kernel
def dense(
    m: Array,
    y: Rows,
    x: Rows,
    w: Array,
    layer: Panels,
    rows: int,
    activation: int,
    residual: Rows,
) -> None:
    """All panels of a linear layer with what follows it, from the bias on, on rows in one run.

    Parameters
    ----------
    m, y, x, w, layer, rows, activation, residual
        As in `linear`.
    """
    panels = Span(0, layer.number)
    linear(m, y, x, w, layer, rows, activation, residual, panels, ONE_RUN, NO_ROWS)


@inlined
def accumulate(zero: Tile, m: Array, y: Rows, x: Rows, dy: Rows, rows: int, adds: bool) -> None:
    """Tile of xᵀ dy of the size of `zero`; stored or added to y."""
    tile = zero
    for i in range(rows):
        tile = rank_one(tile, m, x.at + i * x.step, 1, m, dy.at + i * dy.step, LANES)
    if adds:
        tile = add_rows(load_rows(tile, m, y.at, y.step), tile)
    store_rows(m, y.at, y.step, tile)


@kernel
def linear_backward(
    m: Array,
    y: Rows,
    x: Rows,
    K: int,
    dy: Rows,
    panels: int,
    rows: int,
    chunk: int,
    tiles: Span,
) -> None:
    """Some tiles of the gradient of a weight matrix, ``dW = xᵀ dy``.

    Parameters
    ----------
    m : ndarray of float32, flat
        Holds everything.
    y : Rows
        Result, with room for ``tile_rows(K) · TALL`` rows; those beyond K mean nothing.
    x : Rows
        K numbers in each row. Up to `TALL` − 1 numbers behind a row are read.
    K : int
        Inputs of the layer.
    dy : Rows
        Gradient of the layer's output.
    panels : int
        `panels` times 16 numbers are in each row of dy.
    rows : int
        How many rows x and dy have.
    chunk : int
        How many of them to go through at a time: so many that they stay in the second-level cache,
        from which all tiles read them.
    tiles : Span
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
        for tile in range(tiles.first, tiles.last):
            k, j = tile // across * TALL, tile % across * (2 if WIDE else 1)
            two = WIDE and j + 1 < panels
            to = columns_from(rows_from(y, k), j * LANES)
            at = columns_from(rows_from(x, start), k)
            row = columns_from(rows_from(dy, start), j * LANES)
            fixed = m, to, at, row, count, start > 0
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
