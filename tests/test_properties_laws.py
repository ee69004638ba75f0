"""What must hold of each layer whatever the numbers: the laws of `npformer.testing`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npformer import layers as plain
from npformer.engine.fold import fold, folded_forward
from npformer.layers import (
    ACTIVATIONS,
    Array,
    Attention,
    AttentionBlock,
    BatchNorm,
    Conv2d,
    ConvMlp,
    LayerNorm,
    LayerScale,
    Linear,
    Mlp,
    PoolingBlock,
    attention,
    attention_block,
    average_pool,
    batch_norm,
    conv2d,
    conv_mlp,
    drop_path,
    dropout,
    flat,
    layer_norm,
    layer_scale,
    linear,
    mlp,
    pooling,
    pooling_block,
    softmax,
)
from npformer.network import forward
from npformer.teach.mistakes import EXERCISES
from npformer.testing.array_strategies import arrays, assert_close, seeds
from npformer.testing.laws import LAWS, Law, broken_laws

EVERY = [law for laws in LAWS.values() for law in laws]


def ours(layer: str) -> Callable[..., Any]:
    """npformer's function of a law."""
    if layer == "network":
        return lambda pixels, params, config: forward(pixels, params, config).logits
    return getattr(plain, layer, None) or ACTIVATIONS[layer]


@pytest.mark.parametrize("law", EVERY, ids=lambda law: f"{law.layer}-{law.name}")
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_the_law_holds(law: Law, data: st.DataObject) -> None:
    law(data.draw, ours(law.layer))


def folded(pixels: Array, params: Any, config: Any) -> Array:
    return folded_forward(pixels, fold(params, config), config).logits


def test_the_folded_network_keeps_the_laws_of_the_network() -> None:
    assert broken_laws("network", folded) == ()


NETWORKS = {
    "folding_changes_nothing": lambda x, p, c: forward(x, p._replace(stem=p.stem._replace(
        norm1=p.stem.norm1._replace(bias=0 * p.stem.norm1.bias))), c).logits,
    "images_stand_alone": lambda x, p, c: forward(x - x.mean(0), p, c).logits,
    "two_heads_are_averaged": lambda x, p, c: forward(x, p._replace(head_dist=None), c).logits,
    "closed_blocks_do_nothing": lambda x, p, c: forward(x, p, c).logits + sum(
        block.mlp.fc1.weight.sum() for stage in p.stages for block in stage.blocks
        if hasattr(block, "mlp")),
}  # fmt: skip
"""A network that breaks each law of networks."""


def unevenly(axis: int) -> Callable[[Array], Array]:
    """Multiply by numbers that grow along an axis."""
    return lambda y: y * np.arange(1.0, 1 + y.shape[axis]).reshape(-1, *[1] * (-1 - axis))


def flattened(x: Array, p: Attention) -> Array:
    """Attention that sorts biases by pair as if they were by distance."""
    biases = p.attention_biases[:, 0, 0, ::-1, ::-1] if p.attention_biases.ndim == 5 else None
    return attention(x, p if biases is None else p._replace(attention_biases=biases))


def through(function: Callable[..., Any], after: Callable[[Array], Array]) -> Callable[..., Any]:
    """A layer with something done to its result."""
    return lambda *args: after(function(*args))


WRONG: dict[str, Callable[..., Any]] = {
    "attention_takes_biases_by_pair_too": flattened,
    "attention_without_biases_knows_no_order": through(attention, unevenly(-2)),
    "attention_sees_a_grid_as_its_mirror_image": through(attention, unevenly(-2)),
    "a_bias_common_to_all_distances_changes_nothing": lambda x, p: attention(
        x, p._replace(proj=p.proj._replace(bias=p.proj.bias + p.attention_biases.sum()))),
    "equal_tokens_are_not_changed_by_looking_at_each_other": through(attention, unevenly(-2)),
    "tokens_stand_alone": through(mlp, unevenly(-2)),
    "pixels_stand_alone": through(conv_mlp, unevenly(-3)),
    "pooling_block_passes_a_constant_to_its_mlp": through(pooling_block, unevenly(-3)),
    "dropout_draws_for_each_number": drop_path,
    "drop_path_skips_whole_images": dropout,
    "the_expected_value_stays": lambda x, rate, rng: dropout(x, rate, rng) * np.float32(1 - rate),
    "dropout_at_the_ends": lambda x, rate, rng: dropout(x, 0.5, rng),
    "dropout_silences_or_enlarges": lambda x, rate, rng: dropout(x, rate, rng) * (1 - rate),
    "activation_of_x_less_that_of_minus_x_is_x": np.abs,
    "activation_passes_what_is_large": lambda x: np.maximum(x, 0) + 1,
    "sigmoid_and_its_mirror_image_sum_to_one": np.abs,
}  # fmt: skip
"""A layer that breaks a law; other laws are broken by one of the mistakes of `npformer.check`."""


def over_the_batch(function: Callable[..., Any]) -> Callable[..., Any]:
    """A layer in which the samples of a batch leak into one another."""
    return lambda x, *rest: function(x + x.mean(0), *rest)


def without_strides(function: Callable[..., Any]) -> Callable[..., Any]:
    """A layer that reads memory in order, whatever the strides say."""

    def layer(x: Array, *rest: Any) -> Any:
        base = x if x.base is None else x.base
        flat_memory = np.frombuffer(np.ascontiguousarray(base), x.dtype)
        return function(flat_memory[: x.size].reshape(x.shape), *rest)

    return layer


