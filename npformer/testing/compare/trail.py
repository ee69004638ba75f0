"""What follows from changed arrays: right steps are run on until they meet recorded arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

import numpy as np

from ...layers import Array
from ..steps import Step
from .bridge import Bridge, ahead, within
from .walk import Match, Pool, Walk, is_ordered

NEXT = 6
"""How many steps on it must show that an array was used."""
DENSE = 1 / 3
"""Where less than this share of all results was recorded, the next one may be far."""
ENOUGH = 4
"""Whoever is followed over so many recorded arrays behind a mistake has made it: what contradicts
it later is another fault."""
FAR = 8
"""Whoever is followed over so many recorded arrays is followed for good."""

Change = Callable[[Step, list[Array]], "dict[str, Array] | None"]
"""Gives the results of a step that is changed, by path; None for a right one."""

Met = tuple[Step, Match]
"""A step, and the recorded array that is its result if the arrays before were changed."""


class Followed(NamedTuple):
    """How far another network can be followed."""

    last: int
    """number of the last step met, as far as is looked at"""
    names: frozenset[str]
    """of the arrays on the way, the first one too"""
    arrays: int
    """how many were met"""

    @property
    def is_far(self) -> bool:
        """Whether it was followed for good."""
        return self.arrays >= ENOUGH


class Trail:
    """Runs steps on from changed arrays.

    Parameters
    ----------
    walk : Walk
        What is known of the arrays that do not change.
    pool : Pool
        The arrays to be met.
    """

    def __init__(self, walk: Walk, pool: Pool) -> None:
        self.walk, self.pool = walk, pool
        self.place = walk.place
        known = len(walk.matches) + sum(map(len, pool.by_size.values()))
        self.limit = NEXT if known > DENSE * len(walk.chain) else len(walk.chain)

    def met(
        self,
        start: Mapping[str, Bridge],
        limit: int = NEXT,
        *,
        end: int | None = None,
        but: frozenset[str] = frozenset(),
        quick: bool = False,
        change: Change | None = None,
    ) -> Iterator[Met]:
        """Yield the recorded arrays that follow; the next ones follow from these.

        Parameters
        ----------
        start : mapping of str to Bridge
            The changed arrays, by path.
        limit : int
            How many steps to run without meeting one, behind the last changed array.
        end : int, optional
            Number of the step after the last one to be looked at.
        but : frozenset of str
            Names of arrays that do not count.
        quick : bool
            Whether to run in float64 alone, and to meet arrays within the bounds that right results
            have, rather than with bounds of rounding.
        change : callable, optional
            Makes a mistake in these steps too.

        Yields
        ------
        step : Step
        match : Match
        """
        values, count = dict(start), 0
        places = [self.place[path] for path in start if path in self.walk.by_path]
        begin, counted = min(places, default=0), max(places, default=-1)
        for step in self.walk.chain[begin:end]:
            if step.path in values or not any(path in values for path in step.inputs):
                continue
            known = [values.get(path) or self._known(path) for path in step.inputs]
            inputs = [value for value in known if value is not None]
            if len(inputs) < len(known):
                continue
            made = self._results(step, inputs, quick, change)
            if made is None:
                return
            values |= made
            if step.layer == "identity":
                continue
            match = self._find(step, values[step.path], but, quick)
            if match is not None:
                yield step, match
                values[step.path], count = self.walk.taken(match.array(), step.path), 0
                continue
            count += step.layer != "split_head" and self.place[step.path] > counted
            if count >= limit:
                return

    def reach(
        self,
        step: Step,
        match: Match,
        others: Mapping[str, Bridge] | None = None,
        change: Change | None = None,
    ) -> Followed | None:
        """Return how far the other network can be followed from a recorded array.

        Parameters
        ----------
        step : Step
            Whose result the array is.
        match : Match
        others : mapping of str to Bridge, optional
            Further changed arrays.
        change : callable, optional
            Makes a mistake in later steps.

        Returns
        -------
        Followed or None
            None if nothing follows.
        """
        start = {**(others or {}), step.path: self.walk.taken(match.array(), step.path)}
        but = frozenset({match.candidate.name})
        last, names, count = None, {match.candidate.name}, 0
        found = self.met(start, self.limit, but=but, change=change)
        for met, other in islice(found, FAR):
            last = self.place[met.path]
            names.add(other.candidate.name)
            count += 1
        return None if last is None else Followed(last, frozenset(names), count)

    def meets(self, step: Step, result: Bridge) -> Met | None:
        """Find a recorded array that is the result of a step, or of those folded into it."""
        match = self._find(step, result, frozenset(), False)
        if match is not None:
            return step, match
        return next(self.met({step.path: result}, 3), None)

    def find(self, step: Step, array: Array) -> Match | None:
        """Find a recorded array that is the result of a changed step."""
        return self._find(step, Bridge(array, np.zeros(())), frozenset(), True)

    def loose(self, path: str, array: Array) -> Bridge:
        """Return an array with the bound that the right one has, or a share of its size."""
        right = self.walk.bridged.get(path)
        size = np.sqrt(np.mean(np.square(array)))
        slack = max(2.0**-22, 2 * self.walk.unit) * (abs(array) + size)
        if right is not None and right.value.shape == array.shape:
            scale = size / (np.sqrt(np.mean(np.square(right.value))) or 1.0)
            slack = np.maximum(slack, 2 * max(1.0, float(scale)) * right.bound)
        elif right is not None:  # of another shape
            share = right.bound.max() / (np.sqrt(np.mean(np.square(right.value))) or 1.0)
            slack = np.maximum(slack, 2 * share * size)
        return Bridge(array, slack)

    def _find(self, step: Step, result: Bridge, but: frozenset[str], quick: bool) -> Match | None:
        if result.value.size not in self.pool.by_size:
            return None
        expected = self.loose(step.path, result.value) if quick else result
        claimed = self.walk.claimed.get(step.path)
        return self.pool.find(expected, claimed, but, quick and is_ordered(step))

    def _results(
        self, step: Step, inputs: list[Bridge], quick: bool, change: Change | None
    ) -> dict[str, Bridge] | None:
        """Run a step; None if what it is given does not fit, or if it gives no numbers."""
        if step.layer == "identity":
            return {step.path: inputs[0]}
        try:
            arrays = [value.value for value in inputs]
            wrong = None if change is None else change(step, arrays)
            if not quick and wrong is None:
                return {step.path: ahead(step, inputs).stored(self.walk.unit)}
            if wrong is None:
                with np.errstate(all="ignore"):
                    wrong = {step.path: step(*arrays)}
        except ValueError:  # an array of another shape meets one that was not changed
            return None
        if not all(np.all(np.isfinite(array)) for array in wrong.values()):
            return None
        if not quick:
            return {path: self.changed(path, array) for path, array in wrong.items()}
        return {path: Bridge(array, np.zeros(())) for path, array in wrong.items()}

    def changed(self, path: str, array: Array) -> Bridge:
        """Return an array that a mistake gives, with the errors that the right one may have."""
        value = self.loose(path, array)
        return within(value.value, value.bound, path)

    def _known(self, path: str) -> Bridge | None:
        return self.walk.known(path) if self.walk.has(path) else None
