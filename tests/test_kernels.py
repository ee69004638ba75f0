"""Every kernel obeys its law, compiled and as plain Python; so does every operation in it."""

from __future__ import annotations

import importlib
import inspect
import operator
import pkgutil
import re
from functools import cache

import numpy as np
import pytest
from antialias_laws import LAWS
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from laws import conv2d_is_im2col_times_weights
from planting import planted

import npformer.kernels
from npformer.kernels import activations, erf, integers, quantized_linear, softmax, vector
from npformer.kernels.layout import LANES
from npformer.layers import gelu, relu

for _module in pkgutil.iter_modules(npformer.kernels.__path__):
    importlib.import_module(f"npformer.kernels.{_module.name}")
KERNELS = {
    name: function
    for name, function in vector.KERNELS.items()
    if function.__module__.startswith("npformer.kernels.")
}
compiled = cache(vector.compiled)

often = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
seldom = settings(often, max_examples=8)


def test_every_kernel_has_a_law():
    assert set(KERNELS) == set(LAWS)


def undocumented(function):
    """Arguments that a docstring does not explain."""
    _, _, text = inspect.getdoc(function).partition("Parameters\n----------\n")
    lines = re.findall(r"^(\w[\w, ]*?)(?: : .*)?\n    \S", text, re.M)
    explained = {name for line in lines for name in line.split(", ")}
    return sorted(set(inspect.signature(function).parameters) - explained)


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_every_argument_is_documented(name):
    assert not undocumented(KERNELS[name])


def test_an_argument_that_is_not_explained_is_seen():
    def half(m, y):
        """Do.

        Parameters
        ----------
        m : ndarray
            Memory.
        y : int
        """

    assert undocumented(half) == ["y"]


@pytest.mark.parametrize("name", sorted(LAWS))
@often
@given(data=st.data())
def test_law_compiled(name, data):
    LAWS[name](data.draw, compiled(KERNELS[name]))


@pytest.mark.parametrize("name", sorted(LAWS))
@seldom
@given(data=st.data())
def test_law_in_plain_python(name, data):
    LAWS[name](data.draw, KERNELS[name])


@often
@given(data=st.data())
def test_a_convolution_is_patches_times_weights(data):
    conv2d_is_im2col_times_weights(
        data.draw, compiled(KERNELS["im2col"]), compiled(KERNELS["linear"])
    )


def reads_outside(m, y, x, tokens, channels):
    KERNELS["mean"](m, y, x, tokens + 1, channels)


def writes_outside(m, y, x, tokens, channels):
    KERNELS["mean"](m, y, x, tokens, channels)
    m[y - 1] = 0


def writes_to_the_weights(m, *rest):
    KERNELS["layer_norm"](m, *rest)
    weights = next(array for array in rest if isinstance(array, np.ndarray))
    weights[0] = 0


@pytest.mark.parametrize(
    ("name", "faulty"),
    [
        ("mean", reads_outside),
        ("mean", writes_outside),
        ("layer_norm", writes_to_the_weights),
    ],
)
def test_a_fault_is_seen(name, faulty):
    """The laws themselves can fail."""

    @seldom
    @given(data=st.data())
    def check(data):
        LAWS[name](data.draw, faulty)

    with pytest.raises(AssertionError):
        check()


