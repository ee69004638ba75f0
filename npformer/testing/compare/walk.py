"""The local test: each step alone, on what the other network itself gave to it.

A recorded array is the result of a step if it equals what the step gives from the recorded arrays
before it, in any arrangement of axes, within the bound of rounding. Names are not asked. From there
on the recorded array is taken, so that no error is carried along. Where a result was not recorded,
ours is taken, in float64, with a bound on how far the other's may be from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ...layers import Array
from ..steps import INPUT, Step
from .arrangement import Arrangement, Expected, arrangements, places_in
from .bridge import TINY, Bridge, ahead, recorded, within
from .recorded import Candidate

SENSITIVE = 1e-2
"""A sum proves its smaller part only if its bound is smaller than this share of that part."""

SIMILAR = 0.05
"""Arrays that differ by less than this share are nearly the same."""


SLIGHT = ("batch_norm", "layer_scale")
"""Steps that may change so little that their input and their result look the same."""


class Match(NamedTuple):
    """A recorded array that is the result of a step."""

    candidate: Candidate
    way: Arrangement
    error: float
    """where it is largest in units of its bound"""
    bound: float
    ratio: float

    def array(self) -> Array:
        """Lay the array out as npformer does."""
        return self.way(self.candidate.array)


class Pool:
    """Recorded arrays by their number of elements."""

    def __init__(self, found: Iterable[Candidate]) -> None:
        self.by_size: dict[int, list[Candidate]] = {}
        for candidate in found:
            self.by_size.setdefault(candidate.array.size, []).append(candidate)

    def find(
        self,
        expected: Bridge,
        claimed: str | None = None,
        but: frozenset[str] = frozenset(),
        ordered: bool = False,
    ) -> Match | None:
        """Find an array that is as expected; the one with the name `claimed` first.

        Parameters
        ----------
        expected : Bridge
        claimed : str, optional
        but : frozenset of str
            Names of arrays that do not count.
        ordered : bool
            Whether the last two axes must stand in their order.
        """
        among = self.by_size.get(expected.value.size, ())
        if not among or not np.all(np.isfinite(expected.value)):
            return None
        bound = expected.bound
        wanted = Expected(expected.value, bound, ordered)
        for candidate in sorted(among, key=lambda c: c.name != claimed):
            if candidate.name in but:
                continue
            matched = wanted.match(candidate.array, candidate.sums)
            if matched is not None:
                return measured(candidate, matched[0], expected.value, bound)
        return None

    def has_similar(
        self, expected: Bridge, claimed: str | None, but: frozenset[str] = frozenset()
    ) -> bool:
        """Whether an array is nearly as expected; or has the name of it and NaN."""
        value = expected.value
        square = np.vdot(value, value)
        for candidate in self.by_size.get(value.size, ()):
            if candidate.name == claimed and candidate.not_finite:
                return True
            if candidate.name in but or not abs(candidate.sums[1] - square) < SIMILAR * square:
                continue
            for way in arrangements(candidate.array.shape, value.shape):
                if is_near(candidate.array, way, value):
                    return True
        return False


def is_near(found: Array, way: Arrangement, value: Array) -> bool:
    """Whether an array, laid out in a known way, is nearly another."""
    places = places_in(value.size)
    wanted = value.reshape(-1)[places]
    with np.errstate(invalid="ignore", over="ignore"):
        rest = way.sample(found, places) - wanted
        return bool(np.vdot(rest, rest) < SIMILAR**2 * np.vdot(wanted, wanted))


def measured(candidate: Candidate, way: Arrangement, value: Array, bound: Array) -> Match:
    """Compare an array, laid out in a known way, with what is expected."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        error = abs(way(candidate.array).astype(np.float64) - value)
        ratios = np.where(error == 0, 0.0, error / bound)
    ratios = np.where(np.isnan(ratios), np.inf, ratios)
    worst = int(ratios.argmax()) if ratios.size else 0
    flat = (array.reshape(-1)[worst] for array in (error, bound, ratios))
    return Match(candidate, way, *(float(number) for number in flat))


