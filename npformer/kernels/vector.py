"""The operations that kernels are written in: sixteen numbers at a time.

A processor core multiplies several numbers with one instruction: 16 with AVX-512, 8 with AVX2, 4
with NEON. The kernels are written for a *vector* of 16 ``float32`` on every machine, and LLVM
splits it into as many registers as it takes. So the same source serves all processors, and since it
fixes the order of every sum, gives the same bits on all of them that have fused multiply-add.

Each operation below is a plain Python function on NumPy arrays of 16 numbers, which defines it and
runs when nothing is compiled. The function after it emits what it becomes in LLVM's intermediate
representation. A *tile* is a small block of a matrix: a tuple of panels of 16
columns, each a tuple of vectors, one for each row. Its size is part of its type, so the compiler
unrolls every loop over it and holds the whole tile in registers.

Set ``NPFORMER_BOUNDSCHECK=1`` before the import to have every load and store checked.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeAlias, TypeVar

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import lower_builtin, models, overload, register_model

from ..layers import Array
from .layout import LANES
from .processor import has

Vector: TypeAlias = Any
"""16 float32: an array in Python; registers, once compiled."""
Tile: TypeAlias = tuple[tuple[Vector, ...], ...]
"""A vector for each row of each panel of a block."""

BOUNDSCHECK = os.environ.get("NPFORMER_BOUNDSCHECK", "0") not in ("", "0")

WIDE = has("avx512f")
"""Whether the registers have room for a tile of two panels."""
TALL, SHORT = (14, 7) if WIDE else (6, 5)
"""Rows of the largest tile and of a smaller one, see `npformer.kernels.linear`."""

F = TypeVar("F", bound=Callable[..., Any])


KERNELS: dict[str, Callable[..., Any]] = {}
"""Every kernel by its name: each must have a law (tests/laws.py)."""

OPTIONS = {"nogil": True, "error_model": "numpy", "_nrt": False}
"""What kernels do without: the interpreter lock, exceptions for a division by zero, reference
counting (no kernel owns memory). Floating point stays strict: nothing is reordered, and NaN and
infinity follow IEEE 754."""


def kernel(function: F) -> F:
    """Let compiled code call a function; in Python it stays the function it is."""
    KERNELS[function.__name__] = function
    return _teach(function, OPTIONS)


def inlined(function: F) -> F:
    """Do as `kernel` does, and put the body of the function wherever it is called.

    Such a function should call no kernel: Numba would compile the kernel once more, inlined too.
    """
    return _teach(function, OPTIONS | {"forceinline": True})


def _teach(function: F, options: dict[str, Any]) -> F:
    @wraps(function)
    def implementation(*_: Any) -> F:
        return function

    inside = options | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    overload(function, jit_options=inside)(implementation)
    return function


def compiled(function: F) -> F:
    """Compile a function, to be called from Python."""
    machine_code: F = njit(**OPTIONS)(function)
    return machine_code


# The vector type in Numba -------------------------------------------------------------------------


class VectorType(types.Type):
    """Numba's name for 16 float32 in registers."""

    def __init__(self) -> None:
        super().__init__(name=f"float32x{LANES}")


VECTOR = VectorType()
FLOATS = ir.VectorType(ir.FloatType(), LANES)
INTS = ir.VectorType(ir.IntType(32), LANES)
INDEX = types.int64
SCALAR = types.float32


@register_model(VectorType)
class VectorModel(models.PrimitiveModel):
    """A vector is one LLVM value."""

    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, FLOATS)


def emits(meaning: Callable[..., Any], typing: Callable[..., Any]) -> Callable[[F], F]:
    """Teach Numba an operation.

    Parameters
    ----------
    meaning : callable
        The Python function whose calls are to be replaced.
    typing : callable
        ``typing(*argument_types)`` gives the signature, or None if it does not take these.

    Returns
    -------
    callable
        Decorator of the emitter, ``emit(context, builder, signature, values) -> value``.
    """

    class Template(AbstractTemplate):
        key = meaning

        def generic(self, args: Any, kws: Any) -> Any:
            return typing(*args)

    infer_global(meaning, types.Function(Template))
    register: Callable[[F], F] = lower_builtin(meaning, types.VarArg(types.Any))
    return register


