"""Answers to the exercises on linear layers."""

# fmt: off  (one line for each answer)
from __future__ import annotations

import numpy as np

from npformer.layers import Linear

from .students import right, wrong

# linear

wrong("linear", "the bias is left out", "bias", lambda x, p: x @ p.weight)
wrong("linear", "the bias is subtracted", "bias", lambda x, p: x @ p.weight - p.bias)
wrong("linear", "the bias is added twice", "bias", lambda x, p: x @ p.weight + 2 * p.bias)
wrong(
    "linear",
    "the bias comes before the product: (x + b) W",
    "bias|could not be broadcast|shape",
    lambda x, p: (x + p.bias) @ p.weight,
)
wrong("linear", "multiplied by the bias", "bias", lambda x, p: x @ p.weight * p.bias)
wrong("linear", "only the mean of the bias", "bias", lambda x, p: x @ p.weight + p.bias.mean())
wrong(
    "linear",
    "relu after the layer",
    "relu|negative|max",
    lambda x, p: np.maximum(x @ p.weight + p.bias, 0),
)
wrong(
    "linear",
    "only the first image, repeated",
    "batch|image|first",
    lambda x, p: np.repeat((x @ p.weight + p.bias)[:1], len(x), axis=0),
)
wrong(
    "linear",
    "weights rounded to whole numbers",
    "int|round|whole|truncat",
    lambda x, p: x @ p.weight.astype(int) + p.bias,
)
wrong("linear", "the weight is negated", "weight|sign|negat", lambda x, p: p.bias - x @ p.weight)


@wrong("linear", "the batch is flipped", "batch|order|revers|flip")
def _(x, p):
    return (x @ p.weight + p.bias)[::-1]


right("linear", "einsum", lambda x, p: np.einsum("...i,io->...o", x, p.weight) + p.bias)
right("linear", "tensordot", lambda x, p: np.tensordot(x, p.weight, axes=1) + p.bias)


@right("linear", "loops over inputs")
def _(x, p):
    y = np.zeros((*x.shape[:-1], p.weight.shape[1]), x.dtype) + p.bias
    for i in range(p.weight.shape[0]):
        y = y + x[..., i : i + 1] * p.weight[i]
    return y


# linear_backward


def flat(a):
    return a.reshape(-1, a.shape[-1])


wrong(
    "linear_backward", "only dx is returned", "dx|result|return", lambda dy, x, p: dy @ p.weight.T
)
wrong(
    "linear_backward",
    "a plain tuple of three",
    "result|arrays|structure|return",
    lambda dy, x, p: (dy @ p.weight.T, flat(x).T @ flat(dy), dy, flat(dy).sum(0)),
)
wrong(
    "linear_backward",
    "db is the mean",
    "mean|average",
    lambda dy, x, p: (dy @ p.weight.T, Linear(flat(x).T @ flat(dy), flat(dy).mean(0))),
)
wrong(
    "linear_backward",
    "db forgets to sum: first row only",
    "bias|first|row",
    lambda dy, x, p: (dy @ p.weight.T, Linear(flat(x).T @ flat(dy), flat(dy)[0])),
)
wrong(
    "linear_backward",
    "dW divided by the number of rows",
    "weight|mean|factor|divid",
    lambda dy, x, p: (
        dy @ p.weight.T,
        Linear(flat(x).T @ flat(dy) / len(flat(x)), flat(dy).sum(0)),
    ),
)
wrong(
    "linear_backward",
    "the bias gradient is the bias",
    "bias",
    lambda dy, x, p: (dy @ p.weight.T, Linear(flat(x).T @ flat(dy), p.bias)),
)
wrong(
    "linear_backward",
    "dW transposed",
    "transpos|axes|shape",
    lambda dy, x, p: (dy @ p.weight.T, Linear(flat(dy).T @ flat(x), flat(dy).sum(0))),
)
wrong(
    "linear_backward",
    "dx from x instead of dy",
    "dx|x|shape|matmul|broadcast",
    lambda dy, x, p: (x, Linear(flat(x).T @ flat(dy), flat(dy).sum(0))),
)
wrong(
    "linear_backward",
    "dx negative",
    "sign|dx|negat",
    lambda dy, x, p: (-dy @ p.weight.T, Linear(flat(x).T @ flat(dy), flat(dy).sum(0))),
)
wrong(
    "linear_backward",
    "db summed over everything",
    "bias|sum|ax",
    lambda dy, x, p: (
        dy @ p.weight.T,
        Linear(flat(x).T @ flat(dy), np.full_like(p.bias, dy.sum())),
    ),
)
wrong(
    "linear_backward",
    "db is zero",
    "bias|zero",
    lambda dy, x, p: (dy @ p.weight.T, Linear(flat(x).T @ flat(dy), np.zeros_like(p.bias))),
)


@wrong("linear_backward", "dW of the first image only", "first|image|batch|weight")
def _(dy, x, p):
    return dy @ p.weight.T, Linear(flat(x[0]).T @ flat(dy[0]), flat(dy).sum(0))


right(
    "linear_backward",
    "einsum everywhere",
    lambda dy, x, p: (
        np.einsum("...o,io->...i", dy, p.weight),
        Linear(np.einsum("ni,no->io", flat(x), flat(dy)), np.einsum("no->o", flat(dy))),
    ),
)
right(
    "linear_backward",
    "loop over rows",
    lambda dy, x, p: (
        dy @ p.weight.swapaxes(0, 1),
        Linear(sum(np.outer(a, b) for a, b in zip(flat(x), flat(dy))), sum(flat(dy))),
    ),
)