class Walk:
    """The state of a local test.

    Parameters
    ----------
    chain : sequence of Step
        All steps of the network, in float64.
    pool : Pool
    claimed : mapping of str to str
        Which array has the name of which step; only a hint.
    unit : float
        By which share numbers may have been rounded when they were recorded, behind the back of the
        network, which went on from others.
    """

    def __init__(
        self, chain: Sequence[Step], pool: Pool, claimed: Mapping[str, str], unit: float = 0.0
    ) -> None:
        self.chain, self.pool, self.claimed, self.unit = chain, pool, claimed, unit
        self.by_path = {step.path: step for step in chain}
        self.place = {INPUT: -1} | {step.path: i for i, step in enumerate(chain)}
        self.matches: dict[str, Match] = {}
        self.bridged: dict[str, Bridge] = {}
        self.cleared: set[str] = set()
        self.doubtful: set[str] = set()
        self.ours: dict[str, Bridge] = {}
        self.readers: dict[str, list[str]] = {}
        for step in chain:
            for path in step.inputs:
                self.readers.setdefault(path, []).append(step.path)

    def start(self, path: str, value: Bridge | Match) -> None:
        """Set what is known before the first step."""
        if isinstance(value, Match):
            self.matches[path] = value
        else:
            self.bridged[path] = value
        self.cleared.add(path)

    def known(self, path: str) -> Bridge:
        """Return the array at a path: the recorded one, or ours with a bound."""
        match = self.matches.get(path)
        return self.bridged[path] if match is None else self.taken(match.array(), path)

    def recalled(self, path: str) -> Bridge:
        """Return the array at a path, computed again if its memory was given back."""
        if self.has(path):
            return self.known(path)
        step = self.by_path[path]
        return ahead(step, [self.recalled(before) for before in step.inputs])

    def taken(self, array: Array, path: str) -> Bridge:
        """Take a recorded array for what the other network went on from."""
        exact = recorded(array)
        if not self.unit:
            return exact
        return within(exact.value, self.unit * (abs(exact.value) + TINY), path)

    def has(self, path: str) -> bool:
        """Whether the array at a path is known."""
        return path in self.matches or path in self.bridged

    def run(self, progress: Callable[[str], None] = lambda path: None) -> None:
        """Go through all steps."""
        for step in self.chain:
            progress(step.path)
            if self.has(step.path) or not all(map(self.has, step.inputs)):
                continue
            self._take(step)
            self._forget()

    def _take(self, step: Step) -> None:
        if step.layer == "identity":
            (path,) = step.inputs
            if path in self.matches:
                self.matches[step.path] = self.matches[path]
            else:
                self.bridged[step.path] = self.bridged[path]
            return
        inputs = [self.known(path) for path in step.inputs]
        expected = ahead(step, inputs).stored(self.unit)
        but = self._images(step) if step.layer == "flat" else frozenset()
        match = self.pool.find(expected, self.claimed.get(step.path), but)
        if match is None and step.layer in SLIGHT:
            match = self._reconsidered(step)
        for path in step.inputs:
            self.ours.pop(path, None)
        if match is None:
            self.bridged[step.path] = expected
            if step.layer == "flat" or self.pool.has_similar(
                expected, self.claimed.get(step.path), but
            ):
                self.doubtful.add(step.path)
            return
        self.matches[step.path] = match
        read = [self.by_path[path].layer for path in self.readers.get(step.path, ())]
        if len(read) == 1 and read[0] in SLIGHT:
            self.ours[step.path] = expected
        for path, value in zip(step.inputs, inputs, strict=True):
            if step.layer == "residual" and not _sensitive(expected, value):
                continue
            if step.layer == "subtract":  # pool(x) − x is the same for x plus any constant
                self.cleared |= {step.inputs[0]} - {*step.inputs[1:]}
                continue
            self._clear(path)

    def _reconsidered(self, step: Step) -> Match | None:
        """Find the result of a step whose input was taken for another array than it is.

        Where a step changes its input by less than the rounding of the one before, an array is
        within the bounds of both results. It is taken for the first, until the second is missing.
        """
        (path,) = step.inputs
        ours, taken = self.ours.get(path), self.matches.get(path)
        if ours is None or taken is None:
            return None
        tried = {taken.candidate.name}
        while (other := self.pool.find(ours, None, frozenset(tried))) is not None:
            after = ahead(step, [self.taken(other.array(), path)]).stored(self.unit)
            match = self.pool.find(after, self.claimed.get(step.path))
            if match is not None:
                self.matches[path] = other
                return match
            tried.add(other.candidate.name)
        match = Pool([taken.candidate]).find(ahead(step, [ours]).stored(self.unit))
        if match is not None:  # the first was not recorded
            del self.matches[path]
            self.bridged[path] = ours
        return match

    def _images(self, step: Step) -> frozenset[str]:
        """Return the names of arrays that have rows and columns: they are not tokens yet."""
        size = self.known(step.inputs[0]).value.shape
        axes = sum(n > 1 for n in size)
        among = self.pool.by_size.get(int(np.prod(size)), ())
        return frozenset(c.name for c in among if sum(n > 1 for n in c.array.shape) >= axes)

    def _clear(self, path: str) -> None:
        """Note that an array that was not recorded has been proved by one that depends on it."""
        if path in self.matches or path in self.cleared:
            return
        self.cleared.add(path)
        step = self.by_path[path]
        for before in step.inputs:
            if step.layer != "residual" or _sensitive(self.bridged[path], self.known(before)):
                self._clear(before)

    def _forget(self) -> None:
        """Give back the memory of arrays that nobody will ask for again."""
        settled = (self.cleared | self.matches.keys()) - self.doubtful
        for path in list(self.bridged):
            read = self.readers.get(path, ())
            if path in settled and path in self.by_path and settled.issuperset(read):
                del self.bridged[path]

    def suspects(self) -> list[Step]:
        """Return the steps whose results were neither recorded as they should be nor proved.

        Those too that a later result proves, if an array was recorded that is nearly theirs: a
        small fault may hide in a sum.
        """
        unproved = self.bridged.keys() - self.cleared | self.doubtful
        return [step for step in self.chain if step.path in unproved]


def is_ordered(step: Step) -> bool:
    """Whether the result of a step has queries and keys for its last axes."""
    return step.layer in ("scores", "position_bias", "softmax")


def _sensitive(total: Bridge, part: Bridge) -> bool:
    """Whether a sum that is right proves this part of it."""
    bound = np.sqrt(np.mean(np.square(total.bound)))
    return bool(bound < SENSITIVE * np.sqrt(np.mean(np.square(part.value))))
