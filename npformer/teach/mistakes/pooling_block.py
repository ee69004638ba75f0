"""Typical mistakes in a pooling block."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ...layers import (
    Activation,
    Array,
    LayerScale,
    PoolingBlock,
    Trace,
    average_pool,
    conv_mlp,
    conv_mlp_backward,
    gelu,
    gelu_new,
    layer_scale,
    layer_scale_backward,
    pooling,
    pooling_backward,
    pooling_block,
    pooling_block_backward,
    relu,
)
from .exercise import Draw, Table
from .shared import PATHS, kept, layer_scales, like

TABLE = Table()


def _draw_pooling_block(d: Draw) -> tuple[Any, ...]:
    C = d.size()
    return d.images(C), d.pooling_block(C)


def _pooling_block(
    x: Array,
    p: PoolingBlock,
    residual: tuple[int, int] = (1, 1),
    mix: Callable[[Array], Array] = pooling,
) -> Array:
    y = residual[0] * x + layer_scale(mix(x), p.ls1)
    return residual[1] * y + layer_scale(conv_mlp(y, p.mlp), p.ls2)


TABLE.add(
    "pooling_block",
    pooling_block,
    _draw_pooling_block,
    (
        "missing residual",
        "Add each branch to its input: x + γ₁ · mix(x), and the MLP likewise. Both are missing.",
        lambda x, p: _pooling_block(x, p, (0, 0)),
    ),
    (
        "missing residual",
        "Add the mixed pixels to x: the first residual is missing.",
        lambda x, p: _pooling_block(x, p, (0, 1)),
    ),
    (
        "missing residual",
        "Add the result of the MLP to its input: the second residual is missing.",
        lambda x, p: _pooling_block(x, p, (1, 0)),
    ),
    *layer_scales(pooling_block, "pooling"),
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
        lambda x, p: _pooling_block(x, p, mix=average_pool),
    ),
    (
        "parallel branches",
        "The input of the MLP is the mixed pixels, not the input of the block.",
        lambda x, p: x + layer_scale(pooling(x), p.ls1) + layer_scale(conv_mlp(x, p.mlp), p.ls2),
    ),
    ("tanh GELU", "Use the exact GELU.", lambda x, p: pooling_block(x, p, 3, gelu_new)),
    ("ReLU", "The activation is GELU.", lambda x, p: pooling_block(x, p, 3, relu)),
)


def _ones(p: LayerScale) -> LayerScale:
    return LayerScale(np.ones_like(p.gamma))


def _draw_pooling_block_backward(d: Draw) -> tuple[Any, ...]:
    C = d.size()
    x, p = d.images(C), d.pooling_block(C)
    y, tape = kept(pooling_block, x, p)
    return like(d, y), x, p, 3, gelu, 1e-5, tape


def _pooling_block_backward(
    dy: Array,
    x: Array,
    p: PoolingBlock,
    pool_size: int,
    activation: Activation,
    eps: float,
    tape: Trace,
    past: tuple[int, int] = (1, 1),
    add_branch: int = 1,
    middle: int = 1,
) -> tuple[Array, PoolingBlock]:
    """pooling_block_backward with paths on or off."""
    inner = x + middle * tape["ls1"]
    branch, dls2 = layer_scale_backward(dy, tape["mlp"], p.ls2)
    branch, dmlp = conv_mlp_backward(branch, inner, p.mlp, activation, eps, tape.within("mlp"))
    dy = past[1] * dy + add_branch * branch
    branch, dls1 = layer_scale_backward(dy, tape["token_mixer"], p.ls1)
    dx = past[0] * dy + pooling_backward(branch, pool_size)
    return dx, PoolingBlock(dls1, dmlp, dls2)


TABLE.add(
    "pooling_block_backward",
    pooling_block_backward,
    _draw_pooling_block_backward,
    *((k, hint, partial(_pooling_block_backward, **ways)) for k, hint, ways in PATHS),
    (
        "missing layer scale",
        "Each branch was multiplied by γ, so its gradient is too.",
        lambda dy, x, p, *rest: pooling_block_backward(
            dy, x, p._replace(ls1=_ones(p.ls1), ls2=_ones(p.ls2)), *rest
        ),
    ),
)
