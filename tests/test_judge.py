"""The search for mistakes: what it names is true on every input, or it names nothing."""

from __future__ import annotations

import ast
import re
import warnings

import judge
import numpy as np
import pytest

from npformer.layers import Linear, average_pool, erf, layer_norm, linear, linear_backward, pooling
from npformer.teach import check
from npformer.teach.cases import call, draw_cases
from npformer.teach.checking import examine
from npformer.teach.mistakes import EXERCISES
from npformer.teach.search import Clock, search
from npformer.teach.search.candidates import own
from npformer.teach.search.program import Program
from npformer.teach.search.trial import Edited, frozen

AMPLE = 60.0  # seconds: what is found depends on the order of the search, not on the machine


def flat(a):
    return a.reshape(-1, a.shape[-1])


@pytest.fixture(autouse=True)
def quiet():
    """What students' functions warn of is not ours."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("answer", judge.RIGHT, ids=lambda a: f"{a.layer}: {a.cause}")
def test_a_right_answer_passes_however_it_is_written(answer):
    assert check(answer.layer, answer.function)


QUICK = [
    a for a in judge.WRONG if a.part == "tuned" and a.digest % 28 == 0
]  # of the half that the search was tuned with


def test_most_wrong_answers_get_their_name_and_none_passes():
    """All of them: ``python tests/judge_rate.py``."""
    reports = [examine(a.layer, a.function, 24, 0, Clock(1500, Ticks())) for a in QUICK]
    assert not any(reports)
    named = [r for r in reports if r.named]
    assert len(named) > 0.8 * len(QUICK)  # within about 1500 candidates
    for report in named:
        assert report.mistake
        assert not re.search(
            r"__|tools\.|<|lambda", report.hint.replace("<=", "").replace(" < ", "")
        )


@pytest.mark.parametrize(
    ("layer", "function", "kind", "words"),
    [
        ("linear", lambda x, p: x @ p.weight - p.bias, "wrong sign", "`-` instead of `+`"),
        ("gelu", lambda x: 0.5 * x * (1 - erf(x * 0.5**0.5)), "wrong sign", "`-` instead of `+`"),
        ("relu", lambda x: np.maximum(x, 0.01 * x), "another function", "leaky_relu"),
        (
            "softmax",
            lambda x: (
                np.exp2(x - x.max(-1, keepdims=True))
                / np.exp2(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True)
            ),
            "another function",
            "exp2",
        ),
        (
            "pooling",
            lambda x, size=3: pooling(x, size).swapaxes(1, 2),
            "axes exchanged",
            "axes 1 and 2",
        ),
        ("pooling", lambda x, size=3: average_pool(x, size + 2) - x, "another value", "`size + 2`"),
        (
            "linear_backward",
            lambda dy, x, p: (dy @ p.weight.T, Linear(flat(x).T @ flat(dy), p.bias)),
            "another array",
            "Only dp.bias is wrong.",
        ),
        (
            "linear_backward",
            lambda dy, x, p: (-dy @ p.weight.T, Linear(flat(x).T @ flat(dy), flat(dy).mean(0))),
            "wrong sign",
            "dp.bias: the formula with the mean instead of the sum",
        ),
        (
            "linear_backward",
            lambda dy, x, p: dy @ p.weight.T,
            "number of results",
            "returns only dx; dp.weight and dp.bias are missing.",
        ),
        ("linear", lambda x, p: 2 * p.bias - x @ p.weight, "", "`p.bias`"),
    ],
)
def test_an_edit_of_the_source_is_named_in_its_words(layer, function, kind, words):
    report = check(layer, function, seconds=AMPLE)
    assert report.named
    assert kind in report.mistake
    assert words in report.hint


def test_what_no_input_tells_apart_is_both_said():
    report = check("linear", lambda x, p: x @ p.weight + p.bias.mean(), seconds=AMPLE)
    assert "No input tells this from" in report.hint


def test_what_explains_only_some_answers_is_not_named():
    def border_counted_at_size_3(x, size=3):
        if size != 3:
            return pooling(x, size) * 1.25 + 0.125 * x**3
        p = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        H, W = x.shape[1:3]
        return sum(p[:, u : u + H, v : v + W] for u in range(3) for v in range(3)) / 9 - x

    report = check("pooling", border_counted_at_size_3, seconds=0.3)
    assert not report.named
    assert "there is more" not in report.hint


def test_what_new_inputs_disprove_is_not_named():
    calls = []

    def changes_its_mind(x, p):
        calls.append(1)
        return linear(x, p) if len(calls) > 24 else x @ p.weight - p.bias

    assert not check("linear", changes_its_mind, seconds=1.0).named
    assert len(calls) > 24


def searched(layer, function, clock):
    exercise = EXERCISES[layer]
    drawn = draw_cases(exercise, 24, 0)
    outcomes = [call(function, case.args, exercise) for case in drawn]
    return search(exercise, function, drawn, outcomes, clock)


class Ticks:
    """A clock that goes on by one each time it is looked at."""

    def __init__(self):
        self.time = 0

    def __call__(self):
        self.time += 1
        return self.time


@pytest.mark.parametrize("always", [True, False])
def test_a_part_that_new_inputs_disprove_is_not_named(always):
    calls = []

    def f(dy, x, p):
        calls.append(1)
        if len(calls) > 24 and not always:
            return linear_backward(dy, x, p)
        return -dy @ p.weight.T, Linear(flat(x).T @ flat(dy), flat(dy).mean(0))

    found = searched("linear_backward", f, Clock(3000, Ticks()))
    assert (found is not None) == always
    assert len(calls) > 24


def unexplained(x, p, eps=1e-12):
    return layer_norm(x, p, eps) + 0.001 * x**7


def test_the_search_stops_when_the_time_is_over():
    few, more = Ticks(), Ticks()
    assert searched("layer_norm", unexplained, Clock(50, few)) is None
    assert searched("layer_norm", unexplained, Clock(500, more)) is None
    assert few.time < 80  # every candidate looks at the clock before it is tried
    assert 450 < more.time < 560


def test_without_time_there_is_no_search():
    assert not check("linear", lambda x, p: x @ p.weight - p.bias, seconds=0).named


def test_the_likely_comes_first():
    ticks = Ticks()
    assert searched("linear", lambda x, p: x @ p.weight, Clock(1e9, ticks))
    assert ticks.time < 200


@pytest.mark.parametrize("layer", EXERCISES)
def test_every_exercise_can_be_searched_and_edits_leave_no_trace(layer):
    exercise = EXERCISES[layer]
    case = draw_cases(exercise, 12, 0)[8]
    args = frozen(case.args)
    for inline in (False, True):
        program = Program(exercise.reference, args, inline)
        before = [ast.dump(copy.tree) for copy in program.copies]
        codes = [copy.function.__code__ for copy in program.copies]
        for candidate in own(program, args)[:60:3]:
            with Edited((candidate,)):
                pass
        assert [ast.dump(copy.tree) for copy in program.copies] == before
        assert [copy.function.__code__ for copy in program.copies] == codes
    assert check(layer, exercise.reference)


@pytest.mark.parametrize(
    "value",
    [
        True, 1, 1j, "text", b"bytes", [], {}, (), [[1.0]], object(), np.array("a"), np.array(None),
        np.array([1j]), np.zeros((0,)), np.array(True), np.datetime64("2000"), np.ma.masked,
        (None, None), float("nan"), np.uint8(3), iter([1]), lambda x: x, Linear(1, None),
    ],
    ids=lambda value: type(value).__name__,  # the same in every process
)  # fmt: skip
def test_the_judge_never_raises_whatever_is_returned(value):
    for layer in ("relu", "linear_backward", "layer_scale", "cross_entropy"):
        report = check(layer, lambda *_: value, seconds=0.05)
        assert not report
        assert repr(report)


def test_a_mask_in_the_place_of_numbers_is_named():
    report = check("relu", lambda x: x > 0)
    assert (report.mistake, report.named) == ("step", True)
    assert "bool" in check("gelu", lambda x: x > 0.3, seconds=0).hint


@pytest.mark.parametrize(
    ("layer", "cause", "words"),
    [
        ("mlp", "the bias after the activation", "`p.fc1.bias` added after `activation(x)` only"),
        ("attention_block", "first residual from the normalized x", "result of `layer_norm("),
        ("linear_backward", "the gradients of the first image only", "from the first image"),
        ("col2im", "divided by how often each pixel is covered", "how many windows cover"),
        ("average_pool", "without the center", "without its center"),
        ("average_pool", "the window hangs to the lower right", "hangs to the lower right"),
        ("conv2d", "padding only above and left", "above and left"),
        ("relu_backward", "half at the kink", "½ instead of 0"),
    ],
)
def test_what_reaches_over_several_statements_is_named(layer, cause, words):
    (answer,) = [a for a in judge.WRONG if (a.layer, a.cause) == (layer, cause)]
    report = check(layer, answer.function, seconds=AMPLE)
    assert report.named
    assert words in report.hint


def test_a_long_hint_is_wrapped():
    report = check("linear", lambda x, p: x @ p.weight + p.bias.mean(), seconds=AMPLE)
    assert len(report.hint) > 100
    assert max(map(len, repr(report).splitlines()[1:4])) <= 92


@pytest.mark.parametrize(
    ("layer", "function", "words"),
    [
        (
            "layer_norm",
            lambda x, p, e=1e-12: layer_norm(x.astype("f4"), p, e).astype("f4").astype(x.dtype),
            "rounding",
        ),
        (
            "average_pool",
            lambda x, size=3: average_pool(x, size).astype("f2").astype(x.dtype),
            "float16",
        ),
        ("pooling", lambda x, size=3: pooling(x, size) * x.shape[1] * x.shape[3], "x.shape[1]"),
        ("pooling", lambda x, size=3: np.round(pooling(x, size) * 7), "all numbers are whole"),
        (
            "linear_backward",
            lambda dy, x, p: (dy @ p.weight.T, Linear(flat(x).T @ flat(dy) ** 3, flat(dy).sum(0))),
            "dx and dp.bias are right.",
        ),
        (
            "pooling",
            lambda x, size=3: np.where(np.arange(x.shape[-1]) < 1, 1, 3 + x**2) * pooling(x, size),
            "right for the first channel",
        ),
        ("pooling", lambda x, size=3: pooling(x, size) + size**3 + 0.5, "all numbers are off by"),
        (
            "pooling",
            lambda x, size=3: pooling(x, size) + (size != 3) * np.sin(x),
            "right wherever size is 3",
        ),
    ],
)
def test_what_is_known_of_a_mistake_without_a_name_is_said(layer, function, words):
    assert words in check(layer, function, seconds=0).hint