def writing(function: Callable[..., Any]) -> Callable[..., Any]:
    """A layer that writes into its input."""

    def layer(x: Array, *rest: Any) -> Any:
        y = function(x, *rest)
        x += 1
        return y

    return layer


OF_EVERY_LAYER = {
    "samples_stand_alone": over_the_batch,
    "arrangement_in_memory_does_not_matter": without_strides,
    "inputs_stay_as_they_are": writing,
}


@pytest.mark.parametrize("law", EVERY, ids=lambda law: f"{law.layer}-{law.name}")
def test_the_law_notices_a_mistake(law: Law) -> None:
    """A law that nothing breaks is worth nothing."""
    if law.layer == "network":
        wrong = [NETWORKS[law.name]]
    elif law.name in OF_EVERY_LAYER:
        wrong = [OF_EVERY_LAYER[law.name](ours(law.layer))]
    elif law.name in WRONG:
        wrong = [WRONG[law.name]]
    elif law.name == "pooling_moves_with_its_input":
        wrong = [through(ours(law.layer), unevenly(-3))]
    else:
        wrong = [mistake.function for mistake in EXERCISES[law.layer].mistakes]
    # Ten inputs are enough for most; Hypothesis of 2024 tries the simplest for longer.
    assert any(law in broken_laws(law.layer, f, n) for n in (10, 200) for f in wrong)


@pytest.mark.parametrize("drop", [dropout, drop_path])
def test_dropout_refuses_what_is_no_rate(drop: Any) -> None:
    x, rng = np.ones((3, 4)), np.random.default_rng(0)
    for rate in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match="a dropout rate is a probability"):
            drop(x, rate, rng)
    with pytest.raises(ValueError, match=r"pass a numpy\.random\.Generator"):
        drop(x, 0.5, None)


def normal(seed: int, *shape: int) -> Array:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def dense(seed: int, C_in: int, C_out: int) -> Linear:
    return Linear(normal(seed, C_in, C_out), normal(seed, C_out))


def conv(seed: int, k: int, C_in: int, C_out: int) -> Conv2d:
    return Conv2d(normal(seed, k, k, C_in, C_out), normal(seed, C_out))


def norm(seed: int, C: int) -> BatchNorm:
    return BatchNorm(*np.abs(normal(seed, 4, C)) + np.float32(0.1))


def layers(seed: int) -> dict[str, tuple[tuple[int, ...], Callable[[Array], Array]]]:
    """Every layer with float32 parameters, and the shape of one sample of its input."""
    C = 12
    image, tokens = (6, 6, C), (36, C)
    mixer = Attention(dense(seed, C, 2 * 11), dense(seed, 2 * 5, C), normal(seed, 2, 6, 6))
    token_mlp = Mlp(dense(seed, C, 4 * C), dense(seed, 4 * C, C))
    image_mlp = ConvMlp(
        conv(seed, 1, C, 4 * C), norm(seed, 4 * C), conv(seed, 1, 4 * C, C), norm(seed, C)
    )
    token_norm, gamma = LayerNorm(*norm(seed, C)[:2]), LayerScale(norm(seed, C).weight)
    pools = PoolingBlock(gamma, image_mlp, gamma)
    attends = AttentionBlock(token_norm, mixer, gamma, token_norm, token_mlp, gamma)
    return {
        "linear": (tokens, lambda x: linear(x, token_mlp.fc1)),
        "linear of vectors": ((C,), lambda x: linear(x, token_mlp.fc1)),
        "conv2d": (image, lambda x: conv2d(x, conv(seed, 3, C, 7), 2, 1)),
        "conv2d 1×1": (image, lambda x: conv2d(x, image_mlp.fc1)),
        "batch_norm": (image, lambda x: batch_norm(x, norm(seed, C))),
        "layer_norm": (tokens, lambda x: layer_norm(x, token_norm)),
        "average_pool": (image, average_pool),
        "pooling": (image, lambda x: pooling(x, 5)),
        "softmax": (tokens, softmax),
        "layer_scale": (tokens, lambda x: layer_scale(x, gamma)),
        "mlp": (tokens, lambda x: mlp(x, token_mlp)),
        "conv_mlp": (image, lambda x: conv_mlp(x, image_mlp)),
        "attention": (tokens, lambda x: attention(x, mixer)),
        "pooling_block": (image, lambda x: pooling_block(x, pools)),
        "attention_block": (tokens, lambda x: attention_block(x, attends)),
        "flat": (image, flat),
        **{name: (tokens, function) for name, function in ACTIVATIONS.items()},
    }


@pytest.mark.parametrize("name", layers(0))
@settings(max_examples=5, deadline=None)
@given(data=st.data(), seed=seeds)
def test_a_sample_does_not_depend_on_its_batch(name: str, data: st.DataObject, seed: int) -> None:
    """Not even in its last bit."""
    shape, layer = layers(seed)[name]
    x = data.draw(arrays(5, *shape, dtype="float32"))
    # Before 2.3 NumPy adds up the products of a strided matrix in an order of its own.
    bit_by_bit = x.flags.c_contiguous or np.lib.NumpyVersion(np.__version__) >= "2.3.0"
    together = layer(x)
    for i in range(5):
        alone = layer(x[i : i + 1])
        if bit_by_bit:
            np.testing.assert_array_equal(alone, together[i : i + 1])
        else:
            assert_close(alone, together[i : i + 1], np.float32)
    assert len(layer(x[:0])) == 0
