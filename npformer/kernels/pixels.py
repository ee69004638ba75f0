"""Operations on pixels of four bytes, in the manner of `npformer.kernels.vector`.

Pillow keeps a pixel as red, green, blue, and a byte without meaning. A vector of 16 slots takes 64
bytes: of 16 numbers, four *taps* each, which are neighbors in a row or in a column. One
multiplication then weighs them, with the four weights in another slot, and adds them up.

Weights have 24 bits, with their sign, which no instruction multiplies by bytes. So they are
written in *digits* (`npformer.kernels.layout.pack_taps`), each as large as
`npformer.kernels.integers` multiplies: bytes where there is VNNI, else 16 bits. Each digit has its
sum, and these make one whole number at the end. They may overflow, which costs nothing, since that
number fits into 32 bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from ..layers import Array
from .integers import GROUP, products
from .layout import LANES, TAPS, digits_of, slots_of
from .vector import (
    FLOATS,
    INDEX,
    INTS,
    VECTOR,
    Tile,
    Vector,
    address,
    emits,
    list_of_panels,
    make_tile,
    spread,
)

DIGITS = digits_of(GROUP)
"""How many sums there are for each number."""
WEIGHTS = slots_of(GROUP)
"""Slots of four weights, with all their digits."""
FRACTION = 22
"""Bits of the weights behind the point."""
PIXELS = 4
"""Pixels that are loaded, or stored, side by side."""
_BYTE, _INT = ir.IntType(8), ir.IntType(32)
_DIGIT = 32 // GROUP
_PAIRS = 0x00FF00FF


def pixels_along(data: Array, at: int, step: int) -> Vector:
    """Four pixels side by side in each of four rows: slot 4r + c has the taps of color c of row r.

    Row r begins at ``data[at + r step]``.
    """
    rows = _four_rows(data, at, step).reshape(4, TAPS, 4)  # (row, tap, color)
    return np.ascontiguousarray(rows.swapaxes(1, 2)).reshape(-1).view(np.float32)


def pixels_down(data: Array, at: int, step: int) -> Vector:
    """Four pixels side by side in each of four rows: slot 4i + c has the taps of color c, pixel i.

    Row r begins at ``data[at + r step]``.
    """
    rows = _four_rows(data, at, step)  # (tap, 4 pixel + color)
    return np.ascontiguousarray(rows.T).reshape(-1).view(np.float32)


def _four_rows(data: Array, at: int, step: int) -> Array:
    assert 0 <= at <= len(data) - LANES - 3 * step, "outside of the array"
    return np.stack([data[at + r * step :][:LANES] for r in range(4)])


_ALONG = [16 * r + 4 * t + c for r in range(4) for c in range(4) for t in range(TAPS)]
_DOWN = [16 * t + i for i in range(LANES) for t in range(TAPS)]


def _loads(order: list[int]) -> Any:
    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data, at, step = values
        kind, rows = ir.VectorType(_BYTE, LANES), []
        for _ in range(4):
            pointer = address(context, builder, signature.args[0], data, at, LANES)
            rows.append(builder.load(builder.bitcast(pointer, kind.as_pointer()), align=1))
            at = builder.add(at, step)
        every = ir.Constant(ir.VectorType(_INT, 2 * LANES), list(range(2 * LANES)))
        pairs = [builder.shuffle_vector(*rows[i : i + 2], every) for i in (0, 2)]
        mask = ir.Constant(ir.VectorType(_INT, 4 * LANES), order)
        return builder.bitcast(builder.shuffle_vector(*pairs, mask), FLOATS)

    return emit


for _operation, _order in ((pixels_along, _ALONG), (pixels_down, _DOWN)):
    emits(_operation, lambda data, at, step: VECTOR(data, INDEX, INDEX))(_loads(_order))


def weigh_taps(sums: Tile, x: Vector, weights: Array, at: int) -> Tile:
    """Add the taps of each slot of x, times the four weights at ``weights[at]``, to the sums.

    The tile has a panel of one vector for each digit.
    """
    pixels = x.view(np.uint8).reshape(LANES, TAPS).astype(np.int32)
    digits = weights[at : at + WEIGHTS].view(f"int{_DIGIT}").reshape(DIGITS, TAPS)
    if GROUP == 2:
        digits = digits[:, [0, 2, 1, 3]]
    return tuple(
        ((total.view(np.int32) + pixels @ digit.astype(np.int32)).view(np.float32),)
        for (total,), digit in zip(sums, digits, strict=True)
    )


@emits(weigh_taps, lambda sums, x, weights, at: sums(sums, VECTOR, weights, INDEX))
def _weigh_taps(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    sums, x, weights, at = values
    kind, _, array, _ = signature.args
    x = builder.bitcast(x, INTS)
    if GROUP == 4:
        parts = [x]
    else:  # taps 0 and 2, then 1 and 3, as numbers of 16 bits
        odd = builder.lshr(x, ir.Constant(INTS, [8] * LANES))
        parts = [builder.and_(part, ir.Constant(INTS, [_PAIRS] * LANES)) for part in (x, odd)]
    panels = []
    for (old,) in list_of_panels(builder, sums):
        total = builder.bitcast(old, INTS)
        for part in parts:
            pointer = address(context, builder, array, weights, at, 1)
            number = builder.load(builder.bitcast(pointer, ir.FloatType().as_pointer()))
            weight = builder.bitcast(spread(builder, number), INTS)
            total = products(builder, total, part, weight)
            at = builder.add(at, ir.Constant(at.type, 1))
        panels.append([builder.bitcast(total, FLOATS)])
    return make_tile(context, builder, kind, panels)


def levels(sums: Tile) -> Vector:
    """Put the digits' sums together, round off the fraction, and clip: whole numbers to 255."""
    total = np.zeros(LANES, np.int32)
    for (digit,) in reversed(sums):
        total = (total << _DIGIT) + digit.view(np.int32)
    rounded = (total + np.int32(1 << (FRACTION - 1))) >> FRACTION
    return np.clip(rounded, 0, 255).astype(np.int32).view(np.float32)


