"""Finding, reading, writing and converting checkpoints."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_cases import config, folder, parameters, same, tensors, to_bfloat16

from npformer import checkpoints
from npformer.checkpoints import (
    NAMINGS,
    Naming,
    convert,
    read,
    safetensors_file,
    state_dict,
    timm_config,
    torch_file,
    torch_writer,
    write,
)
from npformer.checkpoints.dtypes import Tensors
from npformer.checkpoints.processor import default_processor
from npformer.checkpoints.weights_file import read_weights
from npformer.commands.main import main
from npformer.errors import ConfigError, MissingWeights, UnsafeCheckpointError, WeightsError
from npformer.network import forward
from npformer.network.configuration import EfficientFormerConfig
from npformer.network.labels import imagenet1k
from npformer.network.tree import leaves

TIMM = {"num_attention_heads": 8, "key_dim": 32, "attention_ratio": 4, "resolution": 7,
        "image_size": 224, "downsamples": [True] * 4, "depths": [1, 1, 1, 2],
        "num_meta3d_blocks": 1}  # fmt: skip
"""A network that timm's class can be."""


def equal(a: Any, b: Any) -> bool:
    x, y = dict(leaves(a)), dict(leaves(b))
    return x.keys() == y.keys() and all(np.array_equal(x[k], y[k]) for k in x)


# Finding


def test_the_default_weights_are_there_wherever_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()  # names take precedence over paths
    found = read("tiny")
    assert found.config.num_labels == 200
    assert found.naming == "hf"
    assert found.processor["crop_size"] == {"height": 128, "width": 128}
    assert Path(found.source).name == "model.safetensors"
    assert {array.dtype.name for _, array in leaves(found.params)} == {"float32"}


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(
        MissingWeights, match=r"l2: no such file or folder, .* tiny, l1, l3, l7 and"
    ):
        read("l2")
    with pytest.raises(FileNotFoundError):
        read("some/deep/path")


def test_folders_without_weights(tmp_path: Path) -> None:
    with pytest.raises(MissingWeights, match=r"holds none of them; expected model\.safe"):
        read(tmp_path)
    for name in ("a.pth", "b.safetensors"):
        (tmp_path / name).touch()
    with pytest.raises(MissingWeights, match=r"holds a\.pth, b\.safetensors; expected"):
        read(tmp_path)
    with pytest.raises(MissingWeights, match="nothing: no such file"):
        read_weights(tmp_path / "nothing")


# Reading


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "other.pth"])
def test_a_folder(name: str, tmp_path: Path) -> None:
    c = config(pool_size=5)
    (tmp_path / "config.json").write_text(c.to_json_string())
    writer = safetensors_file if name.endswith("safetensors") else torch_writer
    writer.write(tmp_path / name, tensors(c))
    for place in (tmp_path, str(tmp_path)):
        found = read(place)
        assert found.config == c
        assert equal(found.params, parameters(c))
        assert found.source == str(tmp_path / name)


@pytest.mark.parametrize("naming", NAMINGS)
@pytest.mark.parametrize("name", ["a.safetensors", "a.pth", "a.bin", "a.pt", "a", "a.weights"])
def test_a_file_of_weights(name: str, naming: Naming, tmp_path: Path) -> None:
    c = config()
    for writer in (safetensors_file, torch_writer):
        writer.write(tmp_path / name, tensors(c, naming))
        found = read(tmp_path / name)
        assert found.naming == naming
        assert found.config.depths == c.depths
        assert equal(found.params, parameters(c))
        edge = 33 if naming == "timm" else 36
        assert found.processor["size"] == {"shortest_edge": edge}
        assert found.processor["crop_size"] == {"height": 32, "width": 32}


def test_one_of_several_sets_of_weights(tmp_path: Path) -> None:
    c = config()
    path = tmp_path / "a.pth"
    torch_writer.write(path, tensors(c), "model_ema")
    assert equal(read(path, entry="model_ema").params, parameters(c))
    with pytest.raises(WeightsError, match="no weights under 'model'"):
        read(path, entry="model")
    safetensors_file.write(tmp_path / "a.safetensors", tensors(c))
    with pytest.raises(WeightsError, match="has no entry 'model'"):
        read(tmp_path / "a.safetensors", entry="model")


def test_dtype(tmp_path: Path) -> None:
    found = read(folder(tmp_path, config(), tensors(config())), dtype="float64")
    assert {array.dtype.name for _, array in leaves(found.params)} == {"float64"}


