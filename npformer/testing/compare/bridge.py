"""Arrays that were not recorded: ours in their place, and how far the other's may be from them.

Within one step the bound of rounding is derived (`npformer.testing.bounds`). Over many steps the
derived bounds multiply, while real errors mostly cancel; a bound that allows for every coincidence
would hide faults a thousand times as large as any rounding. So errors are carried through a chain
by sampling: it is run again with the error that each step may make, drawn at random, and the spread
of the results, enlarged by `DEVIATIONS`, is the bound.

Source: Monte Carlo arithmetic (Parker, Pierce & Eggert 2000, "Monte Carlo arithmetic: how to gamble
with floating point and win").
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from zlib import crc32

import numpy as np

from ...layers import Array
from ..bounds import Estimate
from ..bounds.arithmetic import exact
from ..bounds.chain import estimate
from ..steps import Step

SAMPLES = 2
"""How often a chain is run with errors: each number is compared with its neighbors' spread too."""
TINY = 2.0**-14
"""Numbers below this are rounded as it is, in float16."""
DEVIATIONS = 10.0
"""Bounds in standard deviations, of which the derived variances are already generous."""


class Bridge:
    """An array, recorded or computed here.

    Parameters
    ----------
    value : ndarray of float64
    bound : ndarray of float64
        How far the other's may be from it; 0 if it was recorded.
    clean : tuple of ndarray
        The same with the errors of the steps before; none if it was recorded.
    deviation : ndarray, optional
        Of the error that its own step makes.
    path : str
        Different paths have different errors.
    """

    def __init__(
        self,
        value: Array,
        bound: Array,
        clean: tuple[Array, ...] = (),
        deviation: Array | None = None,
        path: str = "",
    ) -> None:
        self.value, self.bound = value, bound
        self._clean, self._deviation, self._path = clean, deviation, path

    def stored(self, unit: float) -> Bridge:
        """Return the same, to be met by an array that was rounded when it was recorded."""
        if not unit:
            return self
        bound = self.bound + unit * abs(self.value) + unit * TINY
        return Bridge(self.value, bound, self._clean, self._deviation, self._path)

    @cached_property
    def samples(self) -> tuple[Array, ...]:
        """The array with the errors of all steps: half of each by itself, half by channel.

        Numbers of a channel share an error if they share a scale.
        """
        if self._deviation is None:
            return self._clean
        rng = np.random.default_rng(crc32(self._path.encode()))
        samples = []
        for array in self._clean:
            own = rng.standard_normal(array.shape, np.float32)
            own += rng.standard_normal(array.shape[-1:], np.float32)
            samples.append(array + own * self._deviation)
        return tuple(samples)


def recorded(array: Array) -> Bridge:
    """Take an array as it is: whoever recorded it went on from these very numbers."""
    value = array.astype(np.float64, copy=False)
    return Bridge(value, np.zeros(()))


def within(value: Array, slack: Array, path: str = "") -> Bridge:
    """Return an array of which the other's may differ by `slack`."""
    return Bridge(value, slack, (value,) * SAMPLES, slack / 3, path)


def ahead(step: Step, inputs: Sequence[Bridge], dtype: str = "float32") -> Bridge:
    """Run a step on arrays that may have errors.

    Parameters
    ----------
    step : Step
    inputs : sequence of Bridge
    dtype : str
        As in `npformer.testing.error_bound`.

    Returns
    -------
    Bridge
    """
    if step.layer == "identity":
        return inputs[0]
    local = estimate(step, [Estimate(x.value, exact(x.value)) for x in inputs], dtype)
    bound, deviation = local.bound(), np.sqrt(local.error.variance)
    if not any(x.samples for x in inputs):
        return Bridge(local.value, bound, (local.value,) * SAMPLES, deviation, step.path)
    ready = step.astype(np.float64)
    with np.errstate(all="ignore"):
        clean = tuple(
            ready(*(x.samples[k] if x.samples else x.value for x in inputs)) for k in range(SAMPLES)
        )
        spread = _spread([sample - local.value for sample in clean])
    return Bridge(local.value, bound + DEVIATIONS * spread, clean, deviation, step.path)


def _spread(errors: list[Array]) -> Array:
    """Estimate the standard deviation of each number, from its own errors and its neighbors'."""
    square: Array = sum((np.square(error) for error in errors), start=np.zeros(())) / len(errors)
    of_channel = square.mean(tuple(range(square.ndim - 1)))
    return np.sqrt(np.maximum(square, np.maximum(of_channel, square.mean() / 4)))
