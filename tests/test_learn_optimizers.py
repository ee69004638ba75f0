"""Optimizers: twenty steps against PyTorch's from a file, and their parts one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from golden.training_steps import FILE, OPTIMIZERS
from training_steps import compare, run

from npformer.layers import Linear
from npformer.learn.optimizers import SGD, AdamW, average, clip, cosine, decays, learned
from npformer.network.tree import combine, leaves


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_twenty_steps_are_those_of_pytorch(optimizer: str) -> None:
    with np.load(FILE) as file:
        start = f"{optimizer}/"
        expected = {key.removeprefix(start): file[key] for key in file if key.startswith(start)}
    compare(run(optimizer), expected)


P = Linear(np.arange(6.0).reshape(2, 3), np.array([1.0, -2.0, 3.0]))
DP = Linear(np.full((2, 3), 2.0), np.array([1.0, 2.0, 2.0]))


@pytest.mark.parametrize("stepper", [AdamW(weight_decay=0.5), SGD(weight_decay=0.5)])
def test_frozen_parameters_stay(stepper: Any) -> None:
    new, state = stepper.update(P, DP, stepper.start(P), 0.1, learned(["weight"]))
    assert new.weight is P.weight
    assert (new.bias != P.bias).all()
    assert not state.first.weight.any()
    assert state.step == 1


def test_sgd_by_hand() -> None:
    stepper = SGD(momentum=0.5)
    once, state = stepper.update(P, DP, stepper.start(P), 0.1, learned())
    np.testing.assert_allclose(once.bias, [0.9, -2.2, 2.8])
    twice, _ = stepper.update(once, DP, state, 0.1, learned())
    np.testing.assert_allclose(twice.bias, [0.75, -2.5, 2.5])  # 1.5 times as far
    ahead, _ = stepper._replace(nesterov=True).update(P, DP, stepper.start(P), 0.1, learned())
    np.testing.assert_allclose(ahead.bias, [0.85, -2.3, 2.7])


def test_weight_decay_is_for_matrices() -> None:
    still = Linear(0 * P.weight, 0 * P.bias)
    for stepper in (AdamW(weight_decay=0.5), SGD(weight_decay=0.5)):
        new, _ = stepper.update(P, still, stepper.start(P), 0.1, learned())
        np.testing.assert_allclose(new.weight, 0.95 * P.weight)
        np.testing.assert_array_equal(new.bias, P.bias)
    assert not decays("stages.3.blocks.1.token_mixer.attention_biases", np.zeros((8, 7, 7)))


def test_running_statistics_are_not_learned() -> None:
    learns = learned(["stem.*"])
    assert not learns("stages.0.blocks.0.mlp.norm1.running_mean")
    assert not learns("stem.conv1.weight")
    assert learns("stages.0.blocks.0.mlp.norm1.weight")


def test_clip() -> None:
    length = np.sqrt(6 * 4 + 9)
    short, found = clip(DP, 1.0)
    assert found == pytest.approx(length)
    np.testing.assert_allclose(short.bias, DP.bias / length, rtol=1e-5)
    np.testing.assert_array_equal(clip(DP, 100.0)[0].weight, DP.weight)


def test_cosine() -> None:
    rates = [cosine(step, 12, 1.0, 2, lowest=0.1, start=0.2) for step in range(13)]
    np.testing.assert_allclose(rates[:3], [0.2, 0.6, 1.0])
    np.testing.assert_allclose(rates[[7][0]], 0.55)
    np.testing.assert_allclose(rates[-1], 0.1)
    assert sorted(rates[2:], reverse=True) == rates[2:]
    assert cosine(99, 12, 1.0, lowest=0.1) == pytest.approx(0.1)


def test_average() -> None:
    mean = average(P, Linear(P.weight + 1, P.bias - 1), 0.9)
    np.testing.assert_allclose(mean.weight, P.weight + 0.1)
    np.testing.assert_allclose(mean.bias, P.bias - 0.1)


def test_everything_keeps_float32() -> None:
    p, dp = (combine(lambda _, leaf: leaf.astype("float32"), tree) for tree in (P, DP))
    for stepper in (AdamW(), SGD()):
        found = stepper.update(p, clip(dp, 1.0)[0], stepper.start(p), 0.1, learned())
        assert {leaf.dtype for _, leaf in leaves((found[0], found[1][1:]))} == {np.dtype("float32")}
    assert {leaf.dtype for _, leaf in leaves(average(p, dp, 0.9))} == {np.dtype("float32")}


def test_trees_must_agree() -> None:
    with pytest.raises(ValueError, match="bias"):
        combine(lambda _, a, b: a, P, (P.weight,))
