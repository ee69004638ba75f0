"""Eight bits: what the definition promises, and that the engine computes the same."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from engine_cases import CASES, config, images, in_a_process, network
from hypothesis import given, settings
from hypothesis import strategies as st

from npformer import engine
from npformer.engine.fold import fold, folded_forward
from npformer.engine.quantize import NO_TRAINING, float_layers, quantize, quantized_forward
from npformer.errors import ConfigError
from npformer.layers import (
    Conv2d,
    Linear,
    QuantizedLinear,
    Run,
    Trace,
    conv2d,
    dequantize_linear,
    gelu,
    gelu_polynomial,
    linear,
    quantize_conv2d,
    quantize_linear,
    quantize_rows,
    quantized_conv2d,
    quantized_linear,
    training,
)
from npformer.network.tree import leaves


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


# Rows and columns ---------------------------------------------------------------------------------


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 50), st.floats(1e-3, 1e3), st.floats(-100, 100), st.integers(0, 99))
def test_a_row_is_off_by_half_a_step_at_most(width, scale, offset, seed):
    x = (random(3, width, seed=seed) * scale + offset).astype(np.float32)
    q, step, least = quantize_rows(x)
    off = np.abs(least + q * step.astype(np.float64) - x)
    assert (off <= 0.5 * step + 1e-6 * np.abs(x).max()).all()
    if width > 1:
        assert (q.min(-1) == 0).all()
        assert (q.max(-1) == 255).all()


def test_halves_go_to_the_even_neighbor():
    x = np.float32([[0, 0.5, 1.5, 2.5, 255]])
    np.testing.assert_array_equal(quantize_rows(x).q, [[0, 0, 2, 2, 255]])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_gives_nan_and_spoils_no_other(bad):
    x, p = random(4, 20), quantize_linear(Linear(random(20, 6), random(6)))
    want = quantized_linear(x, p)
    x[1, 3] = bad
    y = quantized_linear(x, p)
    assert np.isnan(y[1]).all()
    np.testing.assert_array_equal(np.delete(y, 1, 0), np.delete(want, 1, 0))


def test_rows_of_one_number_or_none_but_zeros_are_exact():
    p = quantize_linear(Linear(random(20, 6), random(6)))
    x = np.stack([np.zeros(20), np.full(20, 1.5), np.full(20, 1e-40)]).astype(np.float32)
    want = linear(x[None], dequantize_linear(p))[0]
    np.testing.assert_allclose(quantized_linear(x, p), want, rtol=1e-5, atol=1e-5)


def test_weights_keep_their_largest_and_columns_of_zeros():
    weight = random(30, 5)
    weight[:, 2] = 0
    p = quantize_linear(Linear(weight, random(5)))
    assert p.weight.dtype == np.int8
    assert (np.abs(p.weight).max(0) == [127, 127, 0, 127, 127]).all()
    assert np.abs(dequantize_linear(p).weight - weight).max() <= 0.5001 * p.scale.max()
    for leaf in p[1:]:
        assert leaf.dtype == np.float32


@pytest.mark.parametrize("K", [1, 7, 300, 2016])
def test_the_product_is_that_of_whole_numbers(K):
    """With all numbers as large as they can be, nothing overflows and nothing is lost."""
    x = np.stack([np.linspace(-1, 1, K), np.r_[np.ones(K - 1), -1]]).astype(np.float32)
    w = np.full((K, 3), 127, np.int8) * np.int8([1, -1, 1])
    w[: K // 2, 2] = -127
    p = QuantizedLinear(w, np.ones(3, np.float32), np.zeros(3, np.float32))
    q, step, least = quantize_rows(x)
    exact = np.array(
        [[sum(int(a) * int(b) for a, b in zip(r, c, strict=True)) for c in w.T] for r in q]
    )
    want = exact.astype(np.float32) * step + w.sum(0, dtype=np.int64).astype(np.float32) * least
    np.testing.assert_array_equal(quantized_linear(x, p), want)


def test_a_row_depends_on_no_other():
    x, p = random(9, 20), quantize_linear(Linear(random(20, 6), random(6)))
    whole = quantized_linear(x, p)
    for i in range(9):
        np.testing.assert_array_equal(quantized_linear(x[i : i + 1], p)[0], whole[i])


def test_eight_bits_are_near_float32():
    x, p = random(50, 200), Linear(random(200, 30) / 14, random(30))
    off = quantized_linear(x, quantize_linear(p)) - linear(x[None], p)[0]
    assert 0 < np.sqrt((off**2).mean()) < 0.02
    x, conv = random(2, 9, 8, 5), Conv2d(random(3, 3, 5, 7) / 7, random(7))
    off = quantized_conv2d(x, quantize_conv2d(conv), 2, 1) - conv2d(x, conv, 2, 1)
    assert 0 < np.sqrt((off**2).mean()) < 0.02


def test_gelu_is_near_enough():
    x = np.linspace(-30, 30, 300_001).astype(np.float32)
    assert np.abs(gelu_polynomial(x) - gelu(x.astype(np.float64))).max() < 1.4e-4
    odd = np.float32([np.nan, np.inf, -np.inf])
    found = gelu_polynomial(odd)
    assert np.isnan(found[0])
    assert found[1] == np.inf
    assert abs(found[2]) < 1.4e-4


def test_the_coefficients_are_those_of_the_script():
    from derive_gelu import fit

    from npformer.layers.gelu_polynomial import COEFFICIENTS

    np.testing.assert_allclose(fit(), COEFFICIENTS, rtol=1e-5)


# Networks -----------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _threads():
    before = engine.get_num_threads()
    yield
    engine.set_num_threads(before)


def quantized(name: str) -> tuple:
    c = config(**CASES[name])
    p = network(c)
    return c, p, quantize(p, c)


@pytest.mark.parametrize("name", CASES)
def test_the_plain_network_is_near_float32(name):
    c, p, q = quantized(name)
    x = images(3)[..., : c.num_channels]
    plain, floats = Trace(), Trace()
    got = quantized_forward(x, q, c, plain)
    want = folded_forward(x, fold(p, c), c, floats)
    assert list(plain) == list(floats)
    assert 0 < np.abs(got.logits - want.logits).max() < 0.15 * want.logits.std()


@pytest.mark.parametrize("name", CASES)
def test_the_engine_is_the_plain_network(name):
    """Where only rounding of float32 differs, which now and then moves a number by a whole step."""
    pytest.importorskip("numba")
    c, _, q = quantized(name)
    x = np.ascontiguousarray(images(5)[..., : c.num_channels])
    plain, fast = Trace(), Trace()
    want = engine.make_forward(q, c, "numpy")(x, plain)
    run = engine.make_forward(q, c, "numba")
    got = run(x, fast)
    assert list(fast) == list(plain)
    assert np.abs(fast["stem"] - plain["stem"]).max() < 1e-5
    assert np.abs(got.logits - want.logits).max() < 0.12 * want.logits.std()
    for threads in (1, 3):
        engine.set_num_threads(threads)
        np.testing.assert_array_equal(run(x).logits, got.logits)
        for i in range(5):
            np.testing.assert_array_equal(run(x[i : i + 1]).logits[0], got.logits[i])


INSTRUCTIONS = {
    "vpdpbusd of 512 bits": "'vnni' in name and name != 'avx512vnni'",
    "vpdpbusd of 256 bits": "name == 'avx512vnni'",
    "vpmaddwd of 512 bits": "'vnni' in name",
    "vpmaddwd of 256 bits": "'vnni' in name or 'avx512' in name",
    "none of these": "'vnni' in name or 'avx' in name",
}
"""Which features a processor is said not to have. All others it is said to have: what is compiled
here can do that, or the test is left out."""


@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_every_instruction_obeys_the_laws(name):
    """The kernels alone, compiled for this processor by other instructions than it would take."""
    pytest.importorskip("numba")
    from npformer.kernels.processor import has

    needed = {"vpdpbusd": ("avx512vnni", "avx512vl"), "vpmaddwd": ("avx2",)}.get(name[:8], ())
    if not all(has(feature) for feature in (*needed, *["avx512bw"] * ("512" in name))):
        pytest.skip("this processor has no such instruction")
    script = f"""
