"""Arrays that no mistake explains: recognized by what follows from them, by name or by likeness."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..steps import Step
from .arrangement import Arrangement, arrangements
from .case import NEAR, Case, Finding
from .explain import explain
from .recorded import Candidate
from .small import changed_parameter
from .walk import measured


def by_use(case: Case, near: Sequence[Step]) -> Finding | None:
    """Find an array that plays the part of a step's result: the next steps follow from it."""
    for step in near[: NEAR + 3]:
        if step.layer == "identity":
            continue
        right = case.walk.bridged[step.path]
        claimed = case.walk.claimed.get(step.path)
        among = case.pool.by_size.get(right.value.size, ())
        for candidate in sorted(among, key=lambda c: c.name != claimed)[:16]:
            for way in case.ways(candidate, right.value)[:2]:
                match = measured(candidate, way, right.value, right.bound)
                if case.trail.reach(step, match) is not None:
                    return explained(case, step, candidate, way)
    return None


def by_name(case: Case) -> Finding | None:
    """Trust a name."""
    first = case.claimed()
    if first is None or case.suspects[first] not in case.unproved:
        return None
    step = case.suspects[first]
    candidate = case.names[case.walk.claimed[step.path]]
    ways = case.ways(candidate, case.walk.bridged[step.path].value)
    if not ways:
        return Finding(step, None, None)
    return explained(case, step, candidate, ways[0])


def by_likeness(case: Case) -> Finding | None:
    """Trust likeness: the first suspect that an unexplained array is like, but not enough."""
    unproved = [found for found in case.likely() if case.suspects[found[0]] in case.unproved]
    if not unproved:
        return None
    i, candidate, way = min(unproved, key=lambda found: found[0])
    return explained(case, case.suspects[i], candidate, way)


def not_finite(case: Case) -> Finding | None:
    """Find an array with NaN or infinity: no right result has them."""
    for step in case.suspects:
        right = case.walk.bridged[step.path]
        for candidate in case.pool.by_size.get(right.value.size, ()):
            known = candidate.name == case.walk.claimed.get(step.path) or step in case.unproved
            if known and candidate.not_finite and step.layer != "identity":
                ways = arrangements(candidate.array.shape, right.value.shape)
                if ways:
                    match = measured(candidate, ways[0], right.value, right.bound)
                    return Finding(step, None, match)
    return None


def left_over(case: Case) -> Finding | None:
    """Where nothing is recognized: a wrong answer, or arrays that nothing gives."""
    if not case.walk.matches or not case.unproved:
        return None
    if not case.source.outputs:
        for step in case.unproved:
            right = case.walk.bridged[step.path]
            if step.layer != "identity" and right.value.size in case.pool.by_size:
                return Finding(step, None, None)
        return None
    final = case.walk.chain[-1].path
    ended = any(match.candidate.name in case.source.outputs for match in case.walk.matches.values())
    if final not in case.walk.matches and not ended:
        step = next(s for s in case.unproved if s.layer != "identity")
        return Finding(step, None, None)
    return None


def explained(case: Case, step: Step, candidate: Candidate, way: Arrangement) -> Finding:
    """Say what the numbers of a wrong array tell about its step."""
    right = case.walk.bridged[step.path]
    match = measured(candidate, way, right.value, right.bound)
    laid_out = way(candidate.array).astype(np.float64)
    for at in _folded(case, step):
        inputs = case.inputs(at)
        if inputs is None:
            continue
        told = explain(at, inputs, laid_out, right, case.config)
        if told is not None:
            return Finding(at, told[0], match, told[1])
    changed = changed_parameter(case.walk, step, laid_out)
    if changed is not None:
        return Finding(changed.step, changed.word, match, changed.more)
    return Finding(step, None, match)


def _folded(case: Case, step: Step) -> list[Step]:
    """Return a step, and before it those that may have been folded into it."""
    found = [step]
    while found[-1].layer in ("batch_norm", "layer_scale", "identity"):
        before = case.walk.by_path.get(found[-1].inputs[0])
        if before is None or before.path not in case.walk.bridged:
            break
        found.append(before)
    return found
