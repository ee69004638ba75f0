"""The model classes beside those of transformers, for networks that nobody chose."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import model_cases as ours
from golden import cases
from golden import modeling as theirs
from golden.check import FLOAT64, LOGITS
from golden.modeling import CASES, CLASSES, CLASSIFIER, MODEL, TEACHER, flatten
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.activations import ACT2FN

import npformer
from npformer.engine.pack import ACTIVATION_CODES
from npformer.hf.group_norm import group_norm
from npformer.layers import ACTIVATIONS, Array, LayerNorm
from npformer.network import stage_sizes

INSIDE = {"output_hidden_states": True, "output_attentions": True}
ACTS = sorted(set(ACTIVATIONS) & set(ACT2FN))
ENGINES = ("numpy", "numba") if find_spec("numba") else ("numpy",)


@st.composite
def networks(draw: st.DrawFn, blocks: int = 0) -> dict[str, Any]:
    """Any small network, with `blocks` attention blocks or more, and a size of images for it."""
    stages = draw(st.integers(1, 4))
    depths = draw(st.lists(st.integers(0, 2), min_size=stages - 1, max_size=stages - 1))
    depths.append(draw(st.integers(max(blocks, 1), 3)))
    sizes = draw(st.lists(st.sampled_from([3, 4, 6, 8, 13]), min_size=stages, max_size=stages))
    case = {
        "depths": depths,
        "hidden_sizes": [*sizes[:-1], draw(st.sampled_from([6, 8, 12]))],
        "downsamples": draw(st.lists(st.booleans(), min_size=stages, max_size=stages)),
        "num_meta3d_blocks": draw(st.integers(blocks, depths[-1])),
        "num_attention_heads": draw(st.integers(1, 4)),
        "key_dim": draw(st.integers(1, 8)),
        "attention_ratio": draw(st.sampled_from([1, 1.5, 2, 4])),
        "mlp_expansion_ratio": draw(st.sampled_from([0.75, 1, 2.5, 4])),
        "pool_size": draw(st.sampled_from([1, 3, 5, 7])),
        "downsample_patch_size": draw(st.sampled_from([2, 3])),
        "downsample_stride": draw(st.sampled_from([1, 2])),
        "downsample_pad": draw(st.sampled_from([0, 1])),
        "num_channels": draw(st.sampled_from([1, 3, 4])),
        "num_labels": draw(st.sampled_from([0, 1, 2, 7])),
        "hidden_act": draw(st.sampled_from(ACTS)),
        "use_layer_scale": draw(st.booleans()),
        "layer_norm_eps": draw(st.sampled_from([1e-12, 1e-5, 1e-3])),
        "batch_norm_eps": draw(st.sampled_from([1e-5, 1e-2])),
        "library": "transformers",
    }
    sides: dict[int, list[int]] = {}  # of images, by the side of the grid that they lead to
    for side in range(1, 100):
        grids = [grid for grid, _ in stage_sizes(side, side, cases.configuration(case))]
        if min(grids) > 0 and grids[-1] <= 5:
            sides.setdefault(grids[-1], []).append(side)
    case["resolution"] = draw(st.sampled_from(sorted(sides)))
    side = st.sampled_from(sides[case["resolution"]][:16])
    return case | {"image": [draw(st.integers(1, 3)), draw(side), draw(side)]}


def labels_for(case: dict[str, Any], seed: int) -> dict[str, tuple[str | None, Array]]:
    """Labels for each kind of loss, and which ``problem_type`` they need."""
    rng = np.random.default_rng(seed)
    B, K = case["image"][0], case["num_labels"]
    if K == 0:
        return {}
    yes = rng.random((B, K))
    if K == 1:
        return {"a number": (None, yes[:, 0]), "a column": ("regression", yes)}
    classes = rng.integers(0, K, B)
    ignored = np.where(np.arange(B) > 0, -100, classes)
    return {
        "classes": (None, classes),
        "some ignored": ("single_label_classification", ignored),
        "several": (None, yes),
        "numbers": ("regression", yes),
    }


def compare(case: dict[str, Any], seed: int, dtype: str, engine: str, tolerance: float) -> None:
    """A network with two heads, and its body alone."""
    reference = theirs.network(case, TEACHER, seed, dtype)
    for kind, network in ((TEACHER, reference), (MODEL, reference.efficientformer)):
        expected = theirs.everything(network, case, seed)
        model = ours.network(case, kind, seed, dtype, engine)
        found = flatten(ours.run(model, case, seed, **INSIDE))
        assert list(found) == list(expected)
        assert {array.dtype.name for array in found.values()} == {dtype}
        assert ours.difference(found, expected) <= tolerance


@settings(max_examples=45, deadline=None)
@given(networks(), st.integers(0, 99))
def test_everything_in_float64(case: dict[str, Any], seed: int) -> None:
    compare(case, seed, "float64", "numpy", FLOAT64)


@settings(max_examples=45, deadline=None)
@given(networks(), st.integers(0, 99), st.sampled_from(ENGINES))
def test_everything_in_float32(case: dict[str, Any], seed: int, engine: str) -> None:
    compare(
        case, seed, "float32", engine if case["hidden_act"] in ACTIVATION_CODES else "numpy", LOGITS
    )


@settings(max_examples=45, deadline=None)
@given(networks(), st.integers(0, 99))
def test_losses(case: dict[str, Any], seed: int) -> None:
    for dtype, tolerance in (("float64", FLOAT64), ("float32", LOGITS)):
        model = ours.network(case, CLASSIFIER, seed, dtype)
        reference = theirs.network(case, CLASSIFIER, seed, dtype)
        for name, (kind, labels) in labels_for(case, seed).items():
            labels = labels.astype(dtype) if labels.dtype.kind == "f" else labels
            model.config.problem_type = reference.config.problem_type = kind
            found = ours.run(model, case, seed, labels=labels)
            expected = theirs.run(reference, case, seed, labels=torch.from_numpy(labels))
            assert list(found) == list(expected)
            assert found.loss.dtype == dtype
            assert abs(found.loss - expected.loss.numpy()) <= tolerance, name


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("name", CASES)
def test_tuples_have_the_same_order(name: str, kind: str) -> None:
    case = CASES[name] | {"num_meta3d_blocks": 1}
    model, reference = ours.network(case, kind), theirs.network(case, kind)
    for options in ({}, {"output_attentions": True}, {"output_hidden_states": True}, INSIDE):
        found = ours.run(model, case, return_dict=False, **options)
        expected = theirs.run(reference, case, return_dict=False, **options)
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert isinstance(one, tuple) == isinstance(other, tuple)
            parts = (one, other) if isinstance(one, tuple) else ([one], [other])
            for array, tensor in zip(*parts, strict=True):
                np.testing.assert_allclose(array, tensor.numpy(), rtol=0, atol=FLOAT64)


def test_a_tuple_with_a_loss() -> None:
    case = cases.SMALL["usual"]
    found = ours.run(ours.network(case, CLASSIFIER), case, labels=[1, 2], return_dict=False)
    expected = theirs.run(
        theirs.network(case, CLASSIFIER), case, labels=torch.tensor([1, 2]), return_dict=False
    )
    for array, tensor in zip(found, expected, strict=True):
        np.testing.assert_allclose(array, tensor.numpy(), rtol=0, atol=FLOAT64)


@settings(max_examples=20, deadline=None)
@given(case=networks(blocks=1), seed=st.integers(0, 99), kind=st.sampled_from(CLASSES))
def test_what_one_library_saves_the_other_loads(tmp_path_factory, case, seed, kind: str) -> None:
    path = tmp_path_factory.mktemp("saved")
    expected = theirs.everything(theirs.network(case, kind, seed), case, seed)

    ours.network(case, kind, seed).save_pretrained(path / "ours")
    reference, notes = getattr(transformers, kind).from_pretrained(
        path / "ours", torch_dtype="auto", output_loading_info=True
    )
    assert not any(notes.values())
    assert ours.difference(theirs.everything(reference, case, seed), expected) == 0

    theirs.network(case, kind, seed).save_pretrained(path / "theirs")
    model = getattr(npformer, kind).from_pretrained(path / "theirs", dtype="float64")
    found = flatten(ours.run(model, case, seed, **INSIDE))
    assert ours.difference(found, expected) <= FLOAT64


@pytest.mark.parametrize("kind", CLASSES)
def test_state_dict_has_the_names_and_tensors_of_pytorch(kind: str) -> None:
    case = cases.SMALL["tokens"]
    expected = theirs.network(case, kind).state_dict()
    found = ours.network(case, kind).state_dict()
    assert set(found) == set(expected)
    for key, tensor in expected.items():
        np.testing.assert_array_equal(found[key], tensor.numpy(), err_msg=key)


def test_the_same_errors() -> None:
    case = cases.SMALL["usual"]
    for model in (ours.network(case, CLASSIFIER), theirs.network(case, CLASSIFIER)):
        with pytest.raises(ValueError, match=r"^You have to specify pixel_values$"):
            model()


@given(st.integers(0, 99))
def test_group_norm_of_one_group(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, p = rng.normal(2, 3, (2, 5, 3, 4)), LayerNorm(rng.normal(size=5), rng.normal(size=5))
    weight, bias = torch.from_numpy(p.weight), torch.from_numpy(p.bias)
    expected = torch.nn.functional.group_norm(torch.from_numpy(x), 1, weight, bias)
    np.testing.assert_allclose(group_norm(x, p), expected.numpy(), rtol=0, atol=FLOAT64)
