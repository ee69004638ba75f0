"""Which step is the first wrong one, and by which mistake.

The walk leaves suspects: steps whose results were not found, and that no later result proves right.
A mistake in one of them is proved if its variant gives an array that was recorded and that nothing
else explains, and if the other network went on from that array: the next steps, right ones, lead
from it to further recorded arrays. Where no mistake fits, an array is still recognized as the
result of a step by what follows from it, and only then by its name or its likeness.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from time import monotonic
from typing import NamedTuple

import numpy as np

from ...layers import Array
from ...network.configuration import EfficientFormerConfig
from ..steps import INPUT, Step
from .arrangement import Arrangement, arrangements, likeness
from .bridge import recorded as taken
from .bridge import within
from .entrance import Entrance
from .explain import explain
from .halves import is_half
from .recorded import Candidate, Recorded
from .small import changed_parameter
from .trail import Trail
from .variants import Variant, variants
from .walk import Match, Pool, Walk, measured

NEXT = 6
"""How many steps on it must show that a wrong array was used."""
NEAR = 3
"""How many steps may have been folded into one another."""
DENSE = 14
"""How many suspects are looked at where everything was recorded."""
SECONDS = 20.0
"""How long to look for mistakes whose results were not recorded themselves."""


CLEAR = 8.0
"""A mistake that changes no number by more than so many bounds cannot be told from rounding."""
MOST = 24
"""How many mistakes of each kind are tried in all steps at once."""
ALIKE = 0.9
"""An array is very like another above this."""
LIKE = 0.5
"""An array is like another if their correlation is above this."""


class Finding(NamedTuple):
    """The first wrong step."""

    step: Step
    cause: str | None
    match: Match | None
    """the wrong array beside what it should be"""
    more: str = ""
    """what else is known, such as the name of a parameter"""


class Proof(NamedTuple):
    """How a mistake shows in what was recorded."""

    match: Match | None
    is_strong: bool
    """whether the other network went on from it"""
    is_direct: bool
    """whether its own result was recorded"""


class Diagnosis:
    """The search for the first wrong step after a walk.

    Parameters
    ----------
    walk : Walk
    found : sequence of Candidate
        All recorded arrays.
    source : Recorded
    config : EfficientFormerConfig
    entrance : Entrance
    """

    def __init__(
        self,
        walk: Walk,
        found: Sequence[Candidate],
        source: Recorded,
        config: EfficientFormerConfig,
        entrance: Entrance,
    ) -> None:
        self.walk, self.source, self.config, self.entrance = walk, source, config, entrance
        used = {match.candidate.name for match in walk.matches.values()}
        self.answers = {
            *source.outputs,
            walk.claimed.get(walk.chain[-1].path),
            *_repeated(walk, found),
        }
        alike = {(m.candidate.array.size, m.candidate.sums) for m in walk.matches.values()}
        self.free = [
            c
            for c in found
            if c.name in self.answers
            or (c.name not in used and (c.array.size, c.sums) not in alike)
        ]
        self.pool = Pool(self.free)
        self.names = {c.name: c for c in self.free}
        self.suspects = walk.suspects()
        self.usual = Counter((len(m.way.split), m.way.axes) for m in walk.matches.values())
        self.trail = Trail(walk, self.pool)
        self.unproved = [step for step in self.suspects if step.path not in walk.cleared]

    def run(self) -> Finding | None:
        """Return the first wrong step; None if nothing shows that one is wrong."""
        if not self.suspects or not self.free:
            return None
        until = self._horizon()
        near = until[:DENSE]
        return (
            self._entrance()
            or self._half(near)
            or self._single(near, NEAR)
            or (self._used(near) if self.source.is_graph else None)
            or self._everywhere(until)
            or self._single(until, len(self.walk.chain), SECONDS)
            or self._used(near)
            or self._claimed()
            or self._not_finite()
            or self._alike()
            or self._left_over()
        )

    def _horizon(self) -> list[Step]:
        """Return the suspects up to the first whose result is among the unexplained arrays.

        By its name; or by likeness, for what a wrong step gives is often like what it should.
        """
        first = self._first_claimed()
        if first is None:
            likely = [i for i, _, _ in self._likely()]
            first = min(likely, default=len(self.suspects) - 1) + NEAR
        return self.suspects[: first + 1]

    def _first_claimed(self) -> int | None:
        """Return the number of the first suspect whose name an unexplained array has."""
        for i, step in enumerate(self.suspects):
            candidate = self.names.get(self.walk.claimed.get(step.path, ""))
            size = self.walk.bridged[step.path].value.size
            if step.layer != "identity" and candidate is not None and candidate.array.size == size:
                return i
        return None

    def _inputs(self, step: Step) -> list[Array] | None:
        """Return what a step was given; None if that is not known."""
        if step.layer == "identity" or not all(map(self.walk.has, step.inputs)):
            return None
        return [self.walk.known(path).value for path in step.inputs]

    def _entrance(self) -> Finding | None:
        """Find a mistake in the preparation of the picture, or in how the first layer reads it."""
        first = self.walk.chain[0]
        if self.suspects[0] is not first:
            return None
        for word, pixels in self.entrance.mistakes():
            if pixels.shape[1:3] == self.entrance.pixels.shape[1:3]:
                met = self.trail.search({INPUT: pixels}, NEAR, len(self.walk.chain))
                if met is not None:
                    step = first if self.entrance.is_recorded else Step(INPUT, "identity", ())
                    return Finding(step, word, self._beside(*met))
        return None

    def _half(self, near: Sequence[Step]) -> Finding | None:
        """Find a step that was computed, or stored, in half precision."""
        for step in near:
            inputs = self._inputs(step)
            if inputs is None:
                continue
            right = self.walk.bridged[step.path]
            for candidate in self.pool.by_size.get(right.value.size, ()):
                for way in arrangements(candidate.array.shape, right.value.shape)[:6]:
                    kind = is_half(step, inputs, way, candidate.array)
                    if kind is not None:
                        match = measured(candidate, way, right.value, right.bound)
                        return Finding(step, "half_precision", match, kind)
        return None

    def _single(
        self, among: Sequence[Step], limit: int, seconds: float | None = None
    ) -> Finding | None:
        """Find a mistake in one step that leads to a recorded array within `limit` steps."""
        until = None if seconds is None else monotonic() + seconds
        end = self._end(among)
        weak = None
        for step in among:
            inputs = self._inputs(step)
            hidden = None
            for variant in () if inputs is None else variants(step, inputs, self.config):
                if until is not None and monotonic() > until:
                    return weak
                found = self._leads(step, variant, limit, end)
                if found is None:
                    continue
                finding = Finding(step, variant.word, found.match)
                if found.is_strong and found.is_direct:
                    return finding
                if found.is_strong:
                    hidden = hidden or finding
                else:
                    weak = weak or finding
            if hidden is not None:
                return hidden
        return weak

    def _end(self, among: Sequence[Step]) -> int:
        """Return the number of the step after the last of some, and of what may follow it."""
        if not among:
            return 0
        return min(self.walk.chain.index(among[-1]) + 2 * NEXT, len(self.walk.chain))

    def _leads(self, step: Step, variant: Variant, limit: int, end: int) -> Proof | None:
        """Say whether a mistake gives recorded arrays; and whether others follow from them."""
        if all(self._is_right(path, array) for path, array in variant.arrays.items()):
            return None
        for path, array in variant.arrays.items():
            direct = self.trail.find(self.walk.by_path[path], array)
            if direct is not None:
                break
        else:
            met = self.trail.search(variant.arrays, limit, end)
            return None if met is None else Proof(self._beside(*met), True, False)
        values = {p: self.trail.loose(p, a) for p, a in variant.arrays.items() if p != path}
        values = {p: within(value.value, value.bound, p) for p, value in values.items()}
        name = direct.candidate.name
        but = frozenset({name})
        met = self.trail.proof({**values, path: taken(direct.array())}, NEXT, but)
        direct = self._beside(self.walk.by_path[path], direct)
        alone = not self.source.is_graph and self._nothing_after(step, but)
        # The next layers may be in half precision too; but no other mistake has these digits.
        if met is not None or name in self.answers or alone or variant.word == "half_precision":
            return Proof(direct, True, True)
        claimed = self.walk.claimed.get(step.path) == name
        return Proof(direct, False, True) if claimed and not self.source.is_graph else None

    def _is_right(self, path: str, array: Array) -> bool:
        """Whether what a mistake gives is nearly the right result: it proves nothing then."""
        right = self.walk.known(path) if self.walk.has(path) else None
        if right is None or right.value.shape != array.shape:
            return False
        return bool(np.all(abs(array - right.value) <= CLEAR * right.bound))

    def _nothing_after(self, step: Step, but: frozenset[str]) -> bool:
        """Whether no other unexplained array has as many numbers as a later step's result."""
        at = self.suspects.index(step)
        sizes = {self.walk.bridged[s.path].value.size for s in self.suspects[at + 1 :]}
        return not any(c.array.size in sizes for c in self.free if c.name not in but)

    def _beside(self, step: Step, match: Match) -> Match | None:
        """Compare an array with what the right network gives at its step."""
        right = self.walk.bridged.get(step.path)
        if right is None or right.value.shape != match.way.shape:
            return None
        return measured(match.candidate, match.way, right.value, right.bound)

    def _used(self, near: Sequence[Step]) -> Finding | None:
        """Find an array that plays the part of a step's result: the next steps follow from it."""
        for step in near[: NEAR + 3]:
            if step.layer == "identity":
                continue
            right = self.walk.bridged[step.path]
            claimed = self.walk.claimed.get(step.path)
            among = self.pool.by_size.get(right.value.size, ())
            for candidate in sorted(among, key=lambda c: c.name != claimed)[:16]:
                for way in self._ways(candidate, right.value)[:2]:
                    start = {step.path: taken(way(candidate.array))}
                    if self.trail.proof(start, NEAR, frozenset({candidate.name})) is not None:
                        return self._explained(step, candidate, way)
        return None

    def _ways(self, candidate: Candidate, right: Array) -> list[Arrangement]:
        """List arrangements, the likeliest first.

        These are those in which an array is very like what is right; then those in which other
        arrays were found.
        """

        def rank(way: Arrangement) -> tuple[bool, int, float]:
            like = abs(_likeness(way, candidate.array, right))
            return like < ALIKE, -self.usual[len(way.split), way.axes], -like

        return sorted(arrangements(candidate.array.shape, right.shape), key=rank)

    def _explained(self, step: Step, candidate: Candidate, way: Arrangement) -> Finding:
        """Say what the numbers of a wrong array tell about its step."""
        right = self.walk.bridged[step.path]
        match = measured(candidate, way, right.value, right.bound)
        laid_out = way(candidate.array).astype(np.float64)
        for at in self._folded(step):
            inputs = self._inputs(at)
            if inputs is None:
                continue
            told = explain(at, inputs, laid_out, right, self.config)
            if told is not None:
                return Finding(at, told[0], match, told[1])
        changed = changed_parameter(self.walk, step, laid_out)
        if changed is not None:
            return Finding(changed[0], "parameter", match, changed[1].parameter)
        return Finding(step, None, match)

    def _folded(self, step: Step) -> list[Step]:
        """Return a step, and before it those that may have been folded into it."""
        found = [step]
        while found[-1].layer in ("batch_norm", "layer_scale", "identity"):
            before = self.walk.by_path.get(found[-1].inputs[0])
            if before is None or before.path not in self.walk.bridged:
                break
            found.append(before)
        return found

    def _everywhere(self, among: Sequence[Step]) -> Finding | None:
        """Find a mistake that is made in all steps of a kind, where few arrays were recorded."""
        until = monotonic() + SECONDS
        end = self._end(among)
        kinds: dict[tuple[str, object], Step] = {}
        for step in among:
            kinds.setdefault(_kind(step), step)
        for kind, step in kinds.items():
            inputs = self._inputs(step)
            for number, variant in enumerate(
                () if inputs is None else islice(variants(step, inputs, self.config), MOST)
            ):
                if monotonic() > until:
                    return None

                def change(
                    at: Step,
                    given: list[Array],
                    kind: tuple[str, object] = kind,
                    number: int = number,
                ) -> dict[str, Array] | None:
                    if _kind(at) != kind:
                        return None
                    made = next(islice(variants(at, given, self.config), number, None), None)
                    return None if made is None else made.arrays

                met = self.trail.search(variant.arrays, len(self.walk.chain), end, change)
                if met is not None:
                    return Finding(step, variant.word, self._beside(*met))
        return None

    def _claimed(self) -> Finding | None:
        """Trust a name."""
        first = self._first_claimed()
        if first is None or self.suspects[first] not in self.unproved:
            return None
        step = self.suspects[first]
        candidate = self.names[self.walk.claimed[step.path]]
        ways = self._ways(candidate, self.walk.bridged[step.path].value)
        if not ways:
            return Finding(step, None, None)
        return self._explained(step, candidate, ways[0])

    def _likely(self) -> list[tuple[int, Candidate, Arrangement]]:
        """List, for each unexplained array, the number of the suspect that it is most like."""
        found = []
        for candidate in self.free:
            best: tuple[float, int, Arrangement] | None = None
            for i, step in enumerate(self.suspects):
                right = self.walk.bridged[step.path].value
                if step.layer == "identity" or right.size != candidate.array.size:
                    continue
                for way in self._ways(candidate, right)[:1]:
                    like = abs(_likeness(way, candidate.array, right))
                    if like > LIKE and (best is None or like > best[0]):
                        best = like, i, way
            if best is not None:
                found.append((best[1], candidate, best[2]))
        return found

    def _alike(self) -> Finding | None:
        """Trust likeness: the first suspect that an unexplained array is like, but not enough."""
        unproved = [found for found in self._likely() if self.suspects[found[0]] in self.unproved]
        if not unproved:
            return None
        i, candidate, way = min(unproved, key=lambda found: found[0])
        return self._explained(self.suspects[i], candidate, way)

    def _not_finite(self) -> Finding | None:
        """Find an array with NaN or infinity: no right result has them."""
        for step in self.suspects:
            right = self.walk.bridged[step.path]
            for candidate in self.pool.by_size.get(right.value.size, ()):
                known = candidate.name == self.walk.claimed.get(step.path) or step in self.unproved
                if known and candidate.not_finite and step.layer != "identity":
                    ways = arrangements(candidate.array.shape, right.value.shape)
                    if ways:
                        match = measured(candidate, ways[0], right.value, right.bound)
                        return Finding(step, None, match)
        return None

    def _left_over(self) -> Finding | None:
        """Where nothing is recognized: a wrong answer, or arrays that nothing gives."""
        if not self.walk.matches or not self.unproved:
            return None
        if not self.source.outputs:
            for step in self.unproved:
                right = self.walk.bridged[step.path]
                if step.layer != "identity" and right.value.size in self.pool.by_size:
                    return Finding(step, None, None)
            return None
        final = self.walk.chain[-1].path
        ended = any(
            match.candidate.name in self.source.outputs for match in self.walk.matches.values()
        )
        if self.source.outputs and final not in self.walk.matches and not ended:
            step = next(s for s in self.unproved if s.layer != "identity")
            return Finding(step, None, None)
        return None


def _kind(step: Step) -> tuple[str, object]:
    """Steps of the same kind are written once in most implementations."""
    return step.layer, step.options.get("name")


def _repeated(walk: Walk, found: Sequence[Candidate]) -> set[str]:
    """Return the last array, if it has the size of an answer but is the result of one head."""
    heads = [walk.matches[path].candidate for path in ("head", "head_dist") if path in walk.matches]
    last = found[-1] if found else None
    if last is None or not any(c.sums == last.sums for c in heads):
        return set()
    others = [c for c in found if c.array.size == last.array.size and c.name != last.name]
    return {last.name} if not others or any(c.sums == last.sums for c in others) else set()


def _likeness(way: Arrangement, found: Array, right: Array) -> float:
    """Correlation of an array with what it should be, at some thousand places."""
    step = max(1, right.size // 2048)
    places = np.arange(step // 2, right.size, step)
    a = way.sample(found, places).astype(np.float64)
    b = right.reshape(-1)[places]
    return likeness(a, b)
