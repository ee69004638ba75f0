"""Losses: their gradients against difference quotients, their values where they are known."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import log
from typing import Any

import numpy as np
import pytest
from gradient_check import check
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_mutants_backward import planted

from npformer.layers import (
    Array,
    bce_with_logits,
    bce_with_logits_backward,
    cross_entropy,
    cross_entropy_backward,
    mse,
    mse_backward,
)
from npformer.learn.objectives import (
    classification_loss,
    hard_distillation_loss,
    soft_distillation_loss,
)
from npformer.network import Logits
from npformer.network.tree import build

SEEDS = st.integers(0, 2**32 - 1)


def check_loss(
    loss: Callable[[Array], Array], gradient: Callable[[Array], Array], x: Array
) -> None:
    check(lambda x, p: loss(x)[None], lambda dy, x, p: (dy[0] * gradient(x), ()), x, (), 0)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 5), st.integers(2, 5), st.sampled_from([0.0, 0.1, 1.0]), SEEDS, st.booleans())
@example(4, 3, 0.1, 0, False)  # the third label is ignored: drawing alone misses it now and then
def test_losses(B: int, K: int, smoothing: float, seed: int, soft: bool) -> None:
    rng = np.random.default_rng(seed)
    x, labels = rng.standard_normal((B, K)), rng.integers(0, K, B)
    labels[1:] = np.where(rng.random(B - 1) < 0.3, -100, labels[1:])
    target = rng.random((B, K)) if soft else labels
    options: dict[str, Any] = {"labels": target, "label_smoothing": smoothing}
    check_loss(partial(cross_entropy, **options), partial(cross_entropy_backward, **options), x)
    for loss, gradient in ((bce_with_logits, bce_with_logits_backward), (mse, mse_backward)):
        check_loss(partial(loss, targets=x[::-1]), partial(gradient, targets=x[::-1]), 2 * x)


def test_ignored_images_have_no_gradient() -> None:
    x = np.random.default_rng(0).standard_normal((3, 4))
    gradient = cross_entropy_backward(x, np.array([1, -100, 2]))
    np.testing.assert_array_equal(gradient[1], 0)
    np.testing.assert_array_equal(
        gradient[[0, 2]], cross_entropy_backward(x[[0, 2]], np.array([1, 2]))
    )


def test_a_class_is_a_probability_of_one() -> None:
    x, labels = np.random.default_rng(0).standard_normal((3, 4)), np.array([3, 0, 3])
    soft = np.eye(4)[labels]
    for f in (cross_entropy, cross_entropy_backward):
        np.testing.assert_allclose(
            f(x, labels, label_smoothing=0.1), f(x, soft, label_smoothing=0.1), rtol=1e-14
        )


def two_heads(seed: int = 0) -> Logits:
    cls_logits, dist_logits = np.random.default_rng(seed).standard_normal((2, 3, 4))
    return Logits((cls_logits + dist_logits) / 2, cls_logits, dist_logits)


TEACHER = 3 * np.random.default_rng(9).standard_normal((3, 4))


@pytest.mark.parametrize(
    "loss",
    [
        classification_loss,
        partial(classification_loss, label_smoothing=0.1),
        partial(hard_distillation_loss, teacher=TEACHER, label_smoothing=0.1),
        partial(soft_distillation_loss, teacher=TEACHER, alpha=0.3, temperature=2.0),
    ],
)
def test_network_losses(loss: Any) -> None:
    labels = np.array([2, 0, 1])

    def gradient(outputs: Logits) -> Logits:
        dlogits = loss(outputs, labels)[1]
        return Logits(*[np.zeros((3, 4)) if d is None else d for d in dlogits])

    check(
        lambda outputs, p: np.array([loss(outputs, labels)[0]]),
        lambda dy, outputs, p: (build(lambda _, d: dy[0] * d, gradient(outputs)), ()),
        two_heads(),
        (),
        1,
    )


def test_distillation_values() -> None:
    even = Logits(*[np.zeros((3, 4))] * 3)
    labels = np.array([2, 0, 1])
    assert hard_distillation_loss(even, labels, TEACHER)[0] == pytest.approx(log(4))
    # A student that says what the teacher says has nothing to learn from it.
    same = Logits(TEACHER / 2, np.zeros((3, 4)), TEACHER)
    loss, gradient = soft_distillation_loss(same, labels, TEACHER, alpha=1.0)
    assert loss == pytest.approx(0)
    np.testing.assert_allclose(gradient.distillation_logits, 0, atol=1e-15)


def test_distillation_needs_two_heads() -> None:
    with pytest.raises(ValueError, match="distillation head"):
        hard_distillation_loss(
            Logits(np.zeros((1, 2)), None, None), np.array([0]), np.zeros((1, 2))
        )


def test_a_teacher_may_rule_a_class_out() -> None:
    teacher = np.array([[0.0, 1.0, -np.inf]])
    for own in (2.0, -np.inf):
        head = np.array([[0.5, 0.0, own]])
        loss, dlogits = soft_distillation_loss(
            Logits(head, np.zeros((1, 3)), head), np.array([0]), teacher, alpha=1.0
        )
        assert np.isfinite(loss)
        assert np.isfinite(dlogits.distillation_logits).all()


MUTANTS = [
    (cross_entropy_backward, "said - targets", "said"),
    (cross_entropy_backward, " / max(int(counts.sum()), 1)", ""),
    (cross_entropy_backward, " * targets.sum(-1, keepdims=True)", ""),
    (cross_entropy_backward, "ignore_index, label_smoothing)", "ignore_index, 0)"),
    (cross_entropy_backward, "np.where(counts[:, None], ", "np.where(True, "),
    (bce_with_logits_backward, " - targets", ""),
    (bce_with_logits_backward, " / logits.size", ""),
    (mse_backward, "2 * ", ""),
    (mse_backward, " / values.size", ""),
]


@pytest.mark.parametrize(("function", "old", "new"), MUTANTS)
def test_mutant_is_caught(function: Any, old: str, new: str) -> None:
    with planted(function, old, new), pytest.raises(AssertionError):
        test_losses()


def test_every_loss_has_mutants() -> None:
    from npformer.layers import losses

    own = {f for name, f in vars(losses).items() if name.endswith("_backward")}
    assert own == {function for function, _, _ in MUTANTS}
