"""The explorer passes the test vectors of `npformer vectors`, under Node and in a browser."""

from __future__ import annotations

import json

import pytest
from browser import chromium
from explorer_cases import needs_node
from explorer_vectors import (
    HARNESS,
    NO_HEAD,
    OTHER_TYPE,
    TRAINING,
    Questions,
    ask_node,
    faults,
    planted,
    questions,
    without_layer,
)

from npformer.explorer.bundle import bundle
from npformer.testing.vectors import write_vectors


@pytest.fixture(scope="module")
def vectors(tmp_path_factory) -> Questions:
    folder = tmp_path_factory.mktemp("vectors")
    return questions(write_vectors(folder / "out", "channels_last").place)


def check(vectors, answers):
    """Every output lies within its bounds, and only layers that the page lacks have no answer."""
    assert faults(vectors.asked, answers) == {}
    answered = [q for q, a in zip(vectors.asked, answers, strict=True) if a is not None]
    assert len({q.subject for q in answered if "layer" in q.asked}) >= 20
    assert len([q for q in answered if "config" in q.asked]) >= 6
    assert sum(len(q.expected) for q in answered) > 300
    return without_layer(vectors.asked, answers)


@needs_node
def test_every_layer_and_network_is_right_under_node(vectors, tmp_path):
    check(vectors, ask_node(vectors.asked, tmp_path))


def test_every_layer_and_network_is_right_in_a_browser(vectors, tmp_path):
    """The same modules, laid together as they are for a page, opened from disk."""
    page = tmp_path / "vectors.html"
    asked = json.dumps([question.asked for question in vectors.asked])
    page.write_text(
        "<!doctype html><meta charset='utf-8'><title>vectors</title>"
        f"<script>{bundle(HARNESS)}</script><script>window.questions = {asked};</script>",
        "utf-8",
    )
    with chromium() as opened:
        opened.driver.get(page.as_uri())
        answers = json.loads(opened.run("return JSON.stringify(answerVectors(questions))"))
        assert opened.errors() == []
    check(vectors, answers)


def test_what_is_left_out_is_named(vectors):
    """Gradients besides: the page has none."""
    assert set(vectors.left_out.values()) - {OTHER_TYPE} == {TRAINING, NO_HEAD}
    by_reason = {
        reason: {
            name.partition(",")[0].partition(" (")[0]
            for name, why in vectors.left_out.items()
            if why == reason
        }
        for reason in (TRAINING, NO_HEAD)
    }
    assert by_reason[NO_HEAD] == {"network window"}
    assert by_reason[TRAINING] == {
        "batch_norm", "conv_mlp", "pooling_block", "downsample", "stem", "network training",
    }  # fmt: skip
    (window,) = [q for q in vectors.asked if q.name.startswith("network window")]
    assert "stages.1" in window.expected, "all before the head is computed"


@needs_node
def test_a_layer_that_the_page_lacks_is_named(vectors, tmp_path):
    unknown = vectors.asked[0]._replace(name="x", asked={**vectors.asked[0].asked, "layer": "x"})
    (answer,) = ask_node([unknown], tmp_path)
    assert answer is None
    assert list(without_layer([unknown], [answer])) == ["x"]


FAULTS = {
    "pooling": ("layers/pooling.js", "sums[c] / neighbors.length", "sums[c] / (size * size)"),
    "softmax": ("layers/softmax.js", "value - largest", "value"),
    "layer_norm": ("layers/layer_norm.js", "variance + eps", "variance"),
    "batch_norm": ("layers/batch_norm.js", "p.running_var[c] + eps", "p.running_var[c]"),
    "conv2d": ("layers/conv2d.js", "i * stride + u - padding", "i * stride + u"),
    "linear": ("layers/linear.js", "+ bias[n]; // what", "; // what"),
    "gelu": ("layers/activations.js", "x * Math.SQRT1_2", "x"),
    "attention": ("layers/attend.js", "* K ** -0.5", ""),
    "relative_position_bias": ("layers/position_bias.js", "query % columns]", "query / columns]"),
    "attention_block": ("layers/attention_block.js", "norm2, eps)", "norm1, eps)"),
    "network usual": ("network/model.js", "(value + second.data[i]) / 2", "value"),
}  # fmt: skip
"""File, what stands there, and a fault in its place."""


@needs_node
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_the_page_is_named(vectors, tmp_path, name):
    found = faults(
        vectors.asked, ask_node(vectors.asked, tmp_path, planted(tmp_path, *FAULTS[name]))
    )
    assert any(sentence.startswith(name) for sentence in found.get(name, [])), list(found)


@needs_node
def test_a_typical_mistake_is_named_by_its_cause(vectors, tmp_path):
    asked = [question for question in vectors.asked if question.subject == "attention"]
    harness = planted(tmp_path, "layers/attend.js", " * K ** -0.5", "")
    sentences = " ".join(faults(asked, ask_node(asked, tmp_path, harness))["attention"])
    assert "this is the answer of a mistake" in sentences
    assert "√K" in sentences
