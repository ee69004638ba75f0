"""Numbers in half precision: recognized by their digits, and proved by a bound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from ...layers import Array
from ..sixteen_bits import rounded
from ..steps import Step
from .arrangement import Arrangement, arrangements
from .bridge import Bridge, ahead, recorded, within
from .recorded import Candidate
from .walk import Walk

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


UNITS = {"bfloat16": 2.0**-8, "float16": 2.0**-11}
"""The largest relative error of rounding to each."""


def storage(arrays: Iterable[Array]) -> float:
    """Return by which share numbers were rounded if all were stored in half precision; else 0."""
    kinds: set[str] = set(KINDS)
    count = 0
    for array in arrays:
        if array.dtype.kind == "f" and len(np.unique(array.reshape(-1)[: 1 << 12])) >= 8:
            kinds &= {*kinds_of(array)}
            count += 1
    return max((UNITS[kind] for kind in kinds), default=0.0) if count else 0.0


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


ELEMENTWISE = ("residual", "subtract", "layer_scale", "batch_norm", "activation")
"""Steps whose results show whether they were computed from rounded numbers."""
MOSTLY = 0.9
"""Share of the numbers that are just as computed from rounded ones, if they were."""


def computed_in_half(walk: Walk) -> bool:
    """Whether results are those of rounded inputs: a network in half precision, not its storage.

    Parameters
    ----------
    walk : Walk
        Of arrays that were all stored in half precision.

    Returns
    -------
    bool
        False if nothing shows it.
    """
    same = total = 0
    for step in walk.chain:
        arrays = [walk.matches.get(path) for path in (step.path, *step.inputs)]
        known = [match.array().astype(np.float64) for match in arrays if match is not None]
        if step.layer not in ELEMENTWISE or len(known) < len(arrays):
            continue
        if step.options.get("name") == "relu":  # which rounds nothing
            continue
        result = step.astype(np.float64)(*known[1:])
        near = [abs(rounded(result, kind) - known[0]) <= 0 for kind in KINDS]
        same += max(int(part.sum()) for part in near)
        total += result.size
    return total > 0 and same > MOSTLY * total
