"""Laws of pooling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...files.optional import optional
from ..array_strategies import sizes
from .draws import normal
from .law import Draw, close, law

with optional("hypothesis", "drawing test data", "npformer[testing]"):
    from hypothesis import strategies as st

Layer = Callable[..., Any]


@law("pooling")
def pooling_of_a_constant_is_zero(draw: Draw, layer: Layer) -> None:
    """A constant image gives zeros, borders included: what lies outside is not averaged in."""
    H, W, size = draw(sizes(1, 6)), draw(sizes(1, 6)), draw(st.sampled_from([1, 3, 5, 7]))
    constant = draw(st.integers(-1000, 1000))
    np.testing.assert_array_equal(layer(np.full((1, H, W, 2), float(constant)), size), 0)


@law("average_pool")
def average_of_a_constant_is_the_constant(draw: Draw, layer: Layer) -> None:
    """A constant image stays as it is, borders included: what lies outside is not averaged in."""
    H, W, size = draw(sizes(1, 6)), draw(sizes(1, 6)), draw(st.sampled_from([1, 3, 5, 7]))
    x = np.full((1, H, W, 2), float(draw(st.integers(-1000, 1000))))
    np.testing.assert_array_equal(layer(x, size), x)


@law("average_pool")
def average_lies_between_the_extremes(draw: Draw, layer: Layer) -> None:
    """No average lies outside the numbers of the image, of which it keeps the channels apart."""
    x = normal(draw, 1, draw(sizes(1, 6)), draw(sizes(1, 6)), 2) + np.array([0, 100])
    y = layer(x, draw(st.sampled_from([3, 5])))
    slack = 1e-4 if y.dtype == np.float32 else 1e-12
    assert (y.min((1, 2)) >= x.min((1, 2)) - slack).all()
    assert (y.max((1, 2)) <= x.max((1, 2)) + slack).all()


@law("pooling", "average_pool")
def pooling_moves_with_its_input(draw: Draw, layer: Layer) -> None:
    """If the image moves, the result moves with it, away from the borders."""
    size, shift = draw(st.sampled_from([3, 5])), draw(st.integers(1, 3))
    x, reach = normal(draw, 1, 12, 11, 2), size // 2
    inside = slice(reach, -reach)
    moved = layer(x[:, shift:, shift:], size)[:, inside, inside]
    close(moved, layer(x, size)[:, shift + reach : -reach, shift + reach : -reach])


@law("pooling", "average_pool")
def pooling_looks_the_same_from_every_side(draw: Draw, layer: Layer) -> None:
    """A mirrored image gives the mirrored result, and so does one with its two axes exchanged."""
    size = draw(st.sampled_from([3, 5]))
    x = normal(draw, 1, draw(sizes(2, 6)), draw(sizes(2, 6)), 2)
    close(layer(x[:, ::-1], size), layer(x, size)[:, ::-1])
    close(layer(x.swapaxes(1, 2), size), layer(x, size).swapaxes(1, 2))


@law("pooling")
def pooling_by_one_pixel_is_zero(draw: Draw, layer: Layer) -> None:
    """The average of a window of one pixel is the pixel, which is subtracted."""
    np.testing.assert_array_equal(layer(normal(draw, 1, draw(sizes()), draw(sizes()), 2), 1), 0)
