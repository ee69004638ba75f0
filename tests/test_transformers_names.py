"""Arguments and methods of transformers: each works, warns once, or is refused in words."""

from __future__ import annotations

import inspect
import json
import re
import sys
import warnings
from typing import Any

import numpy as np
import pytest
from engine_cases import config, images, network
from readme import ROOT

import npformer
from npformer.errors import ConfigError, MissingWeights, WeightsError
from npformer.network import hf_arguments, hf_methods
from npformer.network.hf_arguments import NO_EFFECT, REFUSED, WORKS
from npformer.network.tree import leaves

sys.path.append(str(ROOT / "docs"))
import transformers_table

TEACHER = npformer.EfficientFormerForImageClassificationWithTeacher


@pytest.fixture(scope="module")
def model() -> Any:
    return TEACHER(config(), network(config()), engine="numpy")


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    model.save_pretrained(path)
    return path


@pytest.fixture(autouse=True)
def _warnings_that_nobody_has_seen():
    hf_arguments.warn_once.cache_clear()


def functions(folder: Any, model: Any) -> dict[int, list[Any]]:
    """The functions that answer by a table, ready to be called with its arguments alone."""
    loaded = npformer.EfficientFormerConfig, npformer.EfficientFormerImageProcessor
    out = folder / "out"

    def of(thing: Any) -> Any:
        return lambda **options: thing.from_pretrained(folder, **options)

    return {
        id(hf_arguments.LOAD_MODEL): [
            of(kind)
            for kind in (
                TEACHER,
                npformer.EfficientFormerBackbone,
                npformer.AutoModelForImageClassification,
            )
        ],
        id(hf_arguments.LOAD_CONFIG): [of(loaded[0])],
        id(hf_arguments.LOAD_SETTINGS): [of(loaded[1])],
        id(hf_arguments.SAVE_MODEL): [lambda **o: model.save_pretrained(out, **o)],
        id(hf_arguments.SAVE_SETTINGS): [
            lambda **o: model.config.save_pretrained(out, **o),
            lambda **o: loaded[1]().save_pretrained(out, **o),
        ],
    }


TABLES = (
    hf_arguments.LOAD_MODEL,
    hf_arguments.LOAD_CONFIG,
    hf_arguments.LOAD_SETTINGS,
    hf_arguments.SAVE_MODEL,
    hf_arguments.SAVE_SETTINGS,
)


def rows(answer: str) -> list[Any]:
    return [
        pytest.param(table, name, id=f"{number}-{name}")
        for number, table in enumerate(TABLES)
        for name, argument in table.items()
        if argument.answer == answer
    ]


def other(argument: hf_arguments.Argument) -> Any:
    """A value that is not the one by default."""
    return not argument.default if isinstance(argument.default, bool) else "something"


@pytest.mark.parametrize(("table", "name"), rows(NO_EFFECT))
def test_what_has_no_effect_warns_once(folder, model, table, name):
    for function in functions(folder, model)[id(table)]:
        hf_arguments.warn_once.cache_clear()
        usual = function()
        with pytest.warns(UserWarning, match="has no effect") as caught:
            found = function(**{name: other(table[name])})
        (text,) = {str(warning.message) for warning in caught}
        assert f"{name} has no effect: {table[name].words}" in text
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            function(**{name: other(table[name])})
        assert repr(found) == repr(usual)


@pytest.mark.parametrize(("table", "name"), rows(REFUSED))
def test_what_is_refused_says_what_to_do(folder, model, table, name):
    for function in functions(folder, model)[id(table)]:
        with pytest.raises(TypeError) as error:
            function(**{name: other(table[name])})
        assert f"{name}={other(table[name])!r} is not possible" in str(error.value)
        assert table[name].words in str(error.value)


@pytest.mark.parametrize(("table", "name"), [*rows(NO_EFFECT), *rows(REFUSED)])
def test_values_by_default_say_nothing(folder, model, table, name):
    for function in functions(folder, model)[id(table)]:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            function(**{name: table[name].default})
            function(**{name: None})


@pytest.mark.parametrize(("table", "name"), rows(WORKS))
def test_what_works_is_taken(folder, model, table, name, monkeypatch):
    """The name is an argument of the function, or says how to download; see `test_hub`."""
    for function in functions(folder, model)[id(table)]:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            if name in ("pretrained_model_name_or_path", "save_directory"):
                kinds = [TEACHER, npformer.EfficientFormerConfig, type(model), type(model.config)]
                kinds.append(npformer.EfficientFormerImageProcessor)
                method = "from_pretrained" if "path" in name else "save_pretrained"
                assert all(name in inspect.signature(getattr(k, method)).parameters for k in kinds)
            else:
                value = {"config": folder, "dtype": "float32", "torch_dtype": "float32"}
                function(**{name: value.get(name, table[name].default)})


