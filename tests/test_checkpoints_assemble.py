"""Tensors ⇄ parameters: correct if everything fits, otherwise an error that names the tensor."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from checkpoint_cases import config, parameters, same, tensors, to_bfloat16

from npformer.checkpoints import NAMINGS, Naming, assemble, infer_config, names, state_dict
from npformer.checkpoints.assemble import bias_indices
from npformer.checkpoints.dtypes import Tensors
from npformer.errors import WeightsError
from npformer.network import EfficientFormer
from npformer.network.configuration import EfficientFormerConfig
from npformer.network.resizing import resize
from npformer.network.tree import leaves

HF = names(config(), "hf")
NORM = HF["norm.weight"]
BIASES = HF["stages.3.blocks.3.token_mixer.attention_biases"]
INDICES = HF["stages.3.blocks.3.token_mixer.attention_bias_idxs"]
COUNTER = HF["stem.norm1.num_batches_tracked"]


def equal(a: EfficientFormer, b: EfficientFormer) -> bool:
    x, y = dict(leaves(a)), dict(leaves(b))
    return x.keys() == y.keys() and all(np.array_equal(x[k], y[k]) for k in x)


@pytest.mark.parametrize("naming", NAMINGS)
@pytest.mark.parametrize("named", [True, False])
def test_there_and_back(naming: Naming, named: bool) -> None:
    c = config()
    params = parameters(c)
    found = assemble(state_dict(params, c, naming), c, naming if named else None)
    assert equal(found, params)
    for _, array in leaves(found):
        assert array.flags.c_contiguous
        assert not array.flags.writeable


def test_each_kind_of_tensor_is_turned_rightly() -> None:
    c = config()
    params = parameters(c)
    file = state_dict(params, c)
    conv, linear = params.stages[1].downsample, params.head
    assert conv is not None
    assert linear is not None
    weight = file["stages.1.downsample.conv.weight"]
    assert weight.shape == (6, 4, 3, 3)
    assert weight[5, 3, 0, 2] == conv.conv.weight[0, 2, 3, 5]
    assert file["head.weight"].shape == (5, 10)
    assert file["head.weight"][4, 9] == linear.weight[9, 4]
    biases = file["stages.3.blocks.3.token_mixer.attention_biases"]
    assert biases.shape == (2, 4)
    assert biases[1, 2] == params.stages[3].blocks[3].token_mixer.attention_biases[1, 1, 0]


def test_a_grid_that_is_not_square() -> None:
    c = config(resolution=[2, 3])
    params = parameters(c)
    assert equal(assemble(state_dict(params, c), c), params)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 2), (7, 7), (2, 5), (5, 2)])
def test_the_table_of_distances_is_the_reference_s(rows: int, columns: int) -> None:
    """The loop of ``EfficientFormerSelfAttention``: distances by first appearance."""
    points = list(product(range(rows), range(columns)))
    offsets: dict[tuple[int, int], int] = {}
    table = [
        [offsets.setdefault((abs(p[0] - q[0]), abs(p[1] - q[1])), len(offsets)) for q in points]
        for p in points
    ]
    np.testing.assert_array_equal(bias_indices(rows, columns), table)


def test_one_head_two_heads_no_heads() -> None:
    c = config()
    single = parameters(c, distilled=False)
    assert equal(assemble(state_dict(single, c, "hf"), c), single)
    bare = single._replace(head=None)
    file = state_dict(bare, c, "hf")
    assert not any(name.startswith("efficientformer.") for name in file)
    assert equal(assemble(file, c), bare)
    with pytest.raises(WeightsError, match=r"\(2 of .*: 'distillation_classifier\.weight'"):
        assemble(state_dict(single, c, "hf"), c, distilled=True)
    with pytest.raises(WeightsError, match=r"\(2\): 'distillation_classifier"):
        assemble(tensors(c), c, distilled=False)
    with pytest.raises(WeightsError, match=r"\(2 of .*: 'head\.weight', 'head\.bias'"):
        assemble(state_dict(bare, c), c)


@pytest.mark.case(81)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("stored", ["<f2", "<f4", ">f4", "<f8", "bfloat16"])
def test_dtypes(stored: str, dtype: str) -> None:
    c = config()
    file = tensors(c)
    exact = {name: (t * 64).round() / 64 if t.dtype.kind == "f" else t for name, t in file.items()}
    cast: Callable[..., np.ndarray] = (
        to_bfloat16 if stored == "bfloat16" else lambda x: x.astype(stored)
    )
    found = assemble({k: cast(t) if t.dtype.kind == "f" else t for k, t in exact.items()}, c,
                     dtype=dtype)  # fmt: skip
    expected = assemble(exact, c, dtype=dtype)
    assert all(array.dtype == dtype for _, array in leaves(found))
    assert equal(found, expected)


@pytest.mark.case(81)
def test_dtypes_that_nothing_computes_with() -> None:
    for dtype in ("int32", "complex64", "bool"):
        with pytest.raises(WeightsError, match=f"dtype is {dtype}; expected one of float16"):
            assemble(tensors(config()), config(), dtype=dtype)


def test_buffers_may_be_absent() -> None:
    c = config()
    lean = {k: t for k, t in tensors(c).items() if t.dtype.kind == "f"}
    assert equal(assemble(lean, c), parameters(c))


def changed(**changes: np.ndarray | None) -> Tensors:
    """The tensors of the small network with some changed, renamed or left out (None)."""
    file: dict[str, np.ndarray | None] = {**tensors(config()), **changes}
    return {name: tensor for name, tensor in file.items() if tensor is not None}


def filled(name: str, value: float, count: int = 1) -> Tensors:
    array = tensors(config())[name].copy()
    array.flat[:count] = value
    return changed(**{name: array})


FAULTS: dict[str, tuple[Tensors, str]] = {
    "missing": (
        changed(**{NORM: None}),
        r"missing tensors \(1 of \d+\): 'efficientformer\.layernorm\.weight'\. ",
    ),
    "many missing": (
        {k: t for k, t in tensors(config()).items() if "intermediate" not in k},
        r"missing tensors \(54 of \d+\): ('[^']+', ){5}…\. ",
    ),
    "unexpected": (changed(pos_embed=np.ones(3)), r"unexpected tensors \(1\): 'pos_embed'"),
    "empty name": (changed(**{"": np.ones(3)}), r"unexpected tensors \(1\): ''"),
    "an unexpected counter": (
        changed(**{"norm.num_batches_tracked": np.zeros((), int)}),
        r"unexpected tensors \(1\): 'norm.num_batches_tracked'",
    ),
    "another shape": (
        changed(**{"classifier.weight": np.ones((7, 10))}),
        r"'classifier.weight' has shape \(7, 10\), expected \(5, 10\)\. The configuration has "
        r"depths \[1, 0, 2, 3\] .*look like .* and 7 classes",
    ),
    "other dimensions": (changed(**{NORM: np.ones((10, 1))}), r"has shape \(10, 1\), expected"),
    "not a number": (filled(NORM, np.nan), "'efficientformer.layernorm.weight' has 1 of 10 values"),
    "infinite": (filled(NORM, -np.inf, 3), "has 3 of 10 values that are not finite in float32"),
    "too large": (changed(**{NORM: np.full(10, 1e39)}), "has 10 of 10 values"),
    "negative variance": (
        filled(HF["stem.norm2.running_var"], -0.5),
        "batchnorm_after.running_var' holds the variance -0.5",
    ),
    "whole numbers": (changed(**{NORM: np.ones(10, "i4")}), "layernorm.weight' is int32"),
    "quantized": (changed(**{NORM: np.ones(10, "i1")}), "layernorm.weight' is int8"),
    "truth values": (changed(**{NORM: np.ones(10, "?")}), "layernorm.weight' is bool"),
    "another table": (
        changed(**{INDICES: bias_indices(2, 2).T[::-1].copy()}),
        "attention_bias_idxs' is not the table that follows from a grid of 2×2 tokens",
    ),
    "a table for another grid": (changed(**{INDICES: bias_indices(1, 4)}), "idxs' is not"),
    "a table of another shape": (changed(**{INDICES: np.zeros((3, 3), int)}), "idxs' is not"),
    "a counter with shape": (changed(**{COUNTER: np.zeros(1, int)}), "expected one whole number"),
    "a real counter": (changed(**{COUNTER: np.zeros(())}), "is float64 of shape .*expected one"),
}


@pytest.mark.case(72, 75, 76, 77, 78, 79, 80, 81, 82)
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named(fault: str) -> None:
    file, message = FAULTS[fault]
    with pytest.raises(WeightsError, match=f"^some/file: .*{message}"):
        assemble(file, config(), source="some/file")


@pytest.mark.case(75, 77)
def test_the_network_that_the_tensors_belong_to_is_named() -> None:
    l1 = EfficientFormerConfig.variant("l1", num_labels=3)
    file = state_dict(parameters(l1), l1, "original")
    with pytest.raises(
        WeightsError, match="tensors look like those of variant 'l1' with 3 classes"
    ):
        assemble(file, EfficientFormerConfig.variant("l3", num_labels=3))
    del file["norm.weight"]
    with pytest.raises(WeightsError, match=r"1 of .*: 'norm\.weight'.*variant 'l1'"):
        assemble(file, l1)
    del file["patch_embed.3.weight"]
    with pytest.raises(WeightsError, match="the file may be damaged"):
        assemble(file, l1)


def test_a_variance_of_zero_and_tables_of_int32_are_good() -> None:
    file = filled(HF["stem.norm2.running_var"], 0.0) | {INDICES: bias_indices(2, 2).astype("i4")}
    assemble(file, config())


def test_biases_between_pairs_of_tokens_have_no_place_in_a_file() -> None:
    c = config()
    params, resized = resize(parameters(c), c, 64, "original")
    with pytest.raises(WeightsError, match="resize them by 'offsets'"):
        state_dict(params, resized)
    params, resized = resize(parameters(c), c, 64)
    assert same(state_dict(assemble(state_dict(params, resized), resized), resized),
                state_dict(params, resized))  # fmt: skip


# Configurations inferred from tensors


def native(**changes: np.ndarray | None) -> Tensors:
    file: dict[str, np.ndarray | None] = {**state_dict(parameters(config()), config()), **changes}
    return {name: tensor for name, tensor in file.items() if tensor is not None}


MIXER = "stages.3.blocks.2.token_mixer"


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (native(**{"stem.conv2.weight": None}), "'stem.conv2.weight' .timm's name. is missing"),
        (native(**{"stem.conv1.weight": np.ones((2, 3))}), r"has shape \(2, 3\); expected 4 dim"),
        (native(**{"head.weight": np.ones((0, 10))}), r"has shape \(0, 10\)"),
        (native(**{f"{MIXER}.attention_biases": np.ones((2, 5))}), "fits no square grid"),
        (native(**{f"{MIXER}.attention_biases": np.ones((50, 4))}), "fits no square grid"),
        (native(**{f"{MIXER}.qkv.weight": np.ones((3, 10))}), "fits no square grid"),
        (native(**{"stages.0.blocks.0.mlp.fc1.weight": np.ones((10**5, 4, 1, 1))}), "no network"),
        ({"stem.conv2.weight": np.ones((4, 2, 3, 3))}, "is missing"),
        (native(**{"stages.9999.blocks.9999.x": np.ones(1)}), "belongs to stage 9999; no Eff"),
        (native(**{"stages.101.blocks.0.x": np.ones(1)}), "belongs to stage 101; no Efficient"),
        ({"stem.conv1.bias": np.ones(2), "stages.0.blocks.0.x": np.ones(1)}, "is missing"),
        ({"stages.0.blocks.0.x": np.ones(1)}, "are not those of an EfficientFormer"),
    ],
)
def test_tensors_that_tell_no_network(file: Tensors, message: str) -> None:
    with pytest.raises(WeightsError, match=f"^some/file: .*{message}"):
        infer_config(file, source="some/file")


def test_what_is_inferred() -> None:
    c = config()
    found = infer_config(tensors(c))
    told = {"depths", "hidden_sizes", "dim", "key_dim", "num_attention_heads", "resolution",
            "image_size", "mlp_expansion_ratio", "num_meta3d_blocks", "num_labels",
            "layer_norm_eps", "use_layer_scale"}  # fmt: skip
    assert {key: getattr(found, key) for key in told} == {key: getattr(c, key) for key in told}
    assert int(found.attention_ratio * found.key_dim) == 7
    assert infer_config(native()).layer_norm_eps == 1e-5


def test_ratios_that_floats_round_down() -> None:
    assert int(61 / 7 * 7) == 60
    c = config(key_dim=7, attention_ratio=np.nextafter(61 / 7, 9).item())
    found = infer_config(tensors(c))
    assert int(found.attention_ratio * 7) == 61
    assert equal(assemble(tensors(c), found), parameters(c))
