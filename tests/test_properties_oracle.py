"""Each layer against plain loops, over shapes, types and arrangements in memory."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from npformer.layers import (
    ACTIVATIONS,
    Attention,
    AttentionBlock,
    BatchNorm,
    Conv2d,
    ConvMlp,
    Downsample,
    LayerNorm,
    LayerScale,
    Linear,
    Mlp,
    PoolingBlock,
    attention,
    attention_block,
    average_pool,
    batch_norm,
    batch_statistics,
    col2im,
    conv2d,
    conv2d_backward,
    conv_mlp,
    downsample,
    layer_norm,
    layer_scale,
    linear,
    mlp,
    pooling,
    pooling_block,
    softmax,
    update_running_stats,
)
from npformer.testing.array_strategies import arrange, arrays, assert_close, sizes

quick = settings(max_examples=30, deadline=None)


@quick
@given(st.data(), st.lists(sizes(), max_size=2), sizes(), sizes(), sizes())
def test_linear(data: st.DataObject, middle: list[int], B: int, C_in: int, C_out: int) -> None:
    x = data.draw(arrays(B, *middle, C_in))
    p = Linear(
        data.draw(arrays(C_in, C_out, dtype=x.dtype)), data.draw(arrays(C_out, dtype=x.dtype))
    )
    assert_close(linear(x, p), naive.linear(x, *p), x.dtype)


@quick
@given(st.data(), sizes(1, 4), sizes(1, 4), sizes(1, 3), st.integers(0, 2))
def test_conv2d(data: st.DataObject, kh: int, kw: int, stride: int, padding: int) -> None:
    H = data.draw(st.integers(max(1, kh - 2 * padding), 6))
    W = data.draw(st.integers(max(1, kw - 2 * padding), 6))
    C_in, C_out = data.draw(sizes(1, 3)), data.draw(sizes(1, 3))
    x = data.draw(arrays(data.draw(sizes(1, 2)), H, W, C_in))
    p = Conv2d(
        data.draw(arrays(kh, kw, C_in, C_out, dtype=x.dtype)),
        data.draw(arrays(C_out, dtype=x.dtype)),
    )
    assert_close(conv2d(x, p, stride, padding), naive.conv2d(x, *p, stride, padding), x.dtype)


def test_conv2d_refuses_a_window_that_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"3×3 window does not fit into a padded 2×5 image"):
        conv2d(np.zeros((1, 2, 5, 1)), Conv2d(np.zeros((3, 3, 1, 1)), np.zeros(1)))


@pytest.mark.parametrize(("stride", "padding"), [(0, 0), (-1, 0), (1, -1)])
def test_windows_that_do_not_step_forward_are_refused(stride: int, padding: int) -> None:
    x, p = np.zeros((1, 5, 5, 1)), Conv2d(np.zeros((3, 3, 1, 1)), np.zeros(1))
    for run in (
        lambda: conv2d(x, p, stride, padding),
        lambda: conv2d_backward(np.zeros((1, 3, 3, 1)), x, p, stride, padding),
        lambda: col2im(np.zeros((1, 3, 3, 9)), x.shape, 3, 3, stride, padding),
        lambda: downsample(x, Downsample(p, BatchNorm(*np.ones((4, 1)))), stride, padding),
    ):
        with pytest.raises(ValueError, match=f"stride is {stride} and padding {padding}"):
            run()


@quick
@given(st.data(), sizes(1, 2), sizes(1, 6), sizes(1, 6), sizes(1, 3), st.sampled_from([1, 3, 5, 7]))
def test_pooling(data: st.DataObject, B: int, H: int, W: int, C: int, size: int) -> None:
    x = data.draw(arrays(B, H, W, C))
    expected = naive.average_pool(x, size)
    assert_close(average_pool(x, size), expected, x.dtype)
    found = pooling(x, size)
    np.testing.assert_allclose(found, expected - x, rtol=0, atol=20 * np.finfo(x.dtype).eps)
    assert found.dtype == x.dtype


@pytest.mark.parametrize("size", [0, 2, -3])
def test_pooling_refuses_a_window_without_a_middle(size: int) -> None:
    with pytest.raises(ValueError, match=f"odd and positive, got {size}"):
        pooling(np.zeros((1, 3, 3, 1)), size)


@quick
@given(st.data(), sizes(2, 3), st.lists(sizes(), max_size=2), sizes(), st.sampled_from([1e-5, 0.1]))
def test_batch_norm(data: st.DataObject, B: int, middle: list[int], C: int, eps: float) -> None:
    x = data.draw(arrays(B, *middle, C))
    weight, bias, mean, root = (data.draw(arrays(C, dtype=x.dtype)) for _ in range(4))
    p = BatchNorm(weight, bias, mean, root * root + x.dtype.type(0.1))
    assert_close(batch_norm(x, p, eps), naive.batch_norm(x, *p, eps), x.dtype)

    means, variances = naive.batch_statistics(x)
    for found, expected in zip(batch_statistics(x), (means, variances), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=20 * np.finfo(x.dtype).eps)
    n = x.size // C
    moved = update_running_stats(p, *batch_statistics(x), n, momentum=0.25)
    expected = [0.75 * p.running_mean[c] + 0.25 * means[c] for c in range(C)]
    assert_close(moved.running_mean, np.array(expected), x.dtype)
    expected = [0.75 * p.running_var[c] + 0.25 * variances[c] * n / (n - 1) for c in range(C)]
    assert_close(moved.running_var, np.array(expected), x.dtype)


def test_one_value_has_no_unbiased_variance() -> None:
    p = BatchNorm(*np.ones((4, 2)))
    with pytest.raises(ValueError, match="at least 2 values a channel, got 1"):
        update_running_stats(p, np.zeros(2), np.zeros(2), 1)


@quick
@given(st.data(), sizes(), sizes(), sizes(2, 6), st.sampled_from([1e-12, 1e-5, 0.1]))
def test_layer_norm(data: st.DataObject, B: int, N: int, C: int, eps: float) -> None:
    x = data.draw(arrays(B, N, C))
    p = LayerNorm(data.draw(arrays(C, dtype=x.dtype)), data.draw(arrays(C, dtype=x.dtype)))
    # Two equal numbers leave nothing but rounding, which the division by their spread enlarges.
    assume(x.astype(np.float64).std(-1).min() > 1e-2)
    assert_close(layer_norm(x, p, eps), naive.layer_norm(x, *p, eps), x.dtype)


@quick
@given(st.data(), sizes(), sizes(), sizes(1, 6), st.sampled_from([0.1, 1.0, 20.0]))
def test_softmax(data: st.DataObject, B: int, N: int, M: int, scale: float) -> None:
    x = data.draw(arrays(B, N, M, scale=scale))
    assert_close(softmax(x), naive.softmax(x), x.dtype)


@quick
@given(st.data(), sizes(1, 2), sizes(1, 3), sizes(1, 3), sizes(1, 3), sizes(1, 3), sizes(1, 3))
def test_attention(
    data: st.DataObject, B: int, rows: int, columns: int, heads: int, K: int, V: int
) -> None:
    C = data.draw(sizes(1, 4))
    x = data.draw(arrays(B, rows * columns, C))
    wide = heads * (2 * K + V)

    def dense(C_in: int, C_out: int) -> Linear:
        return Linear(*(data.draw(arrays(*s, dtype=x.dtype)) for s in ((C_in, C_out), (C_out,))))

    p = Attention(
        dense(C, wide), dense(heads * V, C), data.draw(arrays(heads, rows, columns, dtype=x.dtype))
    )
    assert_close(attention(x, p), naive.attention(x, *p, K), x.dtype)


def test_attention_refuses_another_number_of_tokens() -> None:
    p = Attention(
        Linear(np.zeros((2, 3)), np.zeros(3)), Linear(np.zeros((1, 2)), np.zeros(2)),
        np.zeros((1, 2, 3)),
    )  # fmt: skip
    with pytest.raises(ValueError, match="5 tokens, but the attention biases are for a 2×3 grid"):
        attention(np.zeros((1, 5, 2)), p)


blocks = given(
    st.data(), sizes(2, 3), sizes(2, 3), st.booleans(), st.sampled_from(["gelu", "silu"])
)


@settings(max_examples=15, deadline=None)
@blocks
def test_pooling_block(data: st.DataObject, H: int, W: int, scaled: bool, name: str) -> None:
    C, wide, eps = 3, 5, 1e-2
    x = data.draw(arrays(2, H, W, C))

    def parameter(*shape: int) -> np.ndarray:
        return data.draw(arrays(*shape, dtype=x.dtype))

    def norm(C: int) -> BatchNorm:
        mean, root = parameter(C), parameter(C)
        return BatchNorm(parameter(C), parameter(C), mean, root * root + x.dtype.type(0.5))

    inner = ConvMlp(
        Conv2d(parameter(1, 1, C, wide), parameter(wide)), norm(wide),
        Conv2d(parameter(1, 1, wide, C), parameter(C)), norm(C),
    )  # fmt: skip
    assert_close(
        conv_mlp(x, inner, ACTIVATIONS[name], eps), naive.conv_mlp(x, inner, name, eps), x.dtype
    )
    ls1, ls2 = (LayerScale(parameter(C)) if scaled else None for _ in range(2))
    found = pooling_block(x, PoolingBlock(ls1, inner, ls2), 3, ACTIVATIONS[name], eps)
    gamma1, gamma2 = (ls1.gamma, ls2.gamma) if scaled else (1, 1)
    middle = x + gamma1 * (naive.average_pool(x, 3) - x)
    expected = middle + gamma2 * naive.conv_mlp(middle, inner, name, eps)
    assert_close(found, expected, x.dtype)


@settings(max_examples=15, deadline=None)
@blocks
def test_attention_block(data: st.DataObject, H: int, W: int, scaled: bool, name: str) -> None:
    C, K, V, wide, eps = 4, 2, 3, 5, 1e-2
    x = data.draw(arrays(2, H * W, C))

    def parameter(*shape: int) -> np.ndarray:
        return data.draw(arrays(*shape, dtype=x.dtype))

    def dense(C_in: int, C_out: int) -> Linear:
        return Linear(parameter(C_in, C_out), parameter(C_out))

    mixer = Attention(dense(C, 2 * (2 * K + V)), dense(2 * V, C), parameter(2, H, W))
    inner = Mlp(dense(C, wide), dense(wide, C))
    assert_close(mlp(x, inner, ACTIVATIONS[name]), naive.mlp(x, *inner, name), x.dtype)
    norm1, norm2 = (LayerNorm(parameter(C), parameter(C)) for _ in range(2))
    ls1, ls2 = (LayerScale(parameter(C)) if scaled else None for _ in range(2))
    p = AttentionBlock(norm1, mixer, ls1, norm2, inner, ls2)
    gamma1, gamma2 = (ls1.gamma, ls2.gamma) if scaled else (1, 1)
    middle = x + gamma1 * naive.attention(naive.layer_norm(x, *norm1, eps), *mixer, K)
    expected = middle + gamma2 * naive.mlp(naive.layer_norm(middle, *norm2, eps), *inner, name)
    assert_close(attention_block(x, p, ACTIVATIONS[name], eps), expected, x.dtype)


@quick
@given(st.data(), sizes(), sizes())
def test_layer_scale(data: st.DataObject, B: int, C: int) -> None:
    x = data.draw(arrays(B, C))
    gamma = data.draw(arrays(C, dtype=x.dtype))
    expected = [[float(x[b, c]) * float(gamma[c]) for c in range(C)] for b in range(B)]
    assert_close(layer_scale(x, LayerScale(gamma)), np.array(expected), x.dtype)
    assert layer_scale(x, None) is x


@pytest.mark.parametrize("name", ACTIVATIONS)
@settings(max_examples=8, deadline=None)
@given(x=arrays(3, 5, scale=4.0))
def test_activations(name: str, x: np.ndarray) -> None:
    assert_close(ACTIVATIONS[name](x), naive.activation(x, name), x.dtype)


def test_every_activation_has_its_formula() -> None:
    assert set(naive.ACTIVATIONS) == set(ACTIVATIONS)


SPECIAL = st.sampled_from([np.nan, np.inf, -np.inf])


@pytest.mark.filterwarnings("ignore:invalid value")
@settings(max_examples=40, deadline=None)
@given(st.data(), SPECIAL)
def test_what_is_not_a_number_goes_where_the_formula_sends_it(
    data: st.DataObject, special: float
) -> None:
    x = np.array(data.draw(arrays(2, 4, 5, 3, dtype="float64")))
    x[data.draw(st.tuples(*(st.integers(0, n - 1) for n in x.shape)))] = special
    x = arrange(x, data.draw(st.sampled_from(["C", "gaps"])))
    dense = Linear(data.draw(arrays(3, 2, dtype="float64")), data.draw(arrays(2, dtype="float64")))
    kernel = Conv2d(data.draw(arrays(3, 3, 3, 2, dtype="float64")), dense.bias)
    norm = BatchNorm(*(np.abs(data.draw(arrays(3, dtype="float64"))) + 1 for _ in range(4)))
    for found, expected in (
        (linear(x, dense), naive.linear(x, *dense)),
        (conv2d(x, kernel, 2, 1), naive.conv2d(x, *kernel, 2, 1)),
        (batch_norm(x, norm), naive.batch_norm(x, *norm, 1e-5)),
        (layer_norm(x, LayerNorm(*norm[:2])), naive.layer_norm(x, *norm[:2], 1e-12)),
    ):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    # Here a running sum would smear it over the image: only windows that hold it may show it.
    np.testing.assert_allclose(average_pool(x), naive.average_pool(x, 3), rtol=0, atol=1e-12)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_softmax_of_what_is_not_a_number() -> None:
    x = np.array([[0.0, -np.inf, 0.0], [0.0, np.nan, 0.0], [0.0, np.inf, 0.0]])
    nan = [np.nan] * 3  # PyTorch's answer, too
    np.testing.assert_array_equal(softmax(x), [[0.5, 0.0, 0.5], nan, nan])


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_hide_no_nan(name: str) -> None:
    assert np.isnan(ACTIVATIONS[name](np.array([np.nan]))).all()
