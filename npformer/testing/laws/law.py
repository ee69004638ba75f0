"""What a law is, the table of all laws, and a way to find those that a function breaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ...checks import require
from ...files.optional import optional
from ...layers import Array
from ..array_strategies import PROMISED

with optional("hypothesis", "drawing test data", "npformer[testing]"):
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st

Draw: TypeAlias = Callable[..., Any]
"""What Hypothesis calls `draw`: it returns a value of a strategy."""

Statement: TypeAlias = Callable[[Draw, Callable[..., Any]], None]
"""``statement(draw, layer)`` draws inputs, and asserts something of the results of the layer."""


class Law(NamedTuple):
    """Something that holds of a layer whatever the numbers."""

    layer: str
    """name of the layer"""
    says: str
    """the law, as a sentence"""
    statement: Statement

    @property
    def name(self) -> str:
        """Name of the function that states it."""
        return getattr(self.statement, "__name__", "law")

    def __call__(self, draw: Draw, function: Callable[..., Any]) -> None:
        """Draw inputs, and assert the law of a function.

        Parameters
        ----------
        draw : callable
            In a test with ``data=st.data()``, ``data.draw``.
        function : callable
            Takes the arguments of ``npformer.layers.<layer>``.

        Raises
        ------
        AssertionError
            If the function breaks the law.
        """
        self.statement(draw, function)


LAWS: dict[str, tuple[Law, ...]] = {}
"""The laws of each layer, by its name."""


def law(*layers: str) -> Callable[[Statement], Statement]:
    """Register a function as a law of these layers; its docstring is what it says."""

    def register(statement: Statement) -> Statement:
        says = (statement.__doc__ or "").strip().split("\n\n")[0].replace("\n    ", " ")
        for layer in layers:
            LAWS[layer] = (*LAWS.get(layer, ()), Law(layer, says, statement))
        return statement

    return register


def broken_laws(layer: str, function: Callable[..., Any], examples: int = 25) -> tuple[Law, ...]:
    """Find the laws of a layer that a function breaks.

    Parameters
    ----------
    layer : str
        A key of `LAWS`.
    function : callable
        Takes the arguments of ``npformer.layers.<layer>``.
    examples : int
        On how many inputs each law is tried.

    Returns
    -------
    tuple of Law
        Those for which there is an input that contradicts them, or that the function refuses.

    Raises
    ------
    ConfigError
        If no laws of such a layer are known.
    """
    require(layer in LAWS, "layer", layer, f"one of {', '.join(LAWS)}")
    return tuple(each for each in LAWS[layer] if not _holds(each, function, examples))


def _holds(law: Law, function: Callable[..., Any], examples: int) -> bool:
    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.data())
    def trial(data: st.DataObject) -> None:
        law(data.draw, function)

    try:
        with np.errstate(all="ignore"):
            trial()
    except Exception:
        return False
    return True


def close(found: Array, expected: Array) -> None:
    """Assert that two results are equal up to rounding, at numbers of usual size.

    Parameters
    ----------
    found, expected : ndarray
        In float64 they may differ by what is promised of a layer; in float32, where both have been
        rounded, by some times that.

    Raises
    ------
    AssertionError
        If they differ by more, or in shape.
    """
    found, expected = np.asarray(found), np.asarray(expected)
    double = found.dtype == expected.dtype == np.float64
    scale = 1.0 if double else 4 * np.abs(expected).max(initial=1.0)
    assert found.shape == expected.shape
    limit = PROMISED["float64" if double else "float32"] * scale
    np.testing.assert_allclose(found, expected, rtol=0, atol=limit)
