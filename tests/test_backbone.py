"""The backbone: which maps, of which shape, and that they are what the network works with."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from golden import cases, check
from golden.modeling import MODEL, images
from model_cases import network

import npformer
from npformer import EfficientFormerBackbone, EfficientFormerConfig
from npformer.errors import ConfigError, ImageError
from npformer.hf.group_norm import group_norm
from npformer.layers import LayerNorm

USUAL = cases.SMALL["usual"]
ENGINES = ("numpy", "numba") if find_spec("numba") else ("numpy",)


def backbone(case=USUAL, dtype="float64", **options) -> EfficientFormerBackbone:
    params = cases.parameters(case, dtype=dtype)
    return EfficientFormerBackbone(cases.configuration(case), params, **options)


@pytest.mark.parametrize("name", ["usual", "native", "tokens", "oblong", "window"])
def test_maps_are_what_pytorchs_stages_return(name: str) -> None:
    """transformers numbers its stages otherwise; the golden files have timm's names."""
    case, (_, outputs), _ = check.golden(name)
    found = backbone(case)(images(case)).feature_maps
    *maps, last = [outputs[f"stages.{i}"] for i in range(len(case["depths"]))]
    rows, columns = cases.configuration(case).token_grid
    maps.append(last.reshape(len(last), rows, columns, -1))
    assert len(found) == len(maps)
    for one, other in zip(found, maps, strict=True):
        np.testing.assert_allclose(one, other.transpose(0, 3, 1, 2), rtol=0, atol=check.FLOAT64)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_gives_the_same_maps(engine: str) -> None:
    expected = backbone()(images(USUAL)).feature_maps
    found = backbone(dtype="float32", engine=engine)(images(USUAL), batch_size=1).feature_maps
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other, rtol=0, atol=check.LOGITS)


def test_strides_and_channels_of_a_named_network() -> None:
    model = EfficientFormerBackbone(EfficientFormerConfig.variant("tiny"))
    assert model.stage_names == ["stem", "stage1", "stage2", "stage3", "stage4"]
    assert model.out_features == ["stage1", "stage2", "stage3", "stage4"]
    assert model.out_indices == [1, 2, 3, 4]
    assert model.strides == [4, 8, 16, 32]
    assert model.channels == [32, 64, 128, 256]
    maps = model(np.zeros((2, 3, 128, 128), np.float32)).feature_maps
    assert [m.shape for m in maps] == [
        (2, C, 128 // s, 128 // s) for s, C in zip(model.strides, model.channels, strict=True)
    ]


def test_strides_where_a_stage_does_not_shrink() -> None:
    assert backbone(cases.SMALL["tokens"], out_indices=range(4)).strides == [4, 4, 4, 8]
    assert backbone(cases.SMALL["window"]).strides == [4, 12]


def test_some_maps_in_order_and_what_was_seen_inside() -> None:
    model = backbone(out_features=["stage3", "stem"])
    assert model.out_features == ["stem", "stage3"]
    output = model(images(USUAL), output_hidden_states=True, output_attentions=True)
    assert list(output) == ["feature_maps", "hidden_states", "attentions"]
    np.testing.assert_array_equal(output.feature_maps[0], output.hidden_states[0])
    tokens = output.hidden_states[-1]  # (B, N, C)
    np.testing.assert_array_equal(
        output.feature_maps[1].reshape(2, 8, 9).transpose(0, 2, 1), tokens
    )
    same = network(USUAL, MODEL)(images(USUAL), output_attentions=True)
    np.testing.assert_array_equal(output.attentions[0], same.attentions[0])
    assert isinstance(model(images(USUAL), return_dict=False), tuple)
    model.out_indices = [-2, 1]
    assert model.out_features == ["stage1", "stage2"]
    assert [m.shape[1] for m in model(images(USUAL)).feature_maps] == model.channels == [8, 6]


def test_maps_that_are_none() -> None:
    for options in ({"out_features": ["stage5"]}, {"out_features": []}):
        with pytest.raises(ConfigError, match="stem, stage1, stage2, stage3"):
            backbone(**options)
    for indices in ([4], [-5], []):
        with pytest.raises(ConfigError, match="0 to 3"):
            backbone(out_indices=indices)
    with pytest.raises(ConfigError, match="give one of them"):
        backbone(out_features=["stem"], out_indices=[0])
    with pytest.raises(ImageError, match="3 channels"):
        backbone()(np.zeros((1, 4, 37, 45)))


def test_a_group_norm_gives_every_image_mean_0_and_variance_1() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(3, 2, (2, 5, 4, 6))
    weight, bias = rng.normal(size=5), rng.normal(size=5)
    y = group_norm(x, LayerNorm(np.ones(5), np.zeros(5)))
    np.testing.assert_allclose(y.mean((1, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(y.var((1, 2, 3)), 1, atol=1e-5)
    z = group_norm(x, LayerNorm(weight, bias))
    np.testing.assert_allclose(z[1, 3], y[1, 3] * weight[3] + bias[3], atol=1e-12)


def test_normalized_maps_use_the_weights_of_their_stage() -> None:
    plain, model = backbone(), backbone(normalize=True)
    model.norms["stage2"] = LayerNorm(np.full(6, 2.0), np.full(6, -1.0))
    expected = plain(images(USUAL)).feature_maps
    found = model(images(USUAL)).feature_maps
    assert set(model.norms) == set(model.stage_names)
    for name, one, other in zip(model.out_features, found, expected, strict=True):
        np.testing.assert_array_equal(one, group_norm(other, model.norms[name]))
    np.testing.assert_allclose(found[1].mean((1, 2, 3)), -1, atol=1e-12)


def test_from_a_folder_for_images_of_another_size(tmp_path) -> None:
    """The classification head is left out, and what is saved is the body."""
    network(USUAL, MODEL).save_pretrained(tmp_path)
    model = EfficientFormerBackbone.from_pretrained(
        tmp_path, out_indices=[3], normalize=True, image_size=(64, 96), dtype="float64"
    )
    assert (model.out_features, model.normalize) == (["stage3"], True)
    assert model(np.ones((1, 3, 64, 96))).feature_maps[0].shape == (1, 8, 4, 6)
    assert model(np.ones((0, 3, 64, 96))).feature_maps[0].shape == (0, 8, 4, 6)
    model.save_pretrained(tmp_path / "again")
    again = npformer.EfficientFormerModel.from_pretrained(tmp_path / "again", dtype="float64")
    tokens = again(np.ones((1, 3, 64, 96))).last_hidden_state
    assert tokens.shape == (1, 24, 8)
