"""Faults too small for any single number: one parameter that is off by a hundred-thousandth.

Each recorded result is asked whether a change of one parameter between it and the recorded arrays
before it explains what is left of rounding (`npformer.testing.found_in_parameter`).
"""

from __future__ import annotations

from collections.abc import Callable

from ...layers import Array
from ..bounds import found_in_parameter
from ..bounds.parameters import Finding
from ..steps import Step
from .walk import Match, Walk

LONGEST = 3
"""How many steps may lie between two recorded arrays: a convolution, its norm, a layer scale."""


def small_fault(
    walk: Walk, progress: Callable[[str], None] = lambda path: None
) -> tuple[Step, Match, Finding] | None:
    """Find the first step that has a parameter with a slightly different value.

    Parameters
    ----------
    walk : Walk
        In which everything is right as far as single numbers show.
    progress : callable, optional

    Returns
    -------
    tuple or None
        The step that holds the parameter, the recorded array that shows it, and what was found.
    """
    for step in walk.chain:
        match = walk.matches.get(step.path)
        if match is None or step.layer == "identity":
            continue
        progress(step.path)
        changed = changed_parameter(walk, step, match.array())
        if changed is not None:
            return changed[0], match, changed[1]
    return None


def changed_parameter(walk: Walk, step: Step, array: Array) -> tuple[Step, Finding] | None:
    """Find the parameter whose change explains a recorded array.

    Parameters
    ----------
    walk : Walk
    step : Step
        Whose result the array is.
    array : ndarray
        Laid out as npformer does.

    Returns
    -------
    tuple or None
        The step that holds the parameter, and what was found.
    """
    chain, arrays = _segment(walk, step)
    if not any(part.params is not None for part in chain):
        return None
    found = found_in_parameter(chain, arrays, array)
    if found is None:
        return None
    return next(part for part in chain if found.parameter in part.parameters()), found


def _segment(walk: Walk, last: Step) -> tuple[list[Step], dict[str, Array]]:
    """Return the steps from recorded arrays to a step, and these arrays."""
    chain: list[Step] = [last]
    arrays: dict[str, Array] = {}
    waiting = list(last.inputs)
    while waiting:
        path = waiting.pop()
        match = walk.matches.get(path)
        if match is not None or path not in walk.by_path:
            arrays[path] = walk.known(path).value
        elif path not in {step.path for step in chain}:
            if len(chain) == LONGEST or not walk.has(path):
                return [], {}
            chain.append(walk.by_path[path])
            waiting += walk.by_path[path].inputs
    order = {step.path: i for i, step in enumerate(walk.chain)}
    return sorted(chain, key=lambda step: order[step.path]), arrays
