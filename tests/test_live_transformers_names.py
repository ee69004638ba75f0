"""Nothing of the reference's public face is missing in the tables of what npformer answers."""

from __future__ import annotations

import inspect
import re
import sys
from typing import Any

import pytest
from readme import ROOT

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import npformer
from npformer.network import hf_arguments

sys.path.append(str(ROOT / "docs"))
import transformers_table
from engine_cases import config, network
from transformers.configuration_utils import PretrainedConfig
from transformers.image_processing_utils import ImageProcessingMixin
from transformers.utils import PushToHubMixin

TEACHER = "EfficientFormerForImageClassificationWithTeacher"


def taken(*functions: Any) -> set[str]:
    """The public arguments of functions, also those that they take out of **kwargs."""
    found = set()
    for function in functions:
        kinds = inspect.signature(function).parameters.values()
        found |= {p.name for p in kinds if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
        found |= set(re.findall(r"kwargs\.pop\(\s*\"(\w+)\"", inspect.getsource(function)))
    return {name for name in found if not name.startswith("_")}


CONFIG, MIXIN, MODEL = PretrainedConfig, ImageProcessingMixin, transformers.PreTrainedModel


@pytest.mark.parametrize(
    ("table", "functions", "no_arguments"),
    [
        ("LOAD_MODEL", [MODEL.from_pretrained], ()),
        (
            "LOAD_CONFIG",
            [CONFIG.from_pretrained, CONFIG._get_config_dict, CONFIG.from_dict],
            ("config_dict",),
        ),
        (
            "LOAD_SETTINGS",
            [MIXIN.from_pretrained, MIXIN.get_image_processor_dict, MIXIN.from_dict],
            ("image_processor_dict", "size", "crop_size"),
        ),
        ("SAVE_MODEL", [MODEL.save_pretrained], ("self",)),
        ("SAVE_SETTINGS", [CONFIG.save_pretrained, MIXIN.save_pretrained], ("self",)),
    ],
)
def test_every_argument_is_in_the_table(table, functions, no_arguments):
    expected = taken(*functions) - set(no_arguments)
    assert len(expected) > 3
    assert expected - set(getattr(hf_arguments, table)) == set()


@pytest.mark.parametrize("table", ["LOAD_MODEL", "SAVE_MODEL"])
def test_the_values_by_default_are_those_of_the_reference(table):
    method = MODEL.from_pretrained if table == "LOAD_MODEL" else MODEL.save_pretrained
    parameters = inspect.signature(method).parameters
    for name, argument in getattr(hf_arguments, table).items():
        default = parameters[name].default if name in parameters else inspect.Parameter.empty
        if default is not inspect.Parameter.empty and name != "save_function":
            assert argument.default == default, name


def reference(kind: str) -> Any:
    if kind == "model":
        return getattr(transformers, TEACHER)(transformers.EfficientFormerConfig(hidden_size=448))
    if kind == "configuration":
        return transformers.EfficientFormerConfig()
    return transformers.EfficientFormerImageProcessor()


@pytest.mark.parametrize("kind", transformers_table.CLASSES)
def test_every_attribute_is_in_the_table(kind):
    thing = reference(kind)
    expected = {name for name in dir(thing) if not name.startswith("_")}
    if kind != "model":
        expected -= set(vars(thing))  # the keys, which are settings
    _, instead = transformers_table.CLASSES[kind]
    told = set(transformers_table.HAVE[kind].split()) | set(instead)
    assert expected - told == set()
    assert not set(transformers_table.HAVE[kind].split()) & set(instead)
    assert len(expected) > 10


def test_every_name_of_the_library_is_there_or_answered():
    for name in dir(transformers):
        if "EfficientFormer" in name:
            told = hasattr(npformer, name) or name in transformers_table.hf_methods.LIBRARY
            assert told, name
    assert PushToHubMixin.push_to_hub.__name__ in transformers_table.hf_methods.MODEL


@pytest.mark.parametrize("name", transformers_table.SIGNATURES)
def test_calls_take_the_arguments_of_the_reference_in_its_order(name):
    if name == "preprocess":
        function = transformers.EfficientFormerImageProcessor.preprocess
    else:
        theirs = getattr(transformers, name)
        function = theirs.forward if issubclass(theirs, torch.nn.Module) else theirs.__init__
    expected = [
        p.name
        for p in inspect.signature(function).parameters.values()
        if p.kind is not p.VAR_KEYWORD
    ]
    found = list(inspect.signature(transformers_table.SIGNATURES[name][0]).parameters)
    assert found[: len(expected)] == expected


def test_parameters_and_buffers_are_those_of_the_reference():
    c = config()
    theirs = getattr(transformers, TEACHER)(
        transformers.EfficientFormerConfig(**{**c.to_dict(), "hidden_size": c.hidden_size})
    )
    ours = getattr(npformer, TEACHER)(c, network(c), engine="numpy")
    for kind in ("named_parameters", "named_buffers"):
        expected = {name: tuple(t.shape) for name, t in getattr(theirs, kind)()}
        assert {name: a.shape for name, a in getattr(ours, kind)()} == expected
    assert ours.num_parameters() == theirs.num_parameters()


def test_devices_and_types_of_pytorch_are_understood():
    c = config()
    model = getattr(npformer, TEACHER)(c, network(c), engine="numpy")
    assert model.to(torch.device("cpu")) is model.to(torch.float32) is model
    for other in (torch.device("cuda"), torch.float64, torch.bfloat16):
        with pytest.raises(npformer.ConfigError):
            model.to(other)
    loaded = npformer.EfficientFormerModel.from_pretrained("tiny", torch_dtype=torch.float64)
    assert loaded.dtype == "float64"
    with pytest.raises(npformer.WeightsError, match="torch_dtype"):
        npformer.EfficientFormerModel.from_pretrained("tiny", torch_dtype=torch.bfloat16)
