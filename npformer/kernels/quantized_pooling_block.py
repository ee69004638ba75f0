"""Pooling block for a few pixels, with both matrix products in eight bits.

    x ← x + γ (average_pool(x) − x)
    x ← x + W₂ᵀ act(W₁ᵀ x)                  as `npformer.kernels.quantized_linear` multiplies

Pooling and both residual connections stay in float32. A hidden row must be complete before it can
be rounded, so the hidden map of some pixels is written out, to the second-level cache, and read
back by `quantize_rows`, which applies the activation on its way.
"""

from __future__ import annotations

from ..layers import Array
from .integers import GROUP
from .layout import HEAD, LANES, NO_ROWS, NONE, ONE_RUN, Image, Panels, Rows, Span
from .pooling import pooling
from .quantized_linear import quantize_rows, quantized_linear
from .vector import kernel


@kernel
def quantized_pooling_block(
    m: Array,
    y: int,
    x: Image,
    size: int,
    w: Array,
    gamma: int,
    fc1: Panels,
    hidden: int,
    fc2: Panels,
    activation: int,
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
    fc1 : Panels
        First layer of the MLP, K counted in groups.
    hidden : int
        Its outputs.
    fc2 : Panels
        Second layer.
    activation : int
        One of those in `npformer.kernels.layout`, between the layers.
    pixels : Span
        Which pixels, counted row by row.
    scratch : int
        Space in m for one row of the pooled image and one of the hidden map for each of `pixels`,
        and for both of them rounded.
    """
    step, wide, rows = x.step, fc1.number * LANES, pixels.last - pixels.first
    mixed = Rows(scratch, step)
    between = Rows(mixed.at + rows * step, wide)
    mixed_q = Rows(between.at + rows * wide, HEAD + step // GROUP)
    between_q = Rows(mixed_q.at + rows * mixed_q.step, HEAD + wide // GROUP)
    to = Rows(y + pixels.first * step, step)
    pooling(m, mixed, x, size, w, gamma, pixels)
    quantize_rows(m, mixed_q, mixed, rows, ONE_RUN, x.channels, NONE)
    quantized_linear(m, between, mixed_q, w, fc1, rows, NONE, NO_ROWS, Span(0, fc1.number))
    quantize_rows(m, between_q, between, rows, ONE_RUN, hidden, activation)
    quantized_linear(m, to, between_q, w, fc2, rows, NONE, mixed, Span(0, fc2.number))
