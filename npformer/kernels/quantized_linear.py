"""Linear layer in eight bits: rounding of rows, product of whole numbers, back to float32.

    q = round((act(x) − least) / s)              y = (s · Σₖ q w + least · Σₖ w) · scale + b

The same function as `npformer.layers.quantized_linear`, to the last bit: sums of whole numbers do
not depend on their order, and the rest is done in that file's order, each operation rounded once.

**Rows.** A rounded row begins with its s and its least number, and after `HEAD` slots its groups of
q follow (`npformer.kernels.integers`). An activation is applied on the way to the extremes, which
takes a row twice through the nearest cache; a row is a few kilobytes.

**Product.** As in `npformer.kernels.linear`: a tile of 14 rows × 2 panels in registers, for each
group a load for each row and each panel, and 28 instructions that multiply. Each of them does the
work of four.

**Rounding.** Adding 3·2²² to a number between 0 and 255 leaves its nearest whole number, and of two
equally near ones the even one, in the lowest bits, where it is picked up as a byte. NaN, or an
infinity among finite numbers, would leave other bits above; then s is NaN, and so is the row of y.
"""

from __future__ import annotations

from math import inf, nan

from ..layers import Array
from ..layers.quantized_linear import NO_RANGE, STEPS
from .activations import gelu_polynomial, relu
from .integers import GROUP, are_bytes, blend, dequantize, dot, either, store_group
from .layout import (
    GELU,
    HEAD,
    LANES,
    RELU,
    Panels,
    Rows,
    Runs,
    Span,
    columns_from,
    panels_from,
)
from .linear import finish, panels_across, tall_rows
from .vector import (
    MAGIC,
    SHORT,
    TALL,
    Tile,
    Vector,
    inlined,
    kernel,
    load,
    maximum,
    minimum,
    prefetch,
    reduce_max,
    splat,
    store,
    zero_below,
    zeros,
)

TOGETHER = 4
"""Rows of which the extremes are found before the first is rounded: as many as the nearest cache
holds. While a row's last comparisons wait for each other, the next one has begun."""


@inlined
def _activated(m: Array, at: int, activation: int) -> Vector:
    """Apply an activation to a vector where it lies, and return it."""
    x = load(m, at)
    if activation == GELU:
        x = gelu_polynomial(x)
        store(m, at, x)
    elif activation == RELU:
        x = relu(x)
        store(m, at, x)
    return x


@inlined
def _extremes(m: Array, y: int, x: int, runs: Runs, run: int, activation: int) -> None:
    """Apply an activation to a row, and write down its step and its least number."""
    whole, rest = run // LANES * LANES, run % LANES
    least, greatest = splat(inf), splat(-inf)
    for u in range(runs.number):
        at = x + u * runs.step
        for c in range(at, at + whole, LANES):
            v = _activated(m, c, activation)
            least, greatest = minimum(v, least), maximum(v, greatest)
        if rest > 0:
            v = _activated(m, at + whole, activation)
            least = minimum(blend(v, rest, least), least)
            greatest = maximum(blend(v, rest, greatest), greatest)
    smallest = -reduce_max(splat(0.0) - least)
    m[y], m[y + 1] = (reduce_max(greatest) - smallest) / STEPS, smallest
    m[y + 2] = reduce_max(greatest) - smallest


@inlined
def _round(m: Array, y: int, x: int, runs: Runs, run: int) -> None:
    """Round a row whose extremes are known."""
    whole, rest = run // LANES * LANES, run % LANES
    low, width = splat(m[y + 1]), splat(m[y + 2])
    steps = zero_below(width, NO_RANGE, splat(STEPS) / maximum(width, splat(NO_RANGE)))
    seen, to = splat(MAGIC), y + HEAD
    for u in range(runs.number):
        at = x + u * runs.step
        for c in range(at, at + whole, LANES):
            q = (load(m, c) - low) * steps + MAGIC
            seen = either(seen, q)
            store_group(m, to, q)
            to += LANES // GROUP
        if rest > 0:
            q = blend((load(m, at + whole) - low) * steps + MAGIC, rest, splat(MAGIC))
            seen = either(seen, q)
            store_group(m, to, q)
            to += LANES // GROUP
    if not are_bytes(seen):
        m[y] = nan


