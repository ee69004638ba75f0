"""The model classes return what transformers' do, from a file, and are right where those err."""

from __future__ import annotations

import copy
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from golden import cases
from golden.check import FLOAT64, LOGITS
from golden.modeling import (
    CASES,
    CLASSES,
    CLASSIFIER,
    FILE,
    LOSSES,
    MODEL,
    TEACHER,
    flatten,
    images,
)
from model_cases import difference, network, run

import npformer
from npformer import EfficientFormerConfig
from npformer.checkpoints import read
from npformer.engine.pack import ACTIVATION_CODES
from npformer.errors import ConfigError, ImageError, WeightsError
from npformer.layers import softmax
from npformer.network.tree import leaves

USUAL = cases.SMALL["usual"]
INSIDE = {"output_hidden_states": True, "output_attentions": True}
ENGINES = ("numpy", "numba") if find_spec("numba") else ("numpy",)
IMAGES = images(USUAL)


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    with np.load(FILE) as file:
        return dict(file)


def expected(golden: dict[str, Any], name: str, kind: str) -> dict[str, Any]:
    """What the class returns: what is inside is the same for all of them."""
    start = f"{name}/{MODEL}/"
    inside = {key.removeprefix(start): golden[key] for key in golden if key.startswith(start)}
    if kind == MODEL:
        return inside
    del inside["last_hidden_state"]
    start = f"{name}/{kind}/"
    own = {key.removeprefix(start): golden[key] for key in golden if key.startswith(start)}
    assert own
    return own | inside


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("name", CASES)
def test_all_fields_are_those_of_transformers(golden, name: str, kind: str) -> None:
    case = CASES[name]
    wanted = expected(golden, name, kind)
    found = flatten(run(network(case, kind), case, **INSIDE))
    assert list(found) == list(wanted)
    assert difference(found, wanted) <= FLOAT64


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("name", CASES)
def test_all_fields_in_float32(golden, name: str, kind: str, engine: str) -> None:
    case = CASES[name]
    if engine == "numba" and case.get("hidden_act", "gelu") not in ACTIVATION_CODES:
        pytest.skip("no kernel for that activation")
    output = run(network(case, kind, dtype="float32", engine=engine), case, **INSIDE)
    found = flatten(output)
    assert {array.dtype.name for array in found.values()} == {"float32"}
    assert difference(found, expected(golden, name, kind)) <= LOGITS


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_those_of_transformers(golden, name: str) -> None:
    changes, labels = LOSSES[name]
    case = USUAL | changes
    loss = run(network(case, CLASSIFIER), case, labels=labels).loss
    assert loss.shape == ()
    assert abs(loss - golden[f"loss/{name}"]) <= FLOAT64


def test_the_file_is_of_the_cases_that_the_script_would_make(golden) -> None:
    assert {key.split("/")[0] for key in golden} == {*CASES, "loss"}
    assert {key.removeprefix("loss/") for key in golden if key.startswith("loss")} == {*LOSSES}


# What an output is


def test_fields_are_read_by_attribute_key_index_and_slice() -> None:
    output = run(network(USUAL, CLASSIFIER), USUAL, output_hidden_states=True)
    assert output.loss is None
    assert output.attentions is None
    assert list(output) == ["logits", "hidden_states"]
    assert "loss" not in output
    assert len(output) == 2
    assert output.logits is output["logits"] is output[0] is output[:1][0]
    assert output.to_tuple() == (output.logits, output.hidden_states)
    with pytest.raises(KeyError):
        output["loss"]
    assert output == output
    assert output != run(network(USUAL, CLASSIFIER), USUAL, output_hidden_states=True)
    assert repr(output).startswith("ImageClassifierOutput(logits=float64[2, 5], hidden_states=(")


@pytest.mark.parametrize("kind", CLASSES)
def test_a_tuple_holds_the_fields_that_are_there_in_order(kind: str) -> None:
    model = network(USUAL, kind)
    output = run(model, USUAL, **INSIDE)
    found = run(model, USUAL, return_dict=False, **INSIDE)
    assert type(found) is tuple
    assert len(found) == len(output)
    for part, whole in zip(found, output.to_tuple(), strict=True):
        np.testing.assert_array_equal(np.concatenate(part, None), np.concatenate(whole, None))


def test_the_loss_comes_first_in_a_tuple() -> None:
    model = network(USUAL, CLASSIFIER)
    loss, logits = run(model, USUAL, labels=[1, 2], return_dict=False)
    assert loss.shape == ()
    assert logits.shape == (2, 5)


