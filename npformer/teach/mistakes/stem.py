"""Typical mistakes in the stem."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ...layers import (
    Array,
    BatchNorm,
    Stem,
    Trace,
    batch_norm,
    conv2d,
    gelu,
    relu,
    stem,
    stem_backward,
)
from ...layers.more_activations import linear_activation
from .exercise import Draw, Table
from .shared import altered, kept, like

TABLE = Table()


def _draw_stem(d: Draw) -> tuple[Any, ...]:
    C0, C1, C2 = d.size(), d.size(), d.size()
    p = Stem(d.conv2d(C0, C1, 3, 3), d.batch_norm(C1), d.conv2d(C1, C2, 3, 3), d.batch_norm(C2))
    x = d.images(C0, least=4)
    return (x, p, d.choice(1e-5, 1e-2, 0.5)) if d.level else (x, p)


def _stem(
    x: Array,
    p: Stem,
    act1: Callable[[Array], Array] = relu,
    act2: Callable[[Array], Array] = relu,
    norm: Callable[[Array, BatchNorm], Array] = batch_norm,
    stride: int = 2,
    padding: int = 1,
) -> Array:
    x = act1(norm(conv2d(x, p.conv1, stride, padding), p.norm1))
    return act2(norm(conv2d(x, p.conv2, stride, padding), p.norm2))


TABLE.add(
    "stem",
    stem,
    _draw_stem,
    (
        "missing activation",
        "ReLU follows the second batch norm too.",
        lambda x, p: _stem(x, p, act2=linear_activation),
    ),
    (
        "missing activation",
        "ReLU follows the first batch norm too.",
        lambda x, p: _stem(x, p, act1=linear_activation),
    ),
    (
        "missing activation",
        "ReLU follows each batch norm.",
        lambda x, p: _stem(x, p, act1=linear_activation, act2=linear_activation),
    ),
    (
        "GELU",
        "The stem always uses ReLU; GELU is for the MLPs.",
        lambda x, p: _stem(x, p, act1=gelu, act2=gelu),
    ),
    (
        "missing batch norm",
        "Each convolution is followed by its batch norm.",
        lambda x, p: _stem(x, p, norm=lambda y, _: y),
    ),
    (
        "stride ignored",
        "Both convolutions have stride 2: each side becomes a quarter.",
        lambda x, p: _stem(x, p, stride=1),
    ),
    (
        "padding ignored",
        "Both convolutions have padding 1.",
        lambda x, p: _stem(x, p, padding=0),
    ),
    options=1,
)


def _draw_stem_backward(d: Draw) -> tuple[Any, ...]:
    C0, C1, C2 = d.size(), d.size(), d.size()
    x = d.images(C0, least=4)
    p = Stem(d.conv2d(C0, C1, 3, 3), d.batch_norm(C1), d.conv2d(C1, C2, 3, 3), d.batch_norm(C2))
    eps = d.choice(1e-5, 1e-2, 0.5)
    y, tape = kept(stem, x, p, eps, mode=d.mode())
    return like(d, y), x, p, eps, tape


def _stem_backward(
    dy: Array, x: Array, p: Stem, eps: float, tape: Trace, straight: tuple[str, ...]
) -> tuple[Array, Stem]:
    """stem_backward as if the ReLU after some norms let everything pass."""
    positive = {norm: np.ones_like(tape[norm]) for norm in straight}
    return stem_backward(dy, x, p, eps, altered(tape, **positive))


_RELU = "ReLU lets the gradient pass only where its input was positive"


TABLE.add(
    "stem_backward",
    stem_backward,
    _draw_stem_backward,
    (
        "missing activation",
        f"{_RELU}; both are missing.",
        partial(_stem_backward, straight=("norm1", "norm2")),
    ),
    ("missing activation", f"{_RELU}: the first.", partial(_stem_backward, straight=("norm1",))),
    ("missing activation", f"{_RELU}: the second.", partial(_stem_backward, straight=("norm2",))),
    (
        "wrong input",
        "The input of conv2 was the output of the first ReLU, not its input.",
        lambda dy, x, p, eps, tape: stem_backward(dy, x, p, eps, altered(tape, act1=tape["norm1"])),
    ),
)
