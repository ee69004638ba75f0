"""Sums over batch and positions, and half precision, against float64."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from engine_cases import CASES, config, images, network
from hypothesis import given, settings
from hypothesis import strategies as st
from planting import planted

from npformer.hf.group_norm import group_norm
from npformer.kernels.batch_norm import moments
from npformer.kernels.layout import Rows
from npformer.kernels.mean import mean
from npformer.layers import (
    ACTIVATIONS,
    DERIVATIVES,
    Array,
    BatchNorm,
    LayerNorm,
    LayerScale,
    Linear,
    Run,
    Trace,
    attend,
    attend_backward,
    average_pool,
    batch_norm,
    batch_norm_backward,
    batch_statistics,
    bce_with_logits,
    layer_norm,
    layer_norm_backward,
    layer_scale_backward,
    linear_backward,
    mse,
    relative_position_bias_backward,
    training,
    update_running_stats,
)
from npformer.layers.precision import holds_half, mean64, retyped, sum64, var64
from npformer.network import forward
from npformer.network.tree import leaves, transform

TRAINING = training(np.random.default_rng(0))
SHAPES = [
    (64, 112, 112, 3),
    (3, 56, 40, 8),
    (16, 28, 28, 5),
    (2, 7, 7, 16),
    (1, 1, 1, 3),
    (1, 1, 2, 1),
]
OFFSETS = [0.0, 0.1, 100.0, 1e3, 1e4]

shapes = st.one_of(
    st.sampled_from(SHAPES),
    st.tuples(st.integers(1, 8), st.integers(1, 40), st.integers(1, 40), st.integers(1, 9)),
)
pictures = st.tuples(
    shapes,
    st.sampled_from(OFFSETS),
    st.sampled_from([0.0, 1e-3, 1.0]),
    st.sampled_from(["float16", "float32"]),
    st.integers(0, 2**32 - 1),
)


def numbers(drawn: Any) -> Array:
    """A batch of pictures about an offset; with a spread of 0, equal numbers."""
    shape, offset, spread, dtype, seed = drawn
    return (offset + spread * np.random.default_rng(seed).standard_normal(shape)).astype(dtype)


def rounded(found: Array, exact: Array, dtype: Any, scale: float) -> None:
    """Check that a result is the exact one, rounded to the dtype and at most one number off.

    `scale` is the size of the numbers that were added; they may have canceled.
    """
    assert found.dtype == dtype
    expected = exact.astype(dtype)
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(found[~finite], expected[~finite])
    limit = np.spacing(abs(expected[finite])).astype(np.float64) + 1e-12 * scale
    off = abs(found[finite].astype(np.float64) - expected[finite])
    np.testing.assert_array_less(off, 1.001 * limit)


def batch_norm_of_ones(C: int, dtype: Any) -> BatchNorm:
    return BatchNorm(*(np.ones(C, dtype),) * 4)


# Sums over batch and positions -------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(pictures)
def test_statistics_are_those_of_float64(drawn: Any) -> None:
    x = numbers(drawn)
    exact = x.astype(np.float64)
    average, variance = batch_statistics(x)
    rounded(average, exact.mean((0, 1, 2)), x.dtype, abs(exact).max())
    rounded(variance, exact.var((0, 1, 2)), x.dtype, exact.var((0, 1, 2)).max())


@settings(max_examples=30, deadline=None)
@given(pictures)
def test_sums_in_any_layout_are_those_of_float64(drawn: Any) -> None:
    x = numbers(drawn)
    for y in (x, x[:, ::-1, ::2], np.moveaxis(x, -1, 1), np.asfortranarray(x), x.reshape(-1, 1)):
        exact, axes = y.astype(np.float64), tuple(range(y.ndim - 1))
        largest = abs(exact).max()
        with np.errstate(over="ignore"):  # a sum in float16 may be infinite
            rounded(sum64(y, axes), exact.sum(axes), x.dtype, y.size * largest)
        rounded(mean64(y, axes), exact.mean(axes), x.dtype, largest)
        rounded(var64(y, axes), exact.var(axes), x.dtype, largest)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("offset", OFFSETS)
def test_equal_numbers_have_no_variance(dtype: str, offset: float) -> None:
    x = np.full((8, 64, 64, 4), offset, dtype)
    average, variance = batch_statistics(x)
    np.testing.assert_array_equal(average, x[0, 0, 0])
    np.testing.assert_array_equal(variance, 0)
    p = batch_norm_of_ones(4, dtype)
    np.testing.assert_array_equal(batch_norm(x, p, run=Run(TRAINING)), np.ones_like(x))


def test_batch_norm_in_training_at_full_size() -> None:
    x = np.random.default_rng(0).standard_normal((64, 112, 112, 3)).astype(np.float32) + 3
    p = batch_norm_of_ones(3, np.float32)
    wide = transform(np.float64, p)
    seen, exactly = Trace(mode=TRAINING), Trace(mode=TRAINING)
    y, expected = batch_norm(x, p, run=seen), batch_norm(x.astype(float), wide, run=exactly)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-6)
    dy = np.random.default_rng(1).standard_normal(x.shape).astype(np.float32)
    found = batch_norm_backward(dy, x, p, tape=seen)
    relative(
        found, batch_norm_backward(dy.astype(float), x.astype(float), wide, tape=exactly), 1e-5
    )


def relative(found: Any, expected: Any, bound: float, least: float = 1e-300) -> None:
    """Compare two trees, each leaf relative to its largest number, or to `least`."""
    for (path, a), (_, b) in zip(leaves(found), leaves(expected), strict=True):
        error = abs(a.astype(np.float64) - b).max(initial=0) / max(abs(b).max(initial=0), least)
        assert error <= bound, f"{path}: {error:.1e}"


def gradients(dtype: Any, n: int = 100_000) -> dict[str, Any]:
    """Gradients that are sums over many positions, with exact products: all numbers are 1."""
    one, dy = np.ones(2, dtype), np.full((n, 1, 2), 0.25, dtype)
    x, p = np.ones_like(dy), LayerNorm(np.ones(2, dtype), np.zeros(2, dtype))
    pairs = np.full((1, 900, 900), 0.25, dtype)
    return {
        "linear": linear_backward(dy, x, Linear(np.eye(2, dtype=dtype), one))[1].bias,
        "layer_scale": layer_scale_backward(dy, x, LayerScale(one))[1].gamma,
        "layer_norm": layer_norm_backward(dy, x, p)[1].bias,
        "batch_norm": batch_norm_backward(dy, x, batch_norm_of_ones(2, dtype))[1].bias,
        "attention biases": relative_position_bias_backward(pairs, np.zeros((1, 30, 30), dtype)),
    }


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_gradients_that_are_sums_are_those_of_float64(dtype: str) -> None:
    exact = gradients(np.float64)
    for name, found in gradients(dtype).items():
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, exact[name].astype(dtype), name)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 900), st.sampled_from(OFFSETS), st.sampled_from([0.0, 1.0]), st.integers(0, 99)
)
def test_the_kernel_has_the_same_statistics(
    rows: int, offset: float, spread: float, seed: int
) -> None:
    x = numbers(((rows, 16), offset, spread, "float32", seed))
    m = np.concatenate([np.zeros((2, 16), np.float32), x]).ravel()
    moments(m, Rows(0, 16), Rows(32, 16), rows)
    average, squares = m[:16], m[16:32]
    exact = x.astype(np.float64)
    np.testing.assert_allclose(average, exact.mean(0), rtol=3e-7, atol=1e-7)
    np.testing.assert_allclose(squares, rows * exact.var(0), rtol=1e-5, atol=1e-10)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4096), st.sampled_from(OFFSETS), st.integers(0, 99))
def test_the_mean_over_tokens_of_the_kernel(tokens: int, offset: float, seed: int) -> None:
    x = numbers(((tokens, 16), offset, 1.0, "float32", seed))
    m = np.concatenate([np.zeros((1, 16), np.float32), x]).ravel()
    mean(m, 0, Rows(16, 16), tokens, 16)
    rounded(m[:16], x.mean(0, np.float64), np.float32, 1e5)


def test_the_mean_over_tokens_of_a_network() -> None:
    c = config(**CASES["one stage"])
    trace = Trace("norm", "pooled")
    forward(images(2), network(c), c, trace)
    rounded(trace["pooled"], trace["norm"].mean(1, np.float64), np.float32, 0)


def test_the_gradient_of_attention_biases_in_a_large_batch() -> None:
    rng = np.random.default_rng(0)
    dy, qkv = rng.uniform(size=(50_000, 2, 1)), rng.uniform(size=(50_000, 2, 3))
    attn = np.full((50_000, 1, 2, 2), 0.5)
    exact = attend_backward(dy, qkv, attn, 1, 1.0)[1]
    found = attend_backward(*(a.astype(np.float32) for a in (dy, qkv, attn)), 1, 1.0)[1]
    relative(found, exact, 5e-7)


# Half precision ----------------------------------------------------------------------------------

HALF = [1.0, 300.0, 1e4, 3e4]


def half(size: float, *shape: int, seed: int = 0) -> Array:
    return (size * np.random.default_rng(seed).uniform(-1, 1, shape)).astype(np.float16)


def in_half(size: float, eps: float) -> dict[Callable[..., Any], tuple[Any, ...]]:
    """All functions that compute float16 in float32, each with arguments."""
    x, dy, flat = half(size, 2, 6, 6, 8), half(1, 2, 6, 6, 8, seed=1), half(size, 9, 20)
    norm, batch = LayerNorm(half(1, 8), half(1, 8)), BatchNorm(*half(1, 2, 8), *abs(half(1, 2, 8)))
    qkv, bias = half(size, 2, 36, 2 * 16), half(1, 2, 36, 36)
    average, variance = batch_statistics(x.astype(np.float32))
    tape = Trace()
    attend(qkv, bias, 4, 0.5, tape)
    return {
        layer_norm: (x, norm, eps),
        layer_norm_backward: (dy, x, norm, eps),
        group_norm: (np.moveaxis(x, -1, 1), norm, eps),
        batch_norm: (x, batch, eps, Run(TRAINING)),
        batch_norm_backward: (dy, x, batch, eps, {"mean": average, "var": variance}),
        update_running_stats: (batch, average / 1e4, variance / 1e4, 72),
        attend: (qkv, bias, 4, 0.5),
        attend_backward: (half(1, 2, 36, 16, seed=2), qkv, tape["attn"], 4, 0.5),
        average_pool: (x,),
        bce_with_logits: (flat, flat > 0),
        mse: (flat, flat + np.float16(300) * (flat == flat[0])),
    }


def check_in_half(function: Callable[..., Any], args: tuple[Any, ...], called: Any) -> None:
    """Compare `called`, a form of the function, with the function in float64: one rounding."""
    with np.errstate(all="ignore"):
        found, exact = called(*args), function(*retyped(args, np.float16, np.float64))
    assert {leaf.dtype for _, leaf in leaves(found)} == {np.dtype(np.float16)}
    relative(found, exact, 2**-11, least=1e-3)


@pytest.mark.parametrize("size", HALF)
@pytest.mark.parametrize("eps", [1e-12, 1e-5])
def test_layers_in_half_precision_are_those_of_float64(size: float, eps: float) -> None:
    for function, args in in_half(size, eps).items():
        check_in_half(function, args, function)


@pytest.mark.parametrize("function", in_half(1.0, 1e-5), ids=lambda f: f.__name__)
def test_the_test_of_half_precision_sees_a_function_that_computes_in_it(function: Any) -> None:
    def unwrapped() -> None:
        for size in HALF:
            check_in_half(function, in_half(size, 1e-5)[function], inspect.unwrap(function))

    with pytest.raises(AssertionError):
        unwrapped()


def test_tokens_of_equal_numbers_become_the_bias() -> None:
    x = np.full((1, 2, 4), 3, np.float16)
    p = LayerNorm(np.ones(4, np.float16), half(1, 4))
    np.testing.assert_array_equal(layer_norm(x, p, 1e-12), np.broadcast_to(p.bias, x.shape))


def test_running_statistics_keep_their_type() -> None:
    x, p = half(300, 4, 3, 3, 2), batch_norm_of_ones(2, np.float16)
    seen = Trace(mode=TRAINING)
    batch_norm(x, p, run=seen)
    updated = update_running_stats(p, seen["mean"], seen["var"], int(seen["n"]))
    assert {leaf.dtype for leaf in updated} == {np.dtype(np.float16)}
    assert np.isfinite(updated.running_var).all()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_no_activation_of_a_finite_number_is_nan(dtype: str, name: str) -> None:
    large = float(np.finfo(dtype).max)
    x = np.array([0, *(s * v for v in (5, 40, 300, 1e4, large) for s in (1, -1))], dtype)
    activation = ACTIVATIONS[name]
    with np.errstate(over="ignore"):
        y, slope = activation(x), DERIVATIVES[activation](x)
        expected = DERIVATIVES[activation](x.astype(np.float64))
    assert y.dtype == slope.dtype == dtype
    assert not np.isnan(y).any()
    if name != "relu2":  # whose derivative, 2x, may be infinite
        np.testing.assert_allclose(slope, expected, rtol=4e-3, atol=4e-3)


# What of this could break ------------------------------------------------------------------------


def once(test: Any) -> Callable[[], None]:
    """A test of drawn pictures, with the same ones each time."""
    return lambda: test.hypothesis.inner_test(((3, 56, 40, 8), 3.0, 1.0, "float32", 0))


def kernel_once() -> None:
    test_the_kernel_has_the_same_statistics.hypothesis.inner_test(900, 1e4, 1.0, 0)


def half_sums() -> None:
    test_gradients_that_are_sums_are_those_of_float64("float16")


FAULTS: list[tuple[Any, str, str, Any]] = [
    (mean64, "np.float64, ", "", once(test_statistics_are_those_of_float64)),
    (var64, "np.float64, ", "", once(test_statistics_are_those_of_float64)),
    (sum64, "np.float64, ", "", once(test_sums_in_any_layout_are_those_of_float64)),
    (sum64, ".astype(x.dtype)", "", once(test_sums_in_any_layout_are_those_of_float64)),
    (linear_backward, "sum64(rows, 0)", "rows.sum(0)", half_sums),
    (layer_scale_backward, "sum64((dy * x).reshape(-1, x.shape[-1]), 0)",
     "(dy * x).sum((0, 1))", half_sums),
    (attend_backward, "sum64(dscores, 0)", "dscores.sum(0)",
     test_the_gradient_of_attention_biases_in_a_large_batch),
    (relative_position_bias_backward, "np.zeros((rows * columns, heads))",
     "np.zeros((rows * columns, heads), dtable.dtype)", half_sums),
    (forward, "mean64(tokens, 1)", "tokens.mean(1)", test_the_mean_over_tokens_of_a_network),
    (moments, "mean + shift", "mean - shift", kernel_once),
    (moments, "squares - deviations * shift", "squares", kernel_once),
    (mean, "average + deviations / tokens", "average",
     lambda: test_the_mean_over_tokens_of_the_kernel.hypothesis.inner_test(4096, 100.0, 0)),
    (holds_half, "tree.dtype == np.float16", "False",
     lambda: test_layers_in_half_precision_are_those_of_float64(300.0, 1e-5)),
]  # fmt: skip


@pytest.mark.parametrize(("function", "old", "new", "test"), FAULTS)
def test_a_planted_fault_is_found(function: Any, old: str, new: str, test: Any) -> None:
    with planted(function, old, new), np.errstate(all="ignore"), pytest.raises(AssertionError):
        test()