def test_the_configuration_says_what_is_returned_by_default() -> None:
    model = network(USUAL, MODEL)
    assert list(run(model, USUAL)) == ["last_hidden_state"]
    model.config.output_attentions = model.config.output_hidden_states = True
    assert list(run(model, USUAL)) == ["last_hidden_state", "hidden_states", "attentions"]
    assert list(run(model, USUAL, output_attentions=False)) == [
        "last_hidden_state", "hidden_states",
    ]  # fmt: skip
    model.config.return_dict = False
    assert len(run(model, USUAL)) == 3
    model.config.return_dict, model.config.torchscript = True, True
    assert type(run(model, USUAL)) is tuple


def test_a_model_has_its_own_configuration() -> None:
    config = cases.configuration(USUAL)
    model = npformer.EfficientFormerModel(config)
    model.config.output_attentions = True
    assert not config.output_attentions


def test_pooler_output_is_what_the_heads_see() -> None:
    """And no key: the reference promises it and has none, so no index moves."""
    output = run(network(USUAL, MODEL), USUAL)
    assert list(output) == ["last_hidden_state"]
    head = cases.parameters(USUAL).head
    logits = run(network(USUAL, CLASSIFIER), USUAL).logits
    np.testing.assert_allclose(output.pooler_output @ head.weight + head.bias, logits, atol=FLOAT64)


def test_the_last_hidden_state_as_an_image() -> None:
    """Token n lies in row n // columns: what a stage of images would hand on."""
    case = cases.SMALL["oblong"]  # 2 rows, 3 columns
    model = network(case, MODEL)
    usual = run(model, case, output_hidden_states=True).hidden_states
    states = run(model, case, output_hidden_states=True, reshape_last=True).hidden_states
    assert [x.shape for x in usual] == [
        (2, 6, 3, 5), (2, 6, 3, 5), (2, 8, 2, 3), (2, 6, 8),
    ]  # fmt: skip
    assert states[-1].shape == (2, 8, 2, 3)
    np.testing.assert_array_equal(states[-1][:, :, 1, 0], usual[-1][:, 3])
    for one, other in zip(usual[:-1], states[:-1], strict=True):
        np.testing.assert_array_equal(one, other)


def test_rows_of_attention_sum_to_one() -> None:
    case = cases.SMALL["tokens"]
    attentions = run(network(case, MODEL), case, output_attentions=True).attentions
    assert [a.shape for a in attentions] == [(2, 3, 4, 4)] * 3
    for attention in attentions:
        np.testing.assert_allclose(attention.sum(-1), 1, atol=FLOAT64)


@pytest.mark.case(51)
@pytest.mark.parametrize("engine", ENGINES)
def test_batches_change_no_number(engine: str) -> None:
    case = cases.SMALL["single"] | {"image": [5, 9, 12]}
    model = network(case, TEACHER, dtype="float32", engine=engine)
    whole = flatten(run(model, case, **INSIDE))
    for batch_size in (1, 2, 5):
        assert difference(flatten(run(model, case, batch_size=batch_size, **INSIDE)), whole) <= 1e-6
    with pytest.raises(ConfigError, match="batch_size is 0"):
        run(model, case, batch_size=0)


# Where the reference errs


@pytest.mark.case(49)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", CLASSES)
def test_no_images_give_no_answers(kind: str, engine: str) -> None:
    model = network(USUAL, kind, dtype="float32", engine=engine)
    one = flatten(model(IMAGES[:1], **INSIDE))
    none = flatten(model(IMAGES[:0], **INSIDE))
    assert {k: a.shape for k, a in none.items()} == {k: (0, *a.shape[1:]) for k, a in one.items()}


def test_two_heads_need_no_hidden_size() -> None:
    model = npformer.EfficientFormerForImageClassificationWithTeacher(EfficientFormerConfig())
    assert model.params.head_dist.weight.shape == (448, 2)


def test_named_networks_have_their_classes() -> None:
    assert EfficientFormerConfig().num_labels == 2  # as the reference
    assert EfficientFormerConfig.variant("l1").num_labels == 1000
    model = npformer.EfficientFormerForImageClassification.from_pretrained("tiny")
    assert model(np.zeros((1, 3, 128, 128), np.float32)).logits.shape == (1, 200)


