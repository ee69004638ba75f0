"""Every backward against difference quotients of its forward, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from golden import cases
from gradient_check import (
    STENCIL,
    aligned_direction,
    check,
    close,
    derivative,
    flatten,
    kinks,
    move,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from npformer import layers
from npformer.layers import ACTIVATIONS, DERIVATIVES, Array, Mode, Run, Trace
from npformer.network import Logits, backward, forward, heads, heads_backward, stage_sizes
from npformer.network.tree import leaves

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.integers(1, 5)
quick = settings(max_examples=25, deadline=None)
SMOOTH = sorted({"gelu", "gelu_new", "silu", "mish", "tanh", "quick_gelu", "laplace"})


def normal(seed: int, *shape: int) -> Array:
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def norm(seed: int, C: int) -> layers.BatchNorm:
    return layers.BatchNorm(
        normal(seed, C), normal(seed + 1, C), normal(seed + 2, C), normal(seed + 3, C) ** 2 + 0.5
    )


def dense(seed: int, C_in: int, C_out: int) -> layers.Linear:
    return layers.Linear(normal(seed, C_in, C_out), normal(seed, C_out))


def modes(seed: int, dropout: float = 0.0, drop_path: float = 0.0) -> list[Mode]:
    """Evaluation, training, and training with noise, which each call draws anew and the same."""

    def noise() -> Mode:
        return layers.training(np.random.default_rng(seed), dropout, drop_path)

    return [Mode(), Mode(True), noise()]


def again(mode: Mode, seed: int) -> Mode:
    return mode._replace(rng=np.random.default_rng(seed))


def check_composite(forward: Any, backward: Any, x: Array, p: Any, mode: Mode, seed: int) -> None:
    """As `check`, for a layer that takes a run, and reads its tape backward."""

    def unrecorded(x: Array, p: Any) -> Array:
        return forward(x, p, Run(again(mode, seed)))

    def reverse(dy: Array, x: Array, p: Any) -> tuple[Array, Any]:
        tape = Trace(mode=again(mode, seed))
        forward(x, p, tape)
        return backward(dy, x, p, tape)

    check(unrecorded, reverse, x, p, seed)


@quick
@given(SIZES, SIZES, SIZES, SIZES, SEEDS)
def test_linear(B: int, N: int, C: int, D: int, seed: int) -> None:
    check(layers.linear, layers.linear_backward, normal(seed, B, N, C), dense(seed, C, D), seed)


@quick
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3),
       st.integers(0, 2), st.integers(0, 3), st.integers(0, 3), SEEDS)  # fmt: skip
def test_conv2d(
    B: int, kh: int, kw: int, stride: int, pad: int, more: int, wider: int, seed: int
) -> None:
    x = normal(seed, B, kh + more, kw + wider, 2)
    p = layers.Conv2d(normal(seed, kh, kw, 2, 3), normal(seed, 3))
    check(
        lambda x, p: layers.conv2d(x, p, stride, pad),
        lambda dy, x, p: layers.conv2d_backward(dy, x, p, stride, pad),
        x,
        p,
        seed,
    )


@quick
@given(st.integers(2, 4), SIZES, SIZES, st.sampled_from([1e-5, 0.1]), SEEDS, st.booleans())
def test_batch_norm(B: int, N: int, C: int, eps: float, seed: int, by_batch: bool) -> None:
    check_composite(
        lambda x, p, run: layers.batch_norm(x, p, eps, run),
        lambda dy, x, p, tape: layers.batch_norm_backward(dy, x, p, eps, tape),
        normal(seed, B, N + 2, C),
        norm(seed, C),
        Mode(by_batch),
        seed,
    )


def test_batch_norm_leaves_its_running_statistics_alone() -> None:
    dp = layers.batch_norm_backward(normal(0, 2, 3, 4), normal(1, 2, 3, 4), norm(2, 4))[1]
    assert not dp.running_mean.any()
    assert not dp.running_var.any()


@quick
@given(SIZES, SIZES, st.integers(3, 6), st.sampled_from([1e-12, 1e-5, 0.1]), SEEDS)
def test_layer_norm(B: int, N: int, C: int, eps: float, seed: int) -> None:
    p = layers.LayerNorm(normal(seed, C), normal(seed + 1, C))
    # Tokens whose entries are nearly equal bend too sharply for the quotient.
    x = normal(seed, B, N, C) + np.linspace(-3, 3, C)
    check(
        lambda x, p: layers.layer_norm(x, p, eps),
        lambda dy, x, p: layers.layer_norm_backward(dy, x, p, eps),
        x,
        p,
        seed,
    )


@quick
@given(SIZES, SIZES, SIZES, SEEDS)
def test_softmax_and_layer_scale(B: int, N: int, C: int, seed: int) -> None:
    x = normal(seed, B, N, C + 1)
    check(
        lambda x, p: layers.softmax(x),
        lambda dy, x, p: (layers.softmax_backward(dy, layers.softmax(x)), ()),
        x,
        (),
        seed,
    )
    p = layers.LayerScale(normal(seed + 1, C + 1))
    check(layers.layer_scale, layers.layer_scale_backward, x, p, seed)
    assert layers.layer_scale_backward(x, x, None) == (x, None)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name: str) -> None:
    activation = ACTIVATIONS[name]
    x = np.linspace(-12.03, 12.07, 2000)
    corners = np.array([0.0, 6.0, 10.0])  # where one of them has a kink
    x = x[abs(x[:, None] - corners).min(1) > 0.01]
    slope = sum(c * activation(x + k * 1e-3) for k, c in STENCIL.items()) / 1e-3
    # The value itself has been rounded: an error of that size over the step is the quotient's own.
    rounding = 1e-15 * abs(activation(x)).max() / 1e-3
    np.testing.assert_allclose(DERIVATIVES[activation](x), slope, rtol=1e-7, atol=rounding)
    dy = np.cos(x)
    np.testing.assert_array_equal(
        layers.activation_backward(dy, x, activation), dy * DERIVATIVES[activation](x)
    )


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_keeps_the_type(name: str) -> None:
    x = np.linspace(-3, 3, 7, dtype=np.float32)
    assert layers.activation_backward(x, x, ACTIVATIONS[name]).dtype == np.float32


@quick
@given(SIZES, SIZES, SIZES, st.sampled_from([1, 3, 5, 7]), SEEDS)
def test_pooling(B: int, H: int, W: int, size: int, seed: int) -> None:
    check(
        lambda x, p: layers.pooling(x, size),
        lambda dy, x, p: (layers.pooling_backward(dy, size), ()),
        normal(seed, B, H, W, 2),
        (),
        seed,
    )


def attention_parameters(
    seed: int, C: int, heads: int, K: int, V: int, R: int, columns: int
) -> layers.Attention:
    qkv, proj = dense(seed, C, heads * (2 * K + V)), dense(seed, heads * V, C)
    return layers.Attention(qkv, proj, normal(seed, heads, R, columns))


@quick
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3),
       st.integers(1, 3), st.integers(1, 3), SEEDS)  # fmt: skip
def test_attention(B: int, heads: int, K: int, V: int, rows: int, columns: int, seed: int) -> None:
    check_composite(
        layers.attention,
        layers.attention_backward,
        normal(seed, B, rows * columns, 4),
        attention_parameters(seed, 4, heads, K, V, rows, columns),
        Mode(),
        seed,
    )


@quick
@given(SIZES, SIZES, st.sampled_from(SMOOTH), st.integers(0, 2), SEEDS)
def test_mlp(B: int, N: int, name: str, mode: int, seed: int) -> None:
    activation = ACTIVATIONS[name]
    check_composite(
        lambda x, p, run: layers.mlp(x, p, activation, run),
        lambda dy, x, p, tape: layers.mlp_backward(dy, x, p, activation, tape),
        normal(seed, B, N, 4),
        layers.Mlp(dense(seed, 4, 8), dense(seed, 8, 4)),
        modes(seed, dropout=0.4)[mode],
        seed,
    )


@quick
@given(st.integers(2, 4), SIZES, st.integers(0, 1), st.integers(0, 2), SEEDS)
def test_downsample(B: int, W: int, pad: int, mode: int, seed: int) -> None:
    check_composite(
        lambda x, p, run: layers.downsample(x, p, 2, pad, 1e-3, run),
        lambda dy, x, p, tape: layers.downsample_backward(dy, x, p, 2, pad, 1e-3, tape),
        normal(seed, B, 5, W + 2, 2),
        layers.Downsample(layers.Conv2d(normal(seed, 3, 3, 2, 4), normal(seed, 4)), norm(seed, 4)),
        modes(seed)[mode],
        seed,
    )


def conv_mlp_parameters(seed: int) -> layers.ConvMlp:
    fc1 = layers.Conv2d(normal(seed, 1, 1, 4, 8), normal(seed, 8))
    fc2 = layers.Conv2d(normal(seed, 1, 1, 8, 4), normal(seed, 4))
    return layers.ConvMlp(fc1, norm(seed, 8), fc2, norm(seed + 1, 4))


@quick
@given(st.integers(2, 4), SIZES, st.sampled_from(SMOOTH), st.integers(0, 2), SEEDS)
def test_conv_mlp(B: int, W: int, name: str, mode: int, seed: int) -> None:
    activation = ACTIVATIONS[name]
    check_composite(
        lambda x, p, run: layers.conv_mlp(x, p, activation, 1e-3, run),
        lambda dy, x, p, tape: layers.conv_mlp_backward(dy, x, p, activation, 1e-3, tape),
        normal(seed, B, 3, W + 1, 4),
        conv_mlp_parameters(seed),
        modes(seed, dropout=0.4)[mode],
        seed,
    )


@quick
@given(st.integers(2, 5), st.booleans(), st.integers(0, 2), SEEDS)
def test_pooling_block(B: int, scaled: bool, mode: int, seed: int) -> None:
    scales = [layers.LayerScale(normal(seed + i, 4)) if scaled else None for i in (0, 1)]
    check_composite(
        lambda x, p, run: layers.pooling_block(x, p, 3, layers.gelu, 1e-3, run),
        lambda dy, x, p, tape: layers.pooling_block_backward(dy, x, p, 3, layers.gelu, 1e-3, tape),
        normal(seed, B, 3, 4, 4),
        layers.PoolingBlock(scales[0], conv_mlp_parameters(seed), scales[1]),
        modes(seed, dropout=0.3, drop_path=0.4)[mode],
        seed,
    )


@quick
@given(st.integers(1, 5), st.booleans(), st.integers(0, 2), SEEDS)
def test_attention_block(B: int, scaled: bool, mode: int, seed: int) -> None:
    scales = [layers.LayerScale(normal(seed + i, 4)) if scaled else None for i in (0, 1)]
    norms = [layers.LayerNorm(normal(seed + i, 4), normal(seed + i + 2, 4)) for i in (0, 1)]
    p = layers.AttentionBlock(
        norms[0],
        attention_parameters(seed, 4, 2, 3, 2, 2, 2),
        scales[0],
        norms[1],
        layers.Mlp(dense(seed, 4, 8), dense(seed, 8, 4)),
        scales[1],
    )
    check_composite(
        lambda x, p, run: layers.attention_block(x, p, layers.gelu, 0.1, run),
        lambda dy, x, p, tape: layers.attention_block_backward(dy, x, p, layers.gelu, 0.1, tape),
        normal(seed, B, 4, 4),
        p,
        modes(seed, dropout=0.3, drop_path=0.4)[mode],
        seed,
    )


def gradients_for(outputs: Logits, seed: int) -> Logits:
    return Logits(
        *[None if y is None else normal(seed + i, *y.shape) for i, y in enumerate(outputs)]
    )


@pytest.mark.parametrize("without", [(), ("head_dist",), ("head", "head_dist")])
def test_heads(without: tuple[str, ...]) -> None:
    p = cases.parameters(cases.SMALL["usual"])._replace(**dict.fromkeys(without))
    x = normal(0, 3, 8)
    dy = gradients_for(heads(x, p), 1)
    gradient = heads_backward(dy, x, p)
    assert [name for name in ("head", "head_dist") if getattr(p, name) is None] == sorted(without)
    direction = aligned_direction(flatten(gradient), 2)

    def loss(step: float) -> float:
        moved_x, head, head_dist = move((x, p.head, p.head_dist), direction, step)
        return dot(dy, heads(moved_x, p._replace(head=head, head_dist=head_dist)))

    close(flatten(gradient) @ direction, derivative(loss))


def dot(dy: Logits, y: Logits) -> float:
    return sum(float((d * v).sum()) for d, v in zip(dy, y, strict=True) if d is not None)


@st.composite
def networks(draw: Any) -> dict[str, Any]:
    """Small networks of all shapes."""
    stages = draw(st.integers(1, 3))
    depths = draw(st.lists(st.integers(0, 2), min_size=stages, max_size=stages))
    sizes = draw(st.lists(st.integers(3, 6), min_size=stages, max_size=stages))
    case = cases.BASE | {
        "depths": depths, "hidden_sizes": sizes, "key_dim": draw(st.integers(1, 3)),
        "num_meta3d_blocks": draw(st.integers(0, depths[-1])),
        "use_layer_scale": draw(st.booleans()), "distilled": draw(st.booleans()),
        "hidden_act": draw(st.sampled_from(["gelu", "silu"])),
        "pool_size": draw(st.sampled_from([1, 3])),
        "downsamples": [draw(st.booleans()) for _ in range(stages)],
        "num_labels": draw(st.sampled_from([0, 3])), "batch_norm_eps": 1e-2, "layer_norm_eps": 1e-2,
    }  # fmt: skip
    side = draw(st.integers(9, 24))
    case["image"] = [draw(st.integers(2, 3)), side, side]
    case["resolution"] = stage_sizes(side, side, cases.configuration(case))[-1][0]
    return case


def check_network(case: dict[str, Any], mode: Mode, seed: int) -> None:
    config = cases.configuration(case)
    x, p = cases.pixels(case, seed), cases.parameters(case, seed)
    tape = Trace(mode=again(mode, seed))
    outputs = forward(x, p, config, tape)
    dlogits = gradients_for(outputs, seed)
    gradient = backward(dlogits, x, p, config, tape)
    assert [path for path, _ in leaves(gradient[1])] == [path for path, _ in leaves(p)]
    direction = aligned_direction(flatten(gradient), seed)

    def outputs_at(step: float, run: Run) -> Logits:
        return forward(*move((x, p), direction, step), config, run)

    def sides(step: float) -> Array:
        seen = Trace("stem.norm*", mode=again(mode, seed))
        outputs_at(step, seen)
        return kinks(seen)

    def loss(step: float) -> float:
        return dot(dlogits, outputs_at(step, Run(again(mode, seed))))

    slope = derivative(loss, sides)
    close(flatten(gradient) @ direction, slope)


@settings(max_examples=25, deadline=None)
@given(networks(), st.integers(0, 2), st.integers(0, 2**20))
def test_network(case: dict[str, Any], mode: int, seed: int) -> None:
    check_network(case, modes(seed, dropout=0.2, drop_path=0.3)[mode], seed)


@pytest.mark.parametrize("name", ["usual", "tokens"])
@pytest.mark.parametrize("mode", range(3))
def test_named_network(name: str, mode: int) -> None:
    check_network(cases.SMALL[name], modes(1, dropout=0.2, drop_path=0.3)[mode], 1)
