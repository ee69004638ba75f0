"""Faults too small for any single number: one parameter that is off by a hundred-thousandth.

Each recorded result is asked whether a change of one parameter between it and the recorded arrays
before it explains what is left of rounding (`npformer.testing.found_in_parameter`). Another ε moves
the results of a norm nearly as its weights do; the word is that of the change that leaves less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from ...layers import Array
from ...network.tree import build
from ..bounds import found_in_parameter, propagate
from ..bounds.parameters import Finding
from ..steps import Step, run_steps
from .explain import BETTER
from .variants.norms import other_epsilons
from .walk import Match, Walk

LONGEST = 3
"""How many steps may lie between two recorded arrays: a convolution, its norm, a layer scale."""


class Changed(NamedTuple):
    """What explains small differences."""

    step: Step
    """which holds the parameter"""
    word: str | None
    """``parameter`` or ``eps``; None if both explain the same"""
    more: str


def small_fault(
    walk: Walk, progress: Callable[[str], None] = lambda path: None
) -> tuple[Changed, Match] | None:
    """Find the first step that has a parameter with a slightly different value.

    Parameters
    ----------
    walk : Walk
        In which everything is right as far as single numbers show.
    progress : callable, optional

    Returns
    -------
    tuple or None
        What was found, and the recorded array that shows it.
    """
    for step in walk.chain:
        match = walk.matches.get(step.path)
        if match is None or step.layer == "identity":
            continue
        progress(step.path)
        changed = changed_parameter(walk, step, match.array())
        if changed is not None:
            return changed, match
    return None


def changed_parameter(walk: Walk, step: Step, array: Array) -> Changed | None:
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
    Changed or None
    """
    chain, arrays = _segment(walk, step)
    if not any(part.params is not None for part in chain):
        return None
    found = found_in_parameter(chain, arrays, array)
    if found is None:
        return None
    holder = next(part for part in chain if found.parameter in part.parameters())
    return _better(chain, arrays, array, holder, found)


def _better(
    chain: Sequence[Step], arrays: Mapping[str, Array], array: Array, holder: Step, found: Finding
) -> Changed:
    """Decide between a parameter and an ε."""
    chain = [part.astype(np.float64) for part in chain]
    last = chain[-1].path
    bound = propagate(chain, arrays)[last].bound()

    def left(changed: Step) -> float:
        other = [changed if part.path == changed.path else part for part in chain]
        rest = (array - run_steps(other, arrays)[last]) / bound
        return float(np.mean(np.square(rest)))

    holder = next(part for part in chain if part.path == holder.path)
    params = build(partial(_times, found), holder.params, holder.prefix)
    of_parameter = left(holder._replace(params=params))
    told = Changed(holder, "parameter", how_small(found))
    others = [(left(changed), changed) for changed in _with_other_epsilons(chain)]
    if not others:
        return told
    of_eps, changed = min(others, key=lambda pair: pair[0])
    if of_parameter < BETTER * of_eps:
        return told
    more = f"{changed.options['eps']:g} instead of {_usual(chain, changed):g}"
    if of_eps < BETTER * of_parameter:
        return Changed(changed, "eps", more)
    return Changed(holder, None, f"{told.more}, or another ε, {more}: both give these numbers")


def _with_other_epsilons(chain: Sequence[Step]) -> Iterator[Step]:
    for part in chain:
        if part.layer in ("batch_norm", "layer_norm"):
            for other in other_epsilons(part.options["eps"]):
                yield part._replace(options={**part.options, "eps": other})


def _usual(chain: Sequence[Step], changed: Step) -> float:
    eps: float = next(part.options["eps"] for part in chain if part.path == changed.path)
    return eps


def _times(found: Finding, path: str, leaf: Array) -> Array:
    """Multiply what a finding says by its factor."""
    if path != found.parameter:
        return leaf
    leaf = leaf.copy()
    leaf[... if found.place is None else found.place] *= found.factor
    return leaf


def how_small(found: Finding) -> str:
    """Say which parameter has how slightly another value."""
    which = "" if found.place is None else f"[{', '.join(str(n) for n in found.place)}]"
    return f"{found.parameter}{which} times {found.factor:.7g}"


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
