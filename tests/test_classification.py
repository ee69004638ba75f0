"""``npformer.classify``, `load` and `Classifier`."""

import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stored_answers import COFFEE_IS, first_score

import npformer
from npformer.classification import bar
from npformer.errors import ConfigError, ImageError, MissingWeights
from npformer.files.shipped import shipped
from npformer.images.layout import channels_last
from npformer.layers import EVALUATION

IMAGES = Path(__file__).parents[1] / "notebooks" / "images"
COFFEE = IMAGES / "coffee.png"


@pytest.fixture(scope="module")
def model():
    return npformer.load("tiny", engine="numpy")


def test_coffee_is_what_pytorch_says():
    best = npformer.classify(COFFEE)[0]
    assert best.label == COFFEE_IS
    assert best.score == pytest.approx(first_score("coffee.png"), abs=1e-4)
    assert npformer.load("tiny").labels[best.index] == COFFEE_IS


def test_every_kind_of_source_gives_the_same_answer(model):
    with Image.open(COFFEE) as picture:
        picture.load()
    rgb = np.asarray(picture.convert("RGB"))
    sources = [
        COFFEE,
        str(COFFEE),
        COFFEE.read_bytes(),
        io.BytesIO(COFFEE.read_bytes()),
        picture,
        rgb,
    ]
    answers = model.classify(sources)
    assert all(answer == answers[0] for answer in answers)
    with COFFEE.open("rb") as file:
        assert model.classify(file) == answers[0]


def test_answers_are_ordered_and_scores_are_probabilities(model):
    every = model.classify(COFFEE, top=len(model.labels))
    scores = [p.score for p in every]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1, abs=1e-5)
    assert sorted(p.index for p in every) == list(range(200))
    assert all(p.label == model.labels[p.index] for p in every)
    assert len(model.classify(COFFEE, top=10**6)) == 200


@pytest.mark.case(51)
def test_batches_do_not_change_answers(model):
    images = sorted(IMAGES.glob("*.png"))
    together = model.classify(images)
    assert together == model.classify(images, batch_size=1)
    assert together == [model.classify(image) for image in images]
    assert isinstance(together, list)
    assert npformer.classify(images) == [npformer.classify(image) for image in images]


@pytest.mark.case(31)
def test_a_four_dimensional_array_is_a_list(model):
    picture = np.asarray(Image.open(COFFEE).convert("RGB").resize((150, 130)))
    both = model.classify(np.stack([picture, picture[::-1]]))
    assert both == [model.classify(picture), model.classify(np.ascontiguousarray(picture[::-1]))]
    assert model.classify([]) == []


def test_the_stream_reads_no_further_than_a_batch(model):
    read = []

    def supply():
        for i in range(10):
            read.append(i)
            yield Image.new("RGB", (9, 9))

    stream = model.stream(supply(), batch_size=2)
    next(stream)
    assert read == [0, 1]


def test_predictions_print_as_a_table(model):
    text = repr(model.classify(COFFEE, top=2))
    first, second = text.splitlines()
    assert first.startswith(COFFEE_IS)
    assert first.endswith(bar(model.classify(COFFEE, top=1)[0].score))
    assert "%" in second


@pytest.mark.parametrize(
    ("share", "drawn"),
    [
        (0, ""),
        (1, "█" * 20),
        (0.5, "█" * 10),
        (1 / 160, "▏"),
        (0.05 + 7 / 160, "█▉"),
        (0.001, ""),
        (float("nan"), ""),
        (float("inf"), "█" * 20),
        (-1, ""),
    ],
)
def test_bars(share, drawn):
    assert bar(share) == drawn


def test_trace_has_the_attention_maps(model):
    trace = model.trace(COFFEE, "*.attn", "stem")
    assert list(trace) == [
        "stem",
        "stages.3.blocks.2.token_mixer.attn",
        "stages.3.blocks.3.token_mixer.attn",
    ]
    assert trace["stages.3.blocks.2.token_mixer.attn"].shape == (1, 8, 16, 16)
    np.testing.assert_allclose(trace["stages.3.blocks.3.token_mixer.attn"].sum(-1), 1, rtol=1e-5)


def test_forward_speaks_channels_first(model):
    pixels = model.preprocess(COFFEE)
    assert pixels.shape == (3, 128, 128)
    logits = model.forward(pixels[None]).logits
    assert logits.shape == (1, 200)
    assert logits.argmax() == model.classify(COFFEE)[0].index