from npformer.kernels import processor
features = processor.features() | {{"avxvnni": True}}
features.update({{name: False for name in features if {INSTRUCTIONS[name]}}})
processor.features = lambda: features
from hypothesis import HealthCheck, given, settings, strategies
from antialias_laws import LAWS
from npformer.kernels import antialias, quantized_linear, vector
often = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
for name in ("quantize_rows", "quantized_linear", "weigh_along", "weigh_down"):
    machine = vector.compiled(vector.KERNELS[name])
    @often
    @given(strategies.data())
    def obeys(data):
        LAWS[name](data.draw, machine)
    obeys()
"""
    in_a_process(script)


def test_only_the_stem_stays_in_float32():
    c, p, q = quantized("all there is")
    assert float_layers(q) == ["stem.0", "stem.1"]
    big = [leaf for _, leaf in leaves(q) if leaf.dtype == np.int8]
    assert sum(leaf.size for leaf in big) > 0.9 * sum(leaf.size for _, leaf in leaves(q))
    more = quantize(p, c, ("stem", "stages.0", "head"))
    assert "stages.0.blocks.0.mlp.fc1" in float_layers(more)
    assert "head_dist" not in float_layers(more)
    for other in (more, quantize(p, c, ())):
        with pytest.raises(ConfigError, match="the kernels take the stem in float32"):
            engine.make_forward(other, c, "numba")


def test_a_network_of_other_numbers_is_refused():
    c = config()
    with pytest.raises(ConfigError, match=r"are float64; expected float32"):
        quantize(network(c, dtype="float64"), c)


def test_training_is_refused():
    c, _, q = quantized("all there is")
    with pytest.raises(ConfigError) as refused:
        engine.make_gradients(q, c)
    assert str(refused.value) == NO_TRAINING
    run = Run(training(np.random.default_rng(0)))
    for name in ("numpy", "auto"):
        with pytest.raises(ConfigError, match="cannot be trained"):
            engine.make_forward(q, c, name)(images(1), run)


def test_images_of_another_size_are_refused():
    c, _, q = quantized("all there is")
    with pytest.raises(ConfigError, match="attention biases"):
        engine.make_forward(q, c, "numpy")(images(1, 96, 96))


def test_pickled_and_copied():
    c, _, q = quantized("all there is")
    forward, x = engine.make_forward(q, c), images(2)
    want = forward(x).logits
    for other in (pickle.loads(pickle.dumps(forward)), copy.deepcopy(forward)):
        np.testing.assert_array_equal(other(x).logits, want)