def test_without_attention_blocks_every_image_is_answered() -> None:
    """The reference takes its first image for the whole batch."""
    case = cases.SMALL["pools"] | {"image": [3, 27, 26]}
    model = network(case, MODEL)
    output = run(model, case, **INSIDE)
    assert output.last_hidden_state.shape == (3, 16, 6)
    assert output.attentions == ()
    for i, pixels in enumerate(images(case)):
        alone = model(pixels[None]).last_hidden_state[0]
        np.testing.assert_allclose(output.last_hidden_state[i], alone, atol=FLOAT64)


@pytest.mark.case(47)
def test_as_many_tokens_in_another_grid_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"grid of 1×9 tokens; .* 3×3"):
        network(USUAL, MODEL)(np.zeros((1, 3, 16, 144)))


def test_the_kind_of_loss_is_found_anew_at_each_call() -> None:
    model = network(USUAL, CLASSIFIER)
    run(model, USUAL, labels=[1, 2])
    assert model.config.problem_type is None
    run(model, USUAL, labels=np.zeros((2, 5)))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64"])
def test_labels_of_any_whole_type(dtype: str) -> None:
    logits = run(network(USUAL, CLASSIFIER), USUAL, labels=np.array([1, 2], dtype))
    assert logits.loss == run(network(USUAL, CLASSIFIER), USUAL, labels=[1, 2]).loss


def test_classes_in_a_column() -> None:
    model = network(USUAL, CLASSIFIER)
    loss = run(model, USUAL, labels=[[1], [2]]).loss
    assert loss == run(model, USUAL, labels=[1, 2]).loss


def test_a_loss_over_nothing_is_not_a_number() -> None:
    assert np.isnan(run(network(USUAL, CLASSIFIER), USUAL, labels=[-100, -100]).loss)


@pytest.mark.parametrize(
    ("labels", "changes", "error", "message"),
    [
        ([1, 5], {}, ValueError, "label 5 of image 1 is no class; expected 0 to 4"),
        ([1, -1], {}, ValueError, "label -1"),
        ([1], {}, ConfigError, r"shape \(1,\); expected \(2,\) for single_label"),
        ([1.0, 2.0], {}, ConfigError, r"expected \(2, 5\) for multi_label"),
        ([[0, 1, 0, 0, 1]] * 2, {}, ConfigError, "problem_type"),
        ([1.0, 2.0], {"problem_type": "single_label_classification"}, TypeError, "whole numbers"),
        ([1.0, 2.0], {"num_labels": 0}, ConfigError, "no classes"),
        (np.zeros((2, 5), complex), {}, TypeError, "labels are complex128; expected numbers"),
        ([["a"] * 5] * 2, {}, TypeError, "expected numbers"),
        ([[None] * 5] * 2, {}, TypeError, "labels are object; expected numbers"),
        (np.zeros((1, 2)), {"num_labels": 1}, ConfigError, r"expected \(2, 1\) for regression"),
    ],
)
def test_labels_that_fit_no_loss(labels, changes, error, message) -> None:
    case = USUAL | changes
    with pytest.raises(error, match=message):
        run(network(case, CLASSIFIER), case, labels=labels)


@pytest.mark.case(45, 46, 48, 50)
@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize(
    ("pixels", "error", "message"),
    [
        (None, ValueError, "You have to specify pixel_values"),
        (IMAGES[:, :2], ImageError, r"\(2, 2, 37, 45\); expected \(batch, 3 channels"),
        (IMAGES[0], ImageError, r"\(3, 37, 45\); expected"),
        (IMAGES.transpose(0, 2, 3, 1), ImageError, r"np.moveaxis\(pixel_values, -1, 1\)"),
        (np.zeros(IMAGES.shape, np.uint8), TypeError, "EfficientFormerImageProcessor"),
        (np.zeros(IMAGES.shape, np.int64), TypeError, "int64; expected floating point"),
        (np.zeros(IMAGES.shape, complex), TypeError, "complex128"),
        (np.zeros((1, 3, 64, 64)), ConfigError, r"grid of 4×4 tokens.*image_size=\(64, 64\)"),
        (np.zeros((1, 3, 1, 1)), ConfigError, "grid of 1×1"),
    ],
)
def test_what_are_no_preprocessed_images(kind, pixels, error, message) -> None:
    with pytest.raises(error, match=message):
        network(USUAL, kind)(pixels)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4", "longdouble"])
