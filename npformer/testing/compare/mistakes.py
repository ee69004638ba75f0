"""Mistakes that reproduce what the other network computed.

A mistake is proved if its variant gives an array that was recorded and that nothing else explains,
and if the other network went on from that array: further recorded arrays follow from it by right
steps, or by the same mistake made again. Several variants may give the same array, and a wrong one
may be followed for a step or two. So all of a neighborhood are tried: the one that is followed
farthest counts, and a cause is named only if no mistake with another word is followed as far.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from time import monotonic
from typing import NamedTuple

import numpy as np

from ...layers import ACTIVATIONS, Array, Conv2d
from ..steps import Step
from .bridge import Bridge
from .case import NEAR, Case, Finding
from .trail import FAR, Change, Followed
from .unexplained import by_use, explained
from .variants import Variant, variants
from .walk import Match

SECONDS = 20.0
"""How long to look for mistakes whose results were not recorded themselves."""
CLEAR = 8.0
"""A mistake that changes no number by more than so many bounds cannot be told from rounding."""
EXACTER = 4.0
"""A mistake gives the other's numbers more exactly than another if its error is so much less."""
MOST = 24
"""How many mistakes of each kind are tried in all steps at once."""


class Proof(NamedTuple):
    """How a mistake shows in what was recorded."""

    step: Step
    variant: Variant
    at: Step
    """whose result was recorded"""
    match: Match
    reach: int
    """number of the last step that follows from it"""
    is_strong: bool
    """whether the other network went on from it"""
    is_clear: bool = True
    """whether no array behind the last one that follows is left unexplained"""

    def names(self) -> str:
        """Return what it is called: proofs with the same name do not compete."""
        return self.variant.word or self.variant.more


def by_mistake(
    case: Case, among: Sequence[Step], limit: int, seconds: float | None = None
) -> Finding | None:
    """Find a mistake in one step that leads to a recorded array within `limit` steps."""
    until = None if seconds is None else monotonic() + seconds
    end = case.end(among)
    proofs: list[Proof] = []
    best: Proof | None = None
    for step in among:
        if best is not None and case.place(step) > best.reach + NEAR:
            break
        used = case.used(step)
        for variant in _variants(case, step):
            if until is not None and monotonic() > until:
                return _decided(case, proofs)
            proof = _proof(case, step, variant, limit, end)
            if proof is not None:
                proofs.append(proof)
        strong = [proof for proof in proofs if proof.is_strong]
        shown = used is None or any(_shows(proof, used) for proof in strong)
        if best is None and used is not None and not shown:
            before = among[: among.index(step)]
            return (
                _leading_to(case, before, step, used)
                or by_use(case, before[-NEAR - 3 :])
                or explained(case, step, used.candidate, used.way)
            )
        best = max(strong, key=lambda proof: proof.reach, default=None)
        # Steps up to the array that was met may give it too.
        if best is not None and _is_far(case, best) and case.place(step) >= case.place(best.at):
            break
    return _decided(case, proofs)


def _variants(case: Case, step: Step) -> Iterator[Variant]:
    """Yield the mistakes that can be made in a step; none if it is not known what it was given."""
    inputs = case.inputs(step)
    if inputs is None:
        return
    yield from variants(step, inputs, case.config)
    skip = case.walk.by_path.get(step.inputs[0])
    if skip is None or not step.layer == skip.layer == "residual":
        return
    if case.walk.has(skip.inputs[0]):
        before = case.walk.known(skip.inputs[0]).value  # what went into the block
        yield Variant("residual_missing", "", {step.path: before + inputs[1]}, 2)
        yield Variant(None, "the block is left out", {step.path: before}, 0)


def by_insertion(case: Case, near: Sequence[Step]) -> Finding | None:
    """Find what was done to a right result before the next step."""
    for step in [step for step in near if step in case.unproved][:NEAR]:
        for path in step.inputs:
            before = _origin(case, path)
            if before is None or before.path not in case.walk.matches:
                continue
            right = case.walk.matches[before.path].candidate
            made = (_proof(case, before, variant, NEAR, case.end(near))
                    for variant in _done_to(case, before))  # fmt: skip
            proofs = [
                proof
                for proof in made
                if proof is not None and proof.is_clear and proof.match.candidate.sums != right.sums
            ]
            found = _decided(case, [proof for proof in proofs if proof.is_strong])
            if found is not None and found.cause is not None:
                is_direct = any(proof.at is before for proof in proofs)
                return found._replace(step=_wrong_part(case, before, step) if is_direct else step)
    return None


def _done_to(case: Case, step: Step) -> Iterator[Variant]:
    """Yield what may be done to the recorded result of a step: mistakes between two layers."""
    right = case.walk.matches[step.path].array().astype(np.float64)
    if step.layer in ("batch_norm", "layer_norm"):
        yield Variant("norm_twice", "", {step.path: step.astype(np.float64)(right)}, 0)
    for number, name in enumerate(ACTIVATIONS):
        yield Variant("activation", "", {step.path: ACTIVATIONS[name](right)}, number)
    if step.layer == "weighted_sum":
        inputs = [case.walk.recalled(path).value for path in step.inputs]
        yield from (v for v in variants(step, inputs, case.config) if v.word == "head_order")


