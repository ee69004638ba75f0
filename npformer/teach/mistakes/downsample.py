"""Typical mistakes in the downsampling between stages."""

from __future__ import annotations

from typing import Any

from ...layers import (
    Downsample,
    batch_norm_backward,
    conv2d,
    conv2d_backward,
    downsample,
    downsample_backward,
    gelu,
    relu,
)
from .exercise import Draw, Table
from .shared import kept, like

TABLE = Table()


def _draw_downsample(d: Draw) -> tuple[Any, ...]:
    C_in, C_out = d.size(), d.size()
    p = Downsample(d.conv2d(C_in, C_out, 3, 3), d.batch_norm(C_out))
    x = d.images(C_in, least=3)
    return (x, p, *_options(d)) if d.level else (x, p)


def _options(d: Draw) -> tuple[Any, ...]:
    return d.choice(2, 2, 1, 3), d.choice(1, 1, 0, 2), d.choice(1e-5, 1e-2, 0.5)


TABLE.add(
    "downsample",
    downsample,
    _draw_downsample,
    (
        "missing batch norm",
        "The convolution is followed by its batch norm.",
        lambda x, p: conv2d(x, p.conv, 2, 1),
    ),
    (
        "activation at the end",
        "There is no activation between the stages.",
        lambda x, p, *how: relu(downsample(x, p, *how)),
    ),
    (
        "activation at the end",
        "There is no activation between the stages.",
        lambda x, p, *how: gelu(downsample(x, p, *how)),
    ),
    (
        "stride ignored",
        "The convolution has stride 2: it halves each side.",
        lambda x, p: downsample(x, p, stride=1),
    ),
    (
        "padding ignored",
        "The convolution has padding 1.",
        lambda x, p: downsample(x, p, padding=0),
    ),
    options=3,
)


def _draw_downsample_backward(d: Draw) -> tuple[Any, ...]:
    C_in, C_out = d.size(), d.size()
    x = d.images(C_in, least=3)
    p = Downsample(d.conv2d(C_in, C_out, 3, 3), d.batch_norm(C_out))
    how = _options(d)
    y, tape = kept(downsample, x, p, *how, mode=d.mode())
    return like(d, y), x, p, *how, tape


TABLE.add(
    "downsample_backward",
    downsample_backward,
    _draw_downsample_backward,
    (
        "missing batch norm",
        "The gradient passes through the batch norm before it reaches the convolution.",
        lambda dy, x, p, stride, padding, eps, tape: (
            conv2d_backward(dy, x, p.conv, stride, padding)[0],
            downsample_backward(dy, x, p, stride, padding, eps, tape)[1],
        ),
    ),
    (
        "missing batch norm",
        "The gradient passes through the batch norm before it reaches the convolution, also on its "
        "way to the kernel.",
        lambda dy, x, p, stride, padding, eps, tape: (
            conv2d_backward(dy, x, p.conv, stride, padding)[0],
            Downsample(
                conv2d_backward(dy, x, p.conv, stride, padding)[1],
                batch_norm_backward(dy, tape["conv"], p.norm, eps)[1],
            ),
        ),
    ),
)