def _constant(number: float) -> ir.Constant:
    return ir.Constant(FLOATS, [float(np.float32(number))] * LANES)


def spread(builder: Any, scalar: Any) -> Any:
    """Copy a scalar into all lanes."""
    nothing = ir.Constant(FLOATS, ir.Undefined)
    first = builder.insert_element(nothing, scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, nothing, ir.Constant(INTS, [0] * LANES))


def call(builder: Any, name: str, result: Any, *values: Any) -> Any:
    """Call a function of LLVM that returns the type `result`."""
    kind = ir.FunctionType(result, [value.type for value in values])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), values)


def _intrinsic(builder: Any, name: str, *values: Any) -> Any:
    """Call LLVM's own function on vectors, such as ``llvm.fma.v16f32``."""
    return call(builder, f"llvm.{name}.v{LANES}f32", FLOATS, *values)


def member(context: Any, builder: Any, kind: Any, array: Any, name: str) -> Any:
    """A member of an array in LLVM: its ``data``, or ``nitems``, how many numbers it has."""
    return context.data_model_manager[kind].get(builder, array, name)


def address(context: Any, builder: Any, kind: Any, data: Any, at: Any, count: int = LANES) -> Any:
    """Pointer to ``data[at]``; with checks on, an IndexError unless `count` numbers are there."""
    if BOUNDSCHECK:
        there = member(context, builder, kind, data, "nitems")
        zero, width = ir.Constant(at.type, 0), ir.Constant(at.type, count)
        before = builder.icmp_signed("<", at, zero)
        behind = builder.icmp_signed(">", builder.add(at, width), there)
        with builder.if_then(builder.or_(before, behind), likely=False):
            context.call_conv.return_user_exc(builder, IndexError, ("outside of the array",))
    return builder.gep(member(context, builder, kind, data, "data"), [at])


# Memory -------------------------------------------------------------------------------------------


def load(data: Array, at: int) -> Vector:
    """``data[at : at + 16]``."""
    assert 0 <= at <= len(data) - LANES, "outside of the array"
    return data[at : at + LANES].copy()


