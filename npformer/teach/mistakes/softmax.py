"""Typical mistakes in softmax."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...layers import softmax, softmax_backward
from .exercise import Draw, Table
from .shared import like

TABLE = Table()

TABLE.add(
    "softmax",
    softmax,
    lambda d: ((d.tokens() * d.choice(1, 1, 900)).astype(d.dtype),),
    (
        "overflow",
        "exp(900) is infinite. Subtract the largest number of each row first: the result is the "
        "same, and nothing overflows.",
        lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True),
    ),
    (
        "largest of the whole array subtracted",
        "Subtract the largest number of each row. If a row lies far below the largest number of "
        "all, each of its exponentials is 0, and 0 / 0 is NaN.",
        lambda x: np.exp(x - x.max()) / np.exp(x - x.max()).sum(-1, keepdims=True),
    ),
    (
        "wrong axis",
        "The last axis sums to one; yours sums to one along the axis before it.",
        lambda x: softmax(x.swapaxes(1, 2)).swapaxes(1, 2),
    ),
    (
        "wrong axis",
        "Each row sums to one; in yours the whole array does.",
        lambda x: np.exp(x - x.max()) / np.exp(x - x.max()).sum(),
    ),
    (
        "not normalized",
        "Divide by the sum, so that each row sums to one.",
        lambda x: np.exp(x - x.max(-1, keepdims=True)),
    ),
)


def _draw_softmax_backward(d: Draw) -> tuple[Any, ...]:
    y = softmax(d.tokens(C=d.size(3)))
    return like(d, y), y


TABLE.add(
    "softmax_backward",
    softmax_backward,
    _draw_softmax_backward,
    (
        "diagonal only",
        "Every output depends on every input of its row: − yᵢ Σⱼ dyⱼ yⱼ is missing.",
        lambda dy, y: dy * y * (1 - y),
    ),
    (
        "missing row term",
        "If one weight grows, the others shrink: − yᵢ Σⱼ dyⱼ yⱼ is missing.",
        lambda dy, y: dy * y,
    ),
    (
        "wrong axis",
        "The sum runs over the last axis.",
        lambda dy, y: y * (dy - (dy * y).sum(1, keepdims=True)),
    ),
    (
        "mean instead of sum",
        "Σⱼ dyⱼ yⱼ is a sum, not a mean.",
        lambda dy, y: y * (dy - (dy * y).mean(-1, keepdims=True)),
    ),
    (
        "softmax applied again",
        "The second argument is already the output of softmax.",
        lambda dy, y: softmax_backward(dy, softmax(y)),
    ),
)
