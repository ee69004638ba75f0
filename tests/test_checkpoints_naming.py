"""The three namings: every tensor of the published networks, and what is not one of them."""

from __future__ import annotations

from ast import literal_eval

import numpy as np
import pytest
from checkpoint_cases import config, parameters, same
from golden import names as golden
from hypothesis import given, settings
from hypothesis import strategies as st

from npformer.checkpoints import NAMINGS, Naming, detect, infer_config, names, state_dict
from npformer.checkpoints.naming import PREFIX, from_native, to_native
from npformer.errors import ConfigError, WeightsError
from npformer.hf.modeling import EfficientFormerModel
from npformer.network.configuration import EfficientFormerConfig

VARIANTS = ("l1", "l3", "l7")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("naming", NAMINGS)
def test_every_name_of_the_published_networks(variant: str, naming: Naming) -> None:
    rows = golden.rows(variant)
    assert len(rows) == {"l1": 281, "l3": 457, "l7": 649}[variant]
    found = names(EfficientFormerConfig.variant(variant), naming)
    assert found == {row["timm"]: row[naming] for row in rows}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("naming", NAMINGS)
def test_inferred_configurations_of_the_published_networks(variant: str, naming: Naming) -> None:
    rows = golden.rows(variant)
    types = {"torch.float32": "f4", "torch.int64": "i8"}
    tensors = {
        row[naming]: np.broadcast_to(np.zeros((), types[row["dtype"]]), literal_eval(row["shape"]))
        for row in rows
    }
    assert detect(tensors, "x") == naming
    found = infer_config(tensors)
    expected = EfficientFormerConfig.variant(variant)
    expected.layer_norm_eps = 1e-12 if naming == "hf" else 1e-5
    assert found == expected


@pytest.mark.parametrize("variant", VARIANTS[:2])
def test_shapes_and_dtypes_of_what_is_written(variant: str) -> None:
    c = EfficientFormerConfig.variant(variant)
    own = state_dict(parameters(c), c)
    assert {k: (str(t.shape), f"torch.{t.dtype}") for k, t in own.items()} == {
        row["timm"]: (row["shape"], row["dtype"]) for row in golden.rows(variant)
    }


@pytest.mark.parametrize("naming", NAMINGS)
def test_there_and_back(naming: Naming) -> None:
    c = config()
    native = state_dict(parameters(c), c)
    renamed = from_native(native, c, naming)
    assert detect(renamed, "x") == naming
    assert same(to_native(renamed, c, naming), native)


def test_hugging_face_s_model_without_heads_has_no_prefix() -> None:
    c = config(num_labels=0)
    renamed = from_native(state_dict(parameters(c), c), c, "hf")
    assert not any(name.startswith(PREFIX) for name in renamed)
    assert detect(renamed, "x") == "hf"
    assert same(to_native(renamed, c, "hf"), state_dict(parameters(c), c))


def test_strange_names_pass_through() -> None:
    x = np.ones(1)
    assert same(to_native({"strange": x}, config(), "hf"), {"strange": x})


RELATIVES = {
    "backbone.patch_embed.0.weight": "OpenMMLab",
    "backbone.network.6.5.token_mixer.attention_biases_seg": "detector",
    "network.6.5.token_mixer.attention_biases_seg": "detection",
    "norm0.weight": "detection",
    "efficientformer.norm4.bias": "detection",
}


@pytest.mark.case(76)
@pytest.mark.parametrize("key", RELATIVES)
def test_relatives_are_named(key: str) -> None:
    c = config()
    tensors = state_dict(parameters(c), c, "original") | {key: np.ones(1)}
    with pytest.raises(WeightsError, match=f"x.pth: tensor .*{RELATIVES[key]}"):
        detect(tensors, "x.pth")


NETWORKS = {
    "EfficientFormerV2": [
        "stages.0.blocks.0.mlp.mid.conv.weight", "stages.2.blocks.5.token_mixer.talking_head1.bias",
        "stages.2.blocks.5.token_mixer.stride_conv.bn.weight", "network.0.0.mlp.mid_norm.weight",
        "network.4.7.token_mixer.v_local.0.weight", "network.0.0.mlp.mid.weight",
    ],
    "LeViT": ["stem.conv1.linear.weight", "levit.encoder.stages.1.a", "patch_embed.0.c.weight"],
    "MetaFormer": [
        "stages.0.blocks.0.layer_scale1.scale", "stages.2.blocks.2.res_scale2.scale",
        "poolformer.encoder.patch_embeddings.0.projection.weight",
        "encoder.patch_embeddings.0.projection.weight",
    ],
    "PoolFormer": ["patch_embed.proj.weight"],
    "SwiftFormer": ["stages.0.blocks.2.local_representation.norm.weight"],
    "MobileNet": [
        "conv_stem.weight", "features.0.0.weight", "mobilenet_v2.conv_stem.conv_3x3.a",
    ],
    "MobileViT": ["mobilevit.conv_stem.convolution.weight", "stages.3.0.transformer.0.norm1.a"],
    "FastViT": ["stem.0.conv_kxk.0.conv.weight", "stem.conv_scale.conv.weight"],
    "RepViT": ["stem.conv1.c.weight"],
    "EfficientViT": ["stem.in_conv.conv.weight", "stages.1.blocks.1.ffn1.m.pw1.bn.bias"],
    "ConvNeXt": ["stages.0.blocks.0.conv_dw.weight", "stages.0.0.dwconv.weight", "convnext.a"],
    "Swin Transformer": ["layers.0.blocks.0.attn.relative_position_bias_table"],
    "vision transformer": ["cls_token", "vit.embeddings.cls_token", "patch_embed.proj.bias"],
    "PVT": ["stages.0.blocks.0.mlp.dwconv.weight"],
    "ResNet": ["layer1.0.conv1.weight", "resnet.embedder.embedder.convolution.weight"],
}  # fmt: skip
"""Another network -> names of its tensors in timm, transformers, torchvision, its authors' code."""


