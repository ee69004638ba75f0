import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npformer.errors import ConfigError, MissingWeights
from npformer.files.strict_json import parse_object
from npformer.layers import ACTIVATIONS
from npformer.network.configuration import EfficientFormerConfig
from npformer.network.params import param_specs
from npformer.network.variants import VARIANTS

TINY = Path(__file__).parents[1] / "weights" / "tiny" / "config.json"

DEFAULT_TEXT = """{
  "attention_ratio": 4,
  "batch_norm_eps": 1e-05,
  "depths": [
    3,
    2,
    6,
    4
  ],
  "dim": 448,
  "distillation": true,
  "downsample_pad": 1,
  "downsample_patch_size": 3,
  "downsample_stride": 2,
  "downsamples": [
    true,
    true,
    true,
    true
  ],
  "drop_path_rate": 0.0,
  "hidden_act": "gelu",
  "hidden_dropout_prob": 0.0,
  "hidden_sizes": [
    48,
    96,
    224,
    448
  ],
  "image_size": 224,
  "initializer_range": 0.02,
  "key_dim": 32,
  "layer_norm_eps": 1e-12,
  "layer_scale_init_value": 1e-05,
  "mlp_expansion_ratio": 4,
  "model_type": "efficientformer",
  "num_attention_heads": 8,
  "num_channels": 3,
  "num_hidden_layers": 5,
  "num_meta3d_blocks": 1,
  "patch_size": 16,
  "pool_size": 3,
  "resolution": 7,
  "transformers_version": "4.40.2",
  "use_layer_scale": true
}
"""  # what transformers 4.40.2 writes for EfficientFormerConfig()


def test_default_is_the_text_that_transformers_writes():
    assert EfficientFormerConfig().to_json_string() == DEFAULT_TEXT


def test_positional_order_is_the_documented_one():
    config = EfficientFormerConfig(
        [1, 1], [4, 8], [True, True], 8, 2, 3, 5, 6, 2, 2, 0.1, 16, 4, 5, 3, 2, 1, 0.2, 1, False,
        True, 1e-3, "relu", 0.03, 1e-6, 160, 1e-4,
    )  # fmt: skip
    assert json.loads(config.to_json_string()) == {
        "depths": [1, 1], "hidden_sizes": [4, 8], "downsamples": [True, True], "dim": 8,
        "key_dim": 2, "attention_ratio": 3, "resolution": 5, "num_hidden_layers": 6,
        "num_attention_heads": 2, "mlp_expansion_ratio": 2, "hidden_dropout_prob": 0.1,
        "patch_size": 16, "num_channels": 4, "pool_size": 5, "downsample_patch_size": 3,
        "downsample_stride": 2, "downsample_pad": 1, "drop_path_rate": 0.2, "num_meta3d_blocks": 1,
        "distillation": False, "use_layer_scale": True, "layer_scale_init_value": 1e-3,
        "hidden_act": "relu", "initializer_range": 0.03, "layer_norm_eps": 1e-6, "image_size": 160,
        "batch_norm_eps": 1e-4, "model_type": "efficientformer", "transformers_version": "4.40.2",
    }  # fmt: skip


def test_variants_have_the_published_sizes():
    sizes = {
        name: (tuple(c.depths), tuple(c.hidden_sizes), c.num_meta3d_blocks, c.num_labels)
        for name in VARIANTS
        for c in [EfficientFormerConfig.variant(name)]
    }
    assert sizes == {
        "tiny": ((2, 2, 4, 3), (32, 64, 128, 256), 2, 200),
        "l1": ((3, 2, 6, 4), (48, 96, 224, 448), 1, 1000),
        "l3": ((4, 4, 12, 6), (64, 128, 320, 512), 4, 1000),
        "l7": ((6, 6, 18, 8), (96, 192, 384, 768), 8, 1000),
    }


