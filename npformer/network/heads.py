"""The two classifiers at the end of the network, whose logits are averaged (LeViT, section 4).

    logits = ½ (pooled W₁ + b₁) + ½ (pooled W₂ + b₂)

The second head learns a teacher's answers (distillation). It may be absent, and so may both.
References: ``EfficientFormerForImageClassificationWithTeacher`` of transformers, ``forward_head``
of timm.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from ..layers import EVALUATION, Array, Linear, Run, linear, linear_backward, softmax


class Heads(Protocol):
    """What both functions read of a network's parameters."""

    @property
    def head(self) -> Linear | None:
        """The class head, C -> n_labels."""

    @property
    def head_dist(self) -> Linear | None:
        """The distillation head, C -> n_labels."""


class Logits(NamedTuple):
    """The answers of a network."""

    logits: Array
    """(B, n_labels): the mean of both heads, or the only head, or the pooled features"""
    cls_logits: Array | None
    """(B, n_labels), the class head; None without a distillation head"""
    distillation_logits: Array | None
    """(B, n_labels), the distillation head, if there is one"""


def heads(pooled: Array, p: Heads, run: Run = EVALUATION) -> Logits:
    """Classify pooled features by both heads and average the logits.

    Parameters
    ----------
    pooled : ndarray, shape (B, C)
    p : EfficientFormer
    run : Run
        Records ``head`` and ``head_dist``.

    Returns
    -------
    Logits
    """
    if p.head is None:
        return Logits(pooled, None, None)
    cls_logits = run("head", linear(pooled, p.head))  # (B, C) -> (B, n_labels)
    if p.head_dist is None:
        return average_heads(cls_logits)
    return average_heads(cls_logits, run("head_dist", linear(pooled, p.head_dist)))


def heads_backward(
    dy: Logits, pooled: Array, p: Heads
) -> tuple[Array, Linear | None, Linear | None]:
    """Gradient of `heads`: each head receives its own gradient and half of that of the mean.

    Parameters
    ----------
    dy : Logits
        Gradient of the loss with respect to each output; None for what the loss does not use.
    pooled : ndarray, shape (B, C)
    p : EfficientFormer

    Returns
    -------
    dpooled : ndarray, shape (B, C)
    dhead, dhead_dist : Linear or None
    """
    if p.head is None:
        return dy.logits, None, None
    if p.head_dist is None:
        dpooled, dhead = linear_backward(dy.logits, pooled, p.head)
        return dpooled, dhead, None
    dcls, ddist = average_heads_backward(dy)
    dpooled, dhead = linear_backward(dcls, pooled, p.head)
    dpooled_dist, dhead_dist = linear_backward(ddist, pooled, p.head_dist)
    return dpooled + dpooled_dist, dhead, dhead_dist


def average_heads(cls_logits: Array, dist_logits: Array | None = None) -> Logits:
    """Average the logits of two heads, (B, n_labels) each; one head answers alone."""
    if dist_logits is None:
        return Logits(cls_logits, None, None)
    return Logits((cls_logits + dist_logits) / 2, cls_logits, dist_logits)


def average_heads_backward(dy: Logits) -> tuple[Array, Array]:
    """Gradient of `average_heads` with respect to the logits of each of two heads."""
    share = dy.logits / 2
    dcls = share if dy.cls_logits is None else share + dy.cls_logits
    ddist = share if dy.distillation_logits is None else share + dy.distillation_logits
    return dcls, ddist


def ranked(logits: Array) -> tuple[Array, Array]:
    """Turn logits into scores, and list the classes by score.

    Parameters
    ----------
    logits : ndarray, shape (B, n_labels)

    Returns
    -------
    scores : ndarray, shape (B, n_labels)
        Probabilities.
    order : ndarray of int, shape (B, n_labels)
        The likeliest class first; of classes with equal scores, the one with the lowest index.
    """
    scores = softmax(logits)
    return scores, np.argsort(-scores, axis=-1, kind="stable")