ROUND, EXTREMES = quantized_linear._round, quantized_linear._extremes
TAIL = "while i + height <= rows"
FAULTS = {
    "rounding the wrong way": (
        "quantize_rows",
        ROUND,
        "* steps + MAGIC\n",
        "* steps - 0.25 + MAGIC\n",
    ),
    "NaN forgotten": ("quantize_rows", ROUND, "m[y] = nan", "pass"),
    "what fills up a row counts": ("quantize_rows", EXTREMES, "blend(v, rest, least)", "v"),
    "a step too many": ("quantize_rows", EXTREMES, "/ STEPS", "/ 256.0"),
    "saturation": ("quantized_linear", integers.dot, "w @ x", "np.clip(w @ x, -32768, 32767)"),
    "least subtracted": (
        "quantized_linear",
        integers.dequantize,
        "+ total * least",
        "- total * least",
    ),
    "step squared": ("quantized_linear", integers.dequantize, "* scale", "* (scale * s)"),
    "last rows left out": (
        "quantized_linear",
        quantized_linear.row_block,
        TAIL,
        TAIL.replace("=", ""),
    ),
    "a group twice": (
        "quantized_linear",
        quantized_linear.multiply,
        "LANES * k",
        "LANES * max(k - 1, 0)",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_eight_bits_is_seen(fault):
    name, function, text, becomes = FAULTS[fault]

    @settings(often, max_examples=200, phases=[Phase.generate])
    @given(data=st.data())
    def check(data):
        LAWS[name](data.draw, KERNELS[name])

    with planted(function, text, becomes), pytest.raises((AssertionError, ValueError)):
        check()


# Operations ---------------------------------------------------------------------------------------


def _apply(operation):
    """Compile ``operation`` of the vectors at 0, 16 and 32 into one at 48, as many as it takes."""
    load, store = vector.load, vector.store

    def one(m):
        store(m, 48, operation(load(m, 0)))

    def two(m):
        store(m, 48, operation(load(m, 0), load(m, 16)))

    def three(m):
        store(m, 48, operation(load(m, 0), load(m, 16), load(m, 32)))

    return one, two, three


OPERATIONS = {
    "fma": (3, vector.fma),
    "maximum": (2, vector.maximum),
    "minimum": (2, vector.minimum),
    "square_root": (1, vector.square_root),
    "add": (2, operator.add),
    "subtract": (2, operator.sub),
    "multiply": (2, operator.mul),
    "divide": (2, operator.truediv),
}
SPECIAL = [0.0, -0.0, 1.0, -1.5, 1e-40, 1e38, np.inf, -np.inf, np.nan, 3.25]


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_means_what_it_says(name):
    arity, operation = OPERATIONS[name]
    program = _apply(operation)[arity - 1]
    machine = vector.compiled(program)
    rng = np.random.default_rng(0)
    for _ in range(20):
        m = rng.choice(SPECIAL, 64).astype(np.float32)
        by_python = m.copy()
        machine(m)
        with np.errstate(all="ignore"):
            program(by_python)
            # Python's fma rounds to float64 in between.
            np.testing.assert_allclose(m, by_python, rtol=1.2e-7 if name == "fma" else 0)


def _reduce(m):
    store, load, splat = vector.store, vector.load, vector.splat
    x = load(m, 0)
    store(m, 16, splat(vector.reduce_add(x)))
    store(m, 32, splat(vector.reduce_max(x)))
    store(m, 48, vector.mask(x, 5))
    store(m, 64, vector.zero_below(x, 0.5, x))
    store(m, 80, 2.0 * x - 1.0 / (x + 0.5))
    vector.prefetch(m, 0)


def test_reductions_and_choices():
    machine = vector.compiled(_reduce)
    rng = np.random.default_rng(0)
    m = rng.standard_normal(96).astype(np.float32)
    by_python = m.copy()
    machine(m)
    _reduce(by_python)
    np.testing.assert_array_equal(m, by_python)
    assert m[32] == m[:16].max()
    assert (m[48:53] == m[:5]).all()
    assert not m[53:64].any()


def _activate(m, which):
    for i in range(0, len(m), LANES):
        x = vector.load(m, i)
        if which == 0:
            x = activations.gelu(x)
        elif which == 1:
            x = activations.relu(x)
        elif which == 2:
            x = erf.normal_distribution(x)
        elif which == 4:
            x = activations.gelu_of_double(x)
        else:
            x = softmax.exp(x)
        vector.store(m, i, x)


NUMBERS = np.concatenate(
    [np.linspace(-12, 12, 4000), np.geomspace(1e-38, 1e38, 200), -np.geomspace(1e-38, 1e38, 200)]
).astype(np.float32)[: 4400 // LANES * LANES]


@pytest.mark.parametrize("make", [vector.compiled, lambda f: f], ids=["compiled", "python"])
def test_elementwise_functions(make):
    apply = make(_activate)

    def values(which, x):
        m = x.copy()
        apply(m, which)
        return m

    with np.errstate(all="ignore"):
        want = gelu(NUMBERS.astype(np.float64))
        np.testing.assert_allclose(values(0, NUMBERS), want, rtol=3e-7, atol=8e-7)
        half = NUMBERS / 2
        there = np.abs(half) > 1e-37  # where halving costs no bit
        np.testing.assert_array_equal(values(4, half)[there], values(0, NUMBERS)[there])
        np.testing.assert_array_equal(values(1, NUMBERS), relu(NUMBERS))
        x = -np.abs(NUMBERS)
        np.testing.assert_allclose(
            values(3, x), np.exp(x.astype(np.float64)), rtol=3e-7, atol=1e-37
        )
        special = np.resize(np.array([np.nan, np.inf, -np.inf], np.float32), 16)
        np.testing.assert_array_equal(values(0, special), gelu(special))
        np.testing.assert_array_equal(values(4, special), gelu(special))
        np.testing.assert_array_equal(values(1, special), relu(special))
        np.testing.assert_array_equal(values(2, special), np.resize([np.nan, 1, 0], 16))
        low = np.resize(np.array([np.nan, 0, -np.inf], np.float32), 16)
        np.testing.assert_array_equal(values(3, low), np.exp(low))


def test_plain_operations_refuse_to_leave_an_array():
    m = np.zeros(32, np.float32)
    for outside in (-1, 17):
        with pytest.raises(AssertionError):
            vector.load(m, outside)
        with pytest.raises(AssertionError):
            vector.store(m, outside, np.zeros(16))
    with pytest.raises(AssertionError):
        vector.rank_one(((m[:16],) * 3,), m, 20, 6, m, 0, 0)
