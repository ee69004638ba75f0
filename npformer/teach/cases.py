"""Drawn inputs for a layer, and what a function makes of them.

A case is one input with the right answer; an outcome is what a function did with it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np

from ..layers import Array, Trace
from ..network.tree import leaves
from .mistakes import Draw, Exercise

FLOAT64_TOLERANCE = 1e-9
"""Largest difference allowed, relative to the largest number of the right answer, or to 1."""
FLOAT32_TOLERANCE = 1e-4


class Case(NamedTuple):
    """One drawn input and its right answer."""

    args: tuple[Any, ...]
    expected: Any
    tolerance: float


class Outcome(NamedTuple):
    """What a function did with one input."""

    value: Any = None
    error: Exception | None = None
    modified: str = ""
    """name of an argument that was written to"""


def draw_cases(
    exercise: Exercise,
    count: int,
    seed: int,
    single: bool = True,
    function: Callable[..., Any] | None = None,
) -> list[Case]:
    """Draw inputs, from small to large; the last quarter of them in float32, if `single`.

    What `function` leaves out of the options of the exercise is left out of the inputs.
    """
    drawn = []
    for i in range(count):
        float32 = single and i >= count - count // 4
        draw = Draw(seed + i, level=min(i // 3, 5), dtype="float32" if float32 else "float64")
        args = taken(function or exercise.reference, exercise.draw(draw), exercise)
        expected = call(exercise.reference, args, exercise).value
        drawn.append(Case(args, expected, FLOAT32_TOLERANCE if float32 else FLOAT64_TOLERANCE))
    return sorted(drawn, key=lambda case: (case.tolerance, sum(a.size for a in arrays(case.args))))


def call(function: Callable[..., Any], args: tuple[Any, ...], exercise: Exercise) -> Outcome:
    """Call a function on copies of the arguments, and see whether it wrote to them."""
    args = taken(function, args, exercise)
    copies = deepcopy(args)
    try:
        with np.errstate(all="ignore"):
            value = function(*copies)
    except Exception as error:
        return Outcome(error=error)
    for name, before, after in zip(parameter_names(exercise), args, copies, strict=False):
        pairs = zip(arrays(before), arrays(after), strict=True)
        if not all(np.array_equal(a, b, equal_nan=True) for a, b in pairs):
            return Outcome(value, modified=name)
    return Outcome(value)


def taken(
    function: Callable[..., Any], args: tuple[Any, ...], exercise: Exercise
) -> tuple[Any, ...]:
    """Return the arguments without the options that a function does not take."""
    if not exercise.options:
        return args
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return args
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return args
    places = sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
    needed = (
        len(parameter_names(exercise)) - exercise.options - ("run" in parameter_names(exercise))
    )
    return args[: max(places, needed)]


def arrays(tree: Any) -> Iterator[Array]:
    """Yield every array among arguments or results, including those on a tape."""
    for _, leaf in leaves(tree):
        if isinstance(leaf, Trace):
            yield from leaf.values()
        elif isinstance(leaf, (np.ndarray, np.generic)):
            yield np.asarray(leaf)


def parameter_names(exercise: Exercise) -> list[str]:
    """Return the names of the arguments of a layer."""
    return list(inspect.signature(exercise.reference).parameters)