@pytest.mark.parametrize(
    ("network", "key"), [(network, key) for network, keys in NETWORKS.items() for key in keys]
)
def test_other_networks_are_named(network: str, key: str) -> None:
    c = config()
    for naming in NAMINGS:
        for keys in ([key], [*names(c, naming).values(), key]):
            with pytest.raises(WeightsError, match=f"x.pth: tensor '{key}' .*{network}"):
                detect(keys, "x.pth")


def test_a_naming_that_there_is_not() -> None:
    c = config()
    params = parameters(c)
    for wrong in (
        lambda: names(c, "x"),  # type: ignore[arg-type]
        lambda: state_dict(params, c, "x"),  # type: ignore[arg-type]
        lambda: EfficientFormerModel(c, params).state_dict("x"),  # type: ignore[arg-type]
    ):
        with pytest.raises(ConfigError, match="naming is 'x'; expected one of hf, timm, original"):
            wrong()


@pytest.mark.case(76)
@pytest.mark.parametrize(
    "keys",
    [[], ["stages.0.blocks.0.x"], ["stem.conv.weight"], ["conv1.weight", "fc.bias", *"abcdefg"]],
)
def test_strangers_are_refused(keys: list[str]) -> None:
    with pytest.raises(WeightsError, match=f"x.pth: the names of its {len(keys)} tensors are not"):
        detect(keys, "x.pth")


@st.composite
def configurations(draw: st.DrawFn) -> EfficientFormerConfig:
    """Networks that their tensors reveal: no empty stage at an end, unless downsampled."""
    stages = draw(st.integers(1, 4))
    depths = [draw(st.integers(0 if i else 1, 3)) for i in range(stages)]
    flags = [draw(st.booleans()) for _ in range(stages - 1)]
    if stages > 1 and not flags[-1]:  # the end of the others' list, and of Hugging Face's
        depths[-2:] = [max(depth, 1) for depth in depths[-2:]]
    widths = [draw(st.integers(2, 9))]
    for flag in flags:
        widths.append(draw(st.integers(2, 9)) if flag else widths[-1])
    heads, K = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    attention = draw(st.integers(0, depths[-1]))
    pools = sum(depths) - attention
    usual = {"num_attention_heads": 8, "key_dim": 32, "attention_ratio": 4, "resolution": 7}
    drawn = {
        "num_attention_heads": heads,
        "key_dim": K,
        "attention_ratio": draw(st.integers(1, 9)) / K,
        "resolution": draw(st.integers(1, 3)),
    }
    return EfficientFormerConfig(
        depths=depths,
        hidden_sizes=widths,
        downsamples=[*flags, True],
        dim=widths[-1],
        num_meta3d_blocks=attention,
        mlp_expansion_ratio=draw(st.sampled_from([1, 2.5, 4, 1.9])) if attention or pools else 4,
        num_channels=draw(st.integers(1, 4)),
        use_layer_scale=draw(st.booleans()) if sum(depths) else False,
        num_labels=draw(st.integers(0, 4)),
        **(drawn if attention else usual),  # type: ignore[arg-type]
    )


@settings(max_examples=60, deadline=None)
@given(c=configurations(), naming=st.sampled_from(NAMINGS))
def test_tensors_reveal_the_network(c: EfficientFormerConfig, naming: Naming) -> None:
    tensors = state_dict(parameters(c), c, naming)
    found = infer_config(tensors, naming)
    keys = ("depths", "hidden_sizes", "num_meta3d_blocks", "use_layer_scale", "num_channels",
            "num_labels", "num_attention_heads", "key_dim", "resolution")  # fmt: skip
    assert {key: getattr(found, key) for key in keys} == {key: getattr(c, key) for key in keys}
    assert [found.has_downsample(i) for i in range(1, len(c.depths))] == [
        c.has_downsample(i) for i in range(1, len(c.depths))
    ]
    again = state_dict(parameters(found), found, naming)
    assert {k: t.shape for k, t in again.items()} == {k: t.shape for k, t in tensors.items()}