def test_variants_are_named_after_imagenet_unless_told_otherwise():
    assert EfficientFormerConfig.variant("l1").id2label[281] == "tabby"
    assert EfficientFormerConfig.variant("l1").label2id["tabby"] == 281
    assert EfficientFormerConfig.variant("l3", num_labels=3).id2label[2] == "LABEL_2"
    named = EfficientFormerConfig.variant("l7", id2label={0: "cat", 1: "dog"})
    assert named.id2label == {0: "cat", 1: "dog"}
    with pytest.raises(ConfigError, match="'l9'; expected one of tiny, l1, l3, l7"):
        EfficientFormerConfig.variant("l9")


def test_variant_tiny_is_the_shipped_one():
    shipped = EfficientFormerConfig.from_json_file(TINY).to_dict()
    made = EfficientFormerConfig.variant("tiny").to_dict()
    differing = {key for key in shipped.keys() | made.keys() if shipped.get(key) != made.get(key)}
    assert differing == {"architectures", "hidden_size", "id2label", "label2id", "wnids"}


def test_shipped_file_comes_back_as_it_was_with_the_defaults_that_it_omits():
    written = json.loads(EfficientFormerConfig.from_json_file(TINY).to_json_string())
    found = json.loads(TINY.read_text(encoding="utf-8"))
    assert {key: written.get(key) for key in found} == found


# Labels


def test_labels_number_and_names():
    assert EfficientFormerConfig(num_labels=3).id2label == {
        0: "LABEL_0",
        1: "LABEL_1",
        2: "LABEL_2",
    }
    config = EfficientFormerConfig(id2label={"1": "dog", "0": "cat"})
    assert list(config.id2label.items()) == [(0, "cat"), (1, "dog")]
    assert config.label2id == {"cat": 0, "dog": 1}
    assert EfficientFormerConfig(label2id={"cat": 0, "dog": 1}).id2label == config.id2label
    config.num_labels = 2
    assert config.id2label[0] == "cat"
    config.num_labels = 3
    assert config.id2label[2] == "LABEL_2"
    assert config.label2id["LABEL_2"] == 2
    assert EfficientFormerConfig(num_labels=0).num_labels == 0


@pytest.mark.case(56)
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_labels": 3, "id2label": {0: "cat"}}, "num_labels is 3; expected 1"),
        ({"num_labels": -1}, "num_labels is -1"),
        ({"num_labels": 10**12}, "num_labels is 1000000000000"),
        ({"num_labels": "two"}, "num_labels is 'two'"),
        ({"num_labels": True}, "num_labels is True"),
        ({"id2label": ["cat", "dog"]}, "id2label is .*; expected a mapping"),
        ({"label2id": 7}, "label2id is 7; expected a mapping"),
        ({"label2id": {"cat": [0]}}, "label2id is .*; expected a whole number"),
        ({"id2label": {"a": "cat"}}, "id2label has a key that is not an index"),
        ({"id2label": {0: "cat", 1.5: "dog"}}, "id2label has a key that is not an index"),
        ({"id2label": {"0": "cat", "00": "dog"}}, "id2label has 2 names for 1 indices"),
        ({"label2id": {"cat": 0, "dog": 0, "fox": 1}}, "label2id has 3 names for 2 indices"),
        (
            {"id2label": {0: "cat", 2: "dog"}},
            "id2label is .*; expected its 2 indices to be 0 to 1",
        ),
    ],
)
def test_impossible_labels_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        EfficientFormerConfig(**values)


@pytest.mark.case(56)
def test_two_classes_may_share_a_name():
    config = EfficientFormerConfig(id2label={"0": "crane", "1": "cat", "2": "crane"})
    assert config.id2label == {0: "crane", 1: "cat", 2: "crane"}


# Validation

