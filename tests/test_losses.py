import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from npformer.layers import (
    bce_with_logits,
    bce_with_logits_backward,
    cross_entropy,
    cross_entropy_backward,
    mse,
    mse_backward,
)

logits_and_labels = st.tuples(st.integers(1, 6), st.integers(1, 5)).flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.float64, shape, elements=st.floats(-700, 700)),
        hnp.arrays(np.int64, shape[0], elements=st.integers(0, shape[1] - 1)),
        hnp.arrays(np.bool_, shape[0]),
    )
)


@settings(max_examples=60, deadline=None)
@given(logits_and_labels, st.floats(0, 1))
def test_cross_entropy_is_its_definition(drawn, smoothing):
    logits, labels, ignored = drawn
    terms = []
    for row, label, skip in zip(logits, labels, ignored, strict=True):
        if not skip:
            log_p = row - (row.max() + np.log(np.sum(np.exp(row - row.max()))))
            target = np.full(len(row), smoothing / len(row))
            target[label] += 1 - smoothing
            terms.append(-np.sum(target * log_p))
    loss = cross_entropy(logits, np.where(ignored, -100, labels), label_smoothing=smoothing)
    if terms:
        np.testing.assert_allclose(loss, np.mean(terms), rtol=1e-12, atol=1e-12)
    else:
        assert np.isnan(loss)


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(np.float64, (3, 4), elements=st.floats(-30, 30)),
    hnp.arrays(np.float64, (3, 4), elements=st.floats(0, 1)),
)
def test_bce_is_its_definition(logits, targets):
    p = 1 / (1 + np.exp(-logits))
    expected = np.mean(-targets * np.log(p) - (1 - targets) * np.log(1 / (1 + np.exp(logits))))
    np.testing.assert_allclose(bce_with_logits(logits, targets), expected, rtol=1e-12, atol=1e-12)


def test_nothing_overflows():
    far = np.array([[1e4, -1e4]], np.float32)
    assert cross_entropy(far, np.array([1])) == 2e4
    assert bce_with_logits(far, np.array([[0, 1]])) == 1e4
    assert mse(far, far) == 0


def test_the_loss_has_the_type_of_the_logits():
    logits = np.zeros((2, 3), np.float32)
    assert cross_entropy(logits, np.array([0, 1], np.int32)).dtype == np.float32
    assert bce_with_logits(logits, np.ones((2, 3), np.float32)).dtype == np.float32
    assert cross_entropy(logits[:0], np.array([], np.int64)).dtype == np.float32


@pytest.mark.parametrize("label", [3, -1, -101])
def test_a_label_that_is_no_class_is_named(label):
    with pytest.raises(ValueError, match=f"label {label} of image 1 is no class; expected 0 to 2"):
        cross_entropy(np.zeros((2, 3)), np.array([0, label]))


def test_another_label_may_be_ignored():
    logits = np.array([[1.0, 2.0], [3.0, 5.0]])
    only = cross_entropy(logits[1:], np.array([0]))
    assert cross_entropy(logits, np.array([255, 0]), ignore_index=255) == only


def test_a_class_may_be_ruled_out():
    logits = np.array([[0.0, -np.inf, 1.0], [0.0, 1.0, -np.inf]])
    labels = np.array([0, 1])
    expected = [np.log(1 + np.e), np.log(1 + np.exp(-1))]
    for target in (labels, np.eye(3)[labels], np.eye(3, dtype=int)[labels]):
        np.testing.assert_allclose(cross_entropy(logits, target), np.mean(expected), rtol=1e-14)
        gradient = cross_entropy_backward(logits, target)
        assert np.isfinite(gradient).all()
        assert gradient[0, 1] == gradient[1, 2] == 0
    assert cross_entropy(logits, np.array([1, 0])) == np.inf  # the right one was ruled out
    assert cross_entropy(logits, labels, label_smoothing=0.1) == np.inf
    assert cross_entropy(logits, np.array([-100, 1])) == pytest.approx(expected[1])


LOSSES = {
    "cross_entropy": (cross_entropy, cross_entropy_backward),
    "bce_with_logits": (bce_with_logits, bce_with_logits_backward),
    "mse": (mse, mse_backward),
}
X = np.zeros((2, 3))


@pytest.mark.parametrize("direction", [0, 1], ids=["forward", "backward"])
@pytest.mark.parametrize("dtype", ["uint8", "int64", "bool", "complex128", "object"])
@pytest.mark.parametrize("name", LOSSES)
def test_answers_that_are_no_numbers_of_a_network(name, dtype, direction):
    with pytest.raises(TypeError, match=f"answers are {dtype}; expected floating point"):
        LOSSES[name][direction](X.astype(dtype), np.zeros((2, 3)))


@pytest.mark.parametrize("direction", [0, 1], ids=["forward", "backward"])
@pytest.mark.parametrize(
    ("name", "targets", "error", "message"),
    [
        ("cross_entropy", np.array([0, 3]), ValueError, "label 3 of image 1 is no class"),
        ("cross_entropy", np.array([-1, 0]), ValueError, "label -1 of image 0 is no class"),
        ("cross_entropy", np.array([0.0, 1.0]), TypeError, "labels are float64; expected integers"),
        ("cross_entropy", np.array([False, True]), TypeError, "labels are bool; expected integers"),
        ("cross_entropy", np.array([0]), ValueError, r"\(1, 3\); expected \(2, 3\)"),
        ("cross_entropy", np.array([0, 1, 2]), ValueError, r"\(3, 3\); expected \(2, 3\)"),
        ("cross_entropy", np.ones((2, 1)), ValueError, r"\(2, 1\); expected \(2, 3\)"),
        ("bce_with_logits", np.ones((2, 1)), ValueError, r"\(2, 1\); expected \(2, 3\)"),
        ("bce_with_logits", np.ones(3), ValueError, r"\(3,\); expected \(2, 3\)"),
        ("mse", np.ones((2, 1)), ValueError, r"\(2, 1\); expected \(2, 3\)"),
        ("mse", np.ones(()), ValueError, r"\(\); expected \(2, 3\)"),
    ],
)
def test_targets_that_do_not_fit_the_answers(name, targets, error, message, direction):
    with pytest.raises(error, match=message):
        LOSSES[name][direction](X, targets)


def test_a_column_is_no_row():
    with pytest.raises(ValueError, match=r"targets have shape \(4,\); expected \(4, 1\)"):
        mse(np.zeros((4, 1)), np.ones(4))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "uint64", ">i2"])
def test_labels_of_any_integer_type(dtype):
    x = np.random.default_rng(0).standard_normal((2, 3))
    labels = np.array([2, 0])
    for f in (cross_entropy, cross_entropy_backward):
        np.testing.assert_array_equal(f(x, labels.astype(dtype)), f(x, labels))