def test_thousand_nameless_classes_are_imagenet_s(tmp_path: Path) -> None:
    c = config(num_labels=1000)
    assert c.id2label[281] == "LABEL_281"
    found = read(folder(tmp_path, c, tensors(c))).config
    assert found.id2label == dict(enumerate(imagenet1k()))
    assert found.label2id["tabby"] == 281
    c = config(num_labels=1000, id2label={i: f"kind {i}" for i in range(1000)})
    assert read(folder(tmp_path, c, tensors(c))).config.id2label == c.id2label


def test_a_configuration_of_two_heads_demands_two(tmp_path: Path) -> None:
    single = state_dict(parameters(config(), distilled=False), config(), "hf")
    assert read(folder(tmp_path, config(), single)).params.head_dist is None
    two = config(architectures=["EfficientFormerForImageClassificationWithTeacher"])
    with pytest.raises(WeightsError, match=r"model\.safetensors: missing tensors \(2 of"):
        read(folder(tmp_path, two, single))


@pytest.mark.case(82)
def test_a_configuration_that_the_weights_do_not_fit(tmp_path: Path) -> None:
    place = folder(tmp_path, config(num_labels=6), tensors(config()))
    with pytest.raises(WeightsError, match=r"'classifier.weight' has shape \(5, 10\).*5 classes"):
        read(place)