IMPOSSIBLE = [
    ({"depths": []}, "depths"),
    ({"depths": 3}, "depths is 3; expected a list"),
    ({"depths": "3264"}, "depths is '3264'; expected a list"),
    ({"depths": [3, 2, 6, -4]}, "depths"),
    ({"depths": [3, 2, 6, 10**9]}, "depths"),
    ({"depths": [600, 600, 6, 4]}, "at most 1000 blocks"),
    ({"depths": [3, 2, 6, 4.0]}, "depths"),
    ({"depths": [3, 2, 6]}, "hidden_sizes is .*; expected 3 widths, as many as depths"),
    ({"hidden_sizes": [48, 96, 448]}, "expected 4 widths"),
    ({"hidden_sizes": [48, 96, 224, "448"]}, "hidden_sizes"),
    ({"hidden_sizes": [1, 96, 224, 448]}, "because the stem halves it"),
    ({"hidden_sizes": [48, 96, 224, 10**6], "dim": 10**6}, "hidden_sizes"),
    ({"hidden_sizes": [64, 128, 320, 512]}, "dim is 448; expected the last of hidden_sizes, 512"),
    ({"downsamples": [True]}, "downsamples"),
    ({"downsamples": [True, "no", True, True]}, "downsamples"),
    ({"dim": 447}, "dim is 447"),
    ({"key_dim": 0}, "key_dim is 0; expected a whole number from 1"),
    ({"key_dim": True}, "key_dim is True"),
    ({"attention_ratio": 0.01}, "attention_ratio"),
    ({"attention_ratio": 10**400}, "attention_ratio"),
    ({"attention_ratio": 1e5}, "attention_ratio"),
    ({"attention_ratio": "4"}, "attention_ratio"),
    ({"mlp_expansion_ratio": 0}, "mlp_expansion_ratio"),
    ({"mlp_expansion_ratio": float("inf")}, "mlp_expansion_ratio"),
    ({"mlp_expansion_ratio": 1000}, "mlp_expansion_ratio"),
    ({"resolution": 0}, "resolution is 0"),
    ({"resolution": 7.0}, "resolution is 7.0"),
    ({"resolution": [7, 7, 7]}, "resolution"),
    ({"resolution": 10**6}, "resolution"),
    ({"resolution": None}, "resolution is None"),
    ({"image_size": "224"}, "image_size"),
    ({"num_attention_heads": -1}, "num_attention_heads"),
    ({"num_channels": 0}, "num_channels"),
    ({"pool_size": 4}, "pool_size is 4; expected an odd number"),
    ({"pool_size": 10**10}, "pool_size"),
    ({"downsample_stride": 0}, "downsample_stride"),
    ({"downsample_pad": -1}, "downsample_pad"),
    ({"drop_path_rate": 1.5}, "drop_path_rate is 1.5; expected a number from 0 to 1"),
    ({"hidden_dropout_prob": float("nan")}, "hidden_dropout_prob is nan"),
    ({"num_meta3d_blocks": 5}, "num_meta3d_blocks is 5; expected at most the last depth, 4"),
    ({"use_layer_scale": "false"}, "use_layer_scale is 'false'"),
    ({"hidden_act": "gleu"}, "hidden_act is 'gleu'; expected one of gelu, "),
    ({"hidden_act": ["gelu"]}, "hidden_act"),
    ({"layer_norm_eps": -1e-5}, "layer_norm_eps"),
    ({"hidden_size": 449}, "hidden_size is 449; expected the last of hidden_sizes, 448"),
    ({"problem_type": "ranking"}, "problem_type is 'ranking'; expected one of regression, "),
    ({"model_type": "efficientnet"}, "model_type is 'efficientnet'"),
    ({"use_return_dict": True}, "use_return_dict is True; expected no such key"),
    ({"architectures": "EfficientFormerModel"}, "architectures is .*; expected a list"),
    ({"to_dict": 1}, "to_dict is 1; expected no such key"),
]


@pytest.mark.case(53, 54, 55)
@pytest.mark.parametrize(
    ("values", "message"), IMPOSSIBLE, ids=[str(v)[:40] for v, _ in IMPOSSIBLE]
)
def test_impossible_values_are_refused_by_name(values, message):
    with pytest.raises(ConfigError, match=message):
        EfficientFormerConfig(**values)