def _origin(case: Case, path: str) -> Step | None:
    """Return the step that computes an array, rather than the module whose result it is."""
    step = case.walk.by_path.get(path)
    while step is not None and step.layer == "identity":
        step = case.walk.by_path.get(step.inputs[0])
    return step


def _wrong_part(case: Case, step: Step, reader: Step) -> Step:
    """Return what goes wrong behind a step whose own result was recorded as it should be.

    The array that has the name of the step, or of a module around it; else what reads its result.
    """
    own = case.walk.claimed.get(step.path)
    around = [s for s in case.walk.chain if s.layer == "identity" and s.inputs == (step.path,)]
    named = [s for s in (step, *around) if case.walk.claimed.get(s.path) in case.names]
    if own is None and step.layer in ("batch_norm", "layer_norm"):
        return step
    return next(iter(named), reader)


def _leading_to(case: Case, before: Sequence[Step], step: Step, used: Match) -> Finding | None:
    """Find a mistake in steps that were not recorded, which leads to a wrong array behind them."""
    until, end = monotonic() + SECONDS, case.place(step) + 1
    proofs: list[Proof] = []
    for earlier in before:
        for variant in _variants(case, earlier):
            if monotonic() > until:
                return _decided(case, proofs)
            proof = _proof(case, earlier, variant, end, end)
            if proof is not None and (_shows(proof, used) or _leads_on(case, proof, step)):
                proofs.append(proof)
    return _decided(case, proofs)


def _shows(proof: Proof, used: Match) -> bool:
    """Whether a proof explains an array that was taken for the result of a step."""
    return proof.match.candidate.sums == used.candidate.sums


def _leads_on(case: Case, proof: Proof, step: Step) -> bool:
    """Whether a proof explains an array before a step, and is followed up to it."""
    return case.place(proof.at) < case.place(step) <= proof.reach


def _is_far(case: Case, proof: Proof) -> bool:
    """Whether nothing can speak against a proof any more."""
    return proof.reach >= min(case.place(proof.at) + FAR, len(case.walk.chain) - 1)


def _decided(case: Case, proofs: Sequence[Proof]) -> Finding | None:
    """Choose the proof that is followed farthest; name its cause if no other one is as good."""
    strong = [proof for proof in proofs if proof.is_strong]
    if not strong:
        return _finding(case, proofs[0]) if proofs else None
    ranks = [_rank(case, proof) for proof in strong]
    best = [proof for proof, rank in zip(strong, ranks, strict=True) if rank == max(ranks)]
    best = _closest(best)
    finding = _finding(case, best[0])
    if not best[0].is_clear:  # it is followed for a while, and then contradicted
        return finding._replace(cause=None, more="")
    names = dict.fromkeys(proof.names() for proof in best)
    if len(names) == 1:
        return finding
    return finding._replace(cause=None, more=f"{' or '.join(names)}: both give these numbers")


def _closest(proofs: list[Proof]) -> list[Proof]:
    """Leave out mistakes that give the same array, but much less exactly than another one."""
    if len({proof.match.candidate.name for proof in proofs}) > 1:
        return proofs
    least = min(proof.match.ratio for proof in proofs)
    return [proof for proof in proofs if proof.match.ratio <= EXACTER * least]


def _rank(case: Case, proof: Proof) -> tuple[bool, int, int]:
    """How far a proof goes, and how soon it is met by a recorded array: what is more is better."""
    far = len(case.walk.chain) if _is_far(case, proof) else proof.reach
    return proof.is_clear, far, -case.place(proof.at)


def _finding(case: Case, proof: Proof) -> Finding:
    match = case.beside(proof.at, proof.match)
    step, inputs, arrays = proof.step, case.inputs(proof.step), proof.variant.arrays
    if len(arrays) > 1 and inputs is not None:  # of q, k and v, the first that is another array
        parts = [case.walk.by_path[path] for path in arrays]
        step = next((at for at in parts if not np.array_equal(at(*inputs), arrays[at.path])), step)
    return Finding(step, proof.variant.word, match, proof.variant.more)


