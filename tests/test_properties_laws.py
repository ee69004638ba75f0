"""What must hold of each layer whatever the numbers: the algebra of the network."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from layouts import arrays, assert_close, sizes

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
    gelu,
    layer_norm,
    layer_scale,
    linear,
    mlp,
    pooling,
    pooling_block,
    relative_position_bias,
    sigmoid,
    softmax,
)

quick = settings(max_examples=30, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def normal(seed: int, *shape: int, dtype: str = "float64") -> Array:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def close(a: Array, b: Array) -> None:
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


def kernel(seed: int, kh: int, kw: int, C_in: int, C_out: int) -> Conv2d:
    return Conv2d(normal(seed, kh, kw, C_in, C_out), normal(seed, C_out))


@quick
@given(seeds, sizes(1, 3), sizes(1, 3), sizes(1, 3), st.integers(0, 2), st.floats(-3, 3))
def test_convolution_is_linear(
    seed: int, kh: int, kw: int, stride: int, padding: int, factor: float
) -> None:
    p = kernel(seed, kh, kw, 2, 3)._replace(bias=np.zeros(3))
    x, y = normal(seed, 2, 2, 5, 6, 2)
    together = conv2d(x + factor * y, p, stride, padding)
    close(together, conv2d(x, p, stride, padding) + factor * conv2d(y, p, stride, padding))


@quick
@given(seeds, sizes(1, 3), sizes(1, 3), sizes(1, 3), st.integers(0, 2), st.integers(0, 2))
def test_convolution_moves_with_its_input(
    seed: int, kh: int, kw: int, stride: int, down: int, right: int
) -> None:
    p, x = kernel(seed, kh, kw, 2, 3), normal(seed, 1, 11, 10, 2)
    moved = conv2d(x[:, stride * down :, stride * right :], p, stride)
    close(moved, conv2d(x, p, stride)[:, down:, right:])


@quick
@given(seeds, st.sampled_from([3, 5]), st.integers(1, 3))
def test_pooling_moves_with_its_input(seed: int, size: int, shift: int) -> None:
    x, reach = normal(seed, 1, 12, 11, 2), size // 2
    inside = slice(reach, -reach)
    moved = pooling(x[:, shift:, shift:], size)[:, inside, inside]
    close(moved, pooling(x, size)[:, shift + reach : -reach, shift + reach : -reach])


@quick
@given(sizes(1, 6), sizes(1, 6), st.sampled_from([1, 3, 5, 7]), st.integers(-1000, 1000))
def test_pooling_of_a_constant_is_zero(H: int, W: int, size: int, constant: int) -> None:
    # Borders included: the padding is not averaged in.
    np.testing.assert_array_equal(pooling(np.full((1, H, W, 2), float(constant)), size), 0)


@quick
@given(seeds, sizes(2, 6), sizes(2, 6), st.sampled_from([3, 5]))
def test_pooling_looks_the_same_from_every_side(seed: int, H: int, W: int, size: int) -> None:
    x = normal(seed, 1, H, W, 2)
    close(pooling(x[:, ::-1], size), pooling(x, size)[:, ::-1])
    close(pooling(x.swapaxes(1, 2), size), pooling(x, size).swapaxes(1, 2))


@quick
@given(seeds, sizes(1, 3), sizes(1, 2), st.integers(0, 1), st.sampled_from([1e-5, 1e-2]))
def test_batch_norm_folds_into_the_convolution_before_it(
    seed: int, k: int, stride: int, padding: int, eps: float
) -> None:
    conv, x = kernel(seed, k, k, 2, 3), normal(seed, 2, 5, 4, 2)
    weight, bias, mean, root = normal(seed, 4, 3)
    norm = BatchNorm(weight, bias, mean, root**2 + 0.1)
    scale = weight / np.sqrt(norm.running_var + eps)
    folded = Conv2d(conv.weight * scale, (conv.bias - mean) * scale + bias)
    two_steps = batch_norm(conv2d(x, conv, stride, padding), norm, eps)
    close(conv2d(x, folded, stride, padding), two_steps)


@quick
@given(seeds, sizes(1, 3), sizes(2, 5), st.floats(0.01, 100), st.floats(-100, 100))
def test_layer_norm_forgets_scale_and_shift(
    seed: int, N: int, C: int, scale: float, shift: float
) -> None:
    x, p = normal(seed, 1, N, C), LayerNorm(*normal(seed, 2, C))
    assume(x.std(-1).min() > 0.1)  # which a shift by 100 drowns in rounding
    moved = layer_norm(scale * x + shift, p, eps=0)
    np.testing.assert_allclose(moved, layer_norm(x, p, eps=0), rtol=0, atol=1e-9)


@quick
@given(x=arrays(3, 7, scale=50.0), shift=st.integers(-1000, 1000))
def test_softmax_knows_differences_only(x: Array, shift: int) -> None:
    x = np.round(x)  # so that the shift loses no bits
    np.testing.assert_array_equal(softmax(x + x.dtype.type(shift)), softmax(x))


@quick
@given(x=arrays(2, 3, 6, scale=50.0))
def test_softmax_rows_sum_to_one(x: Array) -> None:
    weights = softmax(x)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=0, atol=4 * np.finfo(x.dtype).eps)
    order = np.argsort(x, -1)
    assert (np.diff(np.take_along_axis(weights, order, -1)) >= 0).all()


def test_softmax_does_not_overflow() -> None:
    np.testing.assert_array_equal(softmax(np.array([1e300, 0.0, -1e300])), [1, 0, 0])


def make_attention(seed: int, biases: Array, C: int = 4, K: int = 3, V: int = 2) -> Attention:
    heads = len(biases)
    wide = heads * (2 * K + V)
    return Attention(
        Linear(normal(seed, C, wide), normal(seed, wide)),
        Linear(normal(seed, heads * V, C), normal(seed, C)),
        biases,
    )


@quick
@given(seeds, sizes(1, 3), sizes(1, 3), sizes(1, 2))
def test_attention_sees_a_grid_as_its_mirror_image(
    seed: int, rows: int, columns: int, heads: int
) -> None:
    biases = normal(seed, heads, rows, columns)
    p, x = make_attention(seed, biases), normal(seed, 2, rows, columns, 4)
    y = attention(flat(x), p).reshape(x.shape)
    for axis in (1, 2):  # distances stay
        mirrored = attention(flat(np.flip(x, axis)), p)
        close(mirrored.reshape(x.shape), np.flip(y, axis))
    turned = attention(flat(x.swapaxes(1, 2)), p._replace(attention_biases=biases.swapaxes(1, 2)))
    close(turned, flat(y.swapaxes(1, 2)))


@quick
@given(seeds, sizes(1, 3), sizes(1, 3))
def test_biases_by_distance_are_biases_by_pair_of_places(
    seed: int, rows: int, columns: int
) -> None:
    biases, x = normal(seed, 2, rows, columns), normal(seed, 2, rows * columns, 4)
    p = make_attention(seed, biases)
    by_pair = relative_position_bias(biases).reshape(2, rows, columns, rows, columns)
    np.testing.assert_array_equal(
        attention(x, p._replace(attention_biases=by_pair)), attention(x, p)
    )


@quick
@given(seeds, st.permutations(range(6)))
def test_attention_without_biases_knows_no_order(seed: int, order: list[int]) -> None:
    p, x = make_attention(seed, np.zeros((2, 2, 3))), normal(seed, 2, 6, 4)
    close(attention(x[:, order], p), attention(x, p)[:, order])


@quick
@given(seeds, st.floats(-50, 50))
def test_a_bias_common_to_all_distances_changes_nothing(seed: int, shift: float) -> None:
    biases, x = normal(seed, 2, 2, 3), normal(seed, 2, 6, 4)
    p = make_attention(seed, biases)
    close(attention(x, p._replace(attention_biases=biases + shift)), attention(x, p))


@quick
@given(x=arrays(40, dtype="float64", scale=3.0))
def test_identities_of_activations(x: Array) -> None:
    close(gelu(x) - gelu(-x), x)
    close(sigmoid(x) + sigmoid(-x), np.ones_like(x))
    close(ACTIVATIONS["silu"](x) - ACTIVATIONS["silu"](-x), x)
    close(ACTIVATIONS["relu"](x) - ACTIVATIONS["relu"](-x), x)


@quick
@given(x=arrays(6, 50, dtype="float64"), rate=st.floats(0.05, 0.95), seed=seeds)
@pytest.mark.parametrize("drop", [dropout, drop_path])
def test_dropout_silences_or_enlarges(drop: Any, x: Array, rate: float, seed: int) -> None:
    y = drop(x, rate, np.random.default_rng(seed))
    np.testing.assert_array_equal(y, drop(x, rate, np.random.default_rng(seed)))
    silenced = y == 0
    np.testing.assert_allclose(y[~silenced], x[~silenced] / (1 - rate), rtol=1e-12)
    if drop is drop_path:
        assert (silenced.all(1) | ~silenced.any(1)).all()


@quick
@given(rate=st.floats(0.05, 0.95), seed=seeds)
def test_dropout_keeps_the_expected_value(rate: float, seed: int) -> None:
    x = np.ones((4000, 2), np.float32)
    for drop, n in ((dropout, 8000), (drop_path, 4000)):
        y = drop(x, rate, np.random.default_rng(seed))
        assert y.dtype == x.dtype
        assert abs(y.mean(dtype=np.float64) - 1) < 6.5 * sqrt(rate / (1 - rate) / n)


@pytest.mark.parametrize("drop", [dropout, drop_path])
def test_dropout_at_the_ends(drop: Any) -> None:
    x = np.ones((3, 4))
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(drop(x, 0.0, rng), x)
    np.testing.assert_array_equal(drop(x, 1.0, rng), 0 * x)
    for rate in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match="a dropout rate is a probability"):
            drop(x, rate, rng)
    with pytest.raises(ValueError, match=r"pass a numpy\.random\.Generator"):
        drop(x, 0.5, None)


def dense(seed: int, C_in: int, C_out: int) -> Linear:
    return Linear(normal(seed, C_in, C_out, dtype="float32"), normal(seed, C_out, dtype="float32"))


def conv(seed: int, k: int, C_in: int, C_out: int) -> Conv2d:
    p = kernel(seed, k, k, C_in, C_out)
    return Conv2d(p.weight.astype(np.float32), p.bias.astype(np.float32))


def norm(seed: int, C: int) -> BatchNorm:
    return BatchNorm(*np.abs(normal(seed, 4, C, dtype="float32")) + np.float32(0.1))


def layers(seed: int) -> dict[str, tuple[tuple[int, ...], Callable[[Array], Array]]]:
    """Every layer with float32 parameters, and the shape of one sample of its input."""
    C = 12
    image, tokens = (6, 6, C), (36, C)
    biases = normal(seed, 2, 6, 6, dtype="float32")
    mixer = Attention(dense(seed, C, 2 * 11), dense(seed, 2 * 5, C), biases)
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
