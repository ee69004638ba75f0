"""The loss that fits the labels: a number, one class of several, or several classes at once.

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
    """Return how wrong the logits are.

    Parameters
    ----------
    logits : ndarray, shape (B, K)
    labels : array_like
        "single_label_classification": (B,) of int, indices of classes; −100 is ignored.
        "multi_label_classification": (B, K), from 0 (no) to 1 (yes).
        "regression": (B, K), or (B,) if K is 1.
    num_labels : int
        K; 0 if the logits are features.
    problem_type : str, optional
        One of these three. By default regression if K is 1, single_label_classification if the
        labels are integers, else multi_label_classification. (The reference stores its first
        guess in the configuration; here each call guesses again.)

    Returns
    -------
    ndarray, shape ()
        Cross-entropy, binary cross-entropy or mean squared error.

    Raises
    ------
    ConfigError
        If there are no classes, or the labels have another shape.
    TypeError
        If indices of classes are not integers, or other labels are not numbers.
    ValueError
        If an index is not that of a class.
    """
    labels = np.asarray(labels)
    whole = labels.dtype.kind in "iu"
    if labels.dtype.kind not in "biuf":
        raise TypeError(f"labels are {labels.dtype}; expected numbers")
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
            f"labels have shape {labels.shape}; expected {expected} for {problem_type}. To choose "
            "another loss, set problem_type in the configuration"
        )
    if single:
        return cross_entropy(logits, labels)
    if problem_type == "regression":
        return mse(logits, labels.astype(logits.dtype))
    return bce_with_logits(logits, labels.astype(logits.dtype))
