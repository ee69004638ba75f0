"""Typical mistakes in the stem."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ...layers import (
    Array,
    BatchNorm,
    Stem,
    Trace,
    activation_backward,
    batch_norm,
    batch_norm_backward,
    conv2d,
    conv2d_backward,
    gelu,
    relu,
    stem,
    stem_backward,
)
from .exercise import Draw, Table
from .shared import but, identity, kept, like

TABLE = Table()


def _draw_stem(d: Draw) -> tuple[Any, ...]:
    C0, C1, C2 = d.size(), d.size(), d.size()
    p = Stem(d.conv2d(C0, C1, 3, 3), d.batch_norm(C1), d.conv2d(C1, C2, 3, 3), d.batch_norm(C2))
    return d.images(C0, least=4), p


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
        lambda x, p: _stem(x, p, act2=identity),
    ),
    (
        "missing activation",
        "ReLU follows the first batch norm too.",
        lambda x, p: _stem(x, p, act1=identity),
    ),
    (
        "missing activation",
        "ReLU follows each batch norm.",
        lambda x, p: _stem(x, p, act1=identity, act2=identity),
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
)


def _draw_stem_backward(d: Draw) -> tuple[Any, ...]:
    C0, C1, C2 = d.size(), d.size(), d.size()
    x = d.images(C0, least=4)
    p = Stem(d.conv2d(C0, C1, 3, 3), d.batch_norm(C1), d.conv2d(C1, C2, 3, 3), d.batch_norm(C2))
    y, tape = kept(stem, x, p)
    return like(d, y), x, p, 1e-5, tape


def _stem_backward(
    dy: Array, x: Array, p: Stem, eps: float, tape: Trace, bent: tuple[int, int] = (1, 1)
) -> tuple[Array, Stem]:
    """stem_backward with the activations on or off."""
    if bent[1]:
        dy = activation_backward(dy, tape["norm2"], relu)
    dy, dnorm2 = batch_norm_backward(dy, tape["conv2"], p.norm2, eps)
    dy, dconv2 = conv2d_backward(dy, tape["act1"], p.conv2, 2, 1)
    if bent[0]:
        dy = activation_backward(dy, tape["norm1"], relu)
    dy, dnorm1 = batch_norm_backward(dy, tape["conv1"], p.norm1, eps)
    dx, dconv1 = conv2d_backward(dy, x, p.conv1, 2, 1)
    return dx, Stem(dconv1, dnorm1, dconv2, dnorm2)


_RELU = "ReLU lets the gradient pass only where its input was positive"


TABLE.add(
    "stem_backward",
    stem_backward,
    _draw_stem_backward,
    ("missing activation", f"{_RELU}; both are missing.", partial(_stem_backward, bent=(0, 0))),
    ("missing activation", f"{_RELU}: the first.", partial(_stem_backward, bent=(0, 1))),
    ("missing activation", f"{_RELU}: the second.", partial(_stem_backward, bent=(1, 0))),
    (
        "wrong input",
        "The input of conv2 was the output of the first ReLU, not its input.",
        but(
            stem_backward,
            lambda dp, dy, x, p, eps, tape: dp._replace(
                conv2=conv2d_backward(
                    batch_norm_backward(
                        activation_backward(dy, tape["norm2"], relu), tape["conv2"], p.norm2, eps
                    )[0],
                    tape["norm1"],
                    p.conv2,
                    2,
                    1,
                )[1]
            ),
        ),
    ),
)