@pytest.mark.case(52, 55)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"config\.json, line 1"),
        ('{"depths": [1], "depths": [2]}', "appears 2 times"),
        ('{"model_type": "efficientformerv2"}', r"config\.json: model_type is 'efficientformerv2'"),
        ('{"architecture": "efficientformerv2_s0"}', r"config\.json: architecture is"),
        ('{"architecture": 3}', "architecture is 3"),
    ],
)
def test_wrong_configurations(text: str, message: str, tmp_path: Path) -> None:
    place = folder(tmp_path, config(), tensors(config()))
    (place / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read(place)


def test_a_wrong_processor(tmp_path: Path) -> None:
    place = folder(tmp_path, config(), tensors(config()))
    (place / "preprocessor_config.json").write_text("[]")
    with pytest.raises(ConfigError, match=r"preprocessor_config\.json"):
        read(place)


@pytest.mark.case(84)
def test_pickles_are_refused_through_the_front_door(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(pickle.dumps([print]))
    with pytest.raises(UnsafeCheckpointError, match="bare pickle"):
        read(path)


@pytest.mark.parametrize(
    ("changes", "height", "width", "edge"),
    [
        ({"resolution": 7, "image_size": 224}, 112, 112, 128),  # 224 does not fit 7 · 16
        ({"resolution": 2, "image_size": 32}, 32, 32, 36),
        ({"resolution": 2, "image_size": 30}, 30, 30, 34),
        ({"resolution": [2, 3], "image_size": [32, 48]}, 32, 48, 36),
        ({"resolution": [2, 3], "image_size": 224}, 32, 48, 36),
        ({"num_meta3d_blocks": 0, "image_size": 100}, 100, 100, 114),
    ],
)
def test_the_usual_processor(changes: dict[str, Any], height: int, width: int, edge: int) -> None:
    found = default_processor(config(**changes), "hf")
    assert found["crop_size"] == {"height": height, "width": width}
    assert found["size"] == {"shortest_edge": edge}


# Writing


def test_what_is_written_is_read(tmp_path: Path) -> None:
    c = config(pool_size=5, layer_norm_eps=1e-3, id2label={i: f"kind {i}" for i in range(5)})
    processor = {"size": {"shortest_edge": 40}, "image_mean": [0.5] * 3}
    write(tmp_path / "new" / "a", c, parameters(c), processor)
    found = read(tmp_path / "new" / "a")
    assert equal(found.params, parameters(c))
    assert found.processor == processor
    for key in ("pool_size", "layer_norm_eps", "id2label", "depths"):
        assert getattr(found.config, key) == getattr(c, key)
    names = {path.name for path in (tmp_path / "new" / "a").iterdir()}
    assert names == {"config.json", "preprocessor_config.json", "model.safetensors"}


@pytest.mark.parametrize(
    ("heads", "architecture"),
    [
        ({}, "EfficientFormerForImageClassificationWithTeacher"),
        ({"head_dist": None}, "EfficientFormerForImageClassification"),
        ({"head_dist": None, "head": None}, "EfficientFormerModel"),
    ],
)
def test_the_class_of_transformers_is_named(
    heads: dict[str, None], architecture: str, tmp_path: Path
) -> None:
    c = config()
    params = parameters(c)._replace(**heads)
    write(tmp_path, c, params)
    values = json.loads((tmp_path / "config.json").read_text())
    assert values["architectures"] == [architecture]
    assert values["hidden_size"] == 10
    assert values["torch_dtype"] == "float32"
    assert equal(read(tmp_path).params, params)


def test_the_original_has_no_folders(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"new: .* name one that ends in \.pth"):
        write(tmp_path / "new", config(), parameters(config()), naming="original")
    assert not (tmp_path / "new").exists()


def test_timm_s_folder(tmp_path: Path) -> None:
    c = config(**TIMM, id2label={i: f"kind {i}" for i in range(5)})
    processor = default_processor(c, "hf")
    write(tmp_path, c, parameters(c), processor, "timm")
    found = read(tmp_path)
    assert found.naming == "timm"
    assert found.config == c
    assert found.processor == processor
    (tmp_path / "preprocessor_config.json").unlink()
    assert read(tmp_path).processor == processor  # from timm's own keys
    values = json.loads((tmp_path / "config.json").read_text())
    assert values["architecture"] == "efficientformer_l1"
    assert values["model_args"]["embed_dims"] == [4, 6, 6, 10]
    assert values["pretrained_cfg"]["classifier"] == ["head", "head_dist"]


@pytest.mark.parametrize("edge", [*range(224, 300), 1000, 224 * 3])
def test_timm_s_crop_fraction_gives_back_the_edge(edge: int, tmp_path: Path) -> None:
    processor = {**default_processor(config(**TIMM), "hf"), "size": {"shortest_edge": edge}}
    values = timm_config.write_config(config(**TIMM), {}, processor)
    assert timm_config.read_processor(values) == processor


def test_a_crop_fraction_that_floats_round_up() -> None:
    c = config(**{**TIMM, "image_size": 193})
    assert int(193 / (193 / 239)) == 238
    processor = {**default_processor(c, "hf"), "size": {"shortest_edge": 239}}
    assert timm_config.read_processor(timm_config.write_config(c, {}, processor)) == processor


def test_a_squeezing_processor_in_timm_s_terms() -> None:
    usual = default_processor(config(**TIMM), "hf")
    processor = {**usual, "size": {"height": 224, "width": 224}, "resample": 2}
    values = timm_config.write_config(config(**TIMM), {}, processor)
    assert values["pretrained_cfg"]["crop_mode"] == "squash"
    assert timm_config.read_processor(values) == processor


def test_published_variants_need_no_arguments() -> None:
    for name in ("l1", "l3", "l7"):
        c = EfficientFormerConfig.variant(name)
        values = timm_config.write_config(c, {}, default_processor(c, "timm"))
        assert values["architecture"] == f"efficientformer_{name}"
        assert "model_args" not in values
        assert values["pretrained_cfg"]["crop_pct"] == pytest.approx(0.95, abs=0.005)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"resolution": 4}, r"token_grid \(4, 4\), only \(7, 7\)"),
        ({"num_attention_heads": 2}, "num_attention_heads 2, only 8"),
        ({"hidden_act": "relu"}, "hidden_act 'relu'"),
        ({"use_layer_scale": False}, "use_layer_scale False"),
        ({"downsample_patch_size": 5}, "downsample_patch_size 5"),
    ],
)
def test_what_timm_cannot_be(changes: dict[str, Any], named: str, tmp_path: Path) -> None:
    c = config(**{**TIMM, **changes})
    with pytest.raises(ConfigError, match=f"timm has no EfficientFormer with {named}"):
        write(tmp_path / "new", c, parameters(c), naming="timm")
    assert not (tmp_path / "new").exists()


def test_timm_always_has_two_heads(tmp_path: Path) -> None:
    c = config(**TIMM)
    with pytest.raises(ConfigError, match="always has two heads"):
        write(tmp_path, c, parameters(c, distilled=False), naming="timm")


def timm_folder(path: Path, **values: Any) -> Path:
    """A folder as timm itself writes it."""
    c = config(**TIMM)
    safetensors_file.write(path / "model.safetensors", tensors(c, "timm"))
    (path / "config.json").write_text(json.dumps({"architecture": "efficientformer_l1", **values}))
    return path