def test_pixels_of_any_real_type_become_that_of_the_weights(dtype: str) -> None:
    model = network(USUAL, CLASSIFIER, dtype="float32")
    pixels = IMAGES.astype(np.float16)
    found = model(pixels.astype(dtype)).logits
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, model(pixels.tolist()).logits)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_all_results_have_the_type_of_the_weights(dtype: str) -> None:
    model = network(USUAL, CLASSIFIER, dtype=dtype)
    found = model(IMAGES, output_attentions=True, output_hidden_states=True)
    arrays = [found.logits, *found.hidden_states, *found.attentions]
    assert {array.dtype for array in arrays} == {np.dtype(dtype)}


def test_pixels_in_any_layout_of_memory() -> None:
    model = network(USUAL, CLASSIFIER)
    expected = model(IMAGES).logits
    backwards = np.ascontiguousarray(IMAGES[:, :, ::-1])[:, :, ::-1]
    frozen = IMAGES.copy()
    frozen.flags.writeable = False
    for pixels in (np.asfortranarray(IMAGES), backwards, frozen):
        np.testing.assert_array_equal(model(pixels).logits, expected)


# Weights


def test_fresh_weights_come_from_the_seed_whatever_the_class() -> None:
    config = cases.configuration(USUAL)
    body = dict(leaves(npformer.EfficientFormerModel(config, seed=3).params))
    for kind in (CLASSIFIER, TEACHER):
        other = dict(leaves(getattr(npformer, kind)(config, seed=3).params))
        for path, array in body.items():
            np.testing.assert_array_equal(array, other[path], err_msg=path)
    assert not np.array_equal(
        body["stem.conv1.weight"], npformer.EfficientFormerModel(config).params.stem.conv1.weight
    )
    assert npformer.EfficientFormerModel(config, dtype="float64").dtype == np.float64
    with pytest.raises(WeightsError, match="int32"):
        npformer.EfficientFormerModel(config, dtype="int32")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_labels": 7}, r"head.weight of shape \(8, 5\).*\(8, 7\).*ignore_mismatched_sizes"),
        ({"depths": [1, 1, 1]}, r"stages\.2\.blocks\.1"),
        ({"use_layer_scale": False}, r"ls1.gamma of shape \(8,\), .* demands \(\)"),
    ],
)
def test_weights_of_another_network_are_refused(changes, message) -> None:
    config = cases.configuration(USUAL | changes)
    with pytest.raises(WeightsError, match=message):
        npformer.EfficientFormerForImageClassification(config, cases.parameters(USUAL))


def test_a_class_keeps_no_heads_but_its_own() -> None:
    kept = {}
    for kind in CLASSES:
        model = getattr(npformer, kind)(cases.configuration(USUAL), cases.parameters(USUAL))
        kept[kind] = {key for key in model.state_dict() if "classifier" in key}
    one = {"classifier.weight", "classifier.bias"}
    both = one | {"distillation_classifier.weight", "distillation_classifier.bias"}
    assert kept == {MODEL: set(), CLASSIFIER: one, TEACHER: both}


def test_two_heads_cannot_be_made_of_one() -> None:
    params = cases.parameters(USUAL | {"distilled": False})
    with pytest.raises(WeightsError, match="head_dist"):
        npformer.EfficientFormerForImageClassificationWithTeacher(
            cases.configuration(USUAL), params
        )


def test_an_engine_that_is_none() -> None:
    with pytest.raises(ConfigError, match="engine is 'cuda'"):
        network(USUAL, MODEL, engine="cuda")


TIMM = USUAL | {
    "num_attention_heads": 8, "key_dim": 32, "attention_ratio": 4, "resolution": 7,
}  # fmt: skip
"""A network that timm can have."""


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("case", "kind", "naming"),
    [*[(USUAL, kind, "hf") for kind in CLASSES], (TIMM, TEACHER, "timm")],
)
def test_a_saved_network_comes_back(tmp_path, case, kind: str, naming: str, dtype: str) -> None:
    model = network(case, kind, dtype=dtype)
    model.save_pretrained(tmp_path, naming=naming)
    back = type(model).from_pretrained(tmp_path, dtype=dtype)
    assert back.dtype == model.dtype == dtype
    for (path, one), (_, other) in zip(leaves(model.params), leaves(back.params), strict=True):
        np.testing.assert_array_equal(one, other, err_msg=path)


def test_what_is_saved_is_what_state_dict_says(tmp_path) -> None:
    model = network(USUAL, TEACHER)
    model.save_pretrained(tmp_path, processor={"do_resize": False})
    checkpoint = read(tmp_path, dtype="float64")
    assert checkpoint.processor == {"do_resize": False}
    assert checkpoint.config.architectures == [TEACHER]
    assert checkpoint.config.torch_dtype == "float64"
    assert model.config.torch_dtype is None
    assert "distillation_classifier.bias" in model.state_dict()
    assert "head_dist.bias" in model.state_dict("timm")
    assert model.num_parameters() == sum(
        array.size
        for key, array in model.state_dict().items()
        if not key.endswith(("running_mean", "running_var", "num_batches_tracked", "_idxs"))
    )


