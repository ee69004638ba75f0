"""Optimizers: twenty steps against PyTorch's from a file, and their parts one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from golden.training_steps import FILE, OPTIMIZERS
from training_steps import compare, run

from npformer.layers import Linear
from npformer.learn.optimizers import (
    SGD,
    AdamW,
    clip_grad_norm,
    cosine_schedule,
    decays,
    ema,
    trainable,
)
from npformer.network.tree import combine, leaves


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_twenty_steps_are_those_of_pytorch(optimizer: str) -> None:
    with np.load(FILE) as file:
        start = f"{optimizer}/"
        expected = {key.removeprefix(start): file[key] for key in file if key.startswith(start)}
    compare(run(optimizer), expected)


P = Linear(np.arange(6.0).reshape(2, 3), np.array([1.0, -2.0, 3.0]))
DP = Linear(np.full((2, 3), 2.0), np.array([1.0, 2.0, 2.0]))


@pytest.mark.parametrize("optimizer", [AdamW(weight_decay=0.5), SGD(weight_decay=0.5)])
def test_frozen_parameters_stay(optimizer: Any) -> None:
    new, state = optimizer.update(P, DP, optimizer.init(P), 0.1, trainable(["weight"]))
    assert new.weight is P.weight
    assert (new.bias != P.bias).all()
    assert not (state.exp_avg or state.momentum_buffer).weight.any()
    assert state.step == 1


def test_sgd_by_hand() -> None:
    optimizer = SGD(momentum=0.5)
    once, state = optimizer.update(P, DP, optimizer.init(P), 0.1, trainable())
    np.testing.assert_allclose(once.bias, [0.9, -2.2, 2.8])
    twice, _ = optimizer.update(once, DP, state, 0.1, trainable())
    np.testing.assert_allclose(twice.bias, [0.75, -2.5, 2.5])  # 1.5 times as far
    ahead, _ = optimizer._replace(nesterov=True).update(P, DP, optimizer.init(P), 0.1, trainable())
    np.testing.assert_allclose(ahead.bias, [0.85, -2.3, 2.7])


def test_weight_decay_is_for_matrices() -> None:
    still = Linear(0 * P.weight, 0 * P.bias)
    for optimizer in (AdamW(weight_decay=0.5), SGD(weight_decay=0.5)):
        new, _ = optimizer.update(P, still, optimizer.init(P), 0.1, trainable())
        np.testing.assert_allclose(new.weight, 0.95 * P.weight)
        np.testing.assert_array_equal(new.bias, P.bias)
    assert not decays("stages.3.blocks.1.token_mixer.attention_biases", np.zeros((8, 7, 7)))


def test_running_statistics_are_not_trainable() -> None:
    is_trainable = trainable(["stem.*"])
    assert not is_trainable("stages.0.blocks.0.mlp.norm1.running_mean")
    assert not is_trainable("stem.conv1.weight")
    assert is_trainable("stages.0.blocks.0.mlp.norm1.weight")


def test_clip_grad_norm() -> None:
    norm = np.sqrt(6 * 4 + 9)
    short, found = clip_grad_norm(DP, 1.0)
    assert found == pytest.approx(norm)
    np.testing.assert_allclose(short.bias, DP.bias / norm, rtol=1e-5)
    np.testing.assert_array_equal(clip_grad_norm(DP, 100.0)[0].weight, DP.weight)


def test_cosine_schedule() -> None:
    rates = [cosine_schedule(step, 12, 1.0, 2, min_lr=0.1, start_lr=0.2) for step in range(13)]
    np.testing.assert_allclose(rates[:3], [0.2, 0.6, 1.0])
    np.testing.assert_allclose(rates[[7][0]], 0.55)
    np.testing.assert_allclose(rates[-1], 0.1)
    assert sorted(rates[2:], reverse=True) == rates[2:]
    assert cosine_schedule(99, 12, 1.0, min_lr=0.1) == pytest.approx(0.1)


def test_ema() -> None:
    mean = ema(P, Linear(P.weight + 1, P.bias - 1), 0.9)
    np.testing.assert_allclose(mean.weight, P.weight + 0.1)
    np.testing.assert_allclose(mean.bias, P.bias - 0.1)


def test_everything_keeps_float32() -> None:
    p, dp = (combine(lambda _, leaf: leaf.astype("float32"), tree) for tree in (P, DP))
    for optimizer in (AdamW(), SGD()):
        found = optimizer.update(p, clip_grad_norm(dp, 1.0)[0], optimizer.init(p), 0.1, trainable())
        assert {leaf.dtype for _, leaf in leaves((found[0], found[1][1:]))} == {np.dtype("float32")}
    assert {leaf.dtype for _, leaf in leaves(ema(p, dp, 0.9))} == {np.dtype("float32")}


def test_trees_must_agree() -> None:
    with pytest.raises(ValueError, match="bias"):
        combine(lambda _, a, b: a, P, (P.weight,))
