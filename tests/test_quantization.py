"""Networks in eight bits as users meet them: made, written, read strictly, and used like others."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from engine_cases import config, images, network
from PIL import Image
from readme import ROOT

import npformer
from npformer import checkpoints, learn
from npformer.checkpoints import quantized, safetensors_file
from npformer.commands.main import main
from npformer.engine import make_gradients
from npformer.engine.compensate import quantize_compensated, round_linear
from npformer.engine.fold import FoldedNetwork
from npformer.engine.quantize import quantize, quantized_forward
from npformer.errors import ConfigError, ImageError, MissingWeights, WeightsError
from npformer.hf.modeling import model_class
from npformer.images.dead_leaves import dead_leaves
from npformer.layers import Linear, dequantize_linear, linear, quantize_linear
from npformer.network.tree import leaves

COFFEE = ROOT / "notebooks/images/coffee.png"
FC1 = "stages.0.blocks.0.mlp.fc1"


def classifier(c=None, p=None, engine="numpy"):
    c = c or config()
    p = network(c) if p is None else p
    processor = npformer.EfficientFormerImageProcessor(size=72, crop_size=64)
    return npformer.Classifier(model_class(p)(c, p, engine=engine), processor)


def in_eight_bits(c=None, **options):
    c = c or config()
    return classifier(c, quantize(network(c, **options), c))


@pytest.fixture
def folder(tmp_path):
    in_eight_bits().save(tmp_path / "eight")
    return tmp_path / "eight"


# Rounding


def rows(n=400, C=24, seed=0):
    """Rows whose numbers vary together, as those of a network do."""
    rng = np.random.default_rng(seed)
    mixed = rng.standard_normal((n, 6)) @ rng.standard_normal((6, C)) + 1
    return (mixed + 0.05 * rng.standard_normal((n, C))).astype("f4")


def layer(C=24, K=40, seed=1):
    rng = np.random.default_rng(seed)
    return Linear(rng.standard_normal((C, K)).astype("f4"), rng.standard_normal(K).astype("f4"))


def test_errors_make_up_for_one_another():
    x, p = rows(), layer()
    nearest, rounded = quantize_linear(p), round_linear(p, x)
    np.testing.assert_array_equal(rounded.scale, nearest.scale)
    assert rounded.weight.dtype == np.int8
    assert np.abs(rounded.weight.astype(int)).max() == 127
    for new in (x, rows(seed=2)):  # rows that it has not seen vary together in the same way
        far, near = (linear(new, dequantize_linear(q)) - linear(new, p) for q in (nearest, rounded))
        if new is x:
            assert np.sqrt((near**2).mean()) < 0.4 * np.sqrt((far**2).mean())
            np.testing.assert_allclose(near.mean(0), 0, atol=1e-5)


def test_errors_pass_from_block_to_block(monkeypatch):
    """How many inputs are rounded before their errors go on changes no weight but by a tie."""
    at_once = round_linear(layer(), rows()).weight
    monkeypatch.setattr("npformer.engine.compensate.BLOCK", 7)
    assert (round_linear(layer(), rows()).weight == at_once).mean() > 0.99


def test_rows_that_do_not_vary_or_are_not_finite():
    p, still = layer(), np.ones((5, 24), "f4")
    np.testing.assert_array_equal(round_linear(p, still).weight, quantize_linear(p).weight)
    near = linear(still, dequantize_linear(round_linear(p, still)))
    np.testing.assert_allclose(near, linear(still, p), rtol=1e-5, atol=1e-5)
    still[0, 0] = np.nan
    np.testing.assert_array_equal(round_linear(p, still).bias, p.bias)


def test_a_network_is_rounded_layer_by_layer():
    """Each layer meets the rows that it has in the network: its inputs, and in its place."""
    c = config()
    p = network(c)
    x = images(4)
    tree = quantize_compensated(p, c, x)
    plain = quantize(p, c)
    assert [(path, leaf.shape, leaf.dtype) for path, leaf in leaves(tree)] == [
        (path, leaf.shape, leaf.dtype) for path, leaf in leaves(plain)
    ]
    for (path, found), (_, scale) in zip(leaves(tree), leaves(plain), strict=True):
        if path.endswith(".scale"):
            np.testing.assert_array_equal(found, scale, err_msg=path)
    want = npformer.network.forward(x, p, c).logits
    off = [np.abs(quantized_forward(x, q, c).logits - want).mean() for q in (tree, plain)]
    assert off[0] < 0.8 * off[1]
    with pytest.raises(ConfigError, match="pixel values have shape"):
        quantize_compensated(p, c, x[..., :2])


def test_dead_leaves():
    pictures = dead_leaves(3, 40, 56, seed=4)
    assert pictures.shape == (3, 40, 56, 3)
    assert pictures.dtype == np.float32
    np.testing.assert_array_equal(pictures, dead_leaves(3, 40, 56, seed=4))
    assert not np.array_equal(pictures, dead_leaves(3, 40, 56))
    assert np.abs(pictures).max() <= 2.6
    assert 0.4 < pictures.std() < 2
    beside = np.abs(np.diff(pictures, axis=2)).mean()  # neighbors are mostly of one leaf
    assert beside < 0.5 * np.abs(pictures - pictures[:, :, ::-1]).mean()


# Making


def test_quantize(tmp_path):
    c = config()
    model = classifier(c)
    found = npformer.quantize(model, engine="numpy")
    assert type(found.model) is type(model.model)
    assert found.processor is model.processor
    assert isinstance(found.params, FoldedNetwork)
    want = quantize_compensated(model.params, c, dead_leaves(32, *c.image_shape))
    for (path, a), (_, b) in zip(leaves(found.params), leaves(want), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=path)
    model.save(tmp_path / "float")
    again = npformer.quantize(str(tmp_path / "float"), [COFFEE])
    x = model.processor.pixels(COFFEE)[None]
    want = quantize_compensated(model.params, c, x)
    for (path, a), (_, b) in zip(leaves(again.params), leaves(want), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=path)


def test_what_is_not_quantized(tmp_path):
    with pytest.raises(ConfigError, match="the model is in eight bits already"):
        npformer.quantize(in_eight_bits())
    with pytest.raises(ConfigError, match="the model is float64; expected float32"):
        npformer.quantize(classifier(p=network(config(), dtype="float64")))
    for nothing in ([], tmp_path):
        with pytest.raises(ImageError, match="found no photographs; expected at least one"):
            npformer.quantize(classifier(), nothing)


def test_a_folder_is_taken_at_equal_distances(tmp_path, monkeypatch):
    for i in range(6):
        Image.new("RGB", (80, 80), (40 * i, 0, 0)).save(tmp_path / f"{i}.png")
    monkeypatch.setattr("npformer.quantization.PHOTOGRAPHS", 3)
    model = classifier()
    x = npformer.quantization.calibration_images(model, tmp_path)
    expected = [model.processor.pixels(tmp_path / f"{i}.png") for i in (0, 2, 4)]
    np.testing.assert_array_equal(x, np.stack(expected))


def test_on_the_fly_each_weight_is_rounded_by_itself(tmp_path):
    classifier().save(tmp_path)
    found = npformer.load(tmp_path, dtype="int8", engine="numpy")
    want = quantize(network(config()), config())
    for (path, a), (_, b) in zip(leaves(found.params), leaves(want), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=path)
    larger = npformer.load(tmp_path, dtype="int8", engine="numpy", image_size=96)
    resized = npformer.load(tmp_path, engine="numpy", image_size=96)
    want = quantize(resized.params, resized.config)
    for (path, a), (_, b) in zip(leaves(larger.params), leaves(want), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=path)


def test_the_default_weights_become_a_quarter(tmp_path):
    npformer.load("tiny", dtype="int8", engine="numpy").save(tmp_path)
    before = sum(leaf.nbytes for _, leaf in leaves(npformer.load("tiny", engine="numpy").params))
    assert (tmp_path / "model.safetensors").stat().st_size <= 0.26 * before
    # nor is anything kept in float32 beside the eight bits
    found = npformer.load(tmp_path, engine="numpy")
    assert sum(leaf.nbytes for _, leaf in leaves(found.params)) <= 0.26 * before
    assert len(pickle.dumps(found)) <= 0.26 * before


# Writing and reading

ROUND_TRIPS = {
    "two heads": ({}, True),
    "one head": ({}, False),
    "no head": ({"id2label": {}}, False),
    "no layer scale": ({"use_layer_scale": False}, True),
    "no attention": ({"num_meta3d_blocks": 0}, True),
}


@pytest.mark.parametrize("case", ROUND_TRIPS)
def test_a_folder_gives_the_same_network(case, tmp_path):
    changes, distilled = ROUND_TRIPS[case]
    c = config(**changes)
    here = classifier(c, quantize(network(c, distilled=distilled), c))
    here.save(tmp_path)
    there = npformer.load(tmp_path, engine="numpy")
    assert type(there.model) is type(here.model)
    assert there.processor.to_dict() == here.processor.to_dict()
    assert there.config.id2label == c.id2label
    assert not hasattr(there.config, quantized.KEY)
    for (path, a), (name, b) in zip(leaves(there.params), leaves(here.params), strict=True):
        assert (path, a.dtype) == (name, b.dtype)
        np.testing.assert_array_equal(a, b, err_msg=path)
        assert not a.flags.writeable
    x = images(2)
    np.testing.assert_array_equal(there.model.network(x).logits, here.model.network(x).logits)
    scheme = json.loads((tmp_path / "config.json").read_text())[quantized.KEY]
    assert scheme == {"quant_method": "npformer_int8", "version": 1}


def test_biases_by_pair_have_no_file(tmp_path):
    c = config()
    params, resized = npformer.network.resize(network(c), c, 96, "original")
    with pytest.raises(WeightsError, match="an attention bias for each pair"):
        quantized.write(tmp_path / "a", resized, quantize(params, resized))
    assert not (tmp_path / "a").exists()


def changed(array, value):
    array = array.copy()
    array.flat[1] = value
    return array


DAMAGES = {
    "missing": (lambda t: t.pop(f"{FC1}.scale"), rf"missing tensors \(1\): '{FC1}.scale'"),
    "a head missing": (
        lambda t: [t.pop(f"head_dist.{leaf}") for leaf in ("weight", "scale", "bias")],
        r"missing tensors \(3\): 'head_dist.weight'",
    ),
    "unexpected": (
        lambda t: t.update({f"{FC1}.zero": np.zeros(3, "i1")}),
        rf"unexpected tensors \(1\): '{FC1}.zero'",
    ),
    "another dtype of a weight": (
        lambda t: t.update({f"{FC1}.weight": t[f"{FC1}.weight"].astype("i2")}),
        rf"tensor '{FC1}.weight' is int16, expected int8",
    ),
    "unsigned weights": (
        lambda t: t.update({f"{FC1}.weight": t[f"{FC1}.weight"].view("u1")}),
        rf"tensor '{FC1}.weight' is uint8, expected int8",
    ),
    "another dtype of a scale": (
        lambda t: t.update({f"{FC1}.scale": t[f"{FC1}.scale"].astype("f8")}),
        rf"tensor '{FC1}.scale' is float64, expected float32",
    ),
    "the first convolution in eight bits": (
        lambda t: t.update({"stem.0.weight": t["stem.0.weight"].astype("i1")}),
        "tensor 'stem.0.weight' is int8, expected float32",
    ),
    "another shape": (
        lambda t: t.update({f"{FC1}.weight": t[f"{FC1}.weight"].T.copy()}),
        rf"tensor '{FC1}.weight' has shape \(48, 12\), expected \(12, 48\)",
    ),
    "a scale for all": (
        lambda t: t.update({f"{FC1}.scale": t[f"{FC1}.scale"][:1]}),
        rf"tensor '{FC1}.scale' has shape \(1,\), expected \(48,\)",
    ),
    "a scale that is no number": (
        lambda t: t.update({f"{FC1}.scale": changed(t[f"{FC1}.scale"], np.nan)}),
        rf"tensor '{FC1}.scale' has 1 of 48 values that are not finite",
    ),
    "a negative scale": (
        lambda t: t.update({f"{FC1}.scale": changed(t[f"{FC1}.scale"], -0.5)}),
        rf"tensor '{FC1}.scale' holds the scale -0.5, expected positive ones",
    ),
    "a scale of 0": (
        lambda t: t.update({f"{FC1}.scale": changed(t[f"{FC1}.scale"], 0)}),
        rf"tensor '{FC1}.scale' holds the scale 0, expected positive ones",
    ),
    "−128": (
        lambda t: t.update({f"{FC1}.weight": changed(t[f"{FC1}.weight"], -128)}),
        rf"tensor '{FC1}.weight' holds −128 1 times, expected −127 to 127",
    ),
    "an infinite bias": (
        lambda t: t.update({"norm.bias": changed(t["norm.bias"], np.inf)}),
        "tensor 'norm.bias' has 1 of 36 values that are not finite",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_weights_are_refused(damage, folder):
    harm, message = DAMAGES[damage]
    file = folder / "model.safetensors"
    tensors = dict(safetensors_file.read(file)[0])
    harm(tensors)
    safetensors_file.write(file, tensors)
    with pytest.raises(WeightsError, match=message) as caught:
        npformer.load(folder)
    assert str(caught.value).startswith(f"{file}: ")
    assert "quantize the weights again" in str(caught.value)


def rewritten(folder, **changes):
    file = folder / "config.json"
    values = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({key: value for key, value in values.items() if value is not None}))


SCHEMES = [
    {"quant_method": "npformer_int8", "version": 2},
    {"quant_method": "gptq", "bits": 8},
    {"quant_method": "npformer_int8", "version": 1, "symmetric": True},
    {"quant_method": "npformer_int8"},
    "int8", [], {},
]  # fmt: skip


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize("read", [checkpoints.read, checkpoints.read_any])
def test_other_schemes_are_refused(scheme, read, folder):
    rewritten(folder, quantization_config=scheme)
    with pytest.raises(WeightsError, match=r"config.json: quantization_config is .*; expected qua"):
        read(folder)


def test_eight_bits_of_which_nothing_is_said_are_refused(folder):
    file = folder / "model.safetensors"
    message = r"is int8 and nothing says what its numbers mean; .*: name the folder"
    with pytest.raises(WeightsError, match=message):
        npformer.load(file)
    rewritten(folder, quantization_config=None)
    with pytest.raises(WeightsError, match=message):
        npformer.load(folder)
    (folder / "config.json").unlink()
    with pytest.raises(WeightsError, match=message):
        npformer.load(folder)


def test_a_folder_without_weights_or_with_half_of_them(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(WeightsError, match="truncated"):
        npformer.load(folder)
    file.unlink()
    with pytest.raises(MissingWeights, match=r"no such file, and config.json says"):
        npformer.load(folder)


def test_a_configuration_of_another_network(folder):
    rewritten(folder, mlp_expansion_ratio=3)
    with pytest.raises(WeightsError, match=r"has shape \(12, 48\), expected \(12, 36\)"):
        npformer.load(folder)
    rewritten(folder, pool_size=2)
    with pytest.raises(ConfigError, match=r"config.json: pool_size is 2; expected an odd number"):
        npformer.load(folder)


def test_without_a_processor_the_usual_one_is_guessed(folder):
    (folder / "preprocessor_config.json").unlink()
    with pytest.warns(UserWarning, match="nothing says how its images are preprocessed"):
        assert npformer.load(folder, engine="numpy").classify(COFFEE)


def test_there_is_no_way_back(folder):
    for dtype in ("float32", "float64"):
        with pytest.raises(WeightsError, match=f"dtype is '{dtype}' and the weights are in eight"):
            npformer.load(folder, dtype=dtype)
    with pytest.raises(WeightsError, match="have no entry 'ema'"):
        npformer.load(folder, entry="ema")
    with pytest.raises(ConfigError, match="image_size is 96 and the weights are in eight bits"):
        npformer.load(folder, image_size=96)


# Using


def test_it_is_used_like_any_other(folder, tmp_path, capsys):
    model = npformer.load(folder, engine="numpy")
    assert model.classify(COFFEE) == npformer.load(folder, dtype="int8", engine="numpy").classify(
        COFFEE
    )
    assert repr(model.model).endswith("parameters, int8)")
    found = npformer.explain(COFFEE, model)
    index = found.predictions[0].index  # the same places speak for it, by as much
    real = npformer.explain(COFFEE, classifier(), top=7)
    cams = {answer.index: cam for answer, cam in zip(real.predictions, real.cams, strict=False)}
    np.testing.assert_allclose(found.cams[0], cams[index], atol=0.1 * cams[index].max())
    assert found.maps["stem"].shape[-1] == 12
    outputs = model.model(model.preprocess(COFFEE)[None], output_attentions=True)
    assert len(outputs.attentions) == 2
    assert model.model.num_parameters() == sum(
        leaf.size for path, leaf in leaves(model.params) if not path.endswith("scale")
    )
    place = tmp_path / "photographs"
    for label in ("0", "1"):
        (place / label).mkdir(parents=True)
        Image.open(COFFEE).save(place / label / "a.png")
    assert learn.evaluate(place, folder, engine="numpy").images == 2
    for words in (["info"], ["classify", str(COFFEE), "--engine", "numpy", "--model"]):
        assert main([*words, str(folder)]) == 0
    assert capsys.readouterr().out


def test_the_classes_of_transformers(folder, tmp_path):
    kind = npformer.EfficientFormerForImageClassificationWithTeacher
    model = kind.from_pretrained(folder, engine="numpy")
    assert isinstance(model.params, FoldedNetwork)
    model.save_pretrained(tmp_path / "b")
    x = images(1).transpose(0, 3, 1, 2)
    again = npformer.AutoModelForImageClassification.from_pretrained(tmp_path / "b")
    assert type(again) is kind
    np.testing.assert_array_equal(kind.from_pretrained(tmp_path / "b", engine="numpy")(x)[0],
                                  model(x)[0])  # fmt: skip
    one = npformer.EfficientFormerForImageClassification.from_pretrained(folder, engine="numpy")
    assert one.params.head_dist is None
    for options in ({"image_size": 96}, {"num_labels": 3}, {"ignore_mismatched_sizes": True}):
        with pytest.raises(ConfigError, match="a network in eight bits stays as it is"):
            kind.from_pretrained(folder, **options)
    with pytest.raises(WeightsError, match="from which there is no way back"):
        kind.from_pretrained(folder, dtype="float32")
    with pytest.raises(WeightsError, match="no tensors of another library"):
        model.state_dict()
    with pytest.raises(ConfigError, match="naming is 'timm'"):
        model.save_pretrained(tmp_path / "c", naming="timm")
    with pytest.raises(WeightsError, match=r"the weights have .* of shape"):
        kind(config(hidden_sizes=(12, 16, 20, 40), dim=40), model.params)


def test_what_needs_real_weights_says_so(folder, tmp_path, capsys):
    in_words = "the weights are in eight bits, with which npformer classifies"
    photographs = tmp_path / "photographs"
    for label in ("a", "b"):
        (photographs / label).mkdir(parents=True)
        for i in range(4):
            Image.open(COFFEE).resize((40, 40)).save(photographs / label / f"{i}.png")
    for words in (
        ["convert", str(folder), str(tmp_path / "t.pth"), "--to", "original"],
        ["train", str(photographs), "--from", str(folder), "--out", str(tmp_path / "out")],
    ):
        assert main(words) == 1
        assert in_words in capsys.readouterr().err
    with pytest.raises(ConfigError, match="a network in eight bits cannot be trained"):
        make_gradients(quantize(network(config()), config()), config())


def test_the_command(tmp_path, capsys):
    classifier().save(tmp_path / "float")
    words = ["quantize", str(tmp_path / "float"), str(tmp_path / "eight")]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{tmp_path / 'eight'}: weights in eight bits, ")
    assert isinstance(npformer.load(tmp_path / "eight").params, FoldedNetwork)
    before = (tmp_path / "eight/model.safetensors").read_bytes()
    assert main([*words, "--calibrate", str(ROOT / "notebooks/images")]) == 0
    assert (tmp_path / "eight/model.safetensors").read_bytes() != before
    assert main([*words, "--calibrate", str(tmp_path / "float")]) == 1
    assert "found no photographs" in capsys.readouterr().err
    assert main(["quantize", str(tmp_path / "eight"), str(tmp_path / "c")]) == 1
    assert "the model is in eight bits already" in capsys.readouterr().err
    assert not Path(tmp_path / "c").exists()