def test_a_network_is_built_only_from_a_valid_configuration():
    config = EfficientFormerConfig()
    config.pool_size = 4
    with pytest.raises(ConfigError, match="pool_size"):
        param_specs(config)
    config.pool_size, config.id2label = 3, {1: "cat"}
    with pytest.raises(ConfigError, match="id2label"):
        param_specs(config)


def test_without_attention_dim_does_not_matter():
    assert EfficientFormerConfig(num_meta3d_blocks=0, dim=7).dim == 7


def test_every_activation_of_the_reference_and_selu_is_accepted():
    names = [
        "gelu",
        "gelu_10",
        "gelu_accurate",
        "gelu_fast",
        "gelu_new",
        "gelu_python",
        "gelu_pytorch_tanh",
        "laplace",
        "leaky_relu",
        "linear",
        "mish",
        "quick_gelu",
        "relu",
        "relu2",
        "relu6",
        "selu",
        "sigmoid",
        "silu",
        "swish",
        "tanh",
    ]
    assert sorted(ACTIVATIONS) == names
    for name in names:
        assert EfficientFormerConfig(hidden_act=name).hidden_act == name


def test_pool_size_null_is_3():
    assert EfficientFormerConfig(pool_size=None).pool_size == 3


def test_rectangles():
    config = EfficientFormerConfig(resolution=(7, 10), image_size=(224, 320))
    assert config.token_grid == (7, 10)
    assert config.image_shape == (224, 320)
    again = EfficientFormerConfig.from_dict(json.loads(config.to_json_string()))
    assert again.resolution == [7, 10]
    assert again == config


# Keys


def test_hidden_size_is_derived_and_written_where_transformers_reads_it():
    config = EfficientFormerConfig()
    assert config.hidden_size == 448
    assert "hidden_size" not in config.to_dict()
    config.architectures = ["EfficientFormerForImageClassificationWithTeacher"]
    assert config.to_dict()["hidden_size"] == 448
    assert EfficientFormerConfig(hidden_size=448).to_dict()["hidden_size"] == 448
    config = EfficientFormerConfig()
    config.hidden_size = config.hidden_sizes[-1]  # what users of the reference had to write
    assert config.to_dict()["hidden_size"] == 448
    with pytest.raises(ConfigError, match="hidden_size is 449"):
        config.hidden_size = 449


def test_unknown_keys_are_kept():
    config = EfficientFormerConfig(crop_pct=0.95, classifier="head", wnids=["n1"])
    assert config.crop_pct == 0.95
    assert config.to_diff_dict()["classifier"] == "head"
    assert config.to_diff_dict()["wnids"] == ["n1"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("hidden_size_", "hidden_sizes"),
        ("num_label", "num_labels"),
        ("downsample", "downsamples"),
        ("poolsize", "pool_size"),
        ("layer_norm_epsilon", "layer_norm_eps"),
        ("num_heads", None),
        ("crop_pct", None),
        ("classifier", None),
        ("wnids", None),
        ("license", None),
    ],
)
def test_a_warning_for_likely_typing_errors_only(name, meant):
    if meant is None:
        EfficientFormerConfig(**{name: 1})  # a warning would be an error here
    else:
        with pytest.warns(UserWarning, match=f"unknown key '{name}' .* is it '{meant}'"):
            EfficientFormerConfig(**{name: 1})


def test_old_hub_names_are_understood():
    old = {"attn_ratio": 3, "layers": [1, 1], "embed_dims": [8, 16], "dim": 16}
    config = EfficientFormerConfig.from_dict(old)
    assert (config.attention_ratio, config.depths, config.hidden_sizes) == (3, [1, 1], [8, 16])
    assert "layers" not in config.to_dict()
    with pytest.raises(ConfigError, match=r"attn_ratio is 3; expected 4, as attention_ratio"):
        EfficientFormerConfig.from_dict({"attn_ratio": 3, "attention_ratio": 4})