def test_pixel_values_are_turned_back_without_a_copy(model):
    one = model.preprocess(COFFEE)
    assert channels_last(one).base is one.base is not None
    assert channels_last(np.stack([one, one])).flags.c_contiguous
    assert channels_last(one[None]).flags.c_contiguous


@pytest.mark.parametrize("ask", ["classify", "stream", "trace", "predict"])
def test_the_network_gets_its_channels_last_and_contiguous(ask):
    model = npformer.load("tiny", engine="numpy")
    seen, network = [], model.model.network

    def spy(x, keep=EVALUATION):
        seen.append(x)
        return network(x, keep)

    model.model.network = spy
    calls = {
        "classify": lambda: model.classify([COFFEE, COFFEE]),
        "stream": lambda: list(model.stream([COFFEE])),
        "trace": lambda: model.trace(COFFEE, "stem"),
        "predict": lambda: model.predict(np.stack([model.preprocess(COFFEE)] * 2)),
    }
    calls[ask]()
    (x,) = seen
    assert x.shape[1:] == (128, 128, 3)
    assert x.flags.c_contiguous


def test_a_classifier_has_a_model(model):
    kind = npformer.EfficientFormerForImageClassificationWithTeacher
    assert isinstance(model.model, kind)
    assert (model.config, model.params) == (model.model.config, model.model.params)
    own = npformer.Classifier(kind(model.config, model.params, engine="numpy"), model.processor)
    assert own.classify(COFFEE) == model.classify(COFFEE)
    values = model.preprocess(COFFEE)[None]
    logits = model.model(values).logits
    np.testing.assert_array_equal(logits, model.forward(values).logits)


@pytest.mark.parametrize(
    "kind",
    [
        "EfficientFormerModel",
        "EfficientFormerForImageClassification",
        "EfficientFormerForImageClassificationWithTeacher",
    ],
)
def test_the_class_of_the_model_is_that_of_its_heads(kind, tmp_path):
    config = npformer.EfficientFormerConfig.variant("tiny")
    getattr(npformer, kind)(config).save_pretrained(tmp_path)
    found = npformer.load(tmp_path, engine="numpy")
    assert type(found.model).__name__ == kind
    assert found.trace(COFFEE, "norm")["norm"].shape == (1, 16, 256)


@pytest.mark.parametrize(("size", "shape"), [(160, (160, 160)), ((96, 192), (96, 192))])
def test_images_of_another_size(size, shape):
    model = npformer.load("tiny", image_size=size)
    assert model.preprocess(COFFEE).shape == (3, *shape)
    attn = model.trace(COFFEE, "*.attn")["stages.3.blocks.3.token_mixer.attn"]
    assert attn.shape[-1] == shape[0] * shape[1] // 32**2
    answers = model.classify(COFFEE)
    assert COFFEE_IS in [answer.label for answer in answers]
    plain = npformer.load("tiny", image_size=size, engine="numpy").classify(COFFEE)
    assert [a.label for a in answers] == [a.label for a in plain]


def test_the_size_it_was_trained_for_changes_nothing(model):
    same = npformer.load("tiny", image_size=128, engine="numpy")
    assert same.classify(COFFEE) == model.classify(COFFEE)
    assert same.processor.to_dict() == model.processor.to_dict()


def test_parameters_cannot_be_changed(model):
    with pytest.raises(ValueError, match="read-only"):
        model.params.norm.weight[0] = 1


