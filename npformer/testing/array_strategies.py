"""Hypothesis strategies for arrays: any float type, any arrangement in memory, always read-only.

A layer that writes into its input is caught by each test that uses these. `arrays` draws normally
distributed numbers; `odd_arrays` also draws what breaks careless code: numbers far from zero, rows
of equal numbers, numbers so large that their exponential overflows. It draws few and small whole
numbers first, and shrinks to them.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from ..files.optional import optional
from ..layers import Array

with optional("hypothesis", "drawing test data", "npformer[testing]"):
    from hypothesis import strategies as st
    from hypothesis.extra import numpy as hypothesis_numpy

LAYOUTS = ("C", "Fortran", "reversed", "gaps", "channels first")
"""Arrangements of one array in memory; Hypothesis shrinks to the first."""

KINDS = ("few", "normal", "far from zero", "equal rows", "large", "small")
"""Kinds of numbers that `odd_arrays` draws; Hypothesis shrinks to the first."""

PROMISED = {"float64": 1e-12, "float32": 5e-6}
"""The largest difference between a layer and its definition: in float64 as it is, in float32
relative to the largest number, or to 1."""


def arrange(x: Array, layout: str) -> Array:
    """Arrange the same array otherwise in memory.

    Parameters
    ----------
    x : ndarray
    layout : str
        One of `LAYOUTS`.

    Returns
    -------
    ndarray
        Equal to `x`, read-only.
    """
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
    """Draw normally distributed numbers of a drawn seed, type (unless given) and layout.

    Parameters
    ----------
    *shape : int
    dtype : str, optional
        float64 or float32; drawn if not given.
    scale : float
        Standard deviation.

    Returns
    -------
    strategy of ndarray
        Read-only.
    """
    rng = np.random.default_rng(draw(seeds))
    dtype = dtype or draw(st.sampled_from(["float64", "float32"]))
    layout = draw(st.sampled_from(LAYOUTS))
    return arrange((scale * rng.standard_normal(shape)).astype(dtype), layout)


@st.composite
def odd_arrays(
    draw: st.DrawFn,
    *shape: int,
    dtype: str = "float32",
    kinds: tuple[str, ...] = KINDS,
    layouts: tuple[str, ...] = LAYOUTS,
) -> Array:
    """Draw numbers of a drawn kind and layout, among them those that careless code gets wrong.

    Parameters
    ----------
    *shape : int
    dtype : str
        A floating point type.
    kinds : tuple of str
        Some of `KINDS`.
    layouts : tuple of str
        Some of `LAYOUTS`.

    Returns
    -------
    strategy of ndarray
        Read-only. All numbers are finite, and exact in float32 if `dtype` is float32 or wider.
    """
    kind = draw(st.sampled_from(kinds))
    if kind == "few":  # each number is drawn by itself, so that each can shrink to zero
        whole = st.integers(-4, 4).map(float)
        x = draw(hypothesis_numpy.arrays(dtype, shape, elements=whole, fill=st.just(0.0)))
    else:
        rng = np.random.default_rng(draw(seeds))
        x = _FILLED[kind](rng.standard_normal(shape)).astype(np.float32).astype(dtype)
    return arrange(x, draw(st.sampled_from(layouts)))


def _equal_rows(x: Array) -> Array:
    """Give all numbers of a row, along the last axis, the value of its first."""
    return np.broadcast_to(x[..., :1], x.shape) if prod(x.shape) else x


_FILLED: dict[str, Callable[[Array], Array]] = {
    "normal": lambda x: x,
    "far from zero": lambda x: x + 100,  # the square of the mean swallows the variance
    "equal rows": _equal_rows,  # whose variance is zero
    "large": lambda x: 100 * x,  # exp(89) is infinite in float32
    "small": lambda x: 1e-3 * x,  # with squares as small as an ε
}

seeds = st.integers(0, 2**32 - 1)
"""Seeds of NumPy's generators."""


def sizes(low: int = 1, high: int = 5) -> st.SearchStrategy[int]:
    """Draw the length of an axis."""
    return st.integers(low, high)


def assert_close(found: Array, expected: Array, dtype: np.dtype | type | str) -> None:
    """Assert that an array has the type and shape of another, and its numbers up to `PROMISED`.

    Inputs are around 1: what cancels to less keeps the rounding of its terms.

    Parameters
    ----------
    found : ndarray
    expected : ndarray
        The right result, of any type.
    dtype : dtype
        Which type `found` has to have.

    Raises
    ------
    AssertionError
        If it has not.
    """
    assert found.dtype == dtype
    assert found.shape == np.shape(expected)
    limit = PROMISED[found.dtype.name]
    if found.dtype != np.float64:
        limit *= np.abs(expected).max(initial=1.0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=limit)
