"""Laws of dropout and drop path."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np

from ...files.optional import optional
from ..array_strategies import arrays, seeds
from .law import Draw, law

with optional("hypothesis", "drawing test data", "npformer[testing]"):
    from hypothesis import strategies as st

Layer = Callable[..., Any]


@law("dropout", "drop_path")
def dropout_silences_or_enlarges(draw: Draw, layer: Layer) -> None:
    """A number becomes 0 or is divided by the probability of survival, the same for one seed."""
    x, rate = draw(arrays(6, 50, dtype="float64")), draw(st.floats(0.05, 0.95))
    seed = draw(seeds)
    y = layer(x, rate, np.random.default_rng(seed))
    np.testing.assert_array_equal(y, layer(x, rate, np.random.default_rng(seed)))
    silenced = y == 0
    np.testing.assert_allclose(y[~silenced], x[~silenced] / (1 - rate), rtol=1e-12)


def _of_rates(name: str, draws: int) -> None:
    """Register what 8000 ones keep of their mean: `draws` of them are drawn independently."""

    @law(name)
    def the_expected_value_stays(draw: Draw, layer: Layer) -> None:
        """The mean of many ones stays 1, up to what chance does to it."""
        x, rate, seed = np.ones((4000, 2), np.float32), draw(st.floats(0.05, 0.95)), draw(seeds)
        y = layer(x, rate, np.random.default_rng(seed))
        assert y.dtype == x.dtype
        assert abs(y.mean(dtype=np.float64) - 1) < 6.5 * sqrt(rate / (1 - rate) / draws)


_of_rates("dropout", 8000)
_of_rates("drop_path", 4000)


@law("dropout", "drop_path")
def dropout_at_the_ends(draw: Draw, layer: Layer) -> None:
    """A rate of 0 changes nothing, and a rate of 1 leaves nothing."""
    x, rng = draw(arrays(3, 4, dtype="float64")), np.random.default_rng(draw(seeds))
    np.testing.assert_array_equal(layer(x, 0.0, rng), x)
    np.testing.assert_array_equal(layer(x, 1.0, rng), 0 * x)


@law("drop_path")
def drop_path_skips_whole_images(draw: Draw, layer: Layer) -> None:
    """All numbers of an image are kept, or none."""
    x, rate = draw(arrays(6, 50, dtype="float64")), draw(st.floats(0.05, 0.95))
    silenced = layer(x, rate, np.random.default_rng(draw(seeds))) == 0
    assert (silenced.all(1) | ~silenced.any(1)).all()


@law("dropout")
def dropout_draws_for_each_number(draw: Draw, layer: Layer) -> None:
    """Among 800 numbers at a rate of one half, in none of 16 images all are kept or none."""
    silenced = layer(np.ones((16, 50)), 0.5, np.random.default_rng(draw(seeds))) == 0
    assert (silenced.any(1) & ~silenced.all(1)).all()
