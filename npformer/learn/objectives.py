"""What a network is trained to minimize: losses of its `Logits`, with their gradient as `Logits`.

    classification       CE(logits, y)
    hard distillation    ½ CE(cls, y) + ½ CE(dist, argmax teacher)
    soft distillation    (1 − α) CE(cls, y) + α τ² KL(softmax(teacher/τ) ‖ softmax(dist/τ))

CE is `npformer.layers.cross_entropy`. The paper trained with hard distillation (section 5.1). Both
forms of distillation are DeiT's (Touvron et al. 2021, equations 2 and 3); DeiT's code also divides
the soft loss by the number of classes, its paper does not.
"""

from __future__ import annotations

import numpy as np

from ..layers import Array, cross_entropy, cross_entropy_backward, softmax
from ..layers.losses import log_softmax
from ..network import Logits


def classification_loss(
    outputs: Logits, labels: Array, label_smoothing: float = 0.0
) -> tuple[float, Logits]:
    """Cross-entropy of the logits.

    Parameters
    ----------
    outputs : Logits
    labels : ndarray of int, shape (B,), or of float, shape (B, K)
        Classes, or a probability for each class.
    label_smoothing : float
        In [0, 1].

    Returns
    -------
    loss : float
    dlogits : Logits
        Its gradient with respect to the outputs; None for outputs that it does not depend on.

    Raises
    ------
    ValueError
        If a label is not one of the K classes.
    """
    loss = cross_entropy(outputs.logits, labels, label_smoothing=label_smoothing)
    dlogits = cross_entropy_backward(outputs.logits, labels, label_smoothing=label_smoothing)
    return float(loss), Logits(dlogits, None, None)


def hard_distillation_loss(
    outputs: Logits, labels: Array, teacher: Array, label_smoothing: float = 0.0
) -> tuple[float, Logits]:
    """Teach one head the labels, the other the teacher's first choice.

    Parameters
    ----------
    outputs : Logits
        Of a network with a distillation head.
    labels : ndarray
        As in `classification_loss`.
    teacher : ndarray, shape (B, K)
        The teacher's logits.
    label_smoothing : float
        Of the labels; the teacher's choices are not smoothed.

    Returns
    -------
    loss : float
    dlogits : Logits

    Raises
    ------
    ValueError
        If the network has no distillation head, or a label is not one of the K classes.
    """
    cls_logits, dist_logits = _two_heads(outputs)
    answers = teacher.argmax(-1)
    loss = cross_entropy(cls_logits, labels, label_smoothing=label_smoothing)
    loss = (loss + cross_entropy(dist_logits, answers)) / 2
    dcls = cross_entropy_backward(cls_logits, labels, label_smoothing=label_smoothing) / 2
    ddist = cross_entropy_backward(dist_logits, answers) / 2
    return float(loss), Logits(np.zeros_like(outputs.logits), dcls, ddist)


def soft_distillation_loss(
    outputs: Logits,
    labels: Array,
    teacher: Array,
    label_smoothing: float = 0.0,
    alpha: float = 0.5,
    temperature: float = 3.0,
) -> tuple[float, Logits]:
    """Teach one head the labels, the other the teacher's probabilities.

    Parameters
    ----------
    outputs, labels, teacher, label_smoothing
        As in `hard_distillation_loss`.
    alpha : float
        Weight of the teacher, in [0, 1].
    temperature : float
        τ: the higher, the more the teacher's second choices count. The factor τ² keeps the scale
        of the gradient.

    Returns
    -------
    loss : float
    dlogits : Logits

    Raises
    ------
    ValueError
        If the network has no distillation head, or a label is not one of the K classes.
    """
    cls_logits, dist_logits = _two_heads(outputs)
    log_p, log_q = log_softmax(teacher / temperature), log_softmax(dist_logits / temperature)
    p = np.exp(log_p)
    log_p, log_q = (np.where(p == 0, 0, log) for log in (log_p, log_q))  # 0 · log 0 is 0
    divergence = (p * (log_p - log_q)).sum(-1).mean()
    loss = cross_entropy(cls_logits, labels, label_smoothing=label_smoothing)
    loss = (1 - alpha) * loss + alpha * temperature**2 * divergence
    dcls = cross_entropy_backward(cls_logits, labels, label_smoothing=label_smoothing)
    ddist = (softmax(dist_logits / temperature) - p) * (temperature / len(p))
    return float(loss), Logits(np.zeros_like(outputs.logits), (1 - alpha) * dcls, alpha * ddist)


def _two_heads(outputs: Logits) -> tuple[Array, Array]:
    if outputs.cls_logits is None or outputs.distillation_logits is None:
        raise ValueError("distillation needs a network with a distillation head; this one has none")
    return outputs.cls_logits, outputs.distillation_logits
