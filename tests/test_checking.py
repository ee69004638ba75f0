"""The checker of exercises: right answers pass, and each mistake gets its name."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import npformer
from npformer import layers
from npformer.layers import average_pool, pooling
from npformer.teach.checking import Report, check
from npformer.teach.mistakes import EXERCISES

MISTAKES = [
    pytest.param(name, mistake, id=f"{name}: {mistake.hint[:60]}")
    for name, exercise in EXERCISES.items()
    for mistake in exercise.mistakes
]


@pytest.mark.parametrize("name", EXERCISES)
def test_the_right_answer_passes(name):
    report = check(name, EXERCISES[name].reference)
    assert report
    assert repr(report) == f"✓ {name}: right on all 24 inputs"
    assert report.require() is report


@pytest.mark.parametrize(("name", "mistake"), MISTAKES)
def test_each_typical_mistake_gets_its_name(name, mistake):
    report = check(name, mistake.function, cases=12)
    assert (report.passed, report.mistake, report.hint) == (False, mistake.kind, mistake.hint)


def test_every_layer_that_computes_has_an_exercise():
    helpers = {
        "gelu_new", "selu", "sigmoid", "silu", "erf", "head_sizes",  # not what an exercise teaches
        "apply_mask", "training", "activation_backward", "mse", "mse_backward", "as_linear",
        "attend", "attend_backward", "drop_path_mask", "dropout_mask",
        "bce_with_logits", "bce_with_logits_backward", "dequantize_linear", "gelu_polynomial",
        "quantize_conv2d", "quantized_conv2d", "quantized_as_linear",
    }  # fmt: skip
    functions = {n for n in layers.__all__ if n.islower() and callable(getattr(layers, n))}
    assert functions - helpers <= set(EXERCISES)


def named(layer, function):
    return check(layer, function, seconds=0).mistake


# What neither a table of mistakes nor a search explains: the numbers themselves are looked at.


def damage(x, size=3):
    x -= average_pool(x, size)
    return -x


def without_axis(x, size=3):
    return pooling(x, size)[..., 0]


def first_image_only(x, size=3):
    return np.repeat(pooling(x[:1], size), len(x), axis=0)


def border_as_it_was(x, size=3):
    y = pooling(x, size)
    y[:, [0, -1]] = y[:, :, [0, -1]] = 0
    return y


@pytest.mark.parametrize(
    ("layer", "function", "kind"),
    [
        ("pooling", damage, "argument modified"),
        ("pooling", without_axis, "shape"),
        ("pooling", lambda x, size=3: pooling(x, size).swapaxes(1, 3), "axes in another order"),
        ("pooling", lambda x, size=3: None, "nothing returned"),
        ("pooling", lambda x, size=3: pooling(x, size).tolist(), "not an array"),
        ("pooling", lambda x: pooling(x), "exception"),
        ("pooling", lambda x, size=3: no_such_name, "exception"),  # noqa: F821
        ("pooling", lambda x, size=3: pooling(x, size).astype(np.float64), "dtype"),
        ("pooling", lambda x, size=3: 3 * pooling(x, size), "constant factor"),
        ("pooling", lambda x, size=3: pooling(x, size) + 1, "constant offset"),
        ("pooling", lambda x, size=3: pooling(x, size) + np.arange(x.shape[-1]) + 1,
         "offset per channel"),
        ("pooling", lambda x, size=3: pooling(x, size)[:, ::-1], "order"),
        ("pooling", first_image_only, "batch"),
        ("pooling", border_as_it_was, "border"),
        ("pooling", lambda x, size=3: pooling(x, size) / 0, "not finite"),
        ("pooling", lambda x, size=3: pooling(x, size) ** 3, "values"),
        ("gelu", lambda x: -layers.gelu(x), "wrong sign"),
        ("linear_backward", lambda dy, x, p: dy @ p.weight.T, "number of results"),
        ("batch_statistics", lambda x: (x.mean((0, 1, 2)), 0.0), "not an array"),
    ],
)  # fmt: skip
def test_an_unforeseen_mistake_is_described(layer, function, kind):
    with np.errstate(all="ignore"):
        assert named(layer, function) == kind


def test_two_mistakes_at_once_are_both_named():
    def border_counted_and_size_ignored(x, size=3):
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        H, W = x.shape[1:3]
        return sum(padded[:, u : u + H, v : v + W] for u in range(3) for v in range(3)) / 9 - x

    report = check("pooling", border_counted_and_size_ignored, seconds=60)
    assert report.named
    assert "size" in report.hint
    assert ", and " in report.hint
    assert not check("pooling", border_counted_and_size_ignored, seconds=0).named


def test_the_smallest_failing_input_is_shown():
    report = check("pooling", partial(pooling, size=3))
    assert isinstance(report, Report)
    report = check("pooling", average_pool)
    assert report.inputs["x"].shape == (1, 2, 2, 1)
    assert np.array_equal(report.inputs["x"], np.rint(report.inputs["x"]))  # small whole numbers
    np.testing.assert_array_equal(report.got, average_pool(report.inputs["x"]))
    np.testing.assert_array_equal(report.expected, pooling(report.inputs["x"]))
    text = repr(report)
    for part in ("✗ pooling: input not subtracted", "x: shape (1, 2, 2, 1)", "Yours:", "Right:"):
        assert part in text


def test_results_and_parameters_are_shown_by_name():
    text = repr(check("linear_backward", EXERCISES["linear_backward"].mistakes[1].function))
    for part in ("p.weight: shape", "dx: shape", "dp.weight: shape", "dp.bias: shape"):
        assert part in text
    report = check("batch_norm_backward", lambda *a: (a[0], a[2]))
    assert "what forward kept" in repr(report) or "tape" not in report.inputs
    assert "p: None" in repr(check("layer_scale", lambda x, p: x * p.gamma))
    assert "Yours:\n  None" in repr(check("relu", lambda x: None))


def test_a_tape_is_shown_by_what_is_on_it():
    report = check("mlp_backward", lambda dy, x, p, activation, tape: (dy, p))
    assert "tape: what forward kept (fc1, act, fc2)" in repr(report)
    assert "activation: gelu" in repr(report)


def test_require_raises_with_the_explanation_and_the_cause():
    with pytest.raises(AssertionError, match="border counted"):
        npformer.check("average_pool", EXERCISES["average_pool"].mistakes[0].function, raises=True)
    with pytest.raises(AssertionError, match="KeyError") as caught:
        check("relu", lambda x: {}["x"]).require()
    assert isinstance(caught.value.__cause__, KeyError)


def test_an_unknown_layer_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"'pool'; there are .*pooling, .*attention_backward"):
        check("pool", pooling)


def test_same_seed_same_inputs_and_other_seeds_others():
    def shown(seed):
        return check("gelu", np.copy, seed=seed).inputs["x"]

    assert np.array_equal(shown(3), shown(3))
    assert not np.array_equal(shown(3), shown(4))


def test_the_reference_is_never_handed_out_damaged():
    check("pooling", damage)
    assert check("pooling", pooling)
