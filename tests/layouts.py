"""Hypothesis strategies for arrays: any float type, any arrangement in memory, always read-only.

A layer that writes into its input is caught by each test that uses these.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from npformer.layers import Array

LAYOUTS = ("C", "Fortran", "reversed", "gaps", "channels first")


def arrange(x: Array, layout: str) -> Array:
    """The same array, otherwise arranged in memory."""
    if layout == "Fortran":
        x = np.asfortranarray(x)
    elif layout == "reversed":  # negative strides
        x = np.flip(np.flip(x).copy())
    elif layout == "gaps":
        x = np.repeat(x, 2, axis=-1)[..., ::2]
    elif layout == "channels first":
        x = np.moveaxis(np.moveaxis(x, -1, 0).copy(), 0, -1)
    else:
        x = np.array(x)
    x.flags.writeable = False
    return x


@st.composite
def arrays(draw: st.DrawFn, *shape: int, dtype: str | None = None, scale: float = 1.0) -> Array:
    """Normally distributed numbers of a drawn seed, type (unless given) and layout."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = dtype or draw(st.sampled_from(["float64", "float32"]))
    layout = draw(st.sampled_from(LAYOUTS))
    return arrange((scale * rng.standard_normal(shape)).astype(dtype), layout)


def sizes(low: int = 1, high: int = 5) -> st.SearchStrategy[int]:
    return st.integers(low, high)


def assert_close(found: Array, expected: Array, dtype: np.dtype | type) -> None:
    """The promises: 1e-12 for float64; for float32 5e-6 of the largest number, inputs included.

    Inputs are around 1: what cancels to less keeps the rounding of its terms.
    """
    assert found.dtype == dtype
    assert found.shape == np.shape(expected)
    limit = 1e-12 if dtype == np.float64 else 5e-6 * np.abs(expected).max(initial=1.0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=limit)
