"""A parameter that is off by 1e-5 is found in float32, and no right one is accused."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from bound_cases import ORDERS, Network, in_some_order
from engine_cases import config, images, network
from parameter_rate import accused, changed

from npformer.engine.fold import fold_batch_norm
from npformer.network.tree import leaves
from npformer.testing import Finding, found_in_parameter, propagate, run_steps

DRAWN = Network(network(config(), 3), config(), images(3, seed=4))
CHAIN = DRAWN.steps
RIGHT = run_steps(CHAIN, {"pixel_values": DRAWN.x})
KINDS = (
    "stem.conv1.weight", "stem.conv1.bias", "stem.norm2.weight", "stem.norm2.bias",
    "stem.norm2.running_mean", "stem.norm2.running_var", "stages.0.blocks.0.ls1.gamma",
    "stages.1.downsample.conv.weight", "stages.2.blocks.1.mlp.fc1.weight",
    "stages.2.blocks.1.mlp.norm2.running_var", "stages.3.blocks.2.norm1.weight",
    "stages.3.blocks.2.norm1.bias", "stages.3.blocks.2.token_mixer.qkv.weight",
    "stages.3.blocks.2.token_mixer.qkv.bias", "stages.3.blocks.2.token_mixer.attention_biases",
    "stages.3.blocks.3.token_mixer.proj.weight", "stages.3.blocks.3.mlp.fc2.bias",
    "norm.weight", "norm.bias", "head.weight", "head_dist.weight",
)  # fmt: skip
"""A parameter of each kind of step."""


def step_of(path):
    return next(step for step in CHAIN if step.path == path)


@pytest.mark.parametrize("key", KINDS)
def test_a_whole_parameter_is_found(key):
    other = changed(DRAWN, key, None)
    found = list(accused(DRAWN, run_steps(other.steps, {"pixel_values": DRAWN.x})))
    assert len(found) == 1
    ((step, finding),) = found
    assert key in step.parameters()
    if key.endswith("running_var"):  # half as much of the weight does the same: σ is its root
        assert finding.parameter == key.replace("running_var", "weight")
        assert finding.factor - 1 == pytest.approx(-5e-6, rel=0.1)
    else:
        assert finding.parameter == key
        assert finding.factor - 1 == pytest.approx(1e-5, rel=0.3)


@pytest.mark.parametrize("add", ORDERS)
def test_right_parameters_are_not_accused_in_any_order_of_summation(add):
    assert list(accused(DRAWN, in_some_order(DRAWN, add))) == []


def folded():
    """What a library that folds batch norms into convolutions computes and shows."""
    known = {"pixel_values": DRAWN.x}
    arrays, chain = dict(known), list(CHAIN)
    for conv, norm in pairwise(chain):
        if norm.layer == "batch_norm":
            both = conv._replace(
                path=norm.path, params=fold_batch_norm(conv.params, norm.params, 1e-5)
            )
            chain[chain.index(norm)] = both
    arrays = run_steps(chain, known)
    hidden = {conv.path for conv, norm in pairwise(CHAIN)
              if norm.layer == "batch_norm"}  # fmt: skip
    return {path: array for path, array in arrays.items() if path not in hidden}


def test_folding_is_right():
    assert list(accused(DRAWN, folded())) == []


def test_a_number_of_a_parameter_is_found():
    path = "stages.2.blocks.0.mlp.fc1"
    step, inputs = step_of(path), [RIGHT[p] for p in step_of(path).inputs]
    weight = step.params.weight.copy()
    place = tuple(int(n) for n in np.unravel_index(np.argmax(abs(weight)), weight.shape))
    weight[place] *= np.float32(1 + 1e-5)
    other = step._replace(params=step.params._replace(weight=weight))
    finding = found_in_parameter(step, inputs, other(*inputs))
    assert (finding.parameter, finding.place) == (f"{path}.weight", place)
    assert finding.factor == pytest.approx(1 + 1e-5, abs=2e-6)
    bias = step.params.bias.copy()
    j = int(np.argmax(abs(bias)))
    bias[j] *= np.float32(1 + 1e-5)
    other = step._replace(params=step.params._replace(bias=bias))
    finding = found_in_parameter(step, inputs, other(*inputs))
    assert (finding.parameter, finding.place) == (f"{path}.bias", (j,))


def test_a_large_fault_of_one_parameter_is_found_too():
    path = "stages.0.blocks.0.mlp.norm1"
    step, inputs = step_of(path), [RIGHT[p] for p in step_of(path).inputs]
    other = step._replace(params=step.params._replace(bias=step.params.bias * np.float32(0.5)))
    finding = found_in_parameter(step, inputs, other(*inputs))
    assert finding == Finding(f"{path}.bias", None, finding.factor, finding.deviations)
    assert finding.factor == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("wrong", ["noise", "other", "nan", "empty"])
def test_what_no_parameter_explains_accuses_none(wrong):
    path = "stages.0.blocks.0.mlp.norm1"
    step, inputs = step_of(path), [RIGHT[p] for p in step_of(path).inputs]
    y = step(*inputs)
    if wrong == "noise":
        y = y + np.random.default_rng(0).standard_normal(y.shape).astype("float32")
    elif wrong == "other":
        y = y[::-1]
    elif wrong == "nan":
        y = y * np.float32(np.nan)
    else:
        inputs, y = [x[:0] for x in inputs], y[:0]
    assert found_in_parameter(step, inputs, y) is None


def test_of_few_numbers_nothing_is_said():
    step = step_of("head")
    inputs = [RIGHT[p][:1] for p in step.inputs]
    assert found_in_parameter(step, inputs, step(*inputs)) is None


def test_all_of_one_color():
    """Equal windows are rounded equally: they count once."""
    plain = DRAWN._replace(x=np.full_like(DRAWN.x, 0.3))
    assert list(accused(plain, run_steps(CHAIN, {"pixel_values": plain.x}))) == []


def test_bounds_alone_do_not_see_every_such_fault():
    """The point of the statistic: every single number is within its bound."""
    unseen = 0
    for key in [key for key, _ in leaves(DRAWN.params) if key.endswith("bias")]:
        other = changed(DRAWN, key, None)
        step = step_of(key.rpartition(".")[0])
        inputs = [RIGHT[p] for p in step.inputs]
        theirs = next(s for s in other.steps if s.path == step.path)(*inputs)
        estimate = propagate([step], dict(zip(step.inputs, inputs, strict=True)))[step.path]
        if (np.abs(theirs - estimate.value) <= estimate.bound()).all():
            unseen += found_in_parameter(step, inputs, theirs) is not None
    assert unseen >= 2