@pytest.mark.parametrize("method", ["save_pretrained", "from_pretrained"])
def test_unknown_arguments_are_refused(folder, model, method):
    things = (model, model.config, npformer.EfficientFormerImageProcessor())
    for thing in things if method == "save_pretrained" else things[:1]:
        with pytest.raises(TypeError, match="no_such_thing"):
            getattr(thing, method)(folder / "out", no_such_thing=1)


# Types


@pytest.mark.parametrize("name", ["dtype", "torch_dtype"])
@pytest.mark.parametrize("value", ["float64", "torch.float64", np.float64, np.dtype("f8"), "<f8"])
def test_a_type_is_understood_by_any_name(folder, name, value):
    for kind in (TEACHER, npformer.AutoModelForImageClassification):
        assert kind.from_pretrained(folder, **{name: value}).dtype == np.float64


@pytest.mark.parametrize("name", ["dtype", "torch_dtype"])
@pytest.mark.parametrize("value", ["auto", "bfloat16", "torch.bfloat16", np.int8, 3, "float"])
def test_another_type_is_refused(folder, name, value):
    if value == "float":  # NumPy's name of float64
        assert TEACHER.from_pretrained(folder, **{name: value}).dtype == np.float64
        return
    with pytest.raises(WeightsError, match=rf"{name} is .*; expected one of float16, float32"):
        TEACHER.from_pretrained(folder, **{name: value})


def test_two_types_are_refused_unless_they_are_one(folder):
    both = {"dtype": "float64", "torch_dtype": np.float64}
    assert TEACHER.from_pretrained(folder, **both).dtype == np.float64
    with pytest.raises(TypeError, match="give one of them"):
        TEACHER.from_pretrained(folder, **both | {"dtype": "float32"})


# Configuration and folders


def test_a_configuration_instead_of_that_beside_the_weights(folder, tmp_path):
    mine = config(layer_norm_eps=0.5)
    mine.save_pretrained(tmp_path)
    for given in (mine, tmp_path, str(tmp_path / "config.json")):
        assert TEACHER.from_pretrained(folder, config=given).config.layer_norm_eps == 0.5
    with pytest.raises(WeightsError, match="their configuration demands"):
        TEACHER.from_pretrained(folder, config=config(hidden_sizes=(12, 16, 24, 36)))


def test_a_subfolder_of_a_local_folder(folder, model):
    npformer.EfficientFormerImageProcessor(size=99).save_pretrained(folder)
    for kind in (TEACHER, npformer.EfficientFormerConfig, npformer.EfficientFormerImageProcessor):
        found = kind.from_pretrained(folder.parent, subfolder=folder.name)
        assert repr(found) == repr(kind.from_pretrained(folder))
        with pytest.raises(MissingWeights, match="no such"):
            kind.from_pretrained(folder.parent, subfolder="nothing")
    assert found.size == {"height": 99, "width": 99}


# Attributes

OBJECTS = {
    "model": lambda: TEACHER(config(), network(config()), engine="numpy"),
    "configuration": config,
    "processor": npformer.EfficientFormerImageProcessor,
}


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind, (_, instead) in transformers_table.CLASSES.items() for name in instead],
)
def test_what_there_is_not_says_what_to_use(kind, name):
    thing, words = OBJECTS[kind](), transformers_table.CLASSES[kind][1][name]
    assert not hasattr(thing, name)
    with pytest.raises(AttributeError) as error:
        getattr(thing, name)
    assert str(error.value) == f"{type(thing).__name__} has no {name!r}: {words}"


@pytest.mark.parametrize("kind", OBJECTS)
def test_what_works_is_there(kind):
    thing = OBJECTS[kind]()
    for name in transformers_table.HAVE[kind].split():
        getattr(thing, name)
    with pytest.raises(AttributeError, match=r"has no 'no_such_thing'$"):
        _ = thing.no_such_thing


@pytest.mark.parametrize(
    "words", [w for table in (hf_methods.MODEL, hf_methods.CONFIG, hf_methods.PROCESSOR,
                              hf_methods.LIBRARY) for w in dict.fromkeys(table.values())],
)  # fmt: skip
def test_what_is_named_instead_exists(words):
    for name in re.findall(r"npformer(?:\.\w+)+", words):
        thing: Any = npformer
        for part in name.split(".")[1:]:
            thing = getattr(thing, part)


