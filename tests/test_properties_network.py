"""What must hold of the network as a whole, its recorder and its parameter trees."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from golden import cases
from hypothesis import given, settings
from hypothesis import strategies as st

from npformer.errors import ConfigError
from npformer.layers import EVALUATION, Array, Trace
from npformer.network import forward
from npformer.network.tree import build, leaves, transform
from npformer.testing.array_strategies import LAYOUTS, arrange


def setting(name: str, dtype: str = "float32") -> tuple[Any, Any, Array]:
    case = cases.SMALL[name]
    pixels = cases.pixels(case).astype(dtype)
    return cases.parameters(case, dtype=dtype), cases.configuration(case), pixels


@pytest.mark.parametrize("name", cases.SMALL)
def test_an_image_does_not_depend_on_its_batch(name: str) -> None:
    params, config, pixels = setting(name)
    batch = np.concatenate([pixels, -pixels, pixels[::-1] / 2])
    together, alone = Trace(), Trace()
    forward(batch, params, config, together)
    for i in range(len(batch)):
        forward(batch[i : i + 1], params, config, alone)
        assert list(alone) == list(together)
        for path, array in alone.items():
            np.testing.assert_array_equal(array, together[path][i : i + 1], err_msg=path)


@pytest.mark.parametrize("name", cases.SMALL)
def test_an_empty_batch_gives_no_logits(name: str) -> None:
    params, config, pixels = setting(name)
    width = config.num_labels or config.hidden_sizes[-1]
    assert forward(pixels[:0], params, config).logits.shape == (0, width)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_layout_does_not_matter(layout: str) -> None:
    params, config, pixels = setting("usual", "float64")
    found = forward(arrange(pixels, layout), params, config).logits
    np.testing.assert_allclose(found, forward(pixels, params, config).logits, rtol=0, atol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", cases.SMALL)
def test_the_type_of_the_parameters_is_the_type_of_everything(name: str, dtype: str) -> None:
    params, config, pixels = setting(name, dtype)
    trace = Trace()
    forward(pixels.astype("float64"), params, config, trace)
    assert {array.dtype for array in trace.values()} == {np.dtype(dtype)}


@pytest.mark.parametrize("name", cases.SMALL)
def test_a_recorder_changes_nothing(name: str) -> None:
    params, config, pixels = setting(name)
    silent, traced = forward(pixels, params, config), forward(pixels, params, config, Trace())
    for a, b in zip(silent, traced, strict=True):
        np.testing.assert_array_equal(a, b) if a is not None else None


def test_logits_are_the_mean_of_both_heads() -> None:
    params, config, pixels = setting("usual", "float64")
    both = forward(pixels, params, config)
    np.testing.assert_array_equal(both.logits, (both.cls_logits + both.distillation_logits) / 2)
    one = forward(pixels, params._replace(head_dist=None), config)
    np.testing.assert_array_equal(one.logits, both.cls_logits)
    assert one.cls_logits is None
    assert one.distillation_logits is None


@pytest.mark.parametrize("shape", [(2, 37, 45), (2, 3, 37, 45), (2, 64, 64, 3), (2, 1, 720, 3)])
def test_other_images_are_refused_before_anything_is_computed(shape: tuple[int, ...]) -> None:
    params, config, _ = setting("usual")
    trace = Trace()
    with pytest.raises(ConfigError, match=str(shape[1])):
        forward(np.zeros(shape, np.float32), params, config, trace)
    assert not trace


def test_an_image_that_shrinks_to_nothing_is_refused() -> None:
    params, config, _ = setting("window")
    with pytest.raises(ConfigError, match="images of 4×40 pixels are too small"):
        forward(np.zeros((1, 4, 40, 1), np.float32), params, config)


def test_a_trace_returns_what_passed() -> None:
    trace, x = Trace(), np.arange(3.0)
    inner = trace.within("stages.0").within("mlp")
    assert trace("in", x) is x
    assert inner("fc1", x) is x
    assert list(trace.items()) == [("in", x), ("stages.0.mlp.fc1", x)]
    assert inner["fc1"] is x
    assert list(inner) == ["fc1"]
    assert list(trace.within("stages")) == ["0.mlp.fc1"]
    assert len(inner) == 1
    assert "stages.0.mlp.fc1" in trace
    assert "fc2" not in inner
    assert "stages.0.mlp.fc1" in repr(trace)


def test_a_trace_keeps_what_it_was_asked_for() -> None:
    params, config, pixels = setting("tokens")
    everything, some = Trace(), Trace("*.attn", "head")
    forward(pixels, params, config, everything)
    forward(pixels, params, config, some)
    assert list(some) == [path for path in everything if path.endswith(".attn") or path == "head"]
    assert len(some) == 3 + 1


def test_the_default_recorder_keeps_nothing() -> None:
    x = np.zeros(1)
    assert EVALUATION.within("a").within("b")("c", x) is x
    assert not EVALUATION.within("a").wants("b")


class Pair(NamedTuple):
    weight: Any
    bias: Any


trees = st.recursive(
    st.none() | st.integers(),
    lambda children: st.tuples(children, children, children) | st.builds(Pair, children, children),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(trees)
def test_a_tree_is_its_leaves(tree: Any) -> None:
    found = dict(leaves(tree))
    assert len(found) == len(list(leaves(tree)))  # every path is there once
    copy = build(lambda path, _: found[path], tree)
    assert copy == tree
    assert repr(copy) == repr(tree)  # the kind of each tuple, too
    doubled = transform(lambda leaf: 2 * leaf, tree)
    assert dict(leaves(doubled)) == {path: 2 * leaf for path, leaf in found.items()}


def test_a_path_is_a_key_of_timm() -> None:
    paths = dict(leaves(setting("usual")[0]))
    assert paths["stages.2.blocks.0.mlp.fc1.weight"].shape == (1, 1, 8, 16)
    assert paths["stages.2.blocks.2.token_mixer.attention_biases"].shape == (2, 3, 3)
    assert "stages.0.downsample.conv.weight" not in paths
