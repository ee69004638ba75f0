"""`check_layer` passes what is right, whatever its rounding, and names what is wrong."""

from __future__ import annotations

import math
from itertools import chain

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from right_layers import OTHER_WAYS

from npformer import layers
from npformer.errors import ConfigError
from npformer.layers import (
    attention,
    average_pool,
    batch_norm,
    gelu_new,
    layer_norm,
    linear,
    pooling,
    relu,
    softmax,
)
from npformer.network.tree import leaves, transform
from npformer.teach.cases import Outcome, call
from npformer.teach.mistakes import EXERCISES
from npformer.testing import check_layer
from npformer.testing.adapters import C, Function, Module, Onnx, adapter_for
from npformer.testing.layer_strategies import arguments
from npformer.testing.layer_table import BACKWARD, LAYERS
from npformer.testing.tolerance import right_result
from npformer.testing.trial import ratio

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("layer", [*LAYERS, *BACKWARD])
def test_npformers_own_layers_are_right(layer):
    examples = 30 if layer in LAYERS else 10
    report = check_layer(layer, EXERCISES[layer].reference, examples=examples)
    assert report, report
    assert report.cases == examples
    assert 0 <= report.ratio < 1


@pytest.mark.parametrize(
    ("layer", "function"), OTHER_WAYS, ids=lambda value: getattr(value, "__name__", value)
)
def test_another_way_to_compute_the_same_is_right(layer, function):
    report = check_layer(layer, function)
    assert report, report


def unbiased(p):
    return p._replace(attention_biases=0 * p.attention_biases)


def drawn_for(layer, examples=100):
    """Yield what is drawn for a layer."""
    drawn = []

    @settings(
        max_examples=examples, phases=[Phase.generate], database=None, derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )  # fmt: skip
    @given(arguments(layer))
    def draw(args):
        drawn.append(args)

    draw()
    yield from drawn


@pytest.mark.parametrize("layer", [*LAYERS, *BACKWARD])
def test_every_mistake_is_found(layer):
    """Each mistake that `npformer.check` knows differs from the layer on some drawn input.

    Those about the statistics of a batch do not: what is drawn is evaluation.
    """
    known = {mistake.hint: mistake for mistake in EXERCISES[layer].mistakes}
    left = {hint: mistake for hint, mistake in known.items() if "of the batch" not in hint}
    for args in drawn_for(layer) if left else ():
        right = right_result(layer, args, args[0].dtype.name)
        for hint, mistake in list(left.items()):
            if ratio(call(mistake.function, args, EXERCISES[layer]), right) > 1:
                del left[hint]
        if not left:
            break
    assert not list(left)


def scaled(tree, factor):
    return transform(lambda a: a * a.dtype.type(factor), tree)


@pytest.mark.parametrize("layer", BACKWARD)
def test_a_gradient_that_is_off_by_a_ten_thousandth_is_wrong(layer):
    """The bounds of gradients are those of rounding, and no guess; each array has its own.

    Of a block with two norms, a softmax and an MLP, a hundredth, and dx in float64 only.
    """
    off = 1e-2 if layer == "attention_block_backward" else 1e-4
    found, learned = set(), set()
    # What Hypothesis draws depends on which modules a process has imported; some draws are poor.
    for i, args in enumerate(chain(drawn_for(layer), drawn_for(layer, 400))):
        if i >= 100 and found == learned:
            break
        dtype = args[0].dtype.name
        right = right_result(layer, args, dtype)
        with np.errstate(all="ignore"):
            ours = EXERCISES[layer].reference(*args)
        assert ratio(Outcome(ours), right) <= 1
        for (path, array), bound in zip(leaves(ours), right.bounds, strict=True):
            learned |= {(dtype, path)} if "running" not in path else set()
            if (abs(array) * off > 2 * bound).any():
                found.add((dtype, path))
                assert ratio(Outcome(scaled(ours, 1 + off)), right) > 1
        if layer == "attention_block_backward":
            found.add(("float32", "0"))
    assert found == learned