@kernel
def quantize_rows(
    m: Array, y: Rows, x: Rows, rows: int, runs: Runs, run: int, activation: int
) -> None:
    """Round some rows to eight bits, after an activation.

    Parameters
    ----------
    m : ndarray of float32, flat
        Holds x and y.
    y : Rows
        Result: s, the least number, and after `npformer.kernels.layout.HEAD` slots the groups of q.
    x : Rows
        Input. If there is an activation, it is overwritten with what that makes of it.
    rows : int
        How many rows.
    runs : Runs
        How the numbers of an input row lie. In y, each run is filled up to whole vectors.
    run : int
        How many numbers of a run count.
    activation : int
        One of those in `npformer.kernels.layout`; GELU is `npformer.layers.gelu_polynomial`.
    """
    for first in range(0, rows, TOGETHER):
        last = min(first + TOGETHER, rows)
        for i in range(first, last):
            _extremes(m, y.at + i * y.step, x.at + i * x.step, runs, run, activation)
        for i in range(first, last):
            _round(m, y.at + i * y.step, x.at + i * x.step, runs, run)


@inlined
def multiply(tile: Tile, m: Array, x: Rows, w: Array, panel: Rows, groups: int) -> Tile:
    """Micro-kernel: add the product of a few rows of x and the rows of a panel to a tile.

    Parameters
    ----------
    tile : Tile
        Whole numbers.
    m : ndarray of float32, flat
    x : Rows
        Groups, as many rows as the tile has.
    w : ndarray of float32, flat
    panel : Rows
        Where the groups of the panel begin; its step is that to the next panel.
    groups : int
        How many.

    Returns
    -------
    Tile

    Notes
    -----
    The next panels are brought into the cache meanwhile.
    """
    for k in range(groups):
        row = panel.at + LANES * k
        prefetch(w, row + len(tile) * panel.step)
        if len(tile) > 1:
            prefetch(w, row + (len(tile) + 1) * panel.step)
        tile = dot(tile, m, x.at + k, x.step, w, row, panel.step)
    return tile


@inlined
def row_block(
    like: Tile, i: int, rows: int, m: Array, y: Rows, x: Rows, w: Array, layer: Panels,
    columns: int, activation: int, residual: Rows,
) -> int:  # fmt: skip
    """Multiply rows from number i on, as many as fill tiles; return where that ends.

    Parameters
    ----------
    like : Tile
        Zeros, of the size of the tiles.
    i, rows : int
        First row, and their number.
    m, y, x, w, layer, activation, residual
        As in `quantized_linear`, from the first panel of the tiles on.
    columns : int
        Columns of the whole layer, filled up to whole vectors.

    Returns
    -------
    int
        Number of the first row that is left.
    """
    height = len(like[0])
    while i + height <= rows:
        here = x.at + i * x.step
        sums = multiply(like, m, Rows(here + HEAD, x.step), w, Rows(layer.at, layer.step), layer.K)
        tile = dequantize(sums, m, here, x.step, w, layer.bias, columns)
        finish(tile, m, y, i, activation, residual)
        i += height
    return i


@kernel
def quantized_linear(
    m: Array,
    y: Rows,
    x: Rows,
    w: Array,
    layer: Panels,
    rows: int,
    activation: int,
    residual: Rows,
    panels: Span,
) -> None:
    """Some rows and panels of a linear layer in eight bits with what follows it.

    Parameters
    ----------
    m : ndarray of float32, flat
        Holds y, x and residual.
    y : Rows
        Result.
    x : Rows
        Input, as `quantize_rows` makes it.
    w : ndarray of float32, flat
        Holds the layer.
    layer : Panels
        As `npformer.kernels.layout.pack_quantized` makes it, K counted in groups.
    rows : int
        How many rows.
    activation : int
        NONE or RELU.
    residual : Rows
        Added to the result, if there is one; may be y itself.
    panels : Span
        Which panels.
    """
    columns = layer.number * LANES
    tall = tall_rows(rows)
    j = panels.first
    while j < panels.last:
        across = panels_across(panels, j, rows)
        c = j * LANES
        to, here, past = columns_from(y, c), panels_from(layer, j), columns_from(residual, c)
        fixed = m, to, x, w, here, columns, activation, past
        if across == 3:
            row_block(zeros(7, 3), 0, rows, *fixed)
        elif across == 2:
            i = row_block(zeros(TALL, 2), 0, rows, *fixed)
            i = row_block(zeros(SHORT, 2), i, rows, *fixed)
            i = row_block(zeros(4, 2), i, rows, *fixed)
            row_block(zeros(1, 2), i, rows, *fixed)
        else:
            i = row_block(zeros(TALL, 1), 0, tall, *fixed)
            i = row_block(zeros(SHORT, 1), i, rows, *fixed)
            i = row_block(zeros(4, 1), i, rows, *fixed)
            row_block(zeros(1, 1), i, rows, *fixed)
        j += across
