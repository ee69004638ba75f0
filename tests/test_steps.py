"""The list of steps is the network: the same bits, the same names, the same parameters."""

from __future__ import annotations

import numpy as np
import pytest
from engine_cases import CASES, config, images, network

from npformer.engine.fold import fold
from npformer.errors import ConfigError
from npformer.layers import Trace
from npformer.network import forward
from npformer.network.tree import leaves
from npformer.testing import run_steps, steps


def pixels(settings, dtype):
    return images(2)[..., : settings.num_channels].astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_steps_are_forward_bit_by_bit(name, dtype):
    settings = config(**CASES[name])
    params, x, trace = network(settings, dtype=dtype), pixels(settings, dtype), Trace()
    logits = forward(x, params, settings, trace).logits
    found = run_steps(steps(params, settings), {"pixel_values": x})
    np.testing.assert_array_equal(found["logits"], logits, strict=True)
    for path, array in trace.items():
        np.testing.assert_array_equal(found[path], array, strict=True)


@pytest.mark.parametrize("distilled", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_steps_hold_every_parameter_once(name, distilled):
    settings = config(**CASES[name])
    params = network(settings, distilled=distilled)
    held = [key for step in steps(params, settings) for key in step.parameters()]
    assert sorted(held) == sorted(key for key, _ in leaves(params))


def test_each_step_reads_what_came_before():
    settings = config()
    known = {"pixel_values"}
    for step in steps(network(settings), settings):
        assert known.issuperset(step.inputs), step.path
        assert step.path not in known
        known.add(step.path)


def test_a_step_runs_alone_in_another_type():
    settings = config()
    params, x = network(settings), pixels(settings, "float32")
    chain = steps(params, settings)
    found = run_steps(chain, {"pixel_values": x})
    exact = run_steps(chain, {"pixel_values": x}, "float64")
    assert exact["logits"].dtype == "float64"
    np.testing.assert_allclose(found["logits"], exact["logits"], rtol=0, atol=1e-4)
    (step,) = [s for s in chain if s.path == "stages.3.blocks.2.token_mixer.attn"]
    given = found["stages.3.blocks.2.token_mixer.biased"].astype("float64")
    assert step.astype("float64")(given).dtype == "float64"


def test_recorded_arrays_are_taken():
    settings = config()
    params, x = network(settings), pixels(settings, "float32")
    chain = steps(params, settings)
    found = run_steps(chain, {"pixel_values": x, "norm": np.zeros((2, 4, 36), "float32")})
    np.testing.assert_array_equal(found["pooled"], 0)
    with pytest.raises(KeyError, match="pooled"):
        run_steps(chain[-3:], {})


def test_a_folded_network_has_other_steps():
    settings = config()
    with pytest.raises(ConfigError, match="FoldedNetwork; expected an EfficientFormer"):
        steps(fold(network(settings), settings), settings)
