"""What is known after the walk: suspects, unexplained arrays, and how they may lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...layers import Array
from ...network.configuration import EfficientFormerConfig
from ..steps import Step
from .arrangement import Arrangement, arrangements, likeness
from .entrance import Entrance
from .recorded import Candidate, Recorded
from .trail import NEXT, Trail
from .walk import Match, Pool, Walk, is_near, measured

NEAR = 3
"""How many steps may have been folded into one another."""
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


class Case:
    """Suspects, and the arrays that nothing explains yet.

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
        if (final := walk.matches.get(walk.chain[-1].path)) is not None:
            self.answers.discard(final.candidate.name)  # a right answer is no proof of a mistake
        alike: dict[tuple[int, tuple[float, float]], list[Candidate]] = {}
        for match in walk.matches.values():
            known = match.candidate
            alike.setdefault((known.array.size, known.sums), []).append(known)
        self.free = [
            c
            for c in found
            if c.name in self.answers
            or (
                c.name not in used
                and not any(_same(c, other) for other in alike.get((c.array.size, c.sums), ()))
            )
        ]
        self.pool = Pool(self.free)
        self.names = {c.name: c for c in self.free}
        self.suspects = [
            step
            for step in walk.suspects()
            if step.path not in walk.cleared or step.layer == "flat" or self._has_similar(step)
        ]
        self.unproved = [step for step in self.suspects if step.path not in walk.cleared]
        self.trail = Trail(walk, self.pool)
        self._usual = Counter((len(m.way.split), m.way.axes) for m in walk.matches.values())

    def _has_similar(self, step: Step) -> bool:
        """Whether an unexplained array is nearly a step's result, which a later one has proved."""
        return self.pool.has_similar(self.walk.bridged[step.path], self.walk.claimed.get(step.path))

    def place(self, step: Step) -> int:
        """Return the number of a step."""
        return self.trail.place[step.path]

    def inputs(self, step: Step) -> list[Array] | None:
        """Return what a step was given; None if that is not known."""
        if step.layer == "identity" or not all(map(self.walk.has, step.inputs)):
            return None
        return [self.walk.known(path).value for path in step.inputs]

    def end(self, among: Sequence[Step]) -> int:
        """Return the number of the step after the last of some, and of what may follow it."""
        if not among:
            return 0
        return min(self.place(among[-1]) + 2 * NEXT, len(self.walk.chain))

    def beside(self, step: Step, match: Match) -> Match | None:
        """Compare an array with what the right network gives at its step."""
        right = self.walk.bridged.get(step.path)
        if right is None or right.value.shape != match.way.shape:
            return None
        return measured(match.candidate, match.way, right.value, right.bound)

    def ways(self, candidate: Candidate, right: Array) -> list[Arrangement]:
        """List arrangements, the likeliest first.

        These are those in which an array is very like what is right; then those in which other
        arrays were found.
        """

        def rank(way: Arrangement) -> tuple[bool, int, float]:
            like = abs(self.likeness(way, candidate.array, right))
            return like < ALIKE, -self._usual[len(way.split), way.axes], -like

        return sorted(arrangements(candidate.array.shape, right.shape), key=rank)

    @staticmethod
    def likeness(way: Arrangement, found: Array, right: Array) -> float:
        """Correlation of an array with what it should be, at some thousand places."""
        step = max(1, right.size // 2048)
        places = np.arange(step // 2, right.size, step)
        a = way.sample(found, places).astype(np.float64)
        b = right.reshape(-1)[places]
        return likeness(a, b)

    def nothing_after(self, at: int, but: frozenset[str]) -> bool:
        """Whether no other unexplained array has as many numbers as a later step's result."""
        sizes = {
            self.walk.bridged[step.path].value.size
            for step in self.suspects
            if self.place(step) > at and step.layer != "identity"
        }
        known = {candidate.sums for candidate in self.free if candidate.name in but}
        return not any(c.array.size in sizes and c.sums not in known for c in self.free)

    def used(self, step: Step) -> Match | None:
        """Find an array that is nearly a step's result, and from which the other went on."""
        right = self.walk.bridged[step.path]
        if step.layer == "identity":
            return None
        for candidate in self.pool.by_size.get(right.value.size, ()):
            for way in arrangements(candidate.array.shape, right.value.shape):
                if is_near(candidate.array, way, right.value):
                    match = measured(candidate, way, right.value, right.bound)
                    if self.trail.reach(step, match) is not None:
                        return match
        return None

    def claimed(self) -> int | None:
        """Return the number of the first suspect whose name an unexplained array has."""
        for i, step in enumerate(self.suspects):
            candidate = self.names.get(self.walk.claimed.get(step.path, ""))
            size = self.walk.bridged[step.path].value.size
            if step.layer != "identity" and candidate is not None and candidate.array.size == size:
                return i
        return None

    def likely(self) -> list[tuple[int, Candidate, Arrangement]]:
        """List, for each unexplained array, the number of the suspect that it is most like."""
        found = []
        for candidate in self.free:
            best: tuple[float, int, Arrangement] | None = None
            for i, step in enumerate(self.suspects):
                right = self.walk.bridged[step.path].value
                if step.layer == "identity" or right.size != candidate.array.size:
                    continue
                for way in self.ways(candidate, right)[:1]:
                    like = abs(self.likeness(way, candidate.array, right))
                    if like > LIKE and (best is None or like > best[0]):
                        best = like, i, way
            if best is not None:
                found.append((best[1], candidate, best[2]))
        return found

    def horizon(self) -> list[Step]:
        """Return the suspects up to the first whose result is among the unexplained arrays.

        By its name; or by likeness, for what a wrong step gives is often like what it should.
        """
        first = self.claimed()
        if first is None:
            unproved = {step.path for step in self.unproved}
            likely = [i for i, _, _ in self.likely() if self.suspects[i].path in unproved]
            first = min(likely, default=len(self.suspects) - 1) + NEAR
        return self.suspects[: first + 1]


def _same(one: Candidate, other: Candidate) -> bool:
    """Whether two arrays are the same in some order of axes, rather than have the same numbers."""
    ways = arrangements(one.array.shape, other.array.shape)
    return any(np.array_equal(way(one.array), other.array) for way in ways)


def _repeated(walk: Walk, found: Sequence[Candidate]) -> set[str]:
    """Return the arrays that have the size of an answer but are the result of one head again.

    The last one; or, in any order, that of the head that was recorded more often than the other.
    """
    heads = [walk.matches[path].candidate for path in ("head", "head_dist") if path in walk.matches]
    counts = [[c for c in found if c.sums == head.sums] for head in heads]
    if len(heads) == 2 and "logits" not in walk.matches and len(counts[0]) != len(counts[1]):
        return {max(counts, key=len)[-1].name}
    last = found[-1] if found else None
    if last is None or not any(c.sums == last.sums for c in heads):
        return set()
    others = [c for c in found if c.array.size == last.array.size and c.name != last.name]
    return {last.name} if not others or any(c.sums == last.sums for c in others) else set()
