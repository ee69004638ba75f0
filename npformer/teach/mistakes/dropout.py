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
        "A number is silenced with probability `rate`: it survives where the draw is ≥ rate.",
        lambda x, rate, rng: x * (rng.random(x.shape) < rate) / (1 - rate),
    ),
    (
        "one draw for an image",
        "Each number has a draw of its own; one for the whole image is drop path.",
        lambda x, rate, rng: drop_path(x, rate, rng),
    ),
    ("nothing dropped", "In training numbers are silenced at random.", lambda x, rate, rng: x),
)

TABLE.add(
    "drop_path",
    drop_path,
    _draw_dropout,
    (*_DROPOUT, lambda x, rate, rng: x * (rng.random((len(x), 1, 1, 1)) >= rate)),
    (
        "one draw for a number",
        "The whole branch of an image is silenced: draw an array of shape (B, 1, …).",
        lambda x, rate, rng: dropout(x, rate, rng),
    ),
    (
        "one draw for the batch",
        "Each image has a draw of its own: draw an array of shape (B, 1, …).",
        lambda x, rate, rng: x * (rng.random() >= rate) / (1 - rate),
    ),
    ("nothing dropped", "In training branches are silenced at random.", lambda x, rate, rng: x),
)
