"""Losses: how wrong an answer is, as one number, the mean over a batch.

    cross_entropy = −log softmax(x)[y]                    one class y of K
                    −Σ t log softmax(x)                   or a probability t for each
                    smoothed by ε: (1 − ε) · that + ε · mean over classes of −log softmax(x)
    bce           = −y log σ(x) − (1 − y) log(1 − σ(x))   several classes, each yes or no
    mse           = (x − y)²                              a number

Each is written so that nothing overflows: log softmax(x) = x − max x − log Σ exp(x − max x), and
bce = max(x, 0) − x y + log(1 + exp(−|x|)). References: torch.nn.CrossEntropyLoss (Szegedy et al.
2016 for the smoothing), torch.nn.BCEWithLogitsLoss, torch.nn.MSELoss. A logit of −∞ rules a class
out: its probability is 0, and so is its term 0 · log 0 in the loss of any other class.
"""

from __future__ import annotations

import numpy as np

from .arrays import Array
from .more_activations import sigmoid
from .precision import half_in_float32
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
    TypeError
        If the logits are not floating point numbers, or indices are not integers.
    ValueError
        If a label is no class, or there is not one for each image.
    """
    targets, counts = class_targets(logits, labels, ignore_index, label_smoothing)
    targets = targets[counts]  # (n, K)
    log_p = np.where(targets == 0, 0, log_softmax(logits[counts]))
    return mean(-(targets * log_p).sum(-1))


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

    Raises
    ------
    TypeError, ValueError
        As in `cross_entropy`.
    """
    targets, counts = class_targets(logits, labels, ignore_index, label_smoothing)
    said = softmax(logits) * targets.sum(-1, keepdims=True)
    return np.where(counts[:, None], (said - targets) / max(int(counts.sum()), 1), 0)


def class_targets(
    logits: Array, labels: Array, ignore_index: int = IGNORE, label_smoothing: float = 0.0
) -> tuple[Array, Array]:
    """What the network should say; arguments and errors as in `cross_entropy`.

    Returns
    -------
    targets : ndarray, shape (B, K)
        The probability of each class, smoothed.
    counts : ndarray of bool, shape (B,)
        Which images count.

    Raises
    ------
    TypeError, ValueError
        As in `cross_entropy`.
    """
    K = logits.shape[-1]
    if labels.ndim == 2:
        targets, counts = labels, np.ones(len(labels), bool)
    else:
        counts = labels != ignore_index
        _check_classes(labels, counts, K)
        targets = labels[:, None] == np.arange(K)  # (B, K)
    _check_pair(logits, targets)
    share = label_smoothing
    return (1 - share) * targets.astype(logits.dtype) + share / K, counts


@half_in_float32
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

    Raises
    ------
    TypeError
        If the logits are not floating point numbers.
    ValueError
        If the shapes differ.
    """
    _check_pair(logits, targets)
    return mean(np.maximum(logits, 0) - logits * targets + np.log1p(np.exp(-abs(logits))))


def bce_with_logits_backward(logits: Array, targets: Array) -> Array:
    """Gradient of `bce_with_logits` with respect to the logits: ``(σ(x) − y) / n``.

    Raises
    ------
    TypeError, ValueError
        As in `bce_with_logits`.
    """
    _check_pair(logits, targets)
    return (sigmoid(logits) - targets) / logits.size


@half_in_float32
def mse(values: Array, targets: Array) -> Array:
    """Mean squared error.

    Parameters
    ----------
    values, targets : ndarray, the same shape

    Returns
    -------
    ndarray, shape ()

    Raises
    ------
    TypeError
        If the values are not floating point numbers.
    ValueError
        If the shapes differ.
    """
    _check_pair(values, targets)
    return mean(np.square(values - targets))


def mse_backward(values: Array, targets: Array) -> Array:
    """Gradient of `mse` with respect to the values: ``2 (x − y) / n``.

    Raises
    ------
    TypeError, ValueError
        As in `mse`.
    """
    _check_pair(values, targets)
    return 2 * (values - targets) / values.size


def log_softmax(x: Array) -> Array:
    """Logarithm of `softmax` over the last axis, exact also where softmax rounds to 0."""
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def mean(x: Array) -> Array:
    """Mean of all numbers; NaN, without a warning, if there are none."""
    return x.mean() if x.size else np.full((), np.nan, x.dtype)


def _check_pair(x: Array, targets: Array) -> None:
    """Refuse integers, which wrap around, and shapes that would be broadcast."""
    if x.dtype.kind != "f":
        raise TypeError(f"the network's answers are {x.dtype}; expected floating point numbers")
    if x.shape != targets.shape:
        raise ValueError(f"targets have shape {targets.shape}; expected {x.shape}, as the answers")


def _check_classes(labels: Array, counts: Array, K: int) -> None:
    if labels.dtype.kind not in "iu":
        raise TypeError(f"labels are {labels.dtype}; expected integers, the indices of classes")
    wrong = np.flatnonzero(counts & ((labels < 0) | (labels >= K)))
    if wrong.size:
        raise ValueError(
            f"label {labels[wrong[0]]} of image {wrong[0]} is no class; expected 0 to {K - 1}"
        )