def test_keys_of_the_writing_program_are_not_kept():
    config = EfficientFormerConfig(transformers_version="4.25.0.dev0", _commit_hash="4fba711")
    assert config.to_json_string() == DEFAULT_TEXT


def test_where_a_file_comes_from_is_kept():
    config = EfficientFormerConfig(_name_or_path="snap-research/efficientformer-l1-300")
    assert config.name_or_path == "snap-research/efficientformer-l1-300"
    assert config.to_diff_dict()["_name_or_path"] == config.name_or_path
    assert EfficientFormerConfig(name_or_path="here").name_or_path == "here"


def test_torch_dtype_is_a_name():
    class Dtype:
        def __str__(self):
            return "torch.float16"

    assert EfficientFormerConfig(torch_dtype=Dtype()).torch_dtype == "float16"


def test_return_dict_and_torchscript():
    assert EfficientFormerConfig().use_return_dict
    assert not EfficientFormerConfig(return_dict=False).use_return_dict
    assert not EfficientFormerConfig(torchscript=True).use_return_dict


def test_changes_replace_what_the_file_says():
    values = {"id2label": {"0": "cat", "1": "dog"}, "label2id": {"cat": 0, "dog": 1}}
    assert EfficientFormerConfig.from_dict(values, num_labels=3).id2label[2] == "LABEL_2"
    named = EfficientFormerConfig.from_dict(values, id2label={0: "a"}, image_size=256)
    assert (named.id2label, named.label2id, named.image_size) == ({0: "a"}, {"a": 0}, 256)


def test_equality_and_repr():
    assert EfficientFormerConfig() == EfficientFormerConfig(num_labels=2)
    assert EfficientFormerConfig() != EfficientFormerConfig(num_labels=3)
    assert EfficientFormerConfig() != "config"
    assert repr(EfficientFormerConfig()) == "EfficientFormerConfig " + DEFAULT_TEXT


def test_defaults_are_not_shared():
    one, two = EfficientFormerConfig(), EfficientFormerConfig()
    one.depths[0] = 99
    one.pruned_heads[1] = 2
    assert two.depths[0] == 3
    assert two.pruned_heads == {}


# Files


def test_from_pretrained_of_a_folder_a_file_and_a_name(tmp_path):
    config = EfficientFormerConfig(num_labels=3, resolution=5)
    config.save_pretrained(tmp_path / "new" / "folder")
    folder = tmp_path / "new" / "folder"
    assert EfficientFormerConfig.from_pretrained(folder) == config
    assert EfficientFormerConfig.from_pretrained(str(folder / "config.json")) == config
    assert EfficientFormerConfig.from_pretrained(folder, pool_size=5).pool_size == 5
    tiny = EfficientFormerConfig.from_pretrained("tiny")
    assert tiny == EfficientFormerConfig.from_json_file(TINY)
    l3 = EfficientFormerConfig.from_pretrained("snap-research/efficientformer-l3-300")
    assert l3 == EfficientFormerConfig.from_pretrained("l3")
    with pytest.raises(MissingWeights, match=r"nowhere: no such folder .* names are tiny, l1"):
        EfficientFormerConfig.from_pretrained("nowhere")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        EfficientFormerConfig.from_pretrained(tmp_path)


def test_written_json_is_ascii_and_sorted(tmp_path):
    config = EfficientFormerConfig(id2label={10 - i: f"Häuser {i}" for i in range(11)})
    config.save_pretrained(tmp_path)
    text = (tmp_path / "config.json").read_text(encoding="ascii")
    assert text.index('"2": ') < text.index('"10": ')  # by number, as in the reference
    assert EfficientFormerConfig.from_pretrained(tmp_path) == config
    assert json.loads(config.to_json_string(use_diff=False))["max_length"] == 20


