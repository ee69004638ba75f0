"""No right library exceeds the bounds of functions, wherever its arrays lie in memory."""

from __future__ import annotations

import numpy as np
import pytest
from bound_functions import NAMES, Worst, activation, numbers, of_softmax, rows

from npformer.layers import ACTIVATIONS, BatchNorm, LayerNorm
from npformer.testing import error_bound
from npformer.testing.bounds.functions import ROOT

STRIDE = 1511
"""Some 400,000 numbers; ``python tests/bound_functions.py`` tries more."""


def above(found: list[tuple[str, Worst]]) -> list[tuple[str, Worst]]:
    return [(label, worst) for label, worst in found if not worst.ratio <= 1]


@pytest.mark.parametrize("name", NAMES)
def test_no_activation_exceeds_its_bound(name: str) -> None:
    found = list(activation(name, numbers(STRIDE)))
    assert above(found) == []
    assert found[0][0] == "NumPy"


def test_no_softmax_exceeds_its_bound() -> None:
    assert above(list(of_softmax(rows(STRIDE)))) == []


def test_what_pytorch_gave_for_channels_last() -> None:
    """A formula of erf that is off by 1.5e-7 of 1: at 0.026 by 7 u of x/2, not of the result."""
    x = numbers(STRIDE)
    u, half, t = 2.0**-24, x / 2, 1 / (1 + np.float32(0.3275911) * abs(x * np.float32(0.5**0.5)))
    a = [np.float32(c) for c in (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)]
    series = t * (a[0] + t * (a[1] + t * (a[2] + t * (a[3] + t * a[4]))))
    erf = np.sign(x) * (1 - series * np.exp(-(x * x) / 2))
    error = abs(half * (1 + erf) - ACTIVATIONS["gelu"](x.astype("float64")))
    assert (error <= error_bound("activation", [x], name="gelu")).all()
    near = (abs(x) > 1e-3) & (abs(x) < 0.05)
    assert (error[near] / (u * abs(half[near]))).max() > 6  # what a bound of the result forgets


@pytest.mark.parametrize("fault", ["tanh", "coarse erf", "half"])
def test_a_wrong_gelu_exceeds_the_bound(fault: str) -> None:
    x = numbers(STRIDE)
    exact = ACTIVATIONS["gelu"](x.astype("float64"))
    wrong = {
        "tanh": ACTIVATIONS["gelu_new"](x),
        "coarse erf": exact + x / 2 * 2.5e-5,  # Abramowitz & Stegun 7.1.25
        "half": exact.astype("float16"),
    }[fault]
    assert (abs(wrong - exact) > error_bound("activation", [x], name="gelu")).any()


def estimated_root(x: np.ndarray, sign: float) -> np.ndarray:
    """1/√x as processors estimate it, at worst, and one of Newton's steps, in float32."""
    y = (1 / np.sqrt(x.astype("float64")) * (1 + sign * 1.5 * 2.0**-12)).astype("float32")
    return y * (np.float32(1.5) - np.float32(0.5) * x * y * y)


def test_one_over_a_root_is_within_what_is_allowed_and_needs_it() -> None:
    x = np.abs(numbers(STRIDE, 2.0**-20)) + np.float32(1e-6)
    off = [abs(estimated_root(x, s) * np.sqrt(x.astype("float64")) - 1).max() for s in (-1, 1)]
    assert 4 < max(off) / 2.0**-24 <= ROOT


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_norm_by_the_estimate_of_processors_is_right(sign: float) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4000, 1, 48)).astype("float32")
    weight, bias, mean = (rng.standard_normal(48).astype("float32") for _ in range(3))
    variance = rng.uniform(0.1, 3, 48).astype("float32")
    eps = np.float32(1e-5)

    batch = BatchNorm(weight, bias, mean, variance)
    y = (x - mean) * (estimated_root(variance + eps, sign) * weight) + bias
    exact = (x - mean.astype("float64")) / np.sqrt(variance + 1e-5) * weight + bias
    ratio = (abs(y - exact) / error_bound("batch_norm", [x], batch, eps=1e-5)).max()
    assert 0.1 < ratio <= 1

    centered = x - x.mean(-1, keepdims=True)
    r = estimated_root(np.square(centered).mean(-1, keepdims=True) + eps, sign)
    exact = x.astype("float64") - x.mean(-1, keepdims=True, dtype="float64")
    exact /= np.sqrt(np.square(exact).mean(-1, keepdims=True) + 1e-5)
    bound = error_bound("layer_norm", [x], LayerNorm(weight, bias), eps=1e-5)
    assert (abs(centered * r * weight + bias - (exact * weight + bias)) <= bound).all()


def test_a_softmax_that_divides_by_newtons_method_is_right() -> None:
    """One over the sum, estimated to 1.5 · 2⁻¹² and improved once."""
    x = rows(STRIDE)
    e = np.exp(x - x.max(-1, keepdims=True))
    total = e.sum(-1, keepdims=True)
    for sign in (-1, 1):
        r = (1 / total.astype("float64") * (1 + sign * 1.5 * 2.0**-12)).astype("float32")
        r = r * (np.float32(2) - total * r)
        exact = np.exp(x.astype("float64") - x.max(-1, keepdims=True))
        exact /= exact.sum(-1, keepdims=True)
        assert (abs(e * r - exact) <= error_bound("softmax", [x])).all()
