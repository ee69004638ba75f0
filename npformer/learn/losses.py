"""Losses of a whole network: of `Logits`, with their gradient as `Logits`.

    classification       CE(logits, y)
    hard distillation    ½ CE(cls, y) + ½ CE(dist, argmax teacher)
    soft distillation    (1 − α) CE(cls, y) + α τ² KL(softmax(teacher/τ) ‖ softmax(dist/τ))

CE is `npformer.layers.cross_entropy`. The paper trained with hard distillation (section 5.1). Both
are DeiT's (Touvron et al. 2021, equations 2 and 3); DeiT's code divides the soft one by the number
of classes as well, which its paper does not.
"""

from __future__ import annotations

import numpy as np

from ..layers import Array, cross_entropy, cross_entropy_backward, softmax
from ..layers.losses import log_softmax
from ..network import Logits


def classification(
    outputs: Logits, labels: Array, label_smoothing: float = 0.0
) -> tuple[float, Logits]:
    """Cross-entropy of the logits.

    Parameters
    ----------
    outputs : Logits
    labels : ndarray of int, shape (B,), or of float, shape (B, K)
        Classes, or a probability for each.
    label_smoothing : float

    Returns
    -------
    loss : float
    dlogits : Logits
        Its gradient with respect to the outputs; None for those that it does not depend on.
    """
    loss = cross_entropy(outputs.logits, labels, label_smoothing=label_smoothing)
    dlogits = cross_entropy_backward(outputs.logits, labels, label_smoothing=label_smoothing)
    return float(loss), Logits(dlogits, None, None)


def hard_distillation(
    outputs: Logits, labels: Array, teacher: Array, label_smoothing: float = 0.0
) -> tuple[float, Logits]:
    """Teach one head the labels, the other what the teacher takes for the class.

    Parameters
    ----------
    outputs : Logits
        Of a network with a distillation head.
    labels : ndarray
        As in `classification`.
    teacher : ndarray, shape (B, K)
        The teacher's logits.
    label_smoothing : float
        For the labels, not for the teacher's answers.

    Returns
    -------
    loss : float
    dlogits : Logits
    """
    by_class, by_teacher = _two_heads(outputs)
    answers = teacher.argmax(-1)
    loss = cross_entropy(by_class, labels, label_smoothing=label_smoothing)
    loss = (loss + cross_entropy(by_teacher, answers)) / 2
    dclass = cross_entropy_backward(by_class, labels, label_smoothing=label_smoothing) / 2
    dteacher = cross_entropy_backward(by_teacher, answers) / 2
    return float(loss), Logits(np.zeros_like(outputs.logits), dclass, dteacher)


def soft_distillation(
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
        As in `hard_distillation`.
    alpha : float
        Share of the teacher, in [0, 1].
    temperature : float
        τ: the higher, the more the teacher's second choices count. The factor τ² keeps the size of
        the gradient.

    Returns
    -------
    loss : float
    dlogits : Logits
    """
    by_class, by_teacher = _two_heads(outputs)
    log_p, log_q = log_softmax(teacher / temperature), log_softmax(by_teacher / temperature)
    p = np.exp(log_p)
    divergence = (p * (log_p - log_q)).sum(-1).mean()
    loss = cross_entropy(by_class, labels, label_smoothing=label_smoothing)
    loss = (1 - alpha) * loss + alpha * temperature**2 * divergence
    dclass = cross_entropy_backward(by_class, labels, label_smoothing=label_smoothing)
    dteacher = (softmax(by_teacher / temperature) - p) * (temperature / len(p))
    return float(loss), Logits(
        np.zeros_like(outputs.logits), (1 - alpha) * dclass, alpha * dteacher
    )


def _two_heads(outputs: Logits) -> tuple[Array, Array]:
    if outputs.cls_logits is None or outputs.distillation_logits is None:
        raise ValueError("distillation needs a network with a distillation head; this has none")
    return outputs.cls_logits, outputs.distillation_logits
