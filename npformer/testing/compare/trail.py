"""What follows from changed arrays: right steps are run on until they meet a recorded array."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ...layers import Array
from ..steps import Step
from .bridge import Bridge, ahead
from .walk import Match, Pool, Walk, is_ordered

Change = Callable[[Step, list[Array]], "dict[str, Array] | None"]
"""Gives the results of a step that is changed, by path; None for a right one."""

Met = tuple[Step, Match]
"""A step, and the recorded array that is its result if the arrays before were changed."""


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
        self._place = {step.path: i for i, step in enumerate(walk.chain)}

    def proof(
        self, start: dict[str, Bridge], limit: int, but: frozenset[str] = frozenset()
    ) -> Met | None:
        """Follow recorded arrays, with the bounds of rounding.

        Parameters
        ----------
        start : dict of str to Bridge
            The changed arrays, by path.
        limit : int
            How many steps to run.
        but : frozenset of str
            Names of arrays that do not count.
        """
        values = dict(start)
        count = 0
        for step in self.walk.chain:
            if step.path in values or not any(path in values for path in step.inputs):
                continue
            known = [values[p] if p in values else self._known(p) for p in step.inputs]
            ready = [value for value in known if value is not None]
            if len(ready) < len(known):
                continue
            values[step.path] = result = ahead(step, ready)
            if step.layer == "identity":
                continue
            match = self.pool.find(result, self.walk.claimed.get(step.path), but)
            if match is not None:
                return step, match
            count += step.layer != "split_head"
            if count >= limit:
                return None
        return None

    def search(
        self, start: dict[str, Array], limit: int, end: int, change: Change | None = None
    ) -> Met | None:
        """Follow a mistake, quickly: in float64, within the bounds that right results have.

        Parameters
        ----------
        start : dict of str to ndarray
            The changed arrays, by path.
        limit : int
            How many steps to run.
        end : int
            Number of the step after the last one to be looked at.
        change : callable, optional
            Makes the mistake in other steps too.
        """
        values = dict(start)
        count = 0
        begin = min((self._place[path] for path in start if path in self._place), default=0)
        for step in self.walk.chain[begin:end]:
            if step.path in values or not any(path in values for path in step.inputs):
                continue
            arrays = self._arrays(values, step.inputs)
            if arrays is None:
                continue
            if step.layer == "identity":
                values[step.path] = arrays[0]
                continue
            wrong = None if change is None else change(step, arrays)
            if wrong is None:
                with np.errstate(all="ignore"):
                    wrong = {step.path: step(*arrays)}
            values |= wrong
            if any(not np.all(np.isfinite(array)) for array in wrong.values()):
                return None
            match = self.find(step, values[step.path])
            if match is not None:
                return step, match
            count += step.layer != "split_head"
            if count >= limit:
                return None
        return None

    def find(self, step: Step, array: Array) -> Match | None:
        """Find a recorded array that is the result of a changed step."""
        if array.size not in self.pool.by_size:
            return None
        return self.pool.find(
            self.loose(step.path, array), self.walk.claimed.get(step.path), frozenset(),
            is_ordered(step),
        )  # fmt: skip

    def loose(self, path: str, array: Array) -> Bridge:
        """Return an array with the bound that the right one has, or a share of its size."""
        right = self.walk.bridged.get(path)
        size = np.sqrt(np.mean(np.square(array)))
        slack = 2.0**-22 * (abs(array) + size)
        if right is not None and right.value.shape == array.shape:
            scale = size / (np.sqrt(np.mean(np.square(right.value))) or 1.0)
            slack = np.maximum(slack, 2 * max(1.0, float(scale)) * right.bound)
        return Bridge(array, slack)

    def _known(self, path: str) -> Bridge | None:
        return self.walk.known(path) if self.walk.has(path) else None

    def _arrays(self, values: dict[str, Array], paths: Sequence[str]) -> list[Array] | None:
        found = []
        for path in paths:
            if path in values:
                found.append(values[path])
            elif (known := self._known(path)) is not None:
                found.append(known.value)
            else:
                return None
        return found
