"""What is tried for one student's function: single edits, rewritten formulas, parts, pairs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from ..cases import Case, draw_cases
from ..mistakes import Exercise
from .candidates import Candidate, cost, inside, own
from .program import Copy, Program
from .trial import Answer, Trial, answers_to

TIE = 0.35
"""Candidates that cost as little more than the likeliest are looked at too."""
NEW_INPUTS = 6
"""How many inputs are drawn anew to confirm what was found, and to tell candidates apart."""
PARTNERS = 40
"""How many of the candidates that explain a part are tried as one of two mistakes."""
REWRITES = ("other brackets", "another order")
"""Kinds of edits that may leave the formula as it is."""

Found: TypeAlias = tuple[Candidate, ...]
"""One edit, or two that are made together."""


class Clock:
    """How much time is left.

    Parameters
    ----------
    seconds : float
    now : callable
        Returns the time in seconds.
    """

    def __init__(self, seconds: float, now: Callable[[], float] = time.perf_counter) -> None:
        self.now = now
        self.end = now() + seconds

    def is_over(self) -> bool:
        """Whether the time is over."""
        return self.now() >= self.end

    def part(self, share: float) -> Clock:
        """Return a clock for a part of the time that is left."""
        return Clock(share * max(0.0, self.end - self.now()), self.now)


class Attempts:
    """What has been tried for one student's function."""

    def __init__(
        self, exercise: Exercise, function: Callable[..., Any], trial: Trial, clock: Clock
    ) -> None:
        self.exercise, self.function = exercise, function
        self.trial, self.clock = trial, clock
        self.by_result: dict[int, tuple[Found, Trial]] = {}
        """for each wrong result the first candidate that gives it on all inputs"""
        self.near: list[tuple[float, Candidate]] = []
        """candidates that give a part of the numbers, with the share"""
        self.alive: list[Candidate] = []
        """candidates that change the numbers, and not the shapes: one of two mistakes, perhaps"""
        self.values: set[bytes] = set()
        """what they give: of several that give the same, the first counts"""
        self.neutral: list[Candidate] = []
        """other ways to write the same formula"""

    def singles(self, some: list[Candidate]) -> list[Found]:
        """Try single edits; return those that explain everything, the likeliest first."""
        found: list[Found] = []
        limit = np.inf
        for candidate in some:
            if candidate.cost > limit or self.clock.is_over():
                break
            if self._explains((candidate,)):
                found.append((candidate,))
                limit = min(limit, candidate.cost + TIE)
        return self._told_apart(found)

    def _explains(self, edits: Found, trial: Trial | None = None) -> bool:
        """Whether edits give the student's results on all inputs; note partial success."""
        score = (trial or self.trial).attempt(edits)
        if score is None or score.whole:
            return score is not None
        for result in score.results:
            self.by_result.setdefault(result, (edits, trial or self.trial))
        if len(edits) == 1 and trial is None:
            if score.neutral:
                self.neutral.append(edits[0])
            elif score.fitting and score.value not in self.values:
                self.values.add(score.value)
                self.alive.append(edits[0])
                if score.share > 0.2:
                    self.near.append((score.share, edits[0]))
        return False

    def rewritten(self, copy: Copy, args: tuple[Any, ...]) -> list[Found]:
        """Try edits of other ways to write the formula: ``a · b / c`` for ``a · (b / c)``."""
        until = self.clock.part(0.25)
        for neutral in [c for c in self.neutral if c.edit.kind in REWRITES and c.copies == (copy,)]:
            before = neutral.edit.apply()
            try:
                new = inside(copy, neutral.edit, args)
            finally:
                neutral.edit.undo(before)
            for candidate in new:
                if until.is_over():
                    return []
                if self._explains((neutral, candidate)) and (
                    found := self._told_apart([(neutral, candidate)])
                ):
                    return [(candidate,) for _, candidate in found]
        return []

    def elsewhere(self, program: Program, args: tuple[Any, ...]) -> list[Found]:
        """Try edits of the layer with the functions that it calls written out."""
        trial = Trial(program, self.trial.target)
        if not trial.reproduces_reference():
            return []
        for candidate in own(program, args, self.clock.is_over):
            if self.clock.is_over():
                break
            if self._explains((candidate,), trial) and self._told_apart([(candidate,)], trial):
                return [(candidate,)]
        return []

    def parts(self) -> dict[int, Found]:
        """Return an explanation for each wrong result by itself, if there is one for all."""
        wrong = self.trial.target.wrong_results
        if not all(result in self.by_result for result in wrong):
            return {}
        new = self._new_inputs()
        found = {}
        for result in wrong:
            edits, trial = self.by_result[result]
            if not trial.fits(edits, new, result):
                del self.by_result[result]
                return {}
            found[result] = edits
        return found

    def pairs(self, reach: int, part: float) -> list[Found]:
        """Try pairs of edits for a part of the time; return the first that explains everything."""
        until = self.clock.part(part)
        near = [c for _, c in sorted(self.near, key=lambda entry: -entry[0])[:PARTNERS]]
        for edits in pairs(sorted(self.alive, key=cost)[:reach], near):
            if until.is_over():
                break
            if self._explains(edits) and (found := self._told_apart([edits])):
                return found
        return []

    def _told_apart(self, found: list[Found], trial: Trial | None = None) -> list[Found]:
        """Keep what also explains inputs that are drawn anew."""
        if not found:
            return []
        new = self._new_inputs()
        return [edits for edits in found if (trial or self.trial).fits(edits, new)]

    def _new_inputs(self) -> list[tuple[Case, Answer | None]]:
        """Return inputs that are drawn anew, with what the student's function makes of them."""
        new = draw_cases(
            self.exercise, NEW_INPUTS, self.trial.target.seed, single=False, function=self.function
        )
        return answers_to(self.function, new, self.exercise)


def pairs(some: list[Candidate], near: list[Candidate]) -> Iterator[Found]:
    """Yield pairs: what explains a part with everything, then the likeliest with each other."""
    for partner in near:
        for other in some:
            if compatible(partner, other):
                yield partner, other
    for total in range(1, 2 * len(some)):
        for i in range(max(0, total - len(some) + 1), (total + 1) // 2):
            if compatible(some[i], some[total - i]):
                yield some[i], some[total - i]


def compatible(a: Candidate, b: Candidate) -> bool:
    """Whether two edits change different places."""
    places = {(id(c.parent), c.field, c.position) for c in a.edit.changes}
    return not places & {(id(c.parent), c.field, c.position) for c in b.edit.changes}
