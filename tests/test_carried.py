"""Arrays that carry a bound on their rounding error, and the random roundings in their place."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from npformer.testing.bounds.carried import CERTAINTY, UNIT, Carried, carried
from npformer.testing.bounds.functions import DIVISION
from npformer.testing.bounds.gradients import Random, spread_of


def test_an_operation_that_is_not_analyzed_is_refused() -> None:
    x = carried(np.ones(3))
    for unknown in (np.sin, np.add.reduce, np.cumsum):
        with pytest.raises(TypeError):
            unknown(x)


def test_the_errors_of_single_operations() -> None:
    """By hand: exact inputs, one rounding; then errors that are given."""
    u = 2.0**-24
    a, b = carried(np.array([3.0])), carried(np.array([-2.0]))
    assert (a + b).error == 5 * u  # relative to the mass, whatever cancels
    assert (a * b).error == 6 * u
    assert (a / b).error == DIVISION * 1.5 * u
    off = Carried(np.array([3.0]), np.array([0.5]))
    assert (off * b).error == 1 + 6 * u
    assert (b / off).error == pytest.approx((2 / 3 * 0.5) / 2.5 + DIVISION * 2 / 3 * u)
    assert np.maximum(Carried(np.array([-1.0]), np.array([0.5])), 0).error == 0
    assert np.maximum(Carried(np.array([-1.0]), np.array([1.5])), 0).error == 0.5
    ones = carried(np.ones((1, 400)))
    assert (ones @ ones.T).error == 8 * 20 * u * 400


def test_random_roundings_that_meet_do_not_hide_each_other() -> None:
    """Two roundings of one size, in every pair of 64: a few samples show each of them.

    Roundings that are only up or down cancel in all eight samples for some of the pairs.
    """

    def near(random: Random) -> dict[str, Carried]:
        rounded = carried(np.ones(64), random) * 1.0
        # The roundings of these sums themselves are left out.
        return {f"{i} {j}": Carried(rounded.value[i] + rounded.value[j] - 2)
                for i, j in combinations(range(64), 2)}  # fmt: skip

    spreads = spread_of({name: np.zeros(()) for name in near(None)}, near)
    expected = CERTAINTY * UNIT * np.sqrt(2)
    assert min(spreads.values()) > expected / 8
    assert np.mean(list(spreads.values())) == pytest.approx(expected, rel=0.1)
