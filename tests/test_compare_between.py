"""Mistakes between two layers, in whole blocks, and in weights of which little is seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import compare_cases as cases
import numpy as np
import pytest

import npformer
from npformer import checkpoints
from npformer.layers import Array, batch_norm, conv2d, layer_norm, relu, softmax
from npformer.network.tree import build, leaves
from npformer.testing import Step
from npformer.testing.compare.names import claims
from npformer.testing.steps import INPUT

NORM = "stages.1.downsample.norm"
LAST = "stages.2.blocks.2"


def step(path: str) -> Step:
    return next(s.astype(np.float64) for s in cases.chain() if s.path == path)


def compared(arrays: dict[str, Array]) -> tuple[str | None, str | None]:
    found = npformer.compare(cases.reference(), arrays)
    return found.first_wrong, found.cause


def through(change: Any, path: str, name: str) -> dict[str, Array]:
    """Run the network with a change behind a right result, which is recorded under a name."""
    changed: list[Array] = []

    def fault(at: Step, inputs: list[Array]) -> dict[str, Array] | None:
        if at.path != f"{path.rpartition('.')[0]}":
            return None
        changed.append(np.asarray(change(inputs[0].astype(np.float64)), np.float32))
        return {at.path: changed[0]}

    arrays = cases.run(cases.pixels(), fault)
    return {p: a for p, a in arrays.items() if p in cases.TRACED or p == INPUT} | {name: changed[0]}


def test_an_activation_behind_a_right_norm() -> None:
    found = compared(through(relu, NORM, "stages.1.downsample"))
    assert found == ("stages.1.downsample", "activation")


def test_a_norm_run_again_behind_a_right_one() -> None:
    norm = step(NORM)
    arrays = through(lambda x: batch_norm(x, norm.params, norm.options["eps"]), NORM, "extra")
    assert compared(arrays)[1] == "norm_twice"


def changed(**made: Any) -> dict[str, Array]:
    """Record a network in which functions of the inputs stand in the place of steps."""

    def fault(at: Step, inputs: list[Array]) -> dict[str, Array] | None:
        for end, function in made.items():
            if at.path == end.replace("__", "."):
                return {at.path: function(*(x.astype(np.float64) for x in inputs))}
        return None

    return cases.run(cases.pixels(), fault)


def test_a_block_whose_first_branch_is_forgotten() -> None:
    arrays = changed(stages__1__blocks__1__residual1=lambda x, y: x + y)
    before, branch = arrays["stages.1.blocks.0"], arrays["stages.1.blocks.1.ls2"]
    arrays = changed(stages__1__blocks__1=lambda x, y: before.astype(np.float64) + branch)
    assert compared(arrays) == ("stages.1.blocks.1", "residual_missing")


@pytest.mark.parametrize("eps", [0.05, 0.3])
def test_any_other_epsilon_of_a_layer_norm(eps: float) -> None:
    norm = step(f"{LAST}.norm2")
    arrays = changed(stages__2__blocks__2__norm2=lambda x: layer_norm(x, norm.params, eps))
    assert compared(arrays) == (norm.path, "eps")


def test_a_softmax_over_all_heads_at_once() -> None:
    arrays = changed(
        stages__2__blocks__2__token_mixer__attn=lambda x: softmax(x.reshape(len(x), -1)).reshape(
            x.shape
        )
    )
    assert compared(arrays) == (f"{LAST}.token_mixer.attn", "softmax_axis")


def test_an_array_read_in_another_layout_by_a_convolution() -> None:
    conv = step("stages.1.downsample.conv")

    def misread(x: Array) -> Array:
        B, H, W, C = x.shape
        turned = np.moveaxis(x.reshape(B, C, H, W), 1, -1)
        return conv2d(turned, conv.params, conv.options["stride"], conv.options["padding"])

    arrays = changed(stages__1__downsample__conv=misread)
    assert compared(arrays) == (conv.path, "channels_last")


def with_weight(path: str, made: Array) -> Any:
    params = build(lambda name, leaf: made.astype(leaf.dtype) if name == path else leaf,
                   cases.reference().params)  # fmt: skip
    return type(cases.reference())(**{**vars(cases.reference()), "params": params})


def test_a_random_start_is_seen_through_the_norm_behind_it() -> None:
    """Nobody recorded what the convolution gives."""
    conv = step("stem.conv2")
    bound = conv.params.weight[..., 0].size ** -0.5
    made = np.random.default_rng(1).uniform(-bound, bound, conv.params.weight.shape)
    changed_conv = conv._replace(params=conv.params._replace(weight=made))
    arrays = changed(stem__conv2=lambda x: changed_conv(x))
    folded = {f"blob{i}": a for i, (p, a) in enumerate(arrays.items()) if ".conv" not in p}
    folded[INPUT] = arrays[INPUT]
    assert compared(folded) == ("stem.conv2", "random_start")


def test_parameters_of_another_layer() -> None:
    one, other = (step(f"stages.2.blocks.{i}.mlp.fc1") for i in (2, 3))
    arrays = changed(stages__2__blocks__2__mlp__fc1=one._replace(params=other.params))
    found = npformer.compare(cases.reference(), arrays)
    assert (found.first_wrong, found.cause) == (one.path, "parameter")
    assert f"what belongs to {other.path}" in found.more


@pytest.mark.parametrize(
    "name",
    [
        "port/stages.1.blocks.1.mlp.act", "port/stage1/block1/mlp/act",
        "port/Stages_1/Blocks_1/Mlp/Act",
    ],
)  # fmt: skip
def test_names_below_a_scope_of_their_own(name: str) -> None:
    names = ["port/pixel_values", "port/stem", name]
    assert claims(names, cases.chain(), cases.config())["stages.1.blocks.1.mlp.act"] == name


def test_names_of_flax() -> None:
    names = [f"intermediates/stage{s}/block0/__call__/0" for s in range(3)]
    found = claims([*names, "x"], cases.chain(), cases.config())
    assert found == {f"stages.{s}.blocks.0": name for s, name in enumerate(names)}


def test_a_file_of_weights_alone_is_read_by_the_settings_of_the_reference(tmp_path: Path) -> None:
    """It says nothing of an oblong grid, nor of ε."""
    config = npformer.EfficientFormerConfig(
        depths=[1, 2], hidden_sizes=[8, 12], resolution=[3, 4], image_size=[24, 32], dim=12,
        num_attention_heads=2, key_dim=4, attention_ratio=2, mlp_expansion_ratio=2, num_labels=5,
        num_meta3d_blocks=1, layer_norm_eps=1e-3, downsamples=[True] * 2,
    )  # fmt: skip
    params = npformer.network.initialize(config)
    checkpoints.write(tmp_path / "known", config, params)
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes((tmp_path / "known" / "model.safetensors").read_bytes())
    assert npformer.compare(tmp_path / "known", alone)
    assert npformer.compare(tmp_path / "known", tmp_path / "known" / "model.safetensors")


def test_weights_of_two_layers_exchanged_in_a_checkpoint(tmp_path: Path) -> None:
    """They look drawn, but they are those of another layer."""
    known = npformer.load("tiny")
    names = [f"stages.2.blocks.{i}.mlp.fc1.weight" for i in (0, 1)]
    held = dict(leaves(known.params))
    rng = np.random.default_rng(0)
    drawn = {name: (0.02 * rng.standard_normal(held[name].shape)) for name in names}

    def written(folder: str, weights: dict[str, Array]) -> Path:
        params = build(lambda n, a: weights.get(n, a).astype(a.dtype), known.params)
        checkpoints.write(tmp_path / folder, known.config, params)
        return tmp_path / folder

    one, other = names
    right = written("right", drawn)
    exchanged = written("exchanged", {one: drawn[other], other: drawn[one]})
    found = npformer.compare(right, exchanged)
    assert (found.first_wrong, found.cause) == ("stages.2.blocks.0.mlp.fc1", "parameter")


def test_what_went_on_rounded_from_arrays_in_more_precision() -> None:
    """A head in float64, whose result is stored in float32 as well: the mean is of these."""
    arrays: dict[str, Any] = changed()
    pooled = arrays["pooled"].astype(np.float64)
    heads = [step(name)(pooled) for name in ("head", "head_dist")]
    arrays |= {"head": heads[0], "head_dist": heads[1]}
    arrays["logits"] = sum(np.float32(head) for head in heads) / np.float32(2)
    assert npformer.compare(cases.reference(), arrays)
