"""The laws of the kernels in eight bits: each equals the plain layer to the last bit.

What is computed in float32 before, a pooling, is read from the kernel's scratch and compared as the
other laws do; from there on, bits are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from laws import ACTIVATION, LAWS, Array, Memory, Run, close, image_of, layer
from laws import law as register

from npformer.kernels.integers import GROUP
from npformer.kernels.layout import (
    GELU,
    HEAD,
    LANES,
    NO_ROWS,
    NONE,
    RELU,
    Image,
    Rows,
    Runs,
    Span,
    pack_quantized,
    padded,
    quantized_layer,
    quantized_size,
    rounded_size,
)
from npformer.layers import (
    LayerScale,
    Linear,
    QuantizedLinear,
    gelu_polynomial,
    layer_scale,
    pooling,
    quantize_linear,
    quantize_rows,
    quantized_linear,
    relu,
)

BEFORE = {NONE: lambda x: x, RELU: relu, GELU: gelu_polynomial}
"""What precedes the rounding of rows."""
NUMBER = {4: np.uint8, 2: np.int16}[GROUP]
ODD = [np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-40, 0.0, -0.0]


def law(function: Any) -> Any:
    """Register a law under the kernel's name."""
    register(function)
    LAWS[function.__name__.removesuffix("_law")] = LAWS.pop(function.__name__)
    return function


def same(found: Array, expected: Array) -> None:
    """Equal bits, but for the sign and payload of NaN."""
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    differ = found.view(np.int32) != expected.view(np.int32)
    assert not (differ & ~(np.isnan(found) & np.isnan(expected))).any()


def quantized(memory: Memory, p: Linear) -> tuple[int, QuantizedLinear]:
    """Put a layer into memory in eight bits."""
    q = quantize_linear(p)
    at, _ = memory.place(1, quantized_size(*p.weight.shape, GROUP))
    pack_quantized(q, memory.data[at : at + quantized_size(*p.weight.shape, GROUP)], GROUP)
    return at, q


def spoil(memory: Memory, draw: Any, x: Array) -> None:
    """Make some rows odd ones."""
    for odd in draw(st.lists(st.sampled_from(ODD), max_size=2)):
        row = draw(st.integers(0, len(x) - 1))
        if draw(st.booleans()):
            x[row] = odd
        else:
            x[row, draw(st.integers(0, x.shape[1] - 1))] = odd


@law
def quantize_rows_law(draw: Any, run: Run) -> None:
    """Also with numbers that are not finite, equal ones, and none but zeros."""
    rows, number, width = draw(st.integers(1, 5)), draw(st.integers(1, 3)), draw(st.integers(1, 40))
    activation = draw(ACTIVATION)
    m = Memory(draw)
    x, step = m.fill(rows * number, width, scale=draw(st.sampled_from([1e-3, 1, 30])))
    numbers = m.rows(x, step, rows * number, width)
    spoil(m, draw, numbers)
    room = rounded_size(number * padded(width), GROUP)
    y, y_step = m.place(rows, room, draw(st.integers(0, 3)))
    given, before = numbers.reshape(rows, -1).copy(), m.data.copy()
    with np.errstate(all="ignore"):
        run(m.data, Rows(y, y_step), Rows(x, number * step), rows, Runs(number, step), width,
            activation)  # fmt: skip
    m.may_change[y : y + rows * y_step].reshape(rows, y_step)[:, :room] = True
    if activation != NONE:
        m.writes(x, step, rows * number, width)
    m.check(before)
    with np.errstate(all="ignore"):
        activated = BEFORE[activation](given)
    same(m.rows(x, step, rows * number, width).reshape(rows, -1) + 0.0, activated + 0.0)
    want = quantize_rows(activated)
    found = m.data[y : y + rows * y_step].reshape(rows, y_step)
    same(found[:, :1], want.step)
    whole = np.isfinite(want.step[:, 0])
    same(found[whole, 1:2] + 0.0, want.least[whole] + 0.0)  # the least of 0 and −0 is either
    q = found[:, HEAD:room].copy().view(NUMBER).reshape(rows, number, -1)[:, :, :width]
    np.testing.assert_array_equal(q.reshape(rows, -1)[whole], want.q[whole])


