"""The error function against the C library's, over all that a float can be."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from npformer.layers import erf
from npformer.layers.erf import DOUBLE, SINGLE

BOUNDS = {"float64": 3e-15, "float32": 1e-6, "float16": 4e-3}
"""largest relative error, as the docstring states"""


def relative_error(x: np.ndarray) -> float:
    expected = np.array([math.erf(v) for v in x.astype(np.float64)])
    # Below the smallest normal number there are no relative errors, only steps.
    steps = np.maximum(np.abs(expected), np.finfo(x.dtype).tiny)
    return float((np.abs(erf(x).astype(np.float64) - expected) / steps).max())


@pytest.mark.parametrize("dtype", BOUNDS)
def test_error_over_the_whole_range(dtype: str) -> None:
    x = np.concatenate([np.linspace(-7, 7, 40001), np.geomspace(1e-7, 1, 2000)]).astype(dtype)
    assert erf(x).dtype == x.dtype
    assert relative_error(x) < BOUNDS[dtype]


@settings(max_examples=300, deadline=None)
@given(st.floats(width=64, allow_nan=False))
@example(5e-324)
@example(math.inf)
@example(-math.inf)
def test_float64(x: float) -> None:
    assert relative_error(np.array([x])) < BOUNDS["float64"]


@settings(max_examples=300, deadline=None)
@given(st.floats(width=32, allow_nan=False))
def test_float32(x: float) -> None:
    assert relative_error(np.array([x], np.float32)) < BOUNDS["float32"]


@pytest.mark.parametrize("dtype", BOUNDS)
def test_it_is_odd_within_one_and_one_beyond_the_limit(dtype: str) -> None:
    x = np.linspace(0, 8, 20001).astype(dtype)
    y = erf(x)
    np.testing.assert_array_equal(erf(-x), -y)
    assert (abs(y) <= 1).all()
    limit = (DOUBLE if dtype == "float64" else SINGLE).limit
    np.testing.assert_array_equal(y[x >= limit], 1)
    np.testing.assert_array_equal(erf(np.array([np.inf, -np.inf, 0], dtype)), [1, -1, 0])
    assert np.isnan(erf(np.array([np.nan], dtype))).all()


def test_wider_types_are_as_good_as_double() -> None:
    x = np.linspace(0.1, 5, 99).astype(np.longdouble)
    assert relative_error(x) < BOUNDS["float64"]