@pytest.mark.case(52, 53, 55, 56)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"line 1, column 1: not JSON"),
        (b'{"dim": 448,\n "key_dim": }', r"line 2, column 13: not JSON"),
        (b"<!doctype html>", r"line 1, column 1: not JSON"),
        (b"version https://git-lfs.github.com/spec/v1", "not JSON"),
        (b"[3, 2, 6, 4]", "holds a JSON list; expected an object"),
        (b"\xef\xbb\xbf{}", "line 1: begins with a byte order mark"),
        (b'{"dim": "\xff"}', "byte 9 is not UTF-8"),
        (b'{"dim": 448,\n\n"dim": 512}', "line 1 and 3: the key 'dim' appears 2 times"),
        (b'{"layer_norm_eps":\nNaN}', "line 2: NaN is not a JSON number"),
        (b'{"attention_ratio": -Infinity}', "line 1: -Infinity is not a JSON number"),
        (b'{"attention_ratio": 1e999}', "attention_ratio is inf"),
        (b'{"dim": ' + b"9" * 5000 + b"}", "holds a number that is too long"),
        (b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deep"),
        (b'{"depths": [1000000000]}', "depths is"),
        (b'{"model_type": "efficientformerv2"}', "model_type is 'efficientformerv2'"),
        (b'{"id2label": {"0": "cat", "5": "dog"}}', "id2label is"),
    ],
)
def test_unusable_files_are_refused_with_their_path(tmp_path, content, message):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"{re.escape(str(path))}.*{message}"):
        EfficientFormerConfig.from_pretrained(tmp_path)


@pytest.mark.case(52)
def test_a_key_repeated_very_often_makes_a_short_message():
    with pytest.raises(ConfigError, match="appears 2000 times") as error:
        parse_object("{" + '"dim": 1,\n' * 1999 + '"dim": 1}', "here")
    assert len(str(error.value)) < 500


@pytest.mark.case(52)
def test_a_key_named_as_python_names_the_object_is_a_key():
    assert EfficientFormerConfig.from_dict({"self": 1}).to_dict()["self"] == 1


def test_equal_keys_in_different_objects_are_fine():
    text = '{"id2label": {"0": "dim"}, "label2id": {"dim": 0}, "dim": 448}'
    assert parse_object(text, "here")["dim"] == 448


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
KEYS = [*EfficientFormerConfig().to_dict(), "num_labels", "hidden_size", "layers", "unheard_of"]


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), json_values, max_size=4))
def test_any_json_object_is_read_or_refused_by_a_config_error(values):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            config = EfficientFormerConfig.from_dict(values)
        except ConfigError:
            return
    again = EfficientFormerConfig.from_dict(json.loads(config.to_json_string()))
    assert again == config
    param_specs(config)


def test_numbers_of_numpy_become_those_of_python(tmp_path):
    values = {
        "depths": np.array([1, 1, 2, 2]), "hidden_sizes": [np.int64(8)] * 4, "dim": np.int32(8),
        "downsamples": np.array([True] * 4), "num_labels": np.int64(5), "image_size": np.uint16(96),
        "resolution": (np.int64(3), 3), "drop_path_rate": np.float32(0.1),
        "layer_norm_eps": np.float64(1e-6), "use_layer_scale": np.bool_(False),
        "label2id": {f"c{i}": np.int64(i) for i in range(5)},
    }  # fmt: skip
    config = EfficientFormerConfig(**values)
    config.key_dim = np.int64(4)
    config.validate()
    assert type(config.dim) is type(config.key_dim) is type(config.depths[0]) is int
    assert type(config.drop_path_rate) is float
    assert config.use_layer_scale is False
    assert config.num_labels == 5
    config.save_pretrained(tmp_path)
    assert EfficientFormerConfig.from_pretrained(tmp_path) == config
    named = EfficientFormerConfig(id2label={np.int64(0): "a", np.int64(1): "b"})
    assert named.id2label == {0: "a", 1: "b"}


@pytest.mark.parametrize("value", [np.float64(5), np.inf, np.array([5, 6]), np.bool_(True)])
def test_numbers_of_numpy_that_do_not_fit_are_refused(value):
    with pytest.raises(ConfigError, match="num_labels is"):
        EfficientFormerConfig(num_labels=value)
