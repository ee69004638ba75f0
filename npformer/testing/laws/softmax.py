"""Laws of softmax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...files.optional import optional
from ..array_strategies import arrays
from .law import Draw, law

with optional("hypothesis", "drawing test data", "npformer[testing]"):
    from hypothesis import strategies as st

Layer = Callable[..., Any]


@law("softmax")
def softmax_knows_differences_only(draw: Draw, layer: Layer) -> None:
    """A number added to a whole row changes nothing."""
    x, shift = np.round(draw(arrays(3, 7, scale=50.0))), draw(st.integers(-1000, 1000))
    np.testing.assert_array_equal(layer(x + x.dtype.type(shift)), layer(x))  # it loses no bits


@law("softmax")
def softmax_rows_sum_to_one(draw: Draw, layer: Layer) -> None:
    """Each row is positive and sums to one, and keeps the order of its numbers."""
    x = draw(arrays(2, 3, 6, scale=50.0))
    weights = layer(x)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=0, atol=4 * np.finfo(weights.dtype).eps)
    order = np.argsort(x, -1)
    assert (np.diff(np.take_along_axis(weights, order, -1)) >= 0).all()


@law("softmax")
def softmax_does_not_overflow(draw: Draw, layer: Layer) -> None:
    """However far apart the numbers of a row are, the largest of them gets the whole weight."""
    large = draw(st.sampled_from([1e3, 1e30, 1e300]))
    np.testing.assert_array_equal(layer(np.array([[large, 0.0, -large]])), [[1, 0, 0]])
