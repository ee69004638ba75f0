"""Test vectors in 16 and in eight bits: what is right is within them, what is wrong is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from npformer.layers import Trace, linear
from npformer.layers.quantized_conv2d import quantize_conv2d, quantized_conv2d
from npformer.layers.quantized_linear import (
    STEPS,
    quantize_linear,
    quantize_rows,
    quantized_linear,
)
from npformer.network import forward
from npformer.network.tree import leaves, transform
from npformer.testing import run_steps
from npformer.testing.layer_steps import layer_steps
from npformer.testing.sixteen_bits import ENCODERS, bfloat16, rounded
from npformer.testing.steps import INPUT, steps
from npformer.testing.vectors import eight_bits
from npformer.testing.vectors.answers import ONLY_MOVES, Answer, arguments
from npformer.testing.vectors.cases import Case, Layer, table
from npformer.testing.vectors.halves import answer_layer_in, answer_network_in
from npformer.testing.vectors.networks import networks
from npformer.testing.vectors.writing import eight_bit_tensors

LAYERS = {layer.name: layer for layer in table() if layer.name not in ONLY_MOVES}
NETWORKS = {network.name: network for network in networks() if not network.training}
DTYPES = tuple(ENCODERS)


def kept(answer: Answer, p: Any, dtype: str) -> tuple[Any, Any]:
    """The input and the parameters of a case, as float32 that the type holds."""
    single = lambda a: rounded(a, dtype).astype(np.float32)  # noqa: E731
    return answer.inputs["x"].astype(np.float32), transform(single, p)


def rounding_every_step(chain: Any, first: str, x: Any, dtype: str) -> dict[str, Any]:
    """Compute each step in float32, and store its result in the type."""
    found = {first: x}
    for step in chain:
        y = step(*[found[path] for path in step.inputs])
        found[step.path] = rounded(y, dtype).astype(np.float32)
    return found


def answers_of(layer: Layer, dtype: str) -> list[tuple[Case, Answer]]:
    cases = [case for case in layer.cases if not case.training]
    found = [(case, answer_layer_in(dtype, layer, case)) for case in cases]
    return [(case, answer) for case, answer in found if answer is not None]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_that_stores_16_bits_is_within_the_bounds(name: str, dtype: str) -> None:
    """Whether it rounds each step, or only the result; and a bound says something."""
    layer, unit = LAYERS[name], 2.0**-11 if dtype == "float16" else 2.0**-8
    answers = answers_of(layer, dtype)
    assert answers
    tight = []
    for case, answer in answers:
        x, p = kept(answer, case.p, dtype)
        values = arguments(case)
        options = {key: values[key] for key in case.options}
        chain = [s.astype(np.float32) for s in layer_steps(name, p, options)]
        every = rounding_every_step(chain, "x", x, dtype)[chain[-1].path]
        once = rounded(run_steps(chain, {"x": x})[chain[-1].path], dtype)
        y, bound = answer.outputs["y"], answer.bounds["y"]
        for found in (every, once):
            assert (abs(found - y) <= bound).all(), case.comment
        tight.append(float((bound / (abs(y).max() + 1e-30)).max()))
    assert max(tight) < 300 * unit or name == "layer_norm"  # of tokens without deviation
    assert min(tight) < 45 * unit


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_that_stores_16_bits_is_within_the_bounds(name: str, dtype: str) -> None:
    net = NETWORKS[name]
    answer = answer_network_in(dtype, net)
    x, p = kept(answer, net.params, dtype)
    found = rounding_every_step(steps(p, net.config), INPUT, x, dtype)
    assert len(answer.outputs) > 10
    for key, expected in answer.outputs.items():
        error = abs(found[key.removeprefix("trace.")] - expected)
        assert (error <= answer.bounds[key]).all(), key


@pytest.mark.parametrize("name", NETWORKS)
def test_the_network_in_16_bits_is_the_network(name: str) -> None:
    """The answers are those of `forward` for the numbers that the type holds."""
    net = NETWORKS[name]
    answer = answer_network_in("float16", net)
    p, tape = transform(lambda a: rounded(a, "float16"), net.params), Trace()
    logits = forward(answer.inputs["x"], p, net.config, tape).logits
    right = {f"trace.{path}": array for path, array in tape.items()} | {"logits": logits}
    for key, array in answer.outputs.items():
        np.testing.assert_allclose(array, right[key], rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_fault_in_16_bits_is_beyond_the_bounds(dtype: str) -> None:
    """Sums in the type itself, a bias that was forgotten, another ε."""
    layer = LAYERS["linear"]
    _, answer = answers_of(layer, dtype)[4]  # 700 terms
    x, p = kept(answer, layer.cases[4].p, dtype)
    total = np.broadcast_to(p.bias, answer.outputs["y"].shape).copy()
    for k in range(x.shape[-1]):
        total = rounded(total + x[:, k, None] * p.weight[k], dtype).astype(np.float32)
    wrong = {"sums": total, "bias": linear(x, p) - p.bias}
    for fault, found in wrong.items():
        assert (abs(found - answer.outputs["y"]) > answer.bounds["y"]).any(), fault


def test_16_bits_are_those_of_the_format() -> None:
    """By hand: 1, the number after it, the middle between both, and what is out of reach."""
    x = np.array([1, 1 + 2.0**-7, 1 + 2.0**-8, 1 + 3 * 2.0**-8, -2.5, 0, 3e38])
    assert [hex(b) for b in bfloat16(x)["bfloat16"]] == [
        "0x3f80", "0x3f81", "0x3f80", "0x3f82", "0xc020", "0x0", "0x7f62",
    ]  # fmt: skip
    assert rounded(x[:5], "bfloat16").tolist() == [1, 1 + 2.0**-7, 1, 1 + 2.0**-6, -2.5]
    assert ENCODERS["float16"](x[:1]).tobytes() == b"\x00\x3c"


# Eight bits --------------------------------------------------------------------------------------

EIGHT = [(layer, case) for layer in eight_bits.table() for case in layer.cases]


@pytest.mark.parametrize(("layer", "case"), EIGHT, ids=lambda v: getattr(v, "comment", ""))
def test_the_layers_in_eight_bits_give_these_numbers(layer: Any, case: Case) -> None:
    answer = eight_bits.answer_eight_bits(case)
    x, p = case.x.astype(np.float32), transform(lambda a: a.astype(np.float32), case.p)
    if layer.name == "linear":
        whole = quantize_linear(p)
        y = quantized_linear(x, whole)
        q, step, _ = quantize_rows(x)
        np.testing.assert_array_equal(answer.outputs["rows.q"], q)
        assert (abs(step - answer.outputs["rows.step"]) <= answer.bounds["rows.step"]).all()
    else:
        whole = quantize_conv2d(p)
        y = quantized_conv2d(x, whole, **case.options)
    np.testing.assert_array_equal(answer.outputs["quantized.weight"], whole.weight)
    scale = answer.outputs["quantized.scale"]
    assert (abs(whole.scale - scale) <= answer.bounds["quantized.scale"]).all()
    error = abs(y - answer.outputs["y"])
    assert (error <= answer.bounds["y"]).all()
    assert answer.bounds["y"].max() < 1e-4  # far below a step
    off_by_one = (answer.outputs["products"] + 1) - answer.outputs["products"]
    assert off_by_one.min() == 1
    assert abs(answer.outputs["products"]).max() < 2**24  # float32 holds them


@pytest.mark.parametrize(("layer", "case"), EIGHT, ids=lambda v: getattr(v, "comment", ""))
def test_the_order_of_operations_does_not_decide_a_whole_number(layer: Any, case: Case) -> None:
    """No quotient is near the middle between two whole numbers."""
    rows, dense, _ = eight_bits.as_rows(case)
    least = rows.min(-1, keepdims=True)
    width = rows.max(-1, keepdims=True) - least
    q = (rows - least) / np.where(width > 0, width, 1) * STEPS
    largest = abs(dense.weight).max(0)
    w = dense.weight / np.where(largest > 0, largest, 1) * 127
    for quotients in (q, w):
        assert (abs(quotients % 1 - 0.5) > 1e-4).all()


def test_a_whole_number_that_is_off_by_one_is_wrong() -> None:
    """It is stored without a bound, in a type of whole numbers."""
    for layer in eight_bits.table():
        tensors, entry = eight_bit_tensors(layer, "channels_first")
        assert entry["mistakes"] == []
        for key, array in tensors.items():
            name = key.partition("/")[2]
            if name in ("quantized.weight", "rows.q", "products"):
                assert array.dtype.kind in "iu"
                assert f"{key.partition('/')[0]}/bound/{name}" not in tensors
    assert {path for path, _ in leaves(EIGHT[0][1].p)} == {"weight", "bias"}
