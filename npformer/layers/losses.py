"""Losses: how wrong an answer is, as one number, the mean over a batch.

    cross_entropy = −log softmax(x)[y]                    one class y of K
                    −Σ t log softmax(x)                   or a probability t for each
                    smoothed by ε: (1 − ε) · that + ε · mean over classes of −log softmax(x)
    bce           = −y log σ(x) − (1 − y) log(1 − σ(x))   several classes, each yes or no
    mse           = (x − y)²                              a number

Each is written so that nothing overflows: log softmax(x) = x − max x − log Σ exp(x − max x), and
bce = max(x, 0) − x y + log(1 + exp(−|x|)). References: torch.nn.CrossEntropyLoss (Szegedy et al.
2016 for the smoothing), torch.nn.BCEWithLogitsLoss, torch.nn.MSELoss.
"""

from __future__ import annotations

import numpy as np

from .arrays import Array
from .more_activations import sigmoid
from .softmax import softmax

IGNORE = -100
"""The label of an image that does not count."""


def cross_entropy(
    logits: Array, labels: Array, ignore_index: int = IGNORE, label_smoothing: float = 0.0
) -> Array:
    """How little probability was given to the right class.

    Parameters
    ----------
    logits : ndarray, shape (B, K)
    labels : ndarray of int, shape (B,), or of float, shape (B, K)
        Indices of classes, from 0 to K − 1; or a probability for each class.
    ignore_index : int
        Images with this index do not count.
    label_smoothing : float
        ε in [0, 1]: share of the target that is spread over all classes.

    Returns
    -------
    ndarray, shape ()
        NaN if no image counts.

    Raises
    ------
    ValueError
        If a label is no class.
    """
    if labels.ndim == 2:
        targets = smooth(labels.astype(logits.dtype), label_smoothing)
        return mean(-(targets * log_softmax(logits)).sum(-1))
    counts = labels != ignore_index
    _check_classes(labels, counts, logits.shape[-1])
    log_p = log_softmax(logits[counts])  # (n, K)
    right = np.take_along_axis(log_p, labels[counts, None], axis=-1)[:, 0]  # (n, K) -> (n,)
    return mean(-(1 - label_smoothing) * right - label_smoothing * log_p.mean(-1))


def cross_entropy_backward(
    logits: Array, labels: Array, ignore_index: int = IGNORE, label_smoothing: float = 0.0
) -> Array:
    """Gradient of `cross_entropy` with respect to the logits.

        dx = (softmax(x) − t) / n

    for targets t that sum to 1, over the n images that count: what the network says minus what it
    should say. It follows from ∂ log softmax(x)ᵢ / ∂xⱼ = δᵢⱼ − softmax(x)ⱼ.

    Parameters
    ----------
    logits, labels, ignore_index, label_smoothing
        As in `cross_entropy`.

    Returns
    -------
    ndarray of the shape of `logits`
        0 for images that do not count.
    """
    if labels.ndim == 2:
        targets, counts = labels, np.ones(len(labels), bool)
    else:
        counts = labels != ignore_index
        targets = labels[:, None] == np.arange(logits.shape[-1])  # (B, K)
    targets = smooth(targets.astype(logits.dtype), label_smoothing)
    said = softmax(logits) * targets.sum(-1, keepdims=True)
    return np.where(counts[:, None], (said - targets) / max(int(counts.sum()), 1), 0)


def smooth(targets: Array, share: float) -> Array:
    """Spread a share of the target of each image, (B, K), evenly over all classes."""
    return (1 - share) * targets + share / targets.shape[-1]


def bce_with_logits(logits: Array, targets: Array) -> Array:
    """How little probability was given to each right yes and no.

    Parameters
    ----------
    logits : ndarray, any shape
    targets : ndarray of the shape of `logits`
        Numbers from 0, no, to 1, yes.

    Returns
    -------
    ndarray, shape ()
    """
    return mean(np.maximum(logits, 0) - logits * targets + np.log1p(np.exp(-abs(logits))))


def bce_with_logits_backward(logits: Array, targets: Array) -> Array:
    """Gradient of `bce_with_logits` with respect to the logits: ``(σ(x) − y) / n``."""
    return (sigmoid(logits) - targets) / logits.size


def mse(values: Array, targets: Array) -> Array:
    """Mean squared error.

    Parameters
    ----------
    values, targets : ndarray, the same shape

    Returns
    -------
    ndarray, shape ()
    """
    return mean(np.square(values - targets))


def mse_backward(values: Array, targets: Array) -> Array:
    """Gradient of `mse` with respect to the values: ``2 (x − y) / n``."""
    return 2 * (values - targets) / values.size


def log_softmax(x: Array) -> Array:
    """Logarithm of `softmax` over the last axis, exact also where softmax rounds to 0."""
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def mean(x: Array) -> Array:
    """Mean of all numbers; NaN, without a warning, if there are none."""
    return x.mean() if x.size else np.full((), np.nan, x.dtype)


def _check_classes(labels: Array, counts: Array, K: int) -> None:
    wrong = np.flatnonzero(counts & ((labels < 0) | (labels >= K)))
    if wrong.size:
        raise ValueError(
            f"label {labels[wrong[0]]} of image {wrong[0]} is no class; expected 0 to {K - 1}"
        )