@emits(levels, lambda sums: VECTOR(sums))
def _levels(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    def constant(number: int) -> Any:
        return ir.Constant(INTS, [number] * LANES)

    digits = [builder.bitcast(d, INTS) for (d,) in list_of_panels(builder, values[0])]
    total = digits.pop()
    for digit in reversed(digits):
        total = builder.add(builder.shl(total, constant(_DIGIT)), digit)
    total = builder.add(total, constant(1 << (FRACTION - 1)))
    total = builder.ashr(total, constant(FRACTION))
    for sign, limit in (("<", constant(0)), (">", constant(255))):
        total = builder.select(builder.icmp_signed(sign, total, limit), limit, total)
    return builder.bitcast(total, FLOATS)


def store_pixels(data: Array, at: int, step: int, vector: Vector) -> None:
    """Write slots 4i to 4i + 3, whole numbers to 255, as a pixel at ``data[at + i step]``."""
    assert 0 <= at <= len(data) - 4 - 3 * step, "outside of the array"
    for i, pixel in enumerate(vector.view(np.int32).astype(np.uint8).reshape(PIXELS, 4)):
        data[at + i * step :][:4] = pixel


@emits(store_pixels, lambda data, at, step, vector: types.void(data, INDEX, INDEX, VECTOR))
def _store_pixels(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    data, at, step, vector = values
    low = builder.trunc(builder.bitcast(vector, INTS), ir.VectorType(_BYTE, LANES))
    pixels = builder.bitcast(low, ir.VectorType(_INT, PIXELS))
    for i in range(PIXELS):
        pointer = address(context, builder, signature.args[0], data, at, 4)
        pixel = builder.extract_element(pixels, ir.Constant(_INT, i))
        builder.store(pixel, builder.bitcast(pointer, _INT.as_pointer()), align=1)
        at = builder.add(at, step)
    return context.get_dummy_value()
