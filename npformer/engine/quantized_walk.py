"""The steps that only a network in eight bits has; see `npformer.engine.walk`."""

from __future__ import annotations

from ..kernels.im2col import im2col
from ..kernels.integers import GROUP
from ..kernels.layout import (
    HEAD,
    LANES,
    NO_ROWS,
    NONE,
    ONE_RUN,
    Image,
    Rows,
    Runs,
    Span,
    Window,
    padded,
    quantized_layer,
    rounded_size,
    rows_from,
)
from ..kernels.quantized_linear import quantize_rows, quantized_linear
from ..kernels.quantized_pooling_block import quantized_pooling_block
from ..kernels.vector import inlined, kernel
from ..layers import Array
from .steps import Kind, Step

QUANTIZED = (
    int(Kind.QUANTIZE_ROWS),
    int(Kind.QUANTIZED_CONV2D),
    int(Kind.QUANTIZED_POOLING_BLOCK),
    int(Kind.QUANTIZED_LINEAR),
)

inlined(quantized_layer)
inlined(rounded_size)


@kernel
def run_quantized_step(
    s: Step, m: Array, w: Array, images: int, image: int, units: Span, scratch: int
) -> None:
    """One part of a step; see `npformer.engine.walk.run_step`.

    Parameters
    ----------
    s : Step
        What to do.
    m, w : ndarray of float32, flat
        The arena and the weights.
    images : int
        How many there are.
    image : int
        Which image, unless the step takes all images at once.
    units : Span
        Which units.
    scratch : int
        Where in the arena this thread may scribble.
    """
    first, rows = units.first, units.last - units.first
    start = s.x + image * s.x_rows * s.x_step
    x, pixel_map = Rows(start, s.x_step), Image(start, s.x_step, s.height, s.width, s.channels)
    y = Rows(s.y + image * s.rows * s.y_step, s.y_step)
    panels = s.y_step // LANES
    layer = quantized_layer(s.layer, s.inputs, panels, GROUP)
    if s.kind == Kind.QUANTIZE_ROWS:
        runs = Runs(s.runs, padded(s.channels))
        to, at = rows_from(y, first), rows_from(x, first)
        quantize_rows(m, to, at, rows, runs, s.channels, s.activation)
    elif s.kind == Kind.QUANTIZED_CONV2D:
        room = padded(s.inputs)
        windows = Rows(scratch, room)
        rounded = Rows(scratch + rows * room + LANES, HEAD + room // GROUP)
        im2col(m, windows, pixel_map, Window(s.window, s.stride, s.padding), units)
        quantize_rows(m, rounded, windows, rows, ONE_RUN, s.inputs, NONE)
        every = Span(0, panels)
        to = rows_from(y, first)
        quantized_linear(m, to, rounded, w, layer, rows, s.activation, NO_ROWS, every)
    elif s.kind == Kind.QUANTIZED_POOLING_BLOCK:
        fc1 = quantized_layer(s.layer, s.channels, padded(s.hidden) // LANES, GROUP)
        fc2 = quantized_layer(s.layer2, s.hidden, panels, GROUP)
        quantized_pooling_block(
            m, y.at, pixel_map, s.window, w, s.gamma, fc1, s.hidden, fc2, s.activation, units,
            scratch,
        )  # fmt: skip
    elif s.kind == Kind.QUANTIZED_LINEAR:
        residual = Rows(s.residual, s.y_step)
        quantized_linear(
            m, Rows(s.y, s.y_step), Rows(s.x, s.x_step), w, layer, images * s.rows,
            s.activation, residual, units,
        )  # fmt: skip
