"""Typical mistakes in the loss of a classifier."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...layers import Array, cross_entropy, cross_entropy_backward, softmax
from .exercise import Draw, Table

TABLE = Table()


def _draw_logits(d: Draw) -> tuple[Any, ...]:
    logits = d.array(d.size(), d.size(2)) * d.choice(1, 1, 1000)
    return logits.astype(d.dtype), d.rng.integers(0, logits.shape[1], len(logits))


def _picked(p: Array, labels: Array) -> Array:
    return np.asarray(np.take_along_axis(p, labels[:, None], 1)[:, 0])


TABLE.add(
    "cross_entropy",
    cross_entropy,
    _draw_logits,
    (
        "overflow",
        "exp(1000) is infinite, and so is log(0). Write log softmax(x) as x − max x − "
        "log Σ exp(x − max x).",
        lambda x, y: -np.log(_picked(softmax(x), y)).mean(),
    ),
    (
        "overflow",
        "exp(1000) is infinite. Subtract the largest logit of each row first.",
        lambda x, y: (np.log(np.exp(x).sum(-1)) - _picked(x, y)).mean(),
    ),
    (
        "sum instead of mean",
        "The loss of a batch is the mean over its images.",
        lambda x, y: cross_entropy(x, y) * len(x),
    ),
    (
        "wrong sign",
        "A loss is small when the answer is right: −log p.",
        lambda x, y: -cross_entropy(x, y),
    ),
    (
        "missing logarithm",
        "The loss is −log p, not 1 − p.",
        lambda x, y: (1 - _picked(softmax(x), y)).mean(),
    ),
    (
        "missing softmax",
        "Turn the logits into probabilities first.",
        lambda x, y: -_picked(x, y).mean(),
    ),
    (
        "over all classes",
        "Only the probability of the right class counts.",
        lambda x, y: cross_entropy(x, np.full(x.shape, 1 / x.shape[1])),
    ),
)


def _draw_logits_backward(d: Draw) -> tuple[Any, ...]:
    logits = d.array(d.size(), d.size(2))
    return logits, d.rng.integers(0, logits.shape[1], len(logits))


TABLE.add(
    "cross_entropy_backward",
    cross_entropy_backward,
    _draw_logits_backward,
    (
        "mean forgotten",
        "The loss is the mean over the batch: divide by the number of images.",
        lambda x, y: cross_entropy_backward(x, y) * len(x),
    ),
    (
        "mean over all numbers",
        "The mean is over the images only, not over the classes.",
        lambda x, y: cross_entropy_backward(x, y) / x.shape[1],
    ),
    (
        "wrong sign",
        "It is what the network says minus what it should say: softmax(x) − t.",
        lambda x, y: -cross_entropy_backward(x, y),
    ),
    (
        "missing target",
        "Subtract 1 at the right class.",
        lambda x, y: softmax(x) / len(x),
    ),
    (
        "missing softmax",
        "The gradient is softmax(x) − t, not x − t.",
        lambda x, y: (x - np.eye(x.shape[1], dtype=x.dtype)[y]) / len(x),
    ),
)