@emits(load, lambda data, at: VECTOR(data, INDEX))
def _load(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    pointer = address(context, builder, signature.args[0], *values)
    return builder.load(builder.bitcast(pointer, FLOATS.as_pointer()), align=4)


def store(data: Array, at: int, vector: Vector) -> None:
    """``data[at : at + 16] = vector``."""
    assert 0 <= at <= len(data) - LANES, "outside of the array"
    data[at : at + LANES] = vector


@emits(store, lambda data, at, vector: types.void(data, INDEX, VECTOR))
def _store(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    data, at, vector = values
    pointer = address(context, builder, signature.args[0], data, at, LANES)
    builder.store(vector, builder.bitcast(pointer, FLOATS.as_pointer()), align=4)
    return context.get_dummy_value()


def prefetch(data: Array, at: int) -> None:
    """Ask for ``data[at]`` to be brought into the cache. It need not exist."""


@emits(prefetch, lambda data, at: types.void(data, INDEX))
def _prefetch(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    data = member(context, builder, signature.args[0], values[0], "data")
    pointer = builder.bitcast(builder.gep(data, [values[1]]), ir.IntType(8).as_pointer())
    number = ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [pointer.type, number, number, number])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    reading, level_2, data_cache = (ir.Constant(number, n) for n in (0, 2, 1))
    builder.call(function, [pointer, reading, level_2, data_cache])
    return context.get_dummy_value()


# Arithmetic ---------------------------------------------------------------------------------------
# + − × ÷ between two vectors, or a vector and a number, are written as such.


def splat(scalar: float) -> Vector:
    """The same number in all lanes."""
    return np.full(LANES, scalar, np.float32)


@emits(splat, lambda scalar: VECTOR(SCALAR))
def _splat(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    return spread(builder, values[0])


@inlined
def copy(m: Array, to: int, source: Array, at: int, count: int) -> None:
    """``m[to + i] = source[at + i]`` for i up to `count`, rounded up to whole vectors."""
    for i in range(0, count, LANES):
        store(m, to + i, load(source, at + i))


@inlined
def clear(m: Array, to: int, count: int) -> None:
    """``m[to + i] = 0`` for i up to `count`, rounded up to whole vectors."""
    for i in range(0, count, LANES):
        store(m, to + i, splat(0.0))


def fma(a: Vector, b: Vector, c: Vector) -> Vector:
    """``a b + c``, rounded once."""
    return (a.astype(np.float64) * b + c).astype(np.float32)


@emits(fma, lambda a, b, c: VECTOR(VECTOR, VECTOR, VECTOR))
def _fma(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    return _intrinsic(builder, "fma", *values)


def square_root(x: Vector) -> Vector:
    """``√x``."""
    return np.sqrt(x)


@emits(square_root, lambda x: VECTOR(VECTOR))
def _square_root(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    return _intrinsic(builder, "sqrt", *values)


def absolute(x: Vector) -> Vector:
    """``|x|``."""
    return np.abs(x)


@emits(absolute, lambda x: VECTOR(VECTOR))
def _absolute(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    return _intrinsic(builder, "fabs", *values)


def maximum(x: Vector, low: Vector) -> Vector:
    """``low`` where ``x < low``, else ``x``: NaN stays NaN."""
    return np.where(x < low, low, x)


@emits(maximum, lambda x, low: VECTOR(VECTOR, VECTOR))
def _maximum(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    x, low = values
    return builder.select(builder.fcmp_ordered("<", x, low), low, x)


def minimum(x: Vector, high: Vector) -> Vector:
    """``high`` where ``x > high``, else ``x``: NaN stays NaN."""
    return np.where(x > high, high, x)


@emits(minimum, lambda x, high: VECTOR(VECTOR, VECTOR))
def _minimum(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    x, high = values
    return builder.select(builder.fcmp_ordered(">", x, high), high, x)


def zero_below(x: Vector, low: float, y: Vector) -> Vector:
    """``0`` where ``x < low``, else ``y``."""
    return np.where(x < np.float32(low), np.float32(0), y)


@emits(zero_below, lambda x, low, y: VECTOR(VECTOR, SCALAR, VECTOR))
def _zero_below(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    x, low, y = values
    return builder.select(builder.fcmp_ordered("<", x, spread(builder, low)), _constant(0), y)


def mask(x: Vector, count: int) -> Vector:
    """The first `count` lanes of `x`; 0 in the others."""
    return np.where(np.arange(LANES) < count, x, np.float32(0))


@emits(mask, lambda x, count: VECTOR(VECTOR, INDEX))
def _mask(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    x, count = values
    return builder.select(lane_is_below(builder, count), x, _constant(0))


def lane_is_below(builder: Any, count: Any) -> Any:
    """Whether the number of a lane is below `count`, for each lane."""
    undefined = ir.Constant(INTS, ir.Undefined)
    zero = ir.Constant(ir.IntType(32), 0)
    count = builder.insert_element(undefined, builder.trunc(count, ir.IntType(32)), zero)
    count = builder.shuffle_vector(count, undefined, ir.Constant(INTS, [0] * LANES))
    lane = ir.Constant(INTS, list(range(LANES)))
    return builder.icmp_signed("<", lane, count)


MAGIC = 12582912.0
"""3·2²²: a float32 of this size has no bits left for a fraction, so adding it rounds."""


def power_of_two(magic: Vector) -> Vector:
    """``2ⁿ`` where `magic` is ``n + MAGIC`` and n a whole number from −126 to 127.

    The lowest bits of `magic` are n, and the exponent of a float32 is stored in bits 23 and up,
    with 127 added. NaN gives some number, so multiply the result into something that is NaN too.
    """
    return ((magic.view(np.uint32) + np.uint32(127)) << np.uint32(23)).view(np.float32)


@emits(power_of_two, lambda magic: VECTOR(VECTOR))
def _power_of_two(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    bits = builder.bitcast(values[0], INTS)
    bits = builder.add(bits, ir.Constant(INTS, [127] * LANES))
    return builder.bitcast(builder.shl(bits, ir.Constant(INTS, [23] * LANES)), FLOATS)


def reduce_add(x: Vector) -> float:
    """Sum of the lanes: halves onto halves, 16 to 8 to 4 to 2 to 1."""
    while len(x) > 1:
        x = x[: len(x) // 2] + x[len(x) // 2 :]
    return x[0]


def reduce_max(x: Vector) -> float:
    """Largest lane, by halves as `reduce_add`. With NaN among them, any of them."""
    while len(x) > 1:
        low, high = x[: len(x) // 2], x[len(x) // 2 :]
        x = np.where(low < high, high, low)
    return x[0]


def halves(builder: Any, x: Any) -> tuple[Any, Any]:
    """Both halves of a vector."""
    half = x.type.count // 2
    lanes = ir.VectorType(ir.IntType(32), half)
    low, high = (ir.Constant(lanes, list(range(s, s + half))) for s in (0, half))
    return builder.shuffle_vector(x, x, low), builder.shuffle_vector(x, x, high)


@emits(reduce_add, lambda x: SCALAR(VECTOR))
def _reduce_add(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    (x,) = values
    while x.type.count > 1:
        x = builder.fadd(*halves(builder, x))
    return builder.extract_element(x, ir.Constant(ir.IntType(32), 0))


@emits(reduce_max, lambda x: SCALAR(VECTOR))
def _reduce_max(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    (x,) = values
    while x.type.count > 1:
        low, high = halves(builder, x)
        x = builder.select(builder.fcmp_ordered("<", low, high), high, low)
    return builder.extract_element(x, ir.Constant(ir.IntType(32), 0))


def _define_operator(symbol: Callable[..., Any], instruction: str) -> None:
    def typing(a: Any, b: Any) -> Any:
        if VECTOR not in (a, b):
            return None
        kinds = [kind if kind == VECTOR else SCALAR for kind in (a, b)]
        return VECTOR(*kinds)

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pairs = zip(signature.args, values, strict=True)
        return getattr(builder, instruction)(
            *(value if kind == VECTOR else spread(builder, value) for kind, value in pairs)
        )

    class Template(AbstractTemplate):
        key = symbol

        def generic(self, args: Any, kws: Any) -> Any:
            return typing(*args)

    infer_global(symbol, types.Function(Template))
    for kinds in ((VECTOR, VECTOR), (VECTOR, SCALAR), (SCALAR, VECTOR)):
        lower_builtin(symbol, *kinds)(emit)


for _symbol, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _define_operator(_symbol, _instruction)


# Tiles --------------------------------------------------------------------------------------------


def zeros(rows: int, panels: int) -> Tile:
    """Tile of zeros. Both numbers have to be known to the compiler."""
    return ((splat(0.0),) * rows,) * panels


@emits(
    zeros,
    lambda rows, panels: (
        types.UniTuple(types.UniTuple(VECTOR, rows.literal_value), panels.literal_value)(
            rows, panels
        )
        if isinstance(rows, types.IntegerLiteral) and isinstance(panels, types.IntegerLiteral)
        else None
    ),
)
def _zeros(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    kind = signature.return_type
    return make_tile(context, builder, kind, [[_constant(0)] * kind.dtype.count] * kind.count)


def make_tile(context: Any, builder: Any, kind: Any, panels: Any) -> Any:
    """Make a tile of a list of lists."""
    rows = [context.make_tuple(builder, kind.dtype, panel) for panel in panels]
    return context.make_tuple(builder, kind, rows)


def list_of_panels(builder: Any, tile: Any) -> list[Any]:
    """Make a list of lists of a tile."""
    panels = cgutils.unpack_tuple(builder, tile)
    return [cgutils.unpack_tuple(builder, panel) for panel in panels]


def _row_by_row(context: Any, builder: Any, array: Any, values: Any, kind: Any) -> Any:
    """Row, panel and pointer of each vector that a tile of that kind has in an array."""
    data, at, step = values
    for r in range(kind.dtype.count):
        for p in range(kind.count):
            here = builder.add(at, ir.Constant(at.type, p * LANES))
            pointer = address(context, builder, array, data, here, LANES)
            yield r, p, builder.bitcast(pointer, FLOATS.as_pointer())
        at = builder.add(at, step)


def load_rows(like: Tile, data: Array, at: int, step: int) -> Tile:
    """Tile of the same size as `like`: row r of panel p is ``data[at + r step + 16 p :][:16]``."""
    return tuple(
        tuple(load(data, at + r * step + LANES * p) for r in range(len(panel)))
        for p, panel in enumerate(like)
    )


@emits(load_rows, lambda like, data, at, step: like(like, data, INDEX, INDEX))
def _load_rows(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    kind, array = signature.args[:2]
    panels: list[list[Any]] = [[] for _ in range(kind.count)]
    for _, p, pointer in _row_by_row(context, builder, array, values[1:], kind):
        panels[p].append(builder.load(pointer, align=4))
    return make_tile(context, builder, kind, panels)


def store_rows(data: Array, at: int, step: int, tile: Tile) -> None:
    """Write row r of panel p to ``data[at + r step + 16 p :][:16]``, row by row."""
    for r, row in enumerate(zip(*tile, strict=True)):
        for p, vector in enumerate(row):
            store(data, at + r * step + LANES * p, vector)


@emits(store_rows, lambda data, at, step, tile: types.void(data, INDEX, INDEX, tile))
def _store_rows(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    array, *_, kind = signature.args
    panels = list_of_panels(builder, values[3])
    for r, p, pointer in _row_by_row(context, builder, array, values[:3], kind):
        builder.store(panels[p][r], pointer, align=4)
    return context.get_dummy_value()


def loads_apart(
    context: Any, builder: Any, array: Any, data: Any, at: Any, apart: Any, count: int
) -> list[Any]:
    """`count` vectors, each `apart` numbers behind the one before."""
    vectors = []
    for _ in range(count):
        pointer = address(context, builder, array, data, at)
        vectors.append(builder.load(builder.bitcast(pointer, FLOATS.as_pointer()), align=4))
        at = builder.add(at, apart)
    return vectors


def rank_one(
    tile: Tile, data: Array, at: int, step: int, weights: Array, row: int, apart: int
) -> Tile:
    """Add a column times a row, ``data[at + r step] · weights[row + p apart :][:16]``, fused.

    This is the heart of a matrix product: a scalar for each row r of the tile, a vector of weights
    for each panel p.
    """
    assert 0 <= at <= len(data) - 1 - step * (len(tile[0]) - 1), "outside of the array"
    return tuple(
        tuple(
            fma(np.full(LANES, data[at + r * step]), load(weights, row + p * apart), total)
            for r, total in enumerate(panel)
        )
        for p, panel in enumerate(tile)
    )


@emits(
    rank_one,
    lambda tile, data, at, step, weights, row, apart: tile(
        tile, data, INDEX, INDEX, weights, INDEX, INDEX
    ),
)
def _rank_one(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    tile, data, at, step, weights, row, apart = values
    kind, array, *_, panels_array, _, _ = signature.args
    vectors = loads_apart(context, builder, panels_array, weights, row, apart, kind.count)
    sums: list[list[Any]] = [[] for _ in range(kind.count)]
    # Row by row, so that no scalar has to wait in a register of its own.
    for olds in zip(*list_of_panels(builder, tile), strict=True):
        pointer = address(context, builder, array, data, at, 1)
        factor = spread(builder, builder.load(pointer))
        for panel, vector, old in zip(sums, vectors, olds, strict=True):
            panel.append(_intrinsic(builder, "fma", factor, vector, old))
        at = builder.add(at, step)
    return make_tile(context, builder, kind, sums)


def add_rows(a: Tile, b: Tile) -> Tile:
    """Sum of two tiles."""
    return tuple(
        tuple(x + y for x, y in zip(*panels, strict=True)) for panels in zip(a, b, strict=True)
    )


@emits(add_rows, lambda a, b: a(a, b))
def _add_rows(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    pairs = zip(*(list_of_panels(builder, tile) for tile in values), strict=True)
    sums = [[builder.fadd(x, y) for x, y in zip(*panels, strict=True)] for panels in pairs]
    return make_tile(context, builder, signature.return_type, sums)


def each(function: Callable[[Vector], Vector], tile: Tile) -> Tile:
    """Tile of ``function(row)`` for each row of each panel."""
    return tuple(tuple(function(row) for row in panel) for panel in tile)


@emits(each, lambda function, tile: tile(function, tile))
def _each(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    function = signature.args[0]
    kind = function.get_call_type(context.typing_context, (VECTOR,), {})
    call = context.get_function(function, kind)
    panels = [
        [call(builder, (row,)) for row in panel] for panel in list_of_panels(builder, values[1])
    ]
    return make_tile(context, builder, signature.return_type, panels)
