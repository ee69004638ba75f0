"""Operations on whole numbers, in the manner of `npformer.kernels.vector`.

What is multiplied has eight bits, and its sums 32. Both lie in the same arrays as everything else:
a *slot* is the place of one float32, and holds a whole number of 32 bits or a group of neighbors in
a row. A vector is then 16 whole numbers.

**Groups of four.** With VNNI, ``vpdpbusd`` multiplies four unsigned bytes, those of a slot of x, by
four signed bytes of each column of the weights, and adds the four products to the column's sum: 64
products for an instruction that takes as long as 16 of float32.

**Groups of two.** Without it, the obvious ``vpmaddubsw`` does not serve: it adds two products of
bytes, of which each can be 255 · 127, in 16 bits, and clips what is too large. ``vpmaddwd`` is
exact: it multiplies numbers of 16 bits and adds pairs of products in 32. So a slot holds two
numbers of 16 bits, of x and of the weights alike, and these then take half of float32. Kept as
bytes they would take a quarter, but each tile would have to extend them when it loads them, by
``vpmovsxbw``, on a unit that the additions behind ``vpmaddwd`` keep busy.

The sums are exact either way, and so the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from ..layers import Array
from .layout import LANES
from .processor import group_size, has
from .vector import (
    FLOATS,
    INDEX,
    INTS,
    MAGIC,
    VECTOR,
    Tile,
    Vector,
    address,
    call,
    emits,
    halves,
    lane_is_below,
    list_of_panels,
    load,
    loads_apart,
    make_tile,
    spread,
)

GROUP = group_size()
"""How many numbers a slot holds."""
_BYTE, _SHORT, _INT = ir.IntType(8), ir.IntType(16), ir.IntType(32)
_UNSIGNED, _SIGNED = {4: (np.uint8, np.int8), 2: (np.int16, np.int16)}[GROUP]


def dot(tile: Tile, data: Array, at: int, step: int, weights: Array, row: int, apart: int) -> Tile:
    """Add the products of a group of columns of x and a group of rows of weights to whole numbers.

    As `npformer.kernels.vector.rank_one`, with a slot ``data[at + r step]`` for each row r of the
    tile, and 16 slots of weights from ``row + p apart`` on for each panel p.
    """
    sums = []
    for p, panel in enumerate(tile):
        first = row + p * apart
        w = load(weights, first).view(_SIGNED).reshape(LANES, GROUP).astype(np.int32)
        totals = []
        for r, total in enumerate(panel):
            x = data[at + r * step : at + r * step + 1].view(_UNSIGNED).astype(np.int32)
            totals.append((total.view(np.int32) + w @ x).astype(np.int32).view(np.float32))
        sums.append(tuple(totals))
    return tuple(sums)


@emits(
    dot,
    lambda tile, data, at, step, weights, row, apart: tile(
        tile, data, INDEX, INDEX, weights, INDEX, INDEX
    ),
)
def _dot(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    tile, data, at, step, weights, row, apart = values
    kind, array, *_, panels_array, _, _ = signature.args
    vectors = loads_apart(context, builder, panels_array, weights, row, apart, kind.count)
    vectors = [builder.bitcast(vector, INTS) for vector in vectors]
    sums: list[list[Any]] = [[] for _ in range(kind.count)]
    for olds in zip(*list_of_panels(builder, tile), strict=True):
        pointer = address(context, builder, array, data, at, 1)
        x = builder.bitcast(spread(builder, builder.load(pointer)), INTS)
        for panel, vector, old in zip(sums, vectors, olds, strict=True):
            total = products(builder, builder.bitcast(old, INTS), x, vector)
            panel.append(builder.bitcast(total, FLOATS))
        at = builder.add(at, step)
    return make_tile(context, builder, kind, sums)


def products(builder: Any, total: Any, x: Any, w: Any) -> Any:
    """``total`` plus the groups' products: whole numbers of 32 bits, `LANES` of them."""
    if GROUP == 4:
        if has("avx512vnni"):
            return call(builder, "llvm.x86.avx512.vpdpbusd.512", INTS, total, x, w)
        return _by_halves(builder, "llvm.x86.avx512.vpdpbusd.256", INTS, total, x, w)
    x, w = (builder.bitcast(value, ir.VectorType(_SHORT, 2 * LANES)) for value in (x, w))
    if has("avx512bw"):
        products = call(builder, "llvm.x86.avx512.pmaddw.d.512", INTS, x, w)
    elif has("avx2"):
        products = _by_halves(builder, "llvm.x86.avx2.pmadd.wd", INTS, x, w)
    else:
        wide = ir.VectorType(_INT, 2 * LANES)
        products = builder.mul(builder.sext(x, wide), builder.sext(w, wide))
        even, odd = (ir.Constant(INTS, list(range(s, 2 * LANES, 2))) for s in (0, 1))
        nothing = ir.Constant(wide, ir.Undefined)
        products = builder.add(
            builder.shuffle_vector(products, nothing, even),
            builder.shuffle_vector(products, nothing, odd),
        )
    return builder.add(total, products)


