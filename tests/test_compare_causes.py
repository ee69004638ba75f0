"""A cause is named only if it alone gives the other's numbers; never because nothing else does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import compare_cases as cases
import numpy as np
import pytest

import npformer
from npformer.layers import (
    ACTIVATIONS,
    Array,
    LayerNorm,
    batch_norm,
    conv2d,
    gelu,
    layer_norm,
    relative_position_bias,
)
from npformer.network.tree import build
from npformer.testing import Step
from npformer.testing.compare import mistakes
from npformer.testing.compare.arrangement import arrangements
from npformer.testing.compare.bridge import ahead, recorded
from npformer.testing.compare.explain import explain
from npformer.testing.compare.initial import is_drawn
from npformer.testing.compare.recorded import Candidate
from npformer.testing.compare.resampling import FILTERS, resampled
from npformer.testing.compare.variants import Variant, variants
from npformer.testing.compare.walk import Match

MIXER = "stages.2.blocks.2.token_mixer"
BLOCK = "stages.2.blocks.2"


def step(path: str) -> Step:
    return next(s.astype(np.float64) for s in cases.chain() if s.path == path)


def instead(**made: Any) -> cases.Fault:
    """Return a fault: functions of the inputs in the place of steps, by the ends of their paths."""

    def fault(at: Step, inputs: list[Array]) -> dict[str, Array] | None:
        for end, function in made.items():
            if at.path.endswith(end.replace("__", ".")):
                return {at.path: function(*(x.astype(np.float64) for x in inputs))}
        return None

    return fault


def compare(arrays: dict[str, Any], **more: Any) -> npformer.Comparison:
    return npformer.compare(cases.reference(), arrays, **more)


def answer(fault: cases.Fault, keep: Any = lambda path: True, order: str = "first") -> Any:
    """Return the first wrong step and the cause, of a recording under foreign names."""
    found = compare(cases.as_recorded(cases.run(cases.pixels(), fault), keep, order))
    return found.step, found.cause, found.more


# Proofs compete ----------------------------------------------------------------------------------


def test_who_is_followed_farther_is_right() -> None:
    """(q kᵀ + bias) / √K records an unscaled product on the way, which is right."""
    scores, biased = step(f"{MIXER}.scores"), step(f"{MIXER}.biased")
    scale, table = scores.options["scale"], relative_position_bias(biased.params)
    fault = instead(
        blocks__2__token_mixer__scores=lambda q, k: q @ k.swapaxes(2, 3),
        blocks__2__token_mixer__biased=lambda x: (x + table) * scale,
    )
    assert answer(fault)[:2] == (f"{MIXER}.biased", "bias_scaled")


def test_a_prefix_of_other_steps_is_no_proof() -> None:
    """Activation and norm exchanged: a norm that is left out gives the first array, no other."""
    norm = step("stages.1.blocks.0.mlp.norm1")
    fault = instead(
        stages__1__blocks__0__mlp__norm1=gelu,
        stages__1__blocks__0__mlp__act=lambda x: batch_norm(x, norm.params, norm.options["eps"]),
    )
    arrays = cases.run(cases.pixels(), fault)
    first, second = (arrays[f"stages.1.blocks.0.mlp.{name}"] for name in ("norm1", "act"))
    for swapped in (False, True):  # recorded as modules ran, or by name
        if swapped:
            arrays |= {norm.path: second, "stages.1.blocks.0.mlp.act": first}
        found = compare(arrays)
        assert found.step in (norm.path, "stages.1.blocks.0.mlp.act")
        assert found.cause in (None, "activation")


def test_a_second_fault_does_not_silence_the_first() -> None:
    def pooled(x: Array) -> Array:
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        H, W = x.shape[1:3]
        return sum(padded[:, i : i + H, j : j + W] for i in range(3) for j in range(3)) / 9

    fault = instead(
        token_mixer__pool=pooled,
        mlp__act=ACTIVATIONS["gelu_new"],
    )
    first = answer(fault, keep=lambda path: not path.endswith(".pool"))[:2]
    assert first == ("stages.0.blocks.0.token_mixer.pool", "pooling_counts_padding")


def test_mistakes_that_wait_leave_the_state_of_errors_alone() -> None:
    scores = step(f"{MIXER}.scores")
    q = np.ones((1, 2, 4, 3))
    before = np.geterr()
    waiting = variants(scores, [q, q], cases.config())
    assert next(waiting).arrays
    assert np.geterr() == before


def test_two_causes_that_do_the_same_are_not_named() -> None:
    walk = SimpleNamespace(chain=range(100))
    case: Any = SimpleNamespace(
        beside=lambda *_: None, place=lambda _: 0, walk=walk, inputs=lambda _: None
    )
    found, (way, *_) = Candidate("x", np.ones(3)), arrangements((3,), (3,))
    norm = step("norm")

    def proof(word: str, reach: int, is_strong: bool = True, ratio: float = 0.1) -> mistakes.Proof:
        variant, match = Variant(word, "", {}, 0), Match(found, way, 0, 0, ratio)
        return mistakes.Proof(norm, variant, norm, match, reach, is_strong)

    decided = mistakes._decided
    assert decided(case, [proof("eps", 3), proof("eps", 3)]).cause == "eps"
    assert decided(case, [proof("eps", 3), proof("norm_twice", 9)]).cause == "norm_twice"
    assert decided(case, [proof("eps", 3), proof("norm_twice", 9, False)]).cause == "eps"
    contradicted = proof("eps", 3)._replace(is_clear=False)
    assert decided(case, [contradicted]).cause is None
    both = decided(case, [proof("eps", 3), proof("norm_twice", 3)])
    assert (both.cause, both.more) == (None, "eps or norm_twice: both give these numbers")
    exacter = decided(case, [proof("eps", 3), proof("norm_twice", 3, ratio=0.01)])
    assert exacter.cause == "norm_twice"


def test_a_small_fault_is_blamed_where_it_was_recorded() -> None:
    """Weights off by 1e-4, which an activation or an ε of the next steps could nearly explain."""
    for layer in ("stages.2.blocks.2.mlp.fc1", "stem.conv1", "stages.0.blocks.0.mlp.fc1"):
        right = step(layer)

        def fault(at: Step, inputs: list[Array], right: Step = right) -> Any:
            if at.path != right.path:
                return None
            params = right.params._replace(weight=right.params.weight * (1 + 1e-4))
            return {at.path: right._replace(params=params)(*(x.astype(float) for x in inputs))}

        found = compare(cases.run(cases.pixels(), fault))
        assert (found.step, found.cause) == (layer, "parameter"), found.verdict


@pytest.mark.parametrize("eps", [1e-12, 1e-6, 2e-5])
def test_a_small_change_of_epsilon_is_no_parameter(eps: float) -> None:
    norm = step(f"{BLOCK}.norm1")
    fault = instead(blocks__2__norm1=lambda x: layer_norm(x, norm.params, eps))
    found, cause, _ = answer(fault)
    assert (found, cause) in {(None, None), (norm.path, "eps"), (norm.path, None)}


# Other shapes and axes ---------------------------------------------------------------------------


def test_another_stride_gives_another_shape() -> None:
    one, two = step("stem.conv1").params, step("stem.conv2").params
    fault = instead(
        stem__conv1=lambda x: conv2d(x, one, 4, 1), stem__conv2=lambda x: conv2d(x, two, 1, 1)
    )
    assert answer(fault)[:2] == ("stem.conv1", "stride")


def test_tokens_averaged_before_the_norm() -> None:
    norm = step("norm")

    def fault(at: Step, inputs: list[Array]) -> dict[str, Array] | None:
        if at.path != "norm":
            return None
        mean = inputs[0].mean(1, keepdims=True, dtype=np.float64)
        return {"norm": layer_norm(mean, norm.params, norm.options["eps"])}

    found, cause, more = answer(fault)
    assert (found, cause) == ("norm", None)
    assert more == "the tokens are averaged before the norm, not behind it"


def turned(arrays: dict[str, Array]) -> dict[str, Array]:
    """Record images with their columns for rows."""
    return {
        path: a.swapaxes(1, 2) if a.ndim == 4 and not path.startswith(f"{MIXER}.") else a
        for path, a in arrays.items()
        if path in cases.TRACED
    }


def test_a_square_picture_may_lie_on_its_side() -> None:
    assert compare(turned(cases.run(cases.pixels())))
    act = "stages.1.blocks.0.mlp.act"
    found = compare(turned(cases.run(cases.pixels(), cases.mistake(act, 0))))
    assert (found.first_wrong, found.cause) == (act, "gelu_tanh")


@pytest.mark.parametrize("ends", [("stem.conv1", "stem.conv2"), ("conv1", "conv2", "conv")])
def test_kernels_on_their_side_are_not_taken_for_pictures(ends: tuple[str, ...]) -> None:
    def fault(at: Step, inputs: list[Array]) -> dict[str, Array] | None:
        if not at.path.endswith(ends) or at.layer != "conv2d":
            return None
        params = at.params._replace(weight=at.params.weight.swapaxes(0, 1))
        return {at.path: at._replace(params=params)(*inputs)}

    found = compare(cases.run(cases.pixels(), fault))
    assert (found.first_wrong, found.cause) == ("stem.conv1", "weight_transposed")


# Evidence, not elimination -----------------------------------------------------------------------


@pytest.mark.parametrize("changed", ["weight", "bias", "both"])
def test_what_was_not_loaded_or_left_out_is_a_parameter(changed: str) -> None:
    norm = step(f"{BLOCK}.norm2")
    one, zero = np.ones_like(norm.params.weight), np.zeros_like(norm.params.bias)
    p = LayerNorm(
        norm.params.weight if changed == "bias" else one,
        norm.params.bias if changed == "weight" else zero,
    )
    fault = instead(blocks__2__norm2=lambda x: layer_norm(x, p, norm.options["eps"]))
    assert answer(fault)[:2] == (norm.path, "parameter")


def test_drawn_weights_look_drawn() -> None:
    rng = np.random.default_rng(0)
    shape = (3, 3, 16, 32)
    bound = (9 * 16) ** -0.5
    for weight in (
        0.02 * rng.standard_normal(shape),
        rng.uniform(-bound, bound, shape),
        rng.standard_normal(shape) * (2 / (9 * 16)) ** 0.5,
    ):
        assert is_drawn(weight)
    assert not is_drawn(0.02 * rng.laplace(size=shape))
    assert not is_drawn(0.033 * rng.standard_normal(shape))
    assert not is_drawn(0.02 * rng.standard_normal(shape) + 0.01)
    assert not is_drawn(0.02 * rng.standard_normal(20))


@pytest.mark.parametrize(("drawn", "word"), [(True, "random_start"), (False, "parameter")])
def test_other_weights_are_a_random_start_only_if_they_look_drawn(drawn: bool, word: str) -> None:
    """Found by least squares in what was recorded; and in a checkpoint."""
    known, rng = cases.reference(), np.random.default_rng(3)

    def change(path: str, leaf: Array) -> Array:
        if path != "stages.1.blocks.0.mlp.fc1.weight":
            return leaf
        made = rng.standard_normal(leaf.shape) if drawn else rng.laplace(size=leaf.shape)
        return (0.02 * made).astype(leaf.dtype)

    params = build(change, known.params)
    other = type(known)(**{**vars(known), "params": params})
    found = npformer.compare(known, other)
    assert (found.first_wrong, found.cause) == ("stages.1.blocks.0.mlp.fc1", word)
    fc1 = step("stages.1.blocks.0.mlp.fc1")
    held = params.stages[1].blocks[0].mlp.fc1
    fault = instead(
        stages__1__blocks__0__mlp__fc1=lambda x: fc1._replace(params=held)(x).astype(np.float64)
    )
    assert answer(fault)[:2] == (fc1.path, word)


def test_one_class_alone_can_only_be_a_parameter() -> None:
    arrays = cases.run(cases.pixels())
    arrays["logits"] = arrays["logits"] + 0.1 * (np.arange(10) == 3).astype(np.float32)
    found = compare(arrays)
    assert (found.first_wrong, found.cause) == ("logits", "parameter")
    assert found.more == "of class 3, in head or head_dist"


# The picture -------------------------------------------------------------------------------------


def photographed(change: Any) -> npformer.Comparison:
    """Compare a recording whose picture was changed after its preparation, in levels 0 to 255."""
    image = npformer.data.photograph("cat")
    processor = cases.reference().processor
    x = np.moveaxis(processor.preprocess(image, do_normalize=False).pixel_values[0], 0, -1)
    mean, std = np.array(processor.image_mean), np.array(processor.image_std)
    made = ((change(255 * x.astype(np.float64)) / 255 - mean) / std).astype(np.float32)[None]
    return compare(cases.run(made), image=image)


def test_a_picture_that_is_nearly_the_same_is_not_said_to_be_resized() -> None:
    for change in (
        lambda x: 255 * (x / 255) ** 0.9,
        lambda x: np.clip(x + np.random.default_rng(0).normal(0, 3, x.shape), 0, 255),
        lambda x: x - x % 16,
    ):
        found = photographed(change)
        assert (found.first_wrong, found.cause) == ("pixel_values", None)
        assert "nearly the same picture" in found.verdict


@pytest.mark.parametrize("number", range(len(FILTERS)))
@pytest.mark.parametrize("is_rounded", [False, True])
def test_filters_of_other_libraries(number: int, is_rounded: bool) -> None:
    """The processor of these tests resizes to 72 and crops 64."""
    image = npformer.data.photograph("cat")
    x = np.asarray(image.convert("RGB"), np.float64)
    short = min(x.shape[:2])
    height, width = 72 * x.shape[0] // short, 72 * x.shape[1] // short
    made = list(resampled(x, height, width))[2 * number + is_rounded]
    top, left = (height - 64) // 2, (width - 64) // 2
    part = made[top : top + 64, left : left + 64]
    found = photographed(lambda _: part)
    assert (found.first_wrong, found.cause) == ("pixel_values", "resize")


def test_taps_are_those_of_the_libraries() -> None:
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).uniform(0, 255, (13, 17, 3))
    tensor = torch.from_numpy(np.moveaxis(x, -1, 0)[None].copy())
    kinds: list[dict[str, Any]] = [
        {"mode": "bilinear"}, {"mode": "bilinear", "align_corners": True}, {"mode": "bicubic"},
        {"mode": "nearest"}, {"mode": "area"},
    ]  # fmt: skip
    made = list(resampled(x, 6, 9))[::2]
    for ours, kind in zip(made[:4], kinds[:4], strict=True):
        theirs = torch.nn.functional.interpolate(tensor, (6, 9), **kind)
        np.testing.assert_allclose(ours, np.moveaxis(theirs[0].numpy(), 0, -1), atol=1e-9)
    half = list(resampled(x[:12, :16], 6, 8))[8]
    whole = tensor[:, :, :12, :16]
    theirs = torch.nn.functional.interpolate(whole, (6, 8), **kinds[4])
    np.testing.assert_allclose(half, np.moveaxis(theirs[0].numpy(), 0, -1), atol=1e-9)


# Kinds of mistakes -------------------------------------------------------------------------------


def test_of_q_k_and_v_the_first_that_is_another_array_is_blamed() -> None:
    """Scores of keys and queries are the right ones on their side: they prove q and k."""
    right = {n: step(f"{MIXER}.{n}") for n in "qk"}
    fault = instead(blocks__2__token_mixer__q=right["k"], blocks__2__token_mixer__k=right["q"])
    arrays = cases.run(cases.pixels(), fault)
    found = compare({p: a for p, a in arrays.items() if p in cases.TRACED or "scores" in p})
    assert (found.first_wrong, found.cause) == (f"{MIXER}.attn", "qkv_order")


def test_tokens_in_any_other_order() -> None:
    order = np.random.default_rng(0).permutation(16)
    flat = next(s for s in cases.chain() if s.layer == "flat")

    def fault(at: Step, inputs: list[Array]) -> dict[str, Array] | None:
        return {at.path: at(*inputs)[:, order]} if at.path == flat.path else None

    assert answer(fault)[:2] == (flat.path, "token_order")


def test_a_softmax_that_is_left_out_has_no_axis() -> None:
    fault = instead(blocks__2__token_mixer__attn=lambda x: x)
    assert answer(fault) == (f"{MIXER}.attn", None, "the softmax is left out")


def test_an_activation_on_a_branch_is_no_parameter() -> None:
    scale = step("stages.0.blocks.0.ls2")
    fault = instead(stages__0__blocks__0__ls2=lambda x: np.maximum(scale(x), 0))
    assert answer(fault)[:2] == (scale.path, "activation")


def test_few_wrong_channels_are_no_parameter_by_themselves() -> None:
    """One number of a weight makes differences like one of the inputs; others prove nothing."""
    rng = np.random.default_rng(0)
    fc1 = step("stages.2.blocks.2.mlp.fc1")
    x = rng.standard_normal((1, 16, fc1.params.weight.shape[0]))
    right = ahead(fc1, [recorded(x)])
    for change, told in ((0.1 * x[..., 3], "parameter"), (0.1 * rng.standard_normal(16), None)):
        found = right.value.copy()
        found[..., 2] += change
        said = explain(fc1, [x], found, right, cases.config())
        assert (said and said[0]) == told


@pytest.mark.parametrize("is_recorded", [True, False])
def test_a_picture_is_known_through_its_preparation(is_recorded: bool) -> None:
    image = npformer.data.photograph("cat")
    processor = cases.reference().processor
    for change, cause in (
        ({"image_std": [0.247, 0.2435, 0.2616]}, "mean_std"),
        ({"size": {"shortest_edge": 83}}, "resize"),
    ):
        x = np.moveaxis(processor.preprocess(image, **change).pixel_values[0], 0, -1)[None]
        arrays = cases.run(x)
        if not is_recorded:
            del arrays["pixel_values"]
        found = compare(arrays, image=image)
        assert (found.first_wrong, found.cause) == ("pixel_values", cause)


def test_a_curve_of_levels_is_no_other_picture() -> None:
    found = photographed(lambda x: 255 * (x / 255) ** 6)
    assert (found.first_wrong, found.cause) == ("pixel_values", None)
