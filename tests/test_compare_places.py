"""Which layer is blamed where its own result was not recorded, or looks like another's."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import compare_cases as cases
import numpy as np
import pytest
from test_compare_causes import BLOCK, MIXER, compare, instead, step

import npformer
from npformer.layers import Array, batch_norm
from npformer.network import initialize
from npformer.network.tree import build
from npformer.testing import Step
from npformer.testing.compare.reference import as_reference, record_checkpoint
from npformer.testing.compare.variants import variants


def with_norm(**changes: Any) -> Any:
    """Return the reference with a norm as before training, which changes nearly nothing."""
    known, path = cases.reference(), "stages.1.downsample"
    values = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1 - 8e-6}
    values |= changes

    def change(leaf: str, array: Array) -> Array:
        if leaf.startswith(f"{path}.norm."):
            return np.full_like(array, values[leaf.rpartition(".")[2]])
        return 0 * array if leaf == f"{path}.conv.bias" else array

    return SimpleNamespace(**{**vars(known), "params": build(change, known.params)})


@pytest.mark.parametrize("seed", [None, 0, 1])
@pytest.mark.parametrize("is_folded", [True, False])
def test_an_array_within_the_bounds_of_two_results(is_folded: bool, seed: int | None) -> None:
    """The norm multiplies by 1 − 1e-6, less than the rounding of the convolution before it."""
    known = with_norm()
    arrays = record_checkpoint(
        as_reference(known), as_reference(known), cases.pixels().astype(np.float64)
    ).arrays
    conv = "stages.1.downsample.conv"
    assert conv in arrays
    kept = {p: a for p, a in arrays.items() if not (is_folded and p == conv)}
    names = list(kept)
    if seed is not None:
        np.random.default_rng(seed).shuffle(names)
    recording = {f"t{i}": kept[name] for i, name in enumerate(names)}
    found = npformer.compare(known, recording)
    assert found, found.verdict
    wrong = npformer.compare(with_norm(running_var=1.004), recording)
    assert wrong.first_wrong == f"{conv.removesuffix('conv')}norm"


def test_a_fault_is_not_blamed_on_the_next_array_that_is_nearly_right() -> None:
    """A branch changes the sum behind it a little, from which everything follows."""

    def thirds(at: Step, inputs: list[Array]) -> dict[str, Array] | None:
        if at.path != f"{MIXER}.q":
            return None
        made = variants(at.astype(np.float64), [inputs[0].astype(np.float64)], cases.config())
        return next(variant.arrays for variant in made if variant.word == "qkv_blocks")

    ends = ("qkv", "proj", "norm2", "mlp.act", "ls2")
    found = compare(
        cases.as_recorded(
            cases.run(cases.pixels(), thirds),
            lambda path: not path.startswith(f"{BLOCK}.") or path.endswith(ends),
            "first",
        )
    )
    assert found.first_wrong in (f"{MIXER}.attn", f"{MIXER}.proj")
    assert found.cause == "qkv_blocks"
    scores = step(f"{MIXER}.scores")

    def clipped(*inputs: Array) -> Array:
        right = scores(*inputs)
        return np.minimum(right, 0.05 * abs(right).max())

    arrays = cases.run(cases.pixels(), instead(blocks__2__token_mixer__scores=clipped))
    found = compare(cases.as_recorded(arrays, lambda path: True, "first"))
    assert (found.step, found.cause) == (scores.path, None)


def test_a_wrong_stem_is_no_other_picture() -> None:
    """Nothing is right, for what comes before the first recorded array is not; but it is alike."""
    norm = step("stem.norm2")

    def wavy(x: Array) -> Array:
        y = batch_norm(x, norm.params, norm.options["eps"])
        return y + 0.1 * np.sin(5 * y)

    fault = instead(stem__norm2=wavy)
    arrays = cases.run(cases.pixels(), fault)
    kept = {p: a for p, a in arrays.items() if p in ("pixel_values", "stem.act2", "logits")}
    kept |= {p: a for p, a in arrays.items() if p[:-1].endswith(".blocks.")}
    found = compare({f"t{i}": a for i, a in enumerate(kept.values())})
    assert found.first_wrong in ("stem.norm2", "stem.act2")
    assert found.cause is None


@pytest.mark.parametrize("is_folded", [True, False])
def test_a_network_before_training_is_right(is_folded: bool) -> None:
    """Its branches are scaled by 1e-5: no sum proves them, and a right answer accuses none."""
    known = SimpleNamespace(**{**vars(cases.reference()), "params": initialize(cases.config())})
    made = as_reference(known)
    arrays = record_checkpoint(made, made, cases.pixels().astype(np.float64)).arrays
    hidden = ("ls1", "ls2", "residual1", *(["conv1", "conv2", "conv", "fc1"] * is_folded))
    kept = {p: a for p, a in arrays.items() if not p.endswith(hidden)}
    found = npformer.compare(known, kept)
    assert found, found.verdict
    kept["logits"] = 1.01 * kept["logits"]
    assert npformer.compare(known, kept).first_wrong == "logits"


def test_a_pooling_proves_its_input_but_for_a_constant() -> None:
    """pool(x) − x is right though the bias of what made x was left out."""
    conv = step("stages.1.downsample.conv")
    fault = instead(
        stages__1__downsample__conv=lambda x: conv(x).astype(np.float64) - conv.params.bias
    )
    arrays = cases.run(cases.pixels(), fault)
    found = compare(cases.as_recorded(arrays, lambda path: path in cases.TRACED, "first"))
    assert (found.first_wrong, found.cause) == (conv.path, "bias_zero")
