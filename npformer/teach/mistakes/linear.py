"""Typical mistakes in a linear layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...layers import Array, Linear, linear, linear_backward
from .exercise import Draw, Table
from .shared import SUM, like, mean_over_batch

TABLE = Table()


def _draw_linear(d: Draw) -> tuple[Any, ...]:
    C_in, C_out = d.size(2), d.size(2)
    shape = d.choice((1, C_in), (d.size(), d.size(), C_in), (d.size(), d.size(), d.size(), C_in))
    return d.array(*shape), d.linear(C_in, C_out)


TABLE.add(
    "linear",
    linear,
    _draw_linear,
    ("missing bias", "Add the bias: y = x W + b.", lambda x, p: x @ p.weight),
    (
        "transposed weight",
        "The weight is stored as (C_in, C_out): x @ W, without a transpose. (PyTorch stores the "
        "transpose.)",
        lambda x, p: x @ p.weight.T + p.bias,
    ),
    (
        "bias before the product",
        "The bias belongs to the output: first the matrix product, then the bias.",
        lambda x, p: (x + p.bias) @ p.weight,
    ),
    (
        "elementwise product",
        "`*` multiplies number by number; a matrix product is `@`.",
        lambda x, p: x * p.weight + p.bias,
    ),
)


def _draw_linear_backward(d: Draw) -> tuple[Any, ...]:
    C_in, C_out = d.size(2), d.size(2)
    shape = d.choice((2, C_in), (d.size(), d.size(), C_in), (d.size(), d.size(), d.size(), C_in))
    x, p = d.array(*shape), d.linear(C_in, C_out)
    return like(d, linear(x, p)), x, p


def _weight_gradient(dy: Array, x: Array) -> Array:
    return np.asarray(x.reshape(-1, x.shape[-1]).T @ dy.reshape(-1, dy.shape[-1]))


TABLE.add(
    "linear_backward",
    linear_backward,
    _draw_linear_backward,
    (
        "transposed weight",
        "Back through y = x W the gradient goes by the transpose: dx = dy Wᵀ.",
        lambda dy, x, p: (dy @ p.weight, linear_backward(dy, x, p)[1]),
    ),
    (
        "transposed gradient",
        "dW has the shape of W, (C_in, C_out): it is xᵀ dy, not dyᵀ x.",
        lambda dy, x, p: (
            dy @ p.weight.T,
            Linear(_weight_gradient(x, dy), dy.reshape(-1, dy.shape[-1]).sum(0)),
        ),
    ),
    (*SUM, mean_over_batch(linear_backward)),
    (
        "mean instead of sum",
        "db is the sum of dy over the batch and all positions, not the mean.",
        lambda dy, x, p: (
            dy @ p.weight.T,
            Linear(_weight_gradient(dy, x), dy.reshape(-1, dy.shape[-1]).mean(0)),
        ),
    ),
    (
        "missing sum over positions",
        "b was added at every position: db sums over all axes but the last.",
        lambda dy, x, p: (dy @ p.weight.T, Linear(_weight_gradient(dy, x), dy.sum(0))),
    ),
)
