"""Typical mistakes in a pooling block."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...layers import (
    LayerScale,
    average_pool,
    conv_mlp,
    gelu_new,
    layer_scale,
    pooling,
    pooling_block,
    pooling_block_backward,
    relu,
)
from .exercise import Draw, Table
from .shared import first_half, kept, layer_scales, like, order, paths, residuals, second_half

TABLE = Table()


def _draw_pooling_block(d: Draw) -> tuple[Any, ...]:
    C = d.size()
    x, p = d.images(C), d.pooling_block(C)
    return (x, p, *_options(d)) if d.level else (x, p)


def _options(d: Draw) -> tuple[Any, ...]:
    return d.choice(3, 3, 5, 1), d.activation(), d.choice(1e-5, 1e-2, 0.5)


TABLE.add(
    "pooling_block",
    pooling_block,
    _draw_pooling_block,
    *residuals(pooling_block, "pooling"),
    *layer_scales(pooling_block, "pooling"),
    order(pooling_block, "pooling"),
    (
        "layer scale on the sum",
        "γ scales only the branch, not the sum of x and the branch.",
        lambda x, p: (lambda y: layer_scale(y + conv_mlp(y, p.mlp), p.ls2))(
            layer_scale(x + pooling(x), p.ls1)
        ),
    ),
    (
        "input not subtracted",
        "The token mixer is pool(x) − x; the residual connection adds x back.",
        lambda x, p: second_half(pooling_block, x + layer_scale(average_pool(x), p.ls1), p),
    ),
    (
        "parallel branches",
        "The input of the MLP is the mixed pixels, not the input of the block.",
        lambda x, p, *how: (
            first_half(pooling_block, x, p, *how) + second_half(pooling_block, x, p, *how) - x
        ),
    ),
    ("tanh GELU", "Use the exact GELU.", lambda x, p: pooling_block(x, p, 3, gelu_new)),
    ("ReLU", "The activation is GELU.", lambda x, p: pooling_block(x, p, 3, relu)),
    options=3,
)


def _ones(p: LayerScale) -> LayerScale:
    return LayerScale(np.ones_like(p.gamma))


def _draw_pooling_block_backward(d: Draw) -> tuple[Any, ...]:
    C = d.size()
    x, p = d.images(C), d.pooling_block(C)
    how = _options(d)
    y, tape = kept(pooling_block, x, p, *how, mode=d.mode())
    return like(d, y), x, p, *how, tape


TABLE.add(
    "pooling_block_backward",
    pooling_block_backward,
    _draw_pooling_block_backward,
    *paths(pooling_block_backward),
    (
        "missing layer scale",
        "Each branch was multiplied by γ, so its gradient is too.",
        lambda dy, x, p, *rest: pooling_block_backward(
            dy, x, p._replace(ls1=_ones(p.ls1), ls2=_ones(p.ls2)), *rest
        ),
    ),
)
