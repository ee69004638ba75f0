"""Pooling block for a few pixels: pooling, both matrix products, both residual connections.

    x ← x + γ (average_pool(x) − x)
    x ← x + act(x W₁ + b₁) W₂ + b₂

The hidden map is four times as wide as x. Written out whole it would travel to memory and back;
that of a few dozen pixels is still in the second-level cache when the second product reads it.
"""

from __future__ import annotations

from ..layers import Array
from .layout import LANES, NONE
from .linear import FROM_BIAS, ONE_RUN, PACKED, linear
from .pooling import pooling
from .strassen import strassen
from .vector import kernel


@kernel
def pooling_block(
    m: Array,
    y: int,
    x: int,
    step: int,
    height: int,
    width: int,
    channels: int,
    size: int,
    w: Array,
    gamma: int,
    fc1: int,
    hidden: int,
    fc2: int,
    activation: int,
    pairs: int,
    first: int,
    last: int,
    scratch: int,
) -> None:
    """Some pixels of a pooling block.

    Parameters
    ----------
    m : ndarray of float32, flat
    y, x, step : int
        Result and image, a pixel in each row. They are not the same: neighbors still read x.
    height, width, channels : int
        Of the image.
    size : int
        Side of the pooling window, odd.
    w : ndarray of float32, flat
        Holds the layer scale at `gamma` and the packed layers at `fc1` and `fc2`.
    gamma, fc1, hidden, fc2 : int
        `hidden` is the number of hidden channels.
    activation : int
    pairs : int
        How many pixels are multiplied together with the pixel that is `pairs` behind them, as
        `npformer.kernels.strassen` does; none if it is 0.
    first, last : int
        Which pixels, counted row by row. If pixels are paired, these and their partners; from
        number `pairs` on those number ``2 · pairs`` and up, which have no partner.
    scratch : int
        Room for ``last − first`` rows of the pooled image and of the hidden map; for twice as many
        and for what `strassen` needs, if pixels are paired.
    """
    narrow, wide = (channels + LANES - 1) // LANES, (hidden + LANES - 1) // LANES
    image = m, scratch, step, x, step, height, width, channels, size, w, gamma
    end = min(last, pairs)
    if first < end:
        rows = end - first
        lower = first + pairs
        bent = scratch + 2 * rows * step
        more = bent + 2 * rows * hidden
        pooling(*image, first, end)
        pooling(m, scratch + rows * step, *image[2:], lower, end + pairs)
        strassen(
            m, bent, hidden, rows * hidden, scratch, step, rows * step, w, fc1, channels, hidden,
            rows, activation, -1, 0, 0, more,
        )  # fmt: skip
        strassen(
            m, y + first * step, step, pairs * step, bent, hidden, rows * hidden, w, fc2, hidden,
            channels, rows, NONE, scratch, step, rows * step, more,
        )  # fmt: skip
    begin = max(first, pairs) + pairs
    rows = last + pairs - begin
    if rows > 0:
        bent = scratch + rows * step
        pooling(*image, begin, begin + rows)
        linear(
            m, bent, wide * LANES, scratch, step, w, fc1, channels, wide,
            rows, 0, wide, activation, -1, 0, *ONE_RUN, *FROM_BIAS, *PACKED,
        )  # fmt: skip
        linear(
            m, y + begin * step, step, bent, wide * LANES, w, fc2, hidden, narrow,
            rows, 0, narrow, NONE, scratch, step, *ONE_RUN, *FROM_BIAS, *PACKED,
        )  # fmt: skip
