"""Weights as tools leave them: behind prefixes, beside others, in several files, not there."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_cases import config, folder, parameters, same, tensors

import npformer
from npformer.checkpoints import (
    NAMINGS,
    Naming,
    convert,
    read,
    safetensors_file,
    state_dict,
    torch_writer,
)  # fmt: skip
from npformer.checkpoints.dtypes import Tensors
from npformer.checkpoints.entries import choose
from npformer.checkpoints.prefixes import unwrap
from npformer.checkpoints.torch_objects import Inert, StorageRef, TensorRef
from npformer.checkpoints.torch_pickle import Interpreted
from npformer.checkpoints.weights_file import read_weights
from npformer.errors import ConfigError, MissingWeights, UnsafeCheckpointError, WeightsError

PREFIXES = [
    "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model.", "backbone.",
    "model.backbone.", "model._orig_mod.", "model.module._orig_mod.net.", "encoder.wrapped.",
    "_fsdp_wrapped_module.",
]  # fmt: skip


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("naming", NAMINGS)
def test_prefixes_are_removed_and_reported(naming: Naming, prefix: str) -> None:
    original = tensors(config(), naming)
    found = unwrap({prefix + name: tensor for name, tensor in original.items()}, "x")
    assert same(found.tensors, original)
    assert found.prefix == prefix
    assert unwrap(original, "x").prefix == ""


@pytest.mark.parametrize("prefix", ["", "model.", "_orig_mod."])
def test_the_counter_of_an_averaged_model_is_left_out(prefix: str) -> None:
    original = tensors(config())
    wrapped = {f"{prefix}module.{name}": tensor for name, tensor in original.items()}
    wrapped[f"{prefix}n_averaged"] = np.array(3)
    assert same(unwrap(wrapped, "x").tensors, original)


def test_wrappers_inside_of_a_name_are_removed() -> None:
    original = tensors(config())
    inside = {n.replace("encoder.", "encoder._orig_mod."): t for n, t in original.items()}
    found = unwrap(inside, "x")
    assert same(found.tensors, original)
    assert found.prefix == "_orig_mod."
    with pytest.raises(WeightsError, match=r"'a' and another are both 'a' without"):
        unwrap({"module.a": np.ones(1), "a": np.ones(1)}, "x")


@pytest.mark.parametrize("names", [["n_averaged"], ["model"], ["model.a", "model.b"], ["a.b", "c"]])
def test_other_prefixes_stay(names: list[str]) -> None:
    assert list(unwrap({name: np.ones(1) for name in names}, "x").tensors) == names


def test_a_prefix_that_only_some_have_is_refused(tmp_path: Path) -> None:
    mixed = {f"model.{name}": tensor for name, tensor in tensors(config()).items()}
    safetensors_file.write(tmp_path / "a.safetensors", mixed | {"criterion.weight": np.ones(3)})
    with pytest.raises(WeightsError, match=r"are not those of an EfficientFormer: 'model\."):
        read(tmp_path / "a.safetensors")


def test_the_answer_says_what_was_removed(tmp_path: Path) -> None:
    c = config()
    for name, write in (("a.safetensors", safetensors_file.write), ("a.pth", torch_writer.write)):
        wrapped = {f"model._orig_mod.{n}": t for n, t in tensors(c, "timm").items()}
        write(tmp_path / name, wrapped)
        assert read(tmp_path / name).prefix == "model._orig_mod."
        done = convert(tmp_path / name, tmp_path / "out.safetensors", to="timm")
        assert any("begin with model._orig_mod., which was removed" in note for note in done.notes)
        assert same(read_weights(tmp_path / "out.safetensors").tensors, tensors(c, "timm"))


# Several sets of weights in a file


def refs(naming: Naming = "hf", prefix: str = "") -> dict[Any, Any]:
    """The names of a network, each of a tensor that is not looked at."""
    storage = StorageRef(np.dtype("f4"), "0", 1)
    return {prefix + n: TensorRef(storage, 0, (1,), (1,)) for n in tensors(config(), naming)}


RESNET = {f"layer1.{i}.weight": TensorRef(StorageRef(np.dtype("f4"), "0", 1), 0, (1,), (1,))
          for i in range(3)}  # fmt: skip
ONE = RESNET["layer1.0.weight"]


@pytest.mark.parametrize(
    ("value", "chosen", "others"),
    [
        (refs(), None, ()),
        ({"model": refs()}, "model", ()),
        ({"epoch": 1, "state_dict": refs(), "best": ONE}, "state_dict", ()),
        ({"model_ema": refs(), "model": refs(), "rng": ONE}, "model", ("model_ema",)),
        ({"state_dict": refs(), "state_dict_ema": refs()}, "state_dict", ("state_dict_ema",)),
        ({"strange": refs("timm", "module."), "rng": ONE}, "strange", ()),
        ({"model": RESNET, "student": refs()}, "student", ()),
        ({"ema": {"decay": 0.9, "module": refs()}}, "ema.module", ()),
        ({"model": refs(), "ema": {"shadow": refs()}}, "model", ("ema.shadow",)),
        ({"optimizer": {"state": {0: {"exp_avg": ONE}}}, "net": refs()}, "net", ()),
        ({"model": RESNET}, "model", ()),
        ({"a": ONE, "model": RESNET}, "model", ()),
        (RESNET, None, ()),
        ({**refs(), "epoch": 3, "best": 0.5, "optimizer": {"state": {}}}, None, ()),
        ({"model": {**refs(), "epoch": 3}}, "model", ()),
    ],
)
def test_the_weights_are_found(value: Any, chosen: str | None, others: tuple[str, ...]) -> None:
    found = choose(Interpreted(value, ()), None, "x")
    assert (found.name, found.others) == (chosen, others)
    assert all(isinstance(tensor, TensorRef) for tensor in found.tensors.values())
    if found.tensors.keys() != RESNET.keys():
        inside = choose(Interpreted({"first": value}, ()), None, "x")
        assert inside.tensors == found.tensors
        assert inside.name == ("first" if chosen is None else f"first.{chosen}")


@pytest.mark.parametrize(
    ("value", "entry", "message"),
    [
        ({"a": refs(), "b": refs()}, None, r"several sets of weights: 'a', 'b'\. .*entry='a'"),
        ({**refs(), "layer.0": Inert("set")}, None, "'layer.0' is a Inert among tensors"),
        ({**refs(), (1,).__class__: 3}, None, "among tensors"),
        ({"model": refs()}, "ema", "no weights under 'ema': 'model'"),
        ({"model": refs()}, "model.a", "no weights under 'model.a'"),
        ({"a": {"b": {"c": {"d": {"e": refs()}}}}}, None, "no weights under any of model"),
        (Inert("x"), None, "no dict"),
    ],
)  # fmt: skip
def test_weights_that_are_not_found(value: Any, entry: str | None, message: str) -> None:
    if isinstance(value, dict):
        value = {Inert("tuple") if isinstance(k, type) else k: v for k, v in value.items()}
    with pytest.raises(WeightsError, match=message):
        choose(Interpreted(value, ()), entry, "x")


def test_what_would_have_to_run_is_named_where_there_are_no_weights() -> None:
    with pytest.raises(UnsafeCheckpointError, match=r"wants os\.system, which would run code"):
        choose(Interpreted({"args": Inert("os.system")}, ("os.system",)), None, "x")


def two_sets(path: Path, first: Tensors, second: Tensors) -> Path:
    """A file with weights and their moving average."""
    torch_writer.write(path, {f"state_dict/{n}": t for n, t in first.items()} | {
        f"state_dict_ema/{n}": t for n, t in second.items()})  # fmt: skip
    return path


def test_an_average_beside_the_weights_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    c = config()
    raw, averaged = (state_dict(parameters(c, seed), c, "hf") for seed in (0, 1))
    path = two_sets(tmp_path / "a.pth", raw, averaged)

    def nested(file: Interpreted, entry: str | None, source: str) -> Any:
        value: dict[str, Any] = {}
        for key, tensor in file.value.items():
            group, _, name = key.partition("/")
            value.setdefault(group, {})[name] = tensor
        return choose(Interpreted(value, ()), entry, source)

    monkeypatch.setattr("npformer.checkpoints.torch_file.choose", nested)
    (tmp_path / "preprocessor_config.json").write_text("{}")
    with pytest.warns(UserWarning, match="'state_dict_ema'.*entry='state_dict_ema'.*--entry") as w:
        assert same(state_dict(read(path).params, c, "hf"), raw)
    assert "\n" not in str(w[0].message)
    found = read(path, entry="state_dict_ema")
    assert (found.entry, found.prefix) == ("state_dict_ema", "")
    assert same(state_dict(found.params, c, "hf"), averaged)
    for model in (
        npformer.EfficientFormerForImageClassification.from_pretrained(
            path, entry="state_dict_ema", engine="numpy"
        ),
        with_warning(lambda: npformer.load(path, entry="state_dict_ema", engine="numpy")),
    ):
        np.testing.assert_array_equal(model.params.norm.weight, found.params.norm.weight)
    done = convert(path, tmp_path / "b.safetensors", to="hf")
    assert any("entry='state_dict_ema'" in note for note in done.notes)
    convert(path, tmp_path / "b.safetensors", to="hf", entry="state_dict_ema")
    assert same(read_weights(tmp_path / "b.safetensors").tensors, averaged)


def with_warning(load: Any) -> Any:
    with pytest.warns(UserWarning, match="nothing says how its images are preprocessed"):
        return load()


# Weights in several files


def sharded(place: Path, suffix: str, contents: Tensors, count: int = 3) -> Path:
    """A folder as transformers writes it with a small ``max_shard_size``."""
    place.mkdir()
    c = config()
    (place / "config.json").write_text(json.dumps(c.to_diff_dict()))
    stem, write = {
        ".safetensors": ("model", safetensors_file.write),
        ".bin": ("pytorch_model", torch_writer.write),
    }[suffix]
    mapping = {}
    for i in range(count):
        name = f"{stem}-{i + 1:05}-of-{count:05}{suffix}"
        part = dict(list(contents.items())[i::count])
        write(place / name, part)
        mapping |= dict.fromkeys(part, name)
    index = place / f"{stem}{suffix}.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": mapping}))
    return index


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_weights_in_several_files(suffix: str, tmp_path: Path) -> None:
    c = config()
    index = sharded(tmp_path / "a", suffix, tensors(c))
    for place in (tmp_path / "a", index):
        found = read(place)
        assert found.source == str(index)
        assert found.config.depths == c.depths
        assert same(state_dict(found.params, c, "hf"), tensors(c))
    wrapped = {f"module.{name}": tensor for name, tensor in tensors(c).items()}
    assert read(sharded(tmp_path / "b", suffix, wrapped)).prefix == "module."
    with pytest.raises(WeightsError, match="distributed weights have no entry 'model'"):
        read(tmp_path / "a", entry="model")


SHARD = "model-00001-of-00003.safetensors"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda m: m | {"x": SHARD}, f"{SHARD}: lacks 'x', otherwise than"),
        (lambda m: dict(list(m.items())[1:]), f"{SHARD}: also holds 'effi"),
        (lambda m: m | {"x": "gone.safetensors"}, r"gone\.safetensors: no such file; .*lists it"),
        (lambda m: m | {"x": "../model.safetensors"}, "expected the name of a file beside it"),
        (lambda m: m | {"x": "..\\model.safetensors"}, "expected the name of a file beside it"),
        (lambda m: m | {"x": "/model.safetensors"}, "expected the name of a file beside it"),
        (lambda m: m | {"x": "config.json"}, "expected the name of a file beside it"),
        (lambda m: m | {"x": 3}, "'x' is in 3; expected the name"),
        (lambda m: [], r"weight_map is \[\]; expected an object"),
        (lambda m: {}, r"weight_map is \{\}; expected an object"),
    ],
)
def test_lists_of_files_that_are_not_true(damage: Any, message: str, tmp_path: Path) -> None:
    index = sharded(tmp_path / "a", ".safetensors", tensors(config()))
    mapping = json.loads(index.read_text())["weight_map"]
    index.write_text(json.dumps({"weight_map": damage(mapping)}))
    with pytest.raises(WeightsError, match=message):
        read(tmp_path / "a")


def test_lists_of_files_that_are_damaged(tmp_path: Path) -> None:
    index = sharded(tmp_path / "a", ".safetensors", tensors(config()))
    for text in ("{", '{"weight_map": {"a": "b", "a": "c"}}'):
        index.write_text(text)
        with pytest.raises(WeightsError, match=index.name):
            read(tmp_path / "a")
    with pytest.raises(MissingWeights, match="no such file"):
        read_weights(tmp_path / "model.safetensors.index.json")


# Names behind which there is no file


@pytest.mark.parametrize("kind", ["broken link", "folder"])
@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("config.json", ConfigError), ("preprocessor_config.json", ConfigError),
        ("model.safetensors", MissingWeights), ("model.safetensors.index.json", MissingWeights),
    ],
)  # fmt: skip
def test_a_name_without_a_file_is_refused(
    name: str, error: type[Exception], kind: str, tmp_path: Path
) -> None:
    c = config()
    place = folder(tmp_path / "a", c, tensors(c))
    shutil.move(place / "model.safetensors", place / "pytorch_model.bin")
    read(place)
    (place / name).unlink(missing_ok=True)
    if kind == "folder":
        (place / name).mkdir()
    else:
        (place / name).symlink_to(tmp_path / "gone")
    with pytest.raises(error, match=f"{name}: is a {kind}; expected a file"):
        read(place)
    for cls in (npformer.EfficientFormerConfig, npformer.EfficientFormerImageProcessor):
        if name == getattr(cls, "file_name", {npformer.EfficientFormerConfig: "config.json"}.get(
                cls, "preprocessor_config.json")):  # fmt: skip
            with pytest.raises(ConfigError, match=f"{name}: is a {kind}; expected a file"):
                cls.from_pretrained(place)


# Preprocessing that is guessed


def test_guessed_preprocessing_is_said(tmp_path: Path) -> None:
    c = config()
    place = folder(tmp_path / "a", c, tensors(c))
    for source in (place, place / "model.safetensors"):
        with pytest.warns(UserWarning, match=r"resized to 36 pixels, the middle 32×32"):
            npformer.load(source, engine="numpy")
    npformer.EfficientFormerImageProcessor(size=36, crop_size=32).save_pretrained(place)
    with warnings.catch_warnings(action="error"):
        npformer.load(place, engine="numpy")
        read(place / "model.safetensors")  # nothing is classified
