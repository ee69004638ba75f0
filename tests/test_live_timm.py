"""The model classes and the backbone beside timm, for networks that nobody chose."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")
pytest.importorskip("transformers")

import model_cases as ours
from golden import cases, reference
from golden.check import FLOAT64, LOGITS
from golden.modeling import MODEL, TEACHER, images
from hypothesis import given, settings
from hypothesis import strategies as st

from npformer import EfficientFormerBackbone

ENGINES = ("numpy", "numba") if find_spec("numba") else ("numpy",)


@st.composite
def networks(draw: st.DrawFn) -> dict[str, Any]:
    """Any small network that timm can make, and images whose sides it halves without a rest."""
    stages = draw(st.integers(2, 4))
    depths = draw(st.lists(st.integers(0, 2), min_size=stages - 1, max_size=stages - 1))
    depths.append(draw(st.integers(1, 3)))
    sizes = draw(st.lists(st.sampled_from([3, 4, 6, 8, 13]), min_size=stages, max_size=stages))
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    stride = 2 ** (stages + 1)
    return {
        "depths": depths,
        # A layer norm over three nearly equal channels would enlarge rounding beyond any promise.
        "hidden_sizes": [*sizes[:-1], draw(st.sampled_from([6, 8, 12]))],
        "num_meta3d_blocks": draw(st.integers(1, depths[-1])),
        "num_attention_heads": draw(st.integers(1, 4)),
        "key_dim": draw(st.integers(1, 8)),
        "attention_ratio": draw(st.sampled_from([1, 1.5, 2, 4])),
        "mlp_expansion_ratio": draw(st.sampled_from([1, 2.5, 4])),
        "num_labels": draw(st.sampled_from([1, 2, 7])),
        "layer_norm_eps": draw(st.sampled_from([1e-12, 1e-5, 1e-3])),
        "resolution": [rows, columns],
        "image": [draw(st.integers(1, 3)), rows * stride, columns * stride],
        "library": "timm",
    }


def run(case: dict[str, Any], seed: int, dtype: str) -> tuple[Any, list[Any], Any]:
    """Tokens after the final norm, the map of each stage before it, and logits, by timm."""
    model = reference.network(case, seed, dtype)
    x = torch.from_numpy(images(case, seed)).to(getattr(torch, dtype))
    with torch.no_grad():
        tokens, maps = model.forward_intermediates(x)
        return tokens.numpy(), [m.numpy() for m in maps], model(x).numpy()


def compare(case: dict[str, Any], seed: int, dtype: str, engine: str, tolerance: float) -> None:
    tokens, maps, logits = run(case, seed, dtype)
    found = ours.run(ours.network(case, TEACHER, seed, dtype, engine), case, seed)
    np.testing.assert_allclose(found.logits, logits, rtol=0, atol=tolerance)
    found = ours.run(ours.network(case, MODEL, seed, dtype, engine), case, seed)
    np.testing.assert_allclose(found.last_hidden_state, tokens, rtol=0, atol=tolerance)
    config, params = cases.configuration(case), cases.parameters(case, seed, dtype)
    backbone = EfficientFormerBackbone(config, params, engine=engine)
    found = ours.run(backbone, case, seed).feature_maps
    assert len(found) == len(maps)
    for one, other in zip(found, maps, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance)


@settings(max_examples=40, deadline=None)
@given(networks(), st.integers(0, 99))
def test_logits_tokens_and_maps_in_float64(case: dict[str, Any], seed: int) -> None:
    compare(case, seed, "float64", "numpy", FLOAT64)


@settings(max_examples=25, deadline=None)
@given(networks(), st.integers(0, 99), st.sampled_from(ENGINES))
def test_logits_tokens_and_maps_in_float32(case: dict[str, Any], seed: int, engine: str) -> None:
    compare(case, seed, "float32", engine, LOGITS)


@settings(max_examples=10, deadline=None)
@given(networks(), st.integers(0, 99))
def test_state_dict_has_the_names_and_tensors_of_timm(case: dict[str, Any], seed: int) -> None:
    expected = reference.network(case, seed).state_dict()
    found = ours.network(case, TEACHER, seed).state_dict("timm")
    assert set(found) == set(expected)
    for key, tensor in expected.items():
        np.testing.assert_array_equal(found[key], tensor.numpy(), err_msg=key)