def test_methods_that_find_a_model_as_asked_for_return_it(model):
    assert model.eval() is model.train(False) is model.cpu() is model.float() is model
    for where in ("cpu", "cpu:0", "float32", np.float32, np.dtype("f4"), None):
        assert model.to(where) is model
    assert model.to(device="cpu", dtype="torch.float32", non_blocking=True) is model
    assert model.to(model.device) is model
    assert not model.training


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda m: m.train(), r"evaluation mode.*npformer\.learn"),
        (lambda m: m.half(), r"from_pretrained\(…, dtype=…\)"),
        (lambda m: m.double(), "never changes"),
        (lambda m: m.to("cuda"), "no other device"),
        (lambda m: m.to("cuda:0", "float32"), "no other device"),
        (lambda m: m.to(device=3), "no other device"),
        (lambda m: m.to("cpu", np.float64), "this model is float32"),
        (lambda m: m.to("torch.bfloat16"), "float16, float32, float64"),
    ],
)
def test_methods_that_would_change_a_model_are_refused(model, ask, message):
    with pytest.raises(ConfigError, match=message):
        ask(model)


def test_parameters_are_read_only_arrays_with_the_names_of_transformers(model):
    tensors = model.state_dict()
    named, buffers = dict(model.named_parameters()), dict(model.named_buffers())
    assert named.keys() | buffers.keys() == tensors.keys()
    assert not named.keys() & buffers.keys()
    assert model.num_parameters(only_trainable=True) == sum(a.size for a in model.parameters())
    for (_, array), other in zip(named.items(), model.parameters(), strict=True):
        np.testing.assert_array_equal(array, other)
    assert len(list(model.buffers())) == len(buffers)
    frozen = TEACHER.from_pretrained("tiny", engine="numpy")
    assert not any(array.flags.writeable for _, array in leaves(frozen.params))


def test_forward_is_a_call(model):
    x = images(1).transpose(0, 3, 1, 2)
    for kind in (TEACHER, npformer.EfficientFormerModel, npformer.EfficientFormerBackbone):
        made = kind(config(), network(config()), engine="numpy")
        (found, *_), (expected, *_) = made.forward(x).to_tuple(), made(x).to_tuple()
        np.testing.assert_array_equal(found[0], expected[0])


# Names of the library


def test_the_automatic_classes(folder, tmp_path):
    assert npformer.AutoConfig.from_pretrained(folder) == config(
        architectures=[TEACHER.__name__], torch_dtype="float32"
    )
    assert type(npformer.AutoModel.from_pretrained(folder)) is npformer.EfficientFormerModel
    auto = npformer.AutoModelForImageClassification
    assert type(auto.from_pretrained(folder, engine="numpy")) is TEACHER
    single = npformer.EfficientFormerForImageClassification
    single(config(), network(config())).save_pretrained(tmp_path)
    assert type(auto.from_pretrained(tmp_path)) is single
    found = npformer.AutoImageProcessor.from_pretrained("tiny")
    assert type(found) is npformer.EfficientFormerImageProcessor


def test_a_pipeline_says_what_to_use():
    with pytest.raises(NotImplementedError, match=r"npformer\.load\(model\)\.classify"):
        npformer.pipeline("image-classification", model="l1")


@pytest.mark.parametrize("name", hf_methods.LIBRARY)
def test_other_names_say_what_to_use(name):
    with pytest.raises(AttributeError, match=re.escape(hf_methods.LIBRARY[name])):
        getattr(npformer, name)


# The page


def test_the_page_is_that_of_the_tables():
    written = transformers_table.PAGE.read_text("utf-8")
    assert written == transformers_table.page(), "run python docs/transformers_table.py"


def test_the_page_has_every_name():
    text = transformers_table.PAGE.read_text("utf-8")
    for table in (*TABLES, hf_methods.MODEL, hf_methods.CONFIG, hf_methods.PROCESSOR):
        for name in table:
            assert f"`{name}`" in text, name


def test_old_files_are_read_as_before(folder):
    """A key of the configuration that has the name of an argument is not one."""
    values = json.loads((folder / "config.json").read_text())
    assert values["torch_dtype"] == "float32"
    assert npformer.EfficientFormerConfig.from_dict(values).torch_dtype == "float32"
