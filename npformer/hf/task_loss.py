"""The loss that labels mean: a number, one class of several, or several classes at once.

Source: ``modeling_efficientformer.py`` of transformers 4.40.2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..errors import ConfigError
from ..layers import Array, bce_with_logits, cross_entropy, mse


def classification_loss(
    logits: Array, labels: ArrayLike, num_labels: int, problem_type: str | None = None
) -> Array:
    """How wrong the logits are.

    Parameters
    ----------
    logits : ndarray, shape (B, K)
    labels : array_like
        "single_label_classification": (B,) of int, indices of classes; −100 does not count.
        "multi_label_classification": (B, K), from 0, no, to 1, yes.
        "regression": (B, K) of numbers, or (B,) for one of them.
    num_labels : int
        K; 0 stands for logits that are features.
    problem_type : str, optional
        Which of these it is. By default regression for one label, single_label_classification for
        whole numbers, else multi_label_classification. (The reference remembers its first guess
        in the configuration; this one guesses anew.)

    Returns
    -------
    ndarray, shape ()
        Cross-entropy, binary cross-entropy or mean squared error.

    Raises
    ------
    ConfigError
        If there are no classes, or labels have another shape.
    TypeError
        If indices of classes are not whole numbers.
    ValueError
        If a label is no class.
    """
    labels = np.asarray(labels)
    whole = labels.dtype.kind in "iu"
    if num_labels == 0:
        raise ConfigError("labels were given, and the network has no classes (num_labels is 0)")
    if problem_type is None:
        by_type = "single_label_classification" if whole else "multi_label_classification"
        problem_type = "regression" if num_labels == 1 else by_type

    single = problem_type == "single_label_classification"
    if single and not whole:
        raise TypeError(f"labels are {labels.dtype}; expected whole numbers, indices of classes")
    B, K = logits.shape
    expected = (B,) if single else (B, K)
    if labels.shape in ((B,), (B, 1)) and (single or K == 1):
        labels = labels.reshape(expected)
    if labels.shape != expected:
        raise ConfigError(
            f"labels have shape {labels.shape}; expected {expected} for {problem_type}. Another "
            f"kind of loss is chosen by problem_type in the configuration"
        )
    if single:
        return cross_entropy(logits, labels)
    if problem_type == "regression":
        return mse(logits, labels.astype(logits.dtype))
    return bce_with_logits(logits, labels.astype(logits.dtype))