def test_other_values_for_keys_of_the_configuration(tmp_path) -> None:
    network(USUAL, CLASSIFIER).save_pretrained(tmp_path)
    load = npformer.EfficientFormerForImageClassification.from_pretrained
    assert load(tmp_path, output_attentions=True).config.output_attentions
    names = {0: "a", 1: "b", 2: "c", 3: "d", 4: "e"}
    assert load(tmp_path, id2label=names).config.id2label == names
    with pytest.raises(TypeError, match="'atention_ratio' is neither an argument"):
        load(tmp_path, atention_ratio=3)
    with pytest.raises(WeightsError, match="ignore_mismatched_sizes=True"):
        load(tmp_path, num_labels=3)


def test_new_heads_for_another_task(tmp_path) -> None:
    network(USUAL, CLASSIFIER).save_pretrained(tmp_path)
    options = {"num_labels": 3, "ignore_mismatched_sizes": True}
    teacher = npformer.EfficientFormerForImageClassificationWithTeacher
    model = teacher.from_pretrained(tmp_path, **options)
    same = teacher.from_pretrained(tmp_path, **options)
    other = teacher.from_pretrained(tmp_path, seed=1, **options)
    assert model.params.head_dist.weight.shape == (8, 3)
    assert model.params.head.bias.dtype == np.float32
    np.testing.assert_array_equal(model.params.head.weight, same.params.head.weight)
    assert not np.array_equal(model.params.head.weight, other.params.head.weight)
    headless = teacher.from_pretrained(tmp_path, num_labels=0, ignore_mismatched_sizes=True)
    output = headless(IMAGES)
    assert output.logits.shape == (2, 8)
    assert output.cls_logits is output.distillation_logits is output.logits
    # A head of the right size stays.
    kept = npformer.EfficientFormerForImageClassification.from_pretrained(
        tmp_path, ignore_mismatched_sizes=True
    )
    np.testing.assert_array_equal(kept.params.head.weight, cases.parameters(USUAL).head.weight)


@pytest.mark.parametrize("engine", ENGINES)
def test_images_of_another_size(tmp_path, engine: str) -> None:
    network(USUAL, CLASSIFIER).save_pretrained(tmp_path)
    load = npformer.EfficientFormerForImageClassification.from_pretrained
    model = load(tmp_path, image_size=(64, 96), engine=engine)
    assert model.config.token_grid == (4, 6)
    output = model(np.ones((2, 3, 64, 96)), output_attentions=True)
    assert output.attentions[0].shape == (2, 2, 24, 24)
    model.save_pretrained(tmp_path / "resized")
    assert load(tmp_path / "resized")(np.ones((1, 3, 64, 96))).logits.shape == (1, 5)


def test_biases_by_pair_are_used_and_not_saved(tmp_path) -> None:
    network(USUAL, CLASSIFIER).save_pretrained(tmp_path)
    load = npformer.EfficientFormerForImageClassification.from_pretrained
    model = load(tmp_path, image_size=64, method="original")
    assert model(np.ones((1, 3, 64, 64))).logits.shape == (1, 5)
    for write in (model.state_dict, lambda: model.save_pretrained(tmp_path / "no")):
        with pytest.raises(WeightsError, match="method='offsets'"):
            write()
    assert not (tmp_path / "no").exists()


def test_a_processor_feeds_a_network() -> None:
    model = npformer.EfficientFormerForImageClassification.from_pretrained("tiny")
    processor = npformer.EfficientFormerImageProcessor(size=128, crop_size=128)
    image = np.full((150, 160, 3), 200, np.uint8)
    logits = model(**processor(image, return_tensors="np")).logits
    np.testing.assert_allclose(softmax(logits).sum(), 1, atol=1e-6)


def test_a_model_in_one_line() -> None:
    model = network(USUAL, CLASSIFIER).eval()
    assert repr(model) == (
        "EfficientFormerForImageClassification(depths=[1, 1, 2], hidden_sizes=[8, 6, 8], "
        f"num_labels=5, {model.num_parameters():,} parameters, float64)"
    )
    assert copy.deepcopy(model.config) == model.config