def test_a_folder_of_timm(tmp_path: Path) -> None:
    place = timm_folder(
        tmp_path,
        label_names=list("abcde"),
        model_args={"pool_size": 5, "embed_dims": [1]},
        pretrained_cfg={"input_size": [3, 224, 224], "interpolation": "bilinear", "crop_pct": 0.9},
    )
    found = read(place)
    assert found.config.pool_size == 5
    assert found.config.layer_norm_eps == 1e-5
    assert found.config.id2label == dict(enumerate("abcde"))
    assert found.processor["size"] == {"shortest_edge": 248}
    assert found.processor["resample"] == 2
    assert equal(found.params, parameters(config(**TIMM)))
    # Before 2023 the keys of pretrained_cfg were at the top level of the file.
    assert read(timm_folder(tmp_path, crop_pct=0.875)).processor["size"] == {"shortest_edge": 256}


@pytest.mark.case(56)
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_args": {"act_layer": "relu"}}, "model_args has act_layer, which is not"),
        ({"model_args": [1]}, "model_args is"),
        ({"model_args": {"pool_size": 4}}, "pool_size is 4"),
        ({"label_names": ["a"]}, "label_names is not a list of 5 names"),
        ({"pretrained_cfg": {"crop_mode": "border"}}, "pretrained_cfg does not say.*border"),
        ({"pretrained_cfg": {"interpolation": "random"}}, "pretrained_cfg does not say.*random"),
        ({"pretrained_cfg": {"input_size": [224]}}, "pretrained_cfg does not say"),
        ({"pretrained_cfg": {"crop_pct": 0}}, "pretrained_cfg does not say"),
        ({"pretrained_cfg": {"mean": "a"}}, "pretrained_cfg does not say"),
        ({"npformer": 1}, "npformer is 1; expected"),
    ],
)
def test_a_folder_of_timm_that_is_not_understood(
    values: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=rf"config\.json: {message}"):
        read(timm_folder(tmp_path, **values))


# Converting


def mixed(c: EfficientFormerConfig) -> Tensors:
    """Tensors of every floating dtype, with counters that have counted."""
    kinds = [lambda x: x.astype("f2"), to_bfloat16, lambda x: x, lambda x: x.astype("f8")]
    file = tensors(c)
    for i, (name, tensor) in enumerate(file.items()):
        file[name] = (
            kinds[i % 4](tensor)
            if tensor.dtype.kind == "f"
            else tensor + (i % 3) * (tensor.ndim == 0)
        )
    return file


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
def test_a_round_trip_is_bit_exact(ending: str, tmp_path: Path) -> None:
    c = config()
    first = mixed(c)
    place = folder(tmp_path, c, first)
    for i, to in enumerate(["timm", "original", "timm", "hf", "original", "hf"]):
        target = tmp_path / f"{i}{ending}"
        done = convert(place, target, to=to)  # type: ignore[arg-type]
        assert checkpoints.detect(read_weights(target).tensors, "x") == to
        assert (done.place, done.tensors) == (target, len(first))
        place = target
    assert same(read_weights(place).tensors, first)


def test_a_round_trip_through_folders_keeps_the_configuration(tmp_path: Path) -> None:
    c = config(**TIMM, pool_size=5, id2label={i: f"kind {i}" for i in range(5)})
    write(tmp_path / "a", c, parameters(c))
    convert(tmp_path / "a", tmp_path / "b", to="timm")
    convert(tmp_path / "b", tmp_path / "c", to="hf")
    first, last = read(tmp_path / "a"), read(tmp_path / "c")
    assert equal(first.params, last.params)
    assert first.config == last.config
    assert first.processor == last.processor


def test_missing_buffers_are_added(tmp_path: Path) -> None:
    c = config()
    lean = {name: t for name, t in tensors(c).items() if t.dtype.kind == "f"}
    safetensors_file.write(tmp_path / "a.safetensors", lean)
    convert(tmp_path / "a.safetensors", tmp_path / "b.safetensors", to="hf")
    assert same(read_weights(tmp_path / "b.safetensors").tensors, tensors(c))


def test_the_original_s_file_holds_its_weights_under_model(tmp_path: Path) -> None:
    place = folder(tmp_path / "a", config(), tensors(config()))
    convert(place, tmp_path / "a.pth", to="original")
    torch_file.read(tmp_path / "a.pth", "model")
    convert(tmp_path / "a.pth", tmp_path / "a.bin", to="hf")
    assert same(torch_file.read(tmp_path / "a.bin").tensors, tensors(config()))


