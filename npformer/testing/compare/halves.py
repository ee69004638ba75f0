"""Numbers in half precision: recognized by their digits, and proved by a bound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from ...layers import Array
from ..steps import Step
from .arrangement import Arrangement, arrangements
from .bridge import Bridge, ahead, recorded, within
from .recorded import Candidate
from .variants.products import rounded

KINDS = ("bfloat16", "float16")
"""In this order: most numbers of bfloat16 are numbers of float16 too."""

SLACK = 3.0
"""What a layer was given may have been rounded too, and its parameters."""


def kinds_of(array: Array) -> list[str]:
    """Return the half types in which all numbers of an array are exact."""
    sample = array.reshape(-1)[: 1 << 12]
    if sample.size < 8 or not np.all(np.isfinite(sample)) or len(np.unique(sample)) < 8:
        return []
    if np.array_equal(sample, np.round(sample)):  # whole numbers, which any type holds
        return []
    return [kind for kind in KINDS if np.array_equal(rounded(sample, kind), sample)]


def is_half(step: Step, inputs: list[Array], way: Arrangement, array: Array) -> str | None:
    """Return the half type in which a step gave an array; None if it did not.

    Parameters
    ----------
    step : Step
    inputs : list of ndarray
    way : Arrangement
        How the array lies.
    array : ndarray

    Returns
    -------
    {"float16", "bfloat16"} or None
    """
    for kind in kinds_of(array):
        found = way(array).astype(np.float64)
        for given in (inputs, [rounded(x, kind) for x in inputs]):
            expected = ahead(step, [recorded(x) for x in given], kind)
            if np.all(abs(found - expected.value) <= SLACK * expected.bound):
                return kind
    return None


def of_rounded_inputs(
    step: Step, inputs: list[Array], found: Iterable[Candidate]
) -> Iterator[tuple[str, Bridge]]:
    """Yield what a step gives in half precision, if its input was recorded rounded to it.

    Parameters
    ----------
    step : Step
    inputs : list of ndarray
    found : iterable of Candidate

    Yields
    ------
    kind : {"float16", "bfloat16"}
    result : Bridge
    """
    for candidate in found:
        if candidate.array.size != inputs[0].size:
            continue
        for kind in kinds_of(candidate.array):
            half = rounded(inputs[0], kind)
            if np.array_equal(half, inputs[0]):
                continue
            for way in arrangements(candidate.array.shape, half.shape):
                if np.array_equal(way(candidate.array).astype(np.float64), half):
                    result = ahead(step, [recorded(half), *map(recorded, inputs[1:])], kind)
                    yield kind, within(result.value, SLACK * result.bound, step.path)
                    break