@law
def quantized_linear_law(draw: Any, run: Run) -> None:
    rows, K, N = draw(st.integers(1, 30)), draw(st.integers(1, 60)), draw(st.integers(1, 60))
    activation, adds = draw(st.sampled_from([NONE, RELU])), draw(st.booleans())
    m, w = Memory(draw), Memory(draw)
    x = m.rng.standard_normal((rows, K)).astype(np.float32)
    spoil(m, draw, x)
    q, step, least = quantize_rows(x)
    room = rounded_size(K, GROUP)
    at, x_step = m.place(rows, room, draw(st.integers(0, 3)))
    slots = m.data[at : at + rows * x_step].reshape(rows, x_step)
    slots[:, :1], slots[:, 1:2] = step, least
    wide = np.full((rows, padded(K)), 255, NUMBER)  # what fills up a row counts for nothing
    wide[:, :K] = q
    slots[:, HEAD:room] = wide.view(np.float32)
    y, y_step = m.place(rows, N, draw(st.integers(0, 3)))
    residual = Rows(*m.fill(rows, padded(N))) if adds else NO_ROWS
    begin, p = quantized(w, layer(w, K, N))
    count = padded(N) // LANES
    first = draw(st.integers(0, count))
    last = draw(st.integers(first, count))
    before = m.data.copy()
    with np.errstate(all="ignore"):
        run(m.data, Rows(y, y_step), Rows(at, x_step), w.data,
            quantized_layer(begin, K, count, GROUP), rows, activation, residual,
            Span(first, last))  # fmt: skip
    low, high = first * LANES, min(last * LANES, N)
    if last > first:
        m.writes(y + low, y_step, rows, last * LANES - low)
    m.check(before)
    want = BEFORE[activation](quantized_linear(x, p))
    if adds:
        want = m.rows(*residual, rows, N) + want
    same(m.rows(y, y_step, rows, N)[:, low:high] + 0.0, want[:, low:high] + 0.0)


@law
def quantized_pooling_block_law(draw: Any, run: Run) -> None:
    C, wide, activation = draw(st.integers(1, 40)), draw(st.integers(1, 40)), draw(ACTIVATION)
    m, w = Memory(draw, 80000), Memory(draw, 60000)
    x, step, H, W, image = image_of(m, draw, C)
    gamma, _ = w.fill(1, padded(C))
    (at1, fc1), (at2, fc2) = quantized(w, layer(w, C, wide)), quantized(w, layer(w, wide, C))
    y, _ = m.place(H * W, C)
    first = draw(st.integers(0, H * W - 1))
    last = draw(st.integers(first + 1, H * W))
    rows = last - first
    room = rows * (padded(C) + padded(wide) + rounded_size(C, GROUP) + rounded_size(wide, GROUP))
    scratch, _ = m.place(1, room)
    before = m.data.copy()
    run(m.data, y, Image(x, step, H, W, C), 3, w.data, gamma,
        quantized_layer(at1, C, padded(wide) // LANES, GROUP), wide,
        quantized_layer(at2, wide, padded(C) // LANES, GROUP), activation, Span(first, last),
        scratch)  # fmt: skip
    m.writes(y + first * step, step, rows, C)
    m.scribbles(scratch, room)
    m.check(before)
    mixed = m.rows(scratch, step, rows, C)
    p = LayerScale(w.data[gamma : gamma + C])
    close(mixed, (image + layer_scale(pooling(image, 3), p)).reshape(-1, C)[first:last])
    hidden = BEFORE[activation](quantized_linear(mixed, fc1))
    same(m.rows(y, step, H * W, C)[first:last], mixed + quantized_linear(hidden, fc2))