def _by_halves(builder: Any, name: str, kind: Any, *values: Any) -> Any:
    """Call a function that takes vectors of half the size, twice."""
    half = ir.VectorType(kind.element, kind.count // 2)
    pairs = zip(*(halves(builder, value) for value in values), strict=True)
    low, high = (call(builder, name, half, *some) for some in pairs)
    every = ir.Constant(INTS, list(range(LANES)))
    return builder.shuffle_vector(low, high, every)


def dequantize(tile: Tile, data: Array, at: int, step: int, weights: Array, columns: int,
               apart: int) -> Tile:  # fmt: skip
    """``(s · sums + least · Σw) · scale + bias``, of the whole numbers in a tile.

    Row r has its s at ``data[at + r step]`` and its least number behind it. Panel p has Σw at
    ``weights[columns + 16 p]``, the scale `apart` behind it, and the bias as far behind that.
    """
    panels = []
    for p, panel in enumerate(tile):
        total, scale, bias = (load(weights, columns + LANES * p + i * apart) for i in range(3))
        rows = []
        for r, sums in enumerate(panel):
            s, least = data[at + r * step], data[at + r * step + 1]
            with np.errstate(over="ignore", invalid="ignore"):
                rows.append((sums.view(np.int32).astype(np.float32) * s + total * least) * scale
                            + bias)  # fmt: skip
        panels.append(tuple(rows))
    return tuple(panels)


@emits(
    dequantize,
    lambda tile, data, at, step, weights, columns, apart: tile(
        tile, data, INDEX, INDEX, weights, INDEX, INDEX
    ),
)
def _dequantize(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    tile, data, at, step, weights, columns, apart = values
    kind, array, *_, weights_array, _, _ = signature.args
    rows = []
    for _ in range(kind.dtype.count):
        pointer = address(context, builder, array, data, at, 2)
        s = spread(builder, builder.load(pointer))
        behind = builder.gep(pointer, [ir.Constant(at.type, 1)])
        rows.append((s, spread(builder, builder.load(behind))))
        at = builder.add(at, step)
    panels: list[list[Any]] = []
    for panel in list_of_panels(builder, tile):
        total, scale, bias = loads_apart(
            context, builder, weights_array, weights, columns, apart, 3
        )
        panels.append([])
        for (s, least), sums in zip(rows, panel, strict=True):
            whole = builder.sitofp(builder.bitcast(sums, INTS), FLOATS)
            x = builder.fadd(builder.fmul(whole, s), builder.fmul(total, least))
            panels[-1].append(builder.fadd(builder.fmul(x, scale), bias))
        columns = builder.add(columns, ir.Constant(columns.type, LANES))
    return make_tile(context, builder, kind, panels)


def store_group(data: Array, at: int, vector: Vector) -> None:
    """Write the lowest byte of each lane to 16 / `GROUP` slots, in groups."""
    assert 0 <= at <= len(data) - LANES // GROUP, "outside of the array"
    low = vector.view(np.int32) & 255
    data[at : at + LANES // GROUP].view(_UNSIGNED)[:] = low


@emits(store_group, lambda data, at, vector: types.void(data, INDEX, VECTOR))
def _store_group(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    data, at, vector = values
    pointer = address(context, builder, signature.args[0], data, at, LANES // GROUP)
    bits = builder.bitcast(vector, INTS)
    kind = ir.VectorType(_BYTE if GROUP == 4 else _SHORT, LANES)
    if GROUP == 2:
        bits = builder.and_(bits, ir.Constant(INTS, [255] * LANES))
    builder.store(builder.trunc(bits, kind), builder.bitcast(pointer, kind.as_pointer()), align=4)
    return context.get_dummy_value()


def blend(x: Vector, count: int, y: Vector) -> Vector:
    """The first `count` lanes of `x`, then those of `y`."""
    return np.where(np.arange(LANES) < count, x, y)


@emits(blend, lambda x, count, y: VECTOR(VECTOR, INDEX, VECTOR))
def _blend(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    x, count, y = values
    return builder.select(lane_is_below(builder, count), x, y)


def either(x: Vector, y: Vector) -> Vector:
    """All bits that are set in `x` or in `y`."""
    return (x.view(np.int32) | y.view(np.int32)).view(np.float32)


@emits(either, lambda x, y: VECTOR(VECTOR, VECTOR))
def _either(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    x, y = (builder.bitcast(value, INTS) for value in values)
    return builder.bitcast(builder.or_(x, y), FLOATS)


def are_bytes(x: Vector) -> bool:
    """Whether each lane is ``n + MAGIC`` with n from 0 to 255: what adding MAGIC leaves of such.

    Of such lanes this can also be asked of their `either`.
    """
    return bool(((x.view(np.int32) & ~255) == np.float32(MAGIC).view(np.int32)).all())


@emits(are_bytes, lambda x: types.boolean(VECTOR))
def _are_bytes(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    bits = builder.bitcast(values[0], INTS)
    magic = int(np.float32(MAGIC).view(np.int32))
    high = builder.and_(bits, ir.Constant(INTS, [~255] * LANES))
    same = builder.icmp_signed("==", high, ir.Constant(INTS, [magic] * LANES))
    mask = builder.bitcast(same, ir.IntType(LANES))
    return builder.icmp_signed("==", mask, ir.Constant(mask.type, -1))
