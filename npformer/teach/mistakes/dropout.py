"""Typical mistakes in dropout and drop path."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...layers import drop_path, dropout
from .exercise import Draw, Table

TABLE = Table()


def _draw_dropout(d: Draw) -> tuple[Any, ...]:
    return d.images(), d.choice(0.5, 0.25, 0.8, 0.0), np.random.default_rng(d.size())


_DROPOUT = (
    "not rescaled",
    "Divide what survives by 1 − rate, so that the mean stays the same.",
)

TABLE.add(
    "dropout",
    dropout,
    _draw_dropout,
    (*_DROPOUT, lambda x, rate, rng: x * (rng.random(x.shape) >= rate)),
    (
        "kept with the wrong probability",
        "A number becomes 0 with probability `rate`: it survives where the draw is ≥ rate.",
        lambda x, rate, rng: x * (rng.random(x.shape) < rate) / (1 - rate),
    ),
    (
        "one draw per image",
        "Each number needs a random draw of its own; one for the whole image is drop path.",
        lambda x, rate, rng: drop_path(x, rate, rng),
    ),
    ("nothing dropped", "In training, random numbers become 0.", lambda x, rate, rng: x),
)

TABLE.add(
    "drop_path",
    drop_path,
    _draw_dropout,
    (*_DROPOUT, lambda x, rate, rng: x * (rng.random((len(x), 1, 1, 1)) >= rate)),
    (
        "one draw per number",
        "The whole branch of an image becomes 0: draw an array of shape (B, 1, …).",
        lambda x, rate, rng: dropout(x, rate, rng),
    ),
    (
        "one draw per batch",
        "Each image needs a draw of its own: draw an array of shape (B, 1, …).",
        lambda x, rate, rng: x * (rng.random() >= rate) / (1 - rate),
    ),
    (
        "nothing dropped",
        "In training, the branches of random images become 0.",
        lambda x, rate, rng: x,
    ),
)
