"""Pooling block for a few pixels: pooling, both matrix products, both residual connections.

    x ← x + γ (average_pool(x) − x)
    x ← x + act(x W₁ + b₁) W₂ + b₂

The hidden map is four times as wide as x. Written out whole it would travel to memory and back;
that of a few dozen pixels is still in the second-level cache when the second product reads it.
"""

from __future__ import annotations

from ..layers import Array
from .layout import LANES, NONE
from .linear import linear
from .pooling import pooling
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
    first: int,
    last: int,
    scratch: int,
) -> None:
    """Pixels number `first` up to `last` of a pooling block.

    Parameters
    ----------
    m : ndarray of float32, flat
    y, x, step : int
        Result and image, a pixel in each row. They are not the same: neighbours still read x.
    height, width, channels : int
        Of the image.
    size : int
        Side of the pooling window, odd.
    w : ndarray of float32, flat
        Holds the layer scale at `gamma` and the packed layers at `fc1` and `fc2`.
    gamma, fc1, hidden, fc2 : int
        `hidden` is the number of hidden channels.
    activation : int
    first, last : int
        Which pixels, counted row by row.
    scratch : int
        Room for ``last − first`` rows of the pooled image and of the hidden map; before that is
        made, its place holds the sums that pooling needs.
    """
    rows = last - first
    narrow, wide = (channels + LANES - 1) // LANES, (hidden + LANES - 1) // LANES
    bent = scratch + rows * step
    pooling(
        m, scratch, step, x, step, height, width, channels,
        size, w, gamma, first, last, bent,
    )  # fmt: skip
    linear(
        m, bent, wide * LANES, scratch, step, w, fc1, channels, wide,
        rows, 0, wide, activation, -1, 0,
    )  # fmt: skip
    linear(
        m, y + first * step, step, bent, wide * LANES, w, fc2, hidden, narrow,
        rows, 0, narrow, NONE, scratch, step,
    )  # fmt: skip