@pytest.mark.parametrize(
    ("layer", "function", "mistake"),
    [
        ("pooling", average_pool, "input not subtracted"),
        ("gelu", gelu_new, "tanh GELU"),
        ("softmax", lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True), "overflow"),
        ("attention", lambda x, p: attention(x, unbiased(p)), "missing attention bias"),
        ("layer_norm", lambda x, p: layer_norm(x, p, 1e-5), "another eps"),
        ("layer_norm", lambda x, p, eps: layer_norm(x, p, 1e-5), "eps ignored"),
        ("linear", lambda x, p: linear(x, p._replace(bias=2 * p.bias)), None),
    ],
)  # fmt: skip
def test_the_mistake_is_named(layer, function, mistake):
    report = check_layer(layer, function)
    assert not report
    assert report.named, report
    if mistake is not None:
        assert report.mistake == mistake, report
    assert report.mistake in repr(report)
    assert "The smallest of these" in repr(report)


def test_one_part_in_a_hundred_thousand_is_wrong():
    """Far below what anyone would give as a tolerance."""
    factor = np.float32(1 + 1e-5)
    report = check_layer(
        "linear", lambda x, p: linear(x, p._replace(weight=p.weight * factor)),
        adapter=Function(dtypes=("float32",)), examples=200, seconds=0,
    )  # fmt: skip
    assert not report
    assert 1 < report.ratio < 100
    assert "times what rounding can do in float32" in " ".join(repr(report).split())


def test_what_fails_is_shrunk_to_the_smallest_input():
    def wrong(x):
        y = np.array(relu(x))
        y[x == 3] = 4
        return y

    report = check_layer("relu", wrong)
    assert report.inputs["x"].tolist() == [[[3.0]]]
    assert report.got.tolist() == [[[4.0]]]
    assert report.expected.tolist() == [[[3.0]]]


def test_what_is_not_a_number_is_wrong():
    report = check_layer("relu", lambda x: np.where(x == 3, np.nan, relu(x)).astype(x.dtype))
    assert report.mistake == "not finite"
    assert report.inputs["x"].tolist() == [[[3.0]]]


def test_a_broken_law_is_told():
    def counted(x, size=3):
        pad = size // 2
        padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        H, W = x.shape[1:3]
        total = sum(padded[:, i : i + H, j : j + W] for i in range(size) for j in range(size))
        return total / size**2 - x

    report = check_layer("pooling", counted)
    assert report.mistake == "border counted"
    assert [law.name for law in report.broken] == ["pooling_of_a_constant_is_zero"]
    assert "It breaks a law: A constant image gives zeros" in repr(report)


def test_a_function_that_writes_into_its_input_is_told():
    def scaled(x, p):
        if p is None:
            return x
        x *= p.gamma
        return x

    report = check_layer("layer_scale", scaled)
    assert report.mistake == "argument modified"
    assert "Make a new array" in report.hint


def test_a_function_that_reads_memory_in_order_is_told():
    def raw(x):
        base = x if x.base is None else x.base
        return np.maximum(np.frombuffer(base.tobytes("A"), x.dtype)[: x.size].reshape(x.shape), 0)

    report = check_layer("relu", raw)
    assert report.mistake == "arrangement in memory"
    assert "strides" in report.hint


def test_a_function_that_draws_random_numbers_is_told():
    rng = np.random.default_rng(0)
    report = check_layer("relu", lambda x: relu(x) * (1 + (rng.random() < 0.3)))
    assert not report
    if report.mistake == "another result each time":  # Hypothesis has seen it
        assert "random numbers" in report.hint


def test_an_exception_is_an_answer():
    def broken(x, p):
        raise TypeError("no such thing")

    report = check_layer("linear", broken)
    assert not report
    assert "TypeError: no such thing" in repr(report)
    assert report.ratio == math.inf


def test_another_shape_is_an_answer():
    report = check_layer("softmax", lambda x: softmax(x)[0])
    assert not report
    assert report.mistake == "shape"


def test_too_few_results_are_an_answer():
    report = check_layer("linear_backward", lambda dy, x, p: dy @ p.weight.T)
    assert not report
    assert report.mistake


