import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from npformer.layers import bce_with_logits, cross_entropy, mse

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
