"""Other image sizes and PyTorch: the authors' recipe, and saved networks in transformers."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import model_cases as ours
from golden import cases
from golden import modeling as theirs
from golden.check import FLOAT64
from golden.modeling import CASES, CLASSES, TEACHER, flatten
from hypothesis import given, settings
from hypothesis import strategies as st

import npformer
from npformer.layers import Array
from npformer.network.resizing import bicubic_weights, resize

CASE = CASES["usual"] | {"num_meta3d_blocks": 2}  # a grid of 3×3 for 37×45 pixels
LARGER = CASE | {"image": [2, 61, 59]}  # of 4×4


def enlarge(table: Array, N: int) -> Array:
    """What ``detection/backbone.py`` does with gathered biases, (heads, ·, ·) -> (heads, N, N)."""
    images = torch.as_tensor(table)[None]
    return torch.nn.functional.interpolate(images, size=(N, N), mode="bicubic")[0]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 99))
def test_bicubic_weights(old: int, new: int, seed: int) -> None:
    table = np.random.default_rng(seed).normal(size=(2, old, old))
    weights = bicubic_weights(old, new)
    found = weights @ table @ weights.T
    np.testing.assert_allclose(found, enlarge(table, new).numpy(), rtol=0, atol=1e-13)


@pytest.mark.parametrize("kind", CLASSES)
def test_the_authors_recipe_for_a_whole_network(kind: str) -> None:
    reference = theirs.network(CASE, kind)
    for module in reference.modules():
        if hasattr(module, "ab"):
            module.ab = enlarge(module.ab.detach(), 16)
    expected = theirs.everything(reference, LARGER)

    params = cases.parameters(CASE | {"distilled": kind == TEACHER})
    resized, config = resize(params, cases.configuration(CASE), (61, 59), "original")
    model = getattr(npformer, kind)(config, resized, engine="numpy")
    found = ours.run(model, LARGER, output_hidden_states=True, output_attentions=True)
    assert ours.difference(flatten(found), expected) <= FLOAT64


@pytest.mark.parametrize("kind", CLASSES)
def test_a_network_for_another_size_runs_in_transformers(tmp_path, kind: str) -> None:
    ours.network(CASE, kind).save_pretrained(tmp_path / "small")
    model = getattr(npformer, kind).from_pretrained(
        tmp_path / "small", image_size=(61, 59), dtype="float64", engine="numpy"
    )
    model.save_pretrained(tmp_path / "larger")
    reference = getattr(transformers, kind).from_pretrained(tmp_path / "larger", torch_dtype="auto")
    assert reference.config.resolution == 4
    found = ours.run(model, LARGER, output_hidden_states=True, output_attentions=True)
    expected = theirs.everything(reference, LARGER)
    assert ours.difference(flatten(found), expected) <= FLOAT64