def test_options_that_a_function_does_not_take_have_their_default():
    assert check_layer("pooling", lambda x: pooling(x, 3))
    assert check_layer("pooling", lambda x: pooling(x, 5), options={"size": 5})
    assert not check_layer("pooling", lambda x: pooling(x, 5), seconds=0)


def test_options_may_be_given_by_name_only():
    def keywords(x, p, *, eps):
        return batch_norm(x, p, eps)

    assert check_layer("batch_norm", keywords)


def test_raises_is_for_tests():
    with pytest.raises(AssertionError, match="wrong axis"):
        check_layer("softmax", lambda x: softmax(x.swapaxes(1, 2)).swapaxes(1, 2), raises=True)


def inputs_of(seed):
    seen = []
    check_layer("relu", lambda x: seen.append(x.tobytes()) or relu(x), seed=seed)
    return seen


def test_the_same_inputs_are_drawn_each_time():
    assert inputs_of(None) == inputs_of(None)


def test_a_seed_draws_other_inputs():
    assert inputs_of(1) == inputs_of(1)
    assert inputs_of(1) != inputs_of(2) != inputs_of(None)


STYLES = [
    Function(channels="first"),
    Function(weights="torch"),
    Function(parameters="dict"),
    Function(parameters="separate"),
    Function(channels="first", weights="torch", parameters="dict"),
]


@pytest.mark.parametrize("style", STYLES, ids=repr)
@pytest.mark.parametrize("layer", ["linear", "conv2d", "layer_norm", "attention", "pooling_block"])
def test_other_arrangements_of_arrays(layer, style):
    """A function that turns everything around, and is turned back by the adapter."""
    from npformer.network.tree import build, leaves
    from npformer.testing.adapters.names import native_axes, skeleton
    from npformer.testing.adapters.port import channels_first, channels_last

    def theirs(x, *rest):
        rest = list(rest)
        count = 1 if style.parameters != "separate" else len(given[0])
        held, options = rest[:count], rest[count:]
        if style.parameters == "separate":
            held = [dict(zip(given[0], held, strict=True))]
        p = held[0]

        def back(path, leaf):
            array = p[path] if isinstance(p, dict) else dict(leaves(p))[path]
            if style.weights == "npformer":
                return array
            return array.reshape(leaf.shape) if leaf.ndim == 3 else native_axes(array)

        native = build(back, given[1])
        x = channels_last(x) if style.channels == "first" else x
        y = getattr(layers, layer)(x, native, *options)
        return channels_first(y) if style.channels == "first" else y

    given = [None, None]

    class Recorded(Function):
        def _arrays(self, layer, x, p):
            given[:] = [[path for path, _ in leaves(p)], p]
            return super()._arrays(layer, x, p)

    assert skeleton(layer) is not None
    adapter = Recorded(style.channels, style.weights, style.parameters)
    assert check_layer(layer, theirs, adapter=adapter, examples=12)


def test_weights_of_pytorch_are_transposed():
    F = Function(weights="torch", parameters="separate")
    assert check_layer("linear", lambda x, w, b: x @ w.T + b, adapter=F)
    assert not check_layer("linear", lambda x, w, b: x @ w.T + b, seconds=0,
                           adapter=Function(parameters="separate"))  # fmt: skip


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: check_layer("atention", attention),
         r"layer is 'atention'; expected one of linear,"),
        (lambda: check_layer("linear", 3), r"theirs is 3; expected a function on arrays"),
        (lambda: check_layer("linear", linear, options={"eps": 1}),
         r"an option is 'eps'; expected none, since linear has no options"),
        (lambda: check_layer("layer_norm", layer_norm, options={"epsilon": 1}),
         r"an option is 'epsilon'; expected one of eps"),
        (lambda: check_layer("linear", linear, adapter=C("y, x")), r"function of a library"),
        (lambda: check_layer("linear_backward", linear, adapter=Function(channels="first")),
         r"expected Function\(\) for a gradient"),
    ],
)  # fmt: skip
def test_bad_input_is_answered(call, words):
    with pytest.raises(ConfigError, match=words):
        call()


def test_an_adapter_is_chosen_by_type(tmp_path):
    assert adapter_for(linear) == Function()
    assert adapter_for(tmp_path / "model.onnx") == Onnx()
    assert Module().naming is None
