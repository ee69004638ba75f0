"""Error bounds: no right implementation exceeds them, they are not idle, and what is wrong does."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from bound_cases import DTYPES, IMPLEMENTATIONS, ORDERS, Network, of_golden, ratios, with_order
from engine_cases import CASES, config, images, network
from hypothesis import given, settings
from hypothesis import strategies as st

from npformer.errors import ConfigError
from npformer.layers import BatchNorm, Conv2d, LayerNorm, LayerScale, Linear, quantize_linear
from npformer.layers.quantized_linear import quantized_linear
from npformer.testing import Step, error_bound, propagate, run_steps, steps, walk
from npformer.testing.bounds.arithmetic import ARITHMETICS, deviations
from npformer.testing.bounds.chain import ROUNDING
from npformer.testing.bounds.passing import PASSING
from npformer.testing.steps import LAYERS

NEEDS = {"ONNX Runtime": "onnxruntime", "OpenVINO": "openvino", "PyTorch": "torch"}
FAST = [name for name in IMPLEMENTATIONS if name != "Numba, blocks" or find_spec("numba")]


def draw(rng: np.random.Generator, *shape: int, scale: float = 1.0, shift: float = 0.0):
    return (rng.standard_normal(shape) * scale + shift).astype("float32")


def drawn_step(layer: str, rng: np.random.Generator, size: int, scale: float, shift: float):
    """A step of a kind with parameters, and inputs for it."""
    B, N, C, K = 2, int(rng.integers(1, 9)), size, int(rng.integers(1, 9))

    def norm() -> list[np.ndarray]:
        return [
            draw(rng, C),
            draw(rng, C),
            draw(rng, C),
            np.square(draw(rng, C)) + np.float32(0.01),
        ]

    def one(*inputs, params=None, **options):
        names = tuple(f"x{i}" for i in range(len(inputs)))
        return Step("y", layer, names, params, options), list(inputs)

    x = draw(rng, B, N, C, scale=scale, shift=shift)
    image = draw(rng, B, 5, 4, C, scale=scale, shift=shift)
    if layer == "conv2d":
        k = int(rng.integers(1, 4))
        kernel = draw(rng, k, k, C, K)
        return one(image, params=Conv2d(kernel, draw(rng, K)), stride=2, padding=1)
    if layer == "batch_norm":
        return one(image, params=BatchNorm(*norm()), eps=1e-5)
    if layer == "activation":
        return one(image, name=str(rng.choice(["gelu", "relu", "silu", "gelu_new", "mish"])))
    if layer == "average_pool":
        return one(image, size=3)
    if layer in ("subtract", "residual", "average"):
        return one(image, draw(rng, *image.shape))
    if layer == "layer_scale":
        return one(x, params=LayerScale(draw(rng, C)))
    if layer == "layer_norm":
        return one(x, params=LayerNorm(*norm()[:2]), eps=float(rng.choice([1e-12, 1e-5])))
    if layer == "linear":
        return one(x, params=Linear(draw(rng, C, K), draw(rng, K)))
    if layer == "split_head":
        return one(draw(rng, B, N, 2 * (2 * K + C)), part=1, heads=2, K=K)
    if layer == "scores":
        return one(draw(rng, B, 2, N, C, scale=scale), draw(rng, B, 2, N, C), scale=0.3)
    if layer in ("position_bias", "softmax"):
        rows = draw(rng, B, 2, N, N, scale=scale, shift=shift)
        return one(rows, params=draw(rng, 2, 1, N) if layer == "position_bias" else None)
    if layer == "weighted_sum":
        attn = np.abs(draw(rng, B, 2, N, N))
        return one(
            attn / attn.sum(-1, keepdims=True), draw(rng, B, 2, N, C, scale=scale, shift=shift)
        )
    return one(image if layer == "flat" else x)


def test_every_kind_of_step_has_its_rules():
    assert list(ROUNDING) == list(LAYERS) == list(PASSING)


@pytest.mark.parametrize("layer", LAYERS)
@settings(max_examples=10)
@given(
    seed=st.integers(0, 2**32 - 1), size=st.sampled_from([1, 2, 7, 64, 300]),
    scale=st.sampled_from([1e-3, 1.0, 30.0]), shift=st.sampled_from([0.0, 1.0, 100.0]),
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
def test_no_step_of_ours_exceeds_its_bound(layer, dtype, seed, size, scale, shift):
    step, inputs = drawn_step(layer, np.random.default_rng(seed), size, scale, shift)
    stored = STORED[dtype]
    inputs = [stored(x) for x in inputs]
    kept = step if step.params is None else step._replace(params=_each(stored, step.params))
    exact = kept.astype("float64")(*[x.astype("float64") for x in inputs])
    with np.errstate(over="ignore"):  # of the cube in GELU by tanh: tanh(∞) is right
        found = stored(kept(*inputs)).astype("float64")
    for probability in (0.0, 1e-12):
        bound = error_bound(kept, inputs, dtype=dtype, probability=probability)
        assert bound.shape == exact.shape
        assert (np.abs(found - exact) <= bound).all() or not np.isfinite(exact).all()


def _each(function, params):
    if isinstance(params, np.ndarray):
        return function(params)
    return type(params)(*map(function, params))


def bfloat16(x):
    """Round float32 to bfloat16, to even; keep it in a float32."""
    bits = x.astype("float32").view("uint32")
    rounded = bits + 0x7FFF + ((bits >> 16) & 1)
    return (rounded & 0xFFFF0000).astype("uint32").view("float32")


STORED = {
    "float64": lambda x: x.astype("float64"), "float32": lambda x: x.astype("float32"),
    "float16": lambda x: x.astype("float16"), "bfloat16": bfloat16,
}  # fmt: skip


@pytest.mark.parametrize("add", ORDERS)
@pytest.mark.parametrize("layer", ["conv2d", "linear"])
@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_any_order_of_summation_is_right(layer, add, shift):
    largest = 0.0
    for seed in range(6):
        step, inputs = drawn_step(layer, np.random.default_rng(seed), 500, 1.0, shift)
        exact = step.astype("float64")(inputs[0].astype("float64"))
        error = np.abs(with_order(step, inputs[0], add) - exact)
        for probability in (0.0, 1e-12):
            ratio = (error / error_bound(step, inputs, probability=probability)).max()
            assert ratio <= 1
        largest = max(largest, float(ratio))
    assert largest > 0.02  # the bound is not idle


@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("case", ["usual", "native"])
def test_no_right_implementation_exceeds_its_bounds(case, name):
    for start, package in NEEDS.items():
        if name.startswith(start):
            pytest.importorskip(package)
            pytest.importorskip("timm" if package == "torch" else "onnx")
    drawn = of_golden(case)
    seen = list(ratios(drawn, IMPLEMENTATIONS[name](drawn), DTYPES.get(name, "float32")))
    assert len(seen) > 8
    assert [(step.path, ratio) for step, ratio, _ in seen if not ratio <= 1] == []


@pytest.mark.skipif(not find_spec("numba"), reason="needs numba")
def test_strassen_has_bounds_of_its_own():
    """One row in two is a thousandth of the other: what is brought together is not alike."""
    seven = config(**CASES["seven products"])
    x = images(1, seed=5)
    x[:, 32:] *= 1e-3
    drawn = Network(network(seven, 2, gamma=(0.01, 2.0)), seven, x)
    recorded = IMPLEMENTATIONS["Numba, blocks"](drawn)
    largest = {
        dtype: max(r.ratio for r in ratios(drawn, recorded, dtype))
        for dtype in ("float32", "float32 strassen")
    }
    assert 0.02 < largest["float32 strassen"] <= 1 < largest["float32"]


def test_bounds_are_not_idle():
    """Of each kind of step that rounds, some element comes within a hundredth of the bound."""
    drawn = of_golden("usual")
    largest = {}
    for step, ratio, _ in ratios(drawn, IMPLEMENTATIONS["NumPy"](drawn)):
        largest[step.layer] = max(largest.get(step.layer, 0.0), ratio)
    exact = {"identity", "flat", "split_head"}
    assert {k: v for k, v in largest.items() if k not in exact and v < 0.02} == {}
    assert all(largest[layer] == 0 for layer in exact)


SMALL = Network(network(config(), 3), config(), images(2, seed=4))


@pytest.mark.parametrize(
    ("layer", "wrong"),
    [
        ("batch_norm", lambda s: s._replace(options={"eps": 2e-5})),
        ("layer_norm", lambda s: s._replace(options={"eps": 1e-4})),
        ("activation", lambda s: s._replace(options={"name": "gelu_new"})),
        ("scores", lambda s: s._replace(options={"scale": 1.0})),
        ("softmax", lambda s: s._replace(layer="identity")),
        ("average_pool", lambda s: s._replace(options={"size": 1})),
        ("residual", lambda s: s._replace(layer="subtract")),
        ("linear", lambda s: s._replace(params=s.params._replace(bias=s.params.bias * 1.001))),
    ],
)
def test_what_is_wrong_exceeds_its_bound_and_accuses_no_other(layer, wrong):
    chain = list(SMALL.steps)
    place = max(i for i, step in enumerate(chain) if step.layer == layer)
    right = chain[place]
    chain[place] = wrong(right)
    recorded = run_steps(chain, {"pixel_values": SMALL.x})
    above = [step.path for step, ratio, _ in ratios(SMALL, recorded) if not ratio <= 1]
    assert above == [right.path]


@pytest.mark.parametrize("path", ["stages.0.blocks.0", "stages.3.blocks.2", "logits"])
def test_chains_bridge_what_was_not_recorded(path):
    recorded = run_steps(SMALL.steps, {"pixel_values": SMALL.x})
    known = {k: recorded[k] for k in ("pixel_values", "stem", "stages.1", "stages.3.blocks.1")}
    known.pop(path, None)
    found = propagate(SMALL.steps, known)[path]
    error = np.abs(recorded[path] - found.value)
    assert (error <= found.bound()).all()
    assert (error <= found.bound(0)).all()
    assert (error / found.bound()).max() > 1e-3
    assert (found.bound(1e-3) <= found.bound(1e-12)).all()


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 64, 300]), st.sampled_from([0.0, 5.0]))
def test_eight_bits(seed, size, shift):
    step, inputs = drawn_step("linear", np.random.default_rng(seed), size, 1.0, shift)
    found = quantized_linear(inputs[0], quantize_linear(step.params))
    exact = step.astype("float64")(inputs[0].astype("float64"))
    for probability in (0.0, 1e-12):
        bound = error_bound(step, inputs, dtype="int8", probability=probability)
        assert (np.abs(found - exact) <= bound).all()


def test_hard_values():
    """Numbers that are hard to compute with have a bound that allows for it, or none."""
    flat = LayerNorm(np.ones(8, "float32"), np.zeros(8, "float32"))
    equal = np.full((1, 2, 8), 3.3, "float32")
    assert error_bound("layer_norm", [equal], flat, eps=1e-12).min() > 0.1  # 0/0, nearly
    assert error_bound("layer_norm", [equal], flat, eps=1e-3).max() < 1e-3
    large = np.full((1, 2), 3e38, "float32")
    assert np.isinf(error_bound("residual", [large, large])).all()
    assert (error_bound("residual", [large / 2, large / 4]) < 1e32).all()
    assert np.isinf(
        error_bound("residual", [large * 0 + 6e4, large * 0 + 1e4], dtype="float16")
    ).all()
    small = np.full((1, 2), 1e-40, "float32")
    assert (error_bound("layer_scale", [small], LayerScale(np.ones(2))) >= 1e-40).all()
    empty = np.zeros((0, 3, 4), "float32")
    assert error_bound("layer_norm", [empty], flat._replace(weight=np.ones(4), bias=np.ones(4)),
                       eps=1e-5).shape == (0, 3, 4)  # fmt: skip


def test_requests_that_make_no_sense():
    x = np.ones((1, 2), "float32")
    with pytest.raises(ConfigError, match="step is 'dense'; expected one of identity, conv2d"):
        error_bound("dense", [x])
    with pytest.raises(ConfigError, match="dtype is 'float8'; expected one of float64"):
        error_bound("identity", [x], dtype="float8")
    with pytest.raises(ConfigError, match="probability is 2; expected a number from 0 to 1"):
        error_bound("identity", [x], probability=2)
    with pytest.raises(KeyError, match="pixel_values"):
        list(walk(steps(SMALL.params, SMALL.config)[:1], {}))


def test_units():
    for name, a in ARITHMETICS.items():
        if name in ("float16", "float32", "float64"):
            info = np.finfo(name)
            assert (a.u, a.huge) == (info.eps / 2, float(info.max))
    assert deviations(0) == np.inf
    assert deviations(1e-12) == pytest.approx(7.53, abs=0.01)