def test_weights_are_checked_before_anything_is_written(tmp_path: Path) -> None:
    broken = tensors(config())
    broken["classifier.bias"] = np.full(5, np.nan)
    place = folder(tmp_path / "a", config(), broken)
    with pytest.raises(WeightsError, match=r"classifier\.bias"):
        convert(place, tmp_path / "b.pth", to="original")
    assert not (tmp_path / "b.pth").exists()


def test_float64_is_checked_in_float64(tmp_path: Path) -> None:
    large = tensors(config())
    large["classifier.bias"] = np.full(5, 1e300)
    place = folder(tmp_path / "a", config(), large)
    convert(place, tmp_path / "b.pth", to="original")
    assert torch_file.read(tmp_path / "b.pth").tensors["head.bias"][0] == 1e300


def test_notes(tmp_path: Path) -> None:
    def notes(place: Path, target: str, to: Naming) -> str:
        return "\n".join(convert(place, tmp_path / target, to=to).notes)

    plain = folder(tmp_path / "a", config(), tensors(config()))
    assert notes(plain, "b", "hf") == ""
    assert notes(plain, "b.safetensors", "hf") == ""
    assert "ε 1e-12; whatever loads the result uses 1e-05" in notes(plain, "b.pth", "original")
    c = config(**TIMM, pool_size=5, layer_norm_eps=1e-5, id2label={i: f"{i}!" for i in range(5)})
    other = folder(tmp_path / "c", c, tensors(c))
    assert notes(other, "d", "timm") == ""
    assert notes(other, "d.pth", "timm") == (
        "a file of weights does not contain pool_size, id2label; keep the config.json, or convert "
        "to a folder"
    )


@pytest.mark.parametrize("scale", [1e-3, 1e-1, 1.0])
def test_the_change_by_another_epsilon_is_measured(scale: float, tmp_path: Path) -> None:
    c = config()
    file = tensors(c)
    # Small features have a small variance, to which ε is added.
    for name, tensor in file.items():
        if name.endswith(("layer_scale_1", "layer_scale_2")) or "projection" in name:
            file[name] = tensor * np.float32(scale)
    place = folder(tmp_path / "a", c, file)
    (note,) = convert(place, tmp_path / "b.pth", to="original").notes
    found = read(place, dtype="float64")
    noise = np.random.default_rng(0).standard_normal((1, 32, 32, 3))
    here, there = (
        forward(noise, found.params, config(layer_norm_eps=eps)).logits for eps in (1e-12, 1e-5)
    )
    change = abs(here - there).max()
    assert bool(change > 0) is (scale < 1)
    assert f"by up to {change:.1g} (measured)" in note


@pytest.mark.parametrize("name", ["a.onnx", "a.h5", "a.npz", "a.ONNX", "a.safetensor", "a.ckpt"])
def test_what_is_not_written_is_refused_in_words(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"{name}: .*; expected a folder, or a file that ends"):
        convert("tiny", tmp_path / name, to="hf")
    assert not list(tmp_path.iterdir())


def test_what_the_command_requires(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "tiny", str(tmp_path / "a.pth")]) == 2
    assert "required: --to" in capsys.readouterr().err
    assert main(["convert", "tiny", str(tmp_path / "a.onnx"), "--to", "hf"]) == 2
    assert "leave --to out" in capsys.readouterr().err


def test_other_namings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="to is 'keras'; expected one of hf, timm, original"):
        convert("tiny", tmp_path / "a", to="keras")  # type: ignore[arg-type]


# The command


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "tiny.pth"
    assert main(["convert", "tiny", str(target), "--to", "original"]) == 0
    out, err = capsys.readouterr()
    assert out == f"{target}: 217 tensors, from hf to original\n"
    assert err.startswith("npformer: note: a file of weights does not contain id2label")
    assert equal(read(target).params, read("tiny").params)
    assert main(["convert", str(target), str(tmp_path / "b"), "--to", "hf", "--entry", "x"]) == 1
    assert "no weights under 'x'" in capsys.readouterr().err
    assert main(["convert", str(target), str(tmp_path / "b"), "--to", "keras"]) == 2


def test_reading_twice_gives_separate_parameters() -> None:
    a, b = read("tiny"), read("tiny")
    assert a.params.norm.weight is not b.params.norm.weight