@pytest.mark.parametrize("bad", [{"top": 0}, {"top": 1.5}, {"batch_size": 0}])
def test_bad_numbers_are_refused(model, bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        model.classify([COFFEE], **bad)


def test_errors_name_the_place(model, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.jpg"):
        model.classify(tmp_path / "nowhere.jpg")
    (tmp_path / "text.jpg").write_text("hello")
    with pytest.raises(ImageError, match=r"text\.jpg"):
        model.classify(tmp_path / "text.jpg")
    with pytest.raises(MissingWeights, match="no-such-model"):
        npformer.load("no-such-model")


def test_the_summary_counts_what_is_loaded(model):
    from npformer.network.tree import leaves

    learned = sum(a.size for path, a in leaves(model.params) if "running_" not in path)
    assert model.summary().parameters == learned
    assert "200 classes" in repr(model)


def test_import_is_light():
    heavy = "{'numba', 'llvmlite', 'PIL', 'tqdm', 'matplotlib', 'torch', 'safetensors'}"
    code = f"import sys, npformer; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_readable_floor_works_without_numba():
    code = (
        "import sys; sys.modules['numba'] = sys.modules['llvmlite'] = None\n"
        "import npformer\n"
        f"print(npformer.load('tiny', engine='numpy').classify({str(COFFEE)!r})[0].label)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == COFFEE_IS


def test_public_names_resolve():
    assert all(getattr(npformer, name) is not None for name in npformer.__all__)
    assert npformer.layers.erf is not None
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = npformer.no_such_thing
    assert "classify" in dir(npformer)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "bool", "complex64", "object"])
@pytest.mark.parametrize("engine", ["numpy", "auto"])
def test_pixels_that_were_not_preprocessed_are_refused(dtype, engine):
    model, pixels = npformer.load("tiny", engine=engine), np.zeros((1, 3, 128, 128), dtype)
    for ask in (model.predict, model.forward, model.model):
        with pytest.raises(TypeError, match=f"pixel_values are {dtype}; expected floating point"):
            ask(pixels)
    with pytest.raises(TypeError, match=f"pixel values are {dtype}; expected floating point"):
        model.model.network(pixels.transpose(0, 2, 3, 1))


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((3,), r"\(3,\); expected \(batch, 3 channels, height, width\)$"),
        ((3, 128, 128), r"\(3, 128, 128\); expected \(batch, 3 channels"),
        ((1, 128, 128, 3), r"Move the channels: np.moveaxis\(pixel_values, -1, 1\)"),
        ((1, 4, 128, 128), r"\(1, 4, 128, 128\); expected \(batch, 3 channels"),
    ],
)
def test_pixels_of_another_shape_are_refused_as_they_were_passed(model, shape, words):
    for ask in (model.predict, model.forward):
        with pytest.raises(ImageError, match=words):
            ask(np.zeros(shape, np.float32))


@pytest.mark.parametrize("engine", ["numpy", "auto"])
def test_a_network_for_channels_last_says_what_to_do_with_channels_first(engine):
    network = npformer.load("tiny", engine=engine).model.network
    for shape, words in (
        ((1, 3, 128, 128), r"channels last\. Move the channels: np.moveaxis\(x, 1, -1\)$"),
        ((128, 128, 3), "channels last$"),
    ):
        with pytest.raises(ConfigError, match=words):
            network(np.zeros(shape, np.float32))


@pytest.mark.parametrize("number", [0, -1, 1.5, True, None, "2"])
def test_numbers_of_answers_and_images_begin_at_one(model, number):
    pixels = model.preprocess(COFFEE)[None]
    for name, ask in (
        ("top", lambda: model.predict(pixels, top=number)),
        ("top", lambda: model.classify(COFFEE, top=number)),
        ("top", lambda: npformer.explain(COFFEE, model, top=number)),
        ("batch_size", lambda: model.classify(COFFEE, batch_size=number)),
        ("batch_size", lambda: model.classify([COFFEE], batch_size=number)),
    ):
        with pytest.raises(ValueError, match=f"{name} is {number!r}; expected a whole number, 1"):
            ask()


def test_numbers_of_numpy_are_numbers(model):
    pixels = model.preprocess(COFFEE)[None]
    assert len(model.predict(pixels, top=np.int64(2))[0]) == 2
    assert len(model.classify([COFFEE], top=np.uint8(3), batch_size=np.int32(1))[0]) == 3
    for size in (np.int64(160), (np.int64(160), np.int32(160)), np.array([160, 160]), [160, 160]):
        larger = npformer.load("tiny", engine="numpy", image_size=size)
        assert larger.config.image_shape == (160, 160)
        assert larger.preprocess(COFFEE).shape == (3, 160, 160)


@pytest.mark.parametrize("size", [160.0, np.float32(160), "160", (160,), True, {160}])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(ConfigError, match="image_size is"):
        npformer.load("tiny", engine="numpy", image_size=size)


def test_an_impossible_setting_of_a_processor_says_whose_it_is(tmp_path):
    place = shutil.copytree(shipped("tiny"), tmp_path / "mine")
    file = place / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"size": "large"}))
    with pytest.raises(ConfigError, match=rf"{re.escape(str(place))}.*: size is 'large'"):
        npformer.load(place)