def _proof(case: Case, step: Step, variant: Variant, limit: int, end: int) -> Proof | None:
    """Say whether a mistake gives recorded arrays; and whether others follow from them."""
    trail, walk = case.trail, case.walk
    if all(_is_right(case, path, array) for path, array in variant.arrays.items()):
        return None
    start = {path: Bridge(array, np.zeros(())) for path, array in variant.arrays.items()}
    for path, array in variant.arrays.items():
        at, match = walk.by_path[path], trail.find(walk.by_path[path], array)
        if match is not None:
            break
    else:
        met = next(trail.met(start, limit, end=end, quick=True), None)
        if met is None:
            return None
        at, match = met
    is_direct = at.path in variant.arrays
    name, place = match.candidate.name, case.place(at)
    others = {p: trail.changed(p, a) for p, a in variant.arrays.items() if p != at.path}
    followed = trail.reach(at, match, others)
    # What is wrong once is often wrong everywhere.
    for kind in (_kind, _module, _name, _layer, _matrix):
        if not _is_clear(case, followed):
            again = trail.reach(at, match, others, _again(case, step, variant, kind))
            followed = again if followed is None or _is_clear(case, again) else followed
    if followed is not None and is_direct and case.beside(at, match) is None:
        # Of another shape: nothing right explains that array.
        return Proof(step, variant, at, match, len(walk.chain) - 1, True)
    if followed is not None:
        is_clear = variant.word == "half_precision" or _is_clear(case, followed)
        return Proof(step, variant, at, match, followed.last, True, is_clear)
    if name in case.answers:
        return Proof(step, variant, at, match, len(walk.chain) - 1, True)
    # The next layers may be in half precision too; but no other mistake has these digits.
    alone = not case.source.is_graph and case.nothing_after(case.place(at), frozenset({name}))
    if alone or variant.word == "half_precision":
        return Proof(step, variant, at, match, place, True)
    named = is_direct and walk.claimed.get(step.path) == name and not case.source.is_graph
    return Proof(step, variant, at, match, place, False) if named else None


def _is_clear(case: Case, followed: Followed | None) -> bool:
    """Whether nothing speaks against a mistake: the arrays behind it are explained."""
    if followed is None:
        return False
    return followed.is_far or case.nothing_after(followed.last, followed.names)


def _is_right(case: Case, path: str, array: Array) -> bool:
    """Whether what a mistake gives is nearly the right result: it proves nothing then."""
    right = case.walk.known(path) if case.walk.has(path) else None
    if right is None or right.value.shape != array.shape:
        return False
    return bool(np.all(abs(array - right.value) <= CLEAR * right.bound))


def _again(
    case: Case, step: Step, variant: Variant, kind: Callable[[Step], tuple[str, object]]
) -> Change:
    """Return a change that makes the same mistake in all other steps of a kind."""

    def change(at: Step, given: list[Array]) -> dict[str, Array] | None:
        if kind(at) != kind(step):
            return None
        same = variant.word, variant.more, variant.number
        for made in variants(at, given, case.config):
            if (made.word, made.more, made.number) == same:
                return made.arrays
        return None

    return change


def _kind(step: Step) -> tuple[str, object]:
    """Steps of the same kind are written once in most implementations."""
    if isinstance(step.params, Conv2d):
        return step.layer, step.params.weight.shape[:2]
    return step.layer, step.options.get("name")


def _layer(step: Step) -> tuple[str, object]:
    """Steps that compute the same but for their options."""
    return step.layer, None


def _module(step: Step) -> tuple[str, object]:
    """Steps of the same kind of module."""
    return step.layer, step.path.split(".")[-2:-1]


def _name(step: Step) -> tuple[str, object]:
    """Steps at the same place of each block."""
    return step.layer, step.path.rpartition(".")[2]


def _matrix(step: Step) -> tuple[str, object]:
    """Linear layers, and convolutions of single pixels, which are linear layers too."""
    is_matrix = step.layer == "linear" or (
        isinstance(step.params, Conv2d) and step.params.weight.shape[:2] == (1, 1)
    )
    return ("matrix", None) if is_matrix else _kind(step)


def by_habit(case: Case, among: Sequence[Step]) -> Finding | None:
    """Find a mistake that is made in all steps of a kind, where few arrays were recorded.

    The one that gives most of them.
    """
    until = monotonic() + SECONDS
    end, limit = case.end(among), len(case.walk.chain)
    kinds: dict[tuple[str, object], Step] = {}
    for step in among:
        kinds.setdefault(_kind(step), step)
    found: dict[str, tuple[int, Finding]] = {}
    for step in kinds.values():
        gives_all = False
        for variant in islice(_variants(case, step), MOST):
            if monotonic() > until:
                return None
            if all(_is_right(case, path, array) for path, array in variant.arrays.items()):
                continue
            start = {path: Bridge(array, np.zeros(())) for path, array in variant.arrays.items()}
            again = _again(case, step, variant, _kind)
            met = [*islice(case.trail.met(start, limit, end=end, quick=True, change=again), FAR)]
            if not met:
                continue
            at, match = met[0]
            names = frozenset(other.candidate.name for _, other in met)
            name = match.candidate.name
            last = name in case.answers or case.nothing_after(case.place(at), frozenset({name}))
            others = {p: case.trail.changed(p, a) for p, a in variant.arrays.items()}
            if last or case.trail.reach(at, match, others, again) is not None:
                finding = Finding(step, variant.word, case.beside(at, match), variant.more)
                said = variant.word or variant.more
                if said not in found or len(names) > found[said][0]:
                    found[said] = len(names), finding
                gives_all |= case.nothing_after(case.place(step), names)
        if gives_all:
            break
    most = max((count for count, _ in found.values()), default=0)
    best = {said: finding for said, (count, finding) in found.items() if count == most}
    if len(best) < 2:
        return next(iter(best.values()), None)
    more = f"{' or '.join(best)}: both give these numbers"
    return next(iter(best.values()))._replace(cause=None, more=more)
