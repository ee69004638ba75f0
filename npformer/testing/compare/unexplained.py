"""Arrays that no mistake explains: recognized by what follows from them, by name or by likeness."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ...layers import Array, Conv2d, Linear
from ..steps import Step
from .arrangement import Arrangement, arrangements
from .bridge import Bridge
from .case import NEAR, Case, Finding
from .explain import explain, is_overdetermined
from .halves import kinds_of
from .recorded import Candidate
from .small import changed_parameter
from .walk import is_near, measured


def by_use(case: Case, near: Sequence[Step]) -> Finding | None:
    """Find an array that plays the part of a step's result: the next steps follow from it."""
    for step in near[: NEAR + 3]:
        if step.layer == "identity":
            continue
        right = case.walk.bridged[step.path]
        claimed = case.walk.claimed.get(step.path)
        among = case.pool.by_size.get(right.value.size, ())
        for candidate in sorted(among, key=lambda c: c.name != claimed)[:16]:
            used = [
                way
                for way in case.ways(candidate, right.value)[:2]
                if case.trail.reach(step, measured(candidate, way, right.value, right.bound))
            ]
            found = [explained(case, step, candidate, way) for way in used]
            if found:
                return next((one for one in found if one.cause is not None), found[0])
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


def by_claim(case: Case) -> Finding | None:
    """Trust a name, though later results prove the step right: a fault may cancel out behind it."""
    for step in case.suspects:
        candidate = case.names.get(case.walk.claimed.get(step.path, ""))
        if step.layer == "identity" or candidate is None or kinds_of(candidate.array):
            continue
        right = case.walk.bridged[step.path]
        for way in case.ways(candidate, right.value)[:1]:
            if is_near(candidate.array, way, right.value):
                return explained(case, step, candidate, way)
    return None


def by_weights(case: Case, near: Sequence[Step]) -> Finding | None:
    """Find an array that a convolution or linear layer gives with other weights, whatever they are.

    It is the product of what went in with some matrix then, and has more numbers than that. The
    norm behind the layer may stand between them.
    """
    for step in near[: NEAR + 3]:
        if step not in case.unproved or not isinstance(step.params, (Conv2d, Linear)):
            continue
        right = case.walk.bridged[step.path].value
        if not is_overdetermined(step.params, right):
            continue
        behind = [s for s in near if s.layer == "batch_norm" and s.inputs == (step.path,)]
        for candidate in case.pool.by_size.get(right.size, ())[:16]:
            found = [
                explained(case, at, candidate, way)
                for at in (step, *behind)
                for way in case.ways(candidate, right)[:2]
            ]
            told = [one for one in found if one.cause is not None]
            if told:
                return min(told, key=lambda one: one.cause == "parameter")
    return None


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


def by_answer(case: Case) -> Finding | None:
    """Find an answer that is not what the only head gave, though that was recorded too.

    Probabilities are no other answer.
    """
    final = case.walk.chain[-1]
    answer = case.names.get(case.walk.claimed.get(final.path, ""))
    if final.layer != "identity" or answer is None or not case.walk.has(final.path):
        return None
    right = case.walk.known(final.path)
    bound = right.bound + 2.0**-22 * abs(right.value)
    matches = [
        measured(answer, way, right.value, bound)
        for way in arrangements(answer.array.shape, right.value.shape)
    ]
    best = min(matches, key=lambda match: match.ratio, default=None)
    if best is None or best.ratio <= 1:
        return None
    found = best.array()
    is_probability = found.min() >= 0 and np.all(abs(found.sum(-1) - 1) < 1e-3)
    return None if is_probability else Finding(final, None, best)


def explained(case: Case, step: Step, candidate: Candidate, way: Arrangement) -> Finding:
    """Say what the numbers of a wrong array tell about its step."""
    right = case.walk.bridged[step.path]
    match = measured(candidate, way, right.value, right.bound)
    laid_out = way(candidate.array).astype(np.float64)
    for at, found, expected in _folded(case, step, laid_out):
        inputs = case.inputs(at)
        if inputs is None:
            continue
        told = _of_another(case, at, inputs, found, expected) or explain(
            at, inputs, found, expected, case.config
        )
        if told is not None:
            return Finding(at, told[0], match, told[1])
    changed = changed_parameter(case.walk, step, laid_out)
    if changed is not None:
        return Finding(changed.step, changed.word, match, changed.more)
    return Finding(step, None, match)


def _of_another(
    case: Case, at: Step, inputs: list[Array], found: Array, right: Bridge
) -> tuple[str, str] | None:
    """Whether a step holds the parameters of another one of its kind."""
    shapes = [leaf.shape for leaf in at.parameters().values()]
    for other in case.walk.chain:
        same = [leaf.shape for leaf in other.parameters().values()] == shapes
        if other.layer != at.layer or other.path == at.path or not shapes or not same:
            continue
        swapped = at._replace(params=other.params).astype(np.float64)(*inputs)
        if swapped.shape == found.shape and np.all(abs(swapped - found) <= 4 * right.bound):
            return "parameter", f"{at.prefix} holds what belongs to {other.prefix}"
    return None


def _folded(case: Case, step: Step, found: Array) -> Iterator[tuple[Step, Array, Bridge]]:
    """Yield a step with its result, and before it those that may have been folded into it.

    What these gave follows from the result: right norms and layer scales can be undone.
    """
    bridged = case.walk.bridged
    expected = bridged[step.path]
    yield step, found, expected
    while step.layer in ("batch_norm", "layer_scale", "identity"):
        before = bridged.get(step.inputs[0])
        if before is None or step.inputs[0] not in case.walk.by_path:
            return
        if step.layer != "identity":
            ready = step.astype(np.float64)
            none, one = (ready(np.full((1, 1, 1, found.shape[-1]), x))[0, 0, 0] for x in (0.0, 1.0))
            factor = one - none
            if found.shape != before.value.shape or not factor.all():
                return
            found = (found - none) / factor
            expected = Bridge(before.value, expected.bound / abs(factor))
        step = case.walk.by_path[step.inputs[0]]
        yield step, found, expected
