"""What the public strategies draw can be used, and is as odd as they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from npformer.errors import ConfigError
from npformer.layers import Linear, linear
from npformer.network import forward
from npformer.network.tree import leaves
from npformer.teach.cases import arrays as every_array
from npformer.testing import (
    arguments,
    configurations,
    networks,
    odd_arrays,
    parameters,
    parameters_like,
)
from npformer.testing.array_strategies import KINDS, LAYOUTS
from npformer.testing.layer_table import BACKWARD, LAYERS, reference

quick = settings(max_examples=20, database=None, phases=[Phase.generate])
search = settings(max_examples=500, database=None, phases=[Phase.generate], derandomize=True)


def is_drawn(strategy, condition):
    """Whether an example fulfils a condition."""
    find(strategy, condition, settings=search)
    return True


@pytest.mark.parametrize("layer", [*LAYERS, *BACKWARD])
@quick
@given(data=st.data())
def test_a_layer_takes_its_arguments(layer, data):
    args = data.draw(arguments(layer))
    with np.errstate(all="ignore"):
        result = reference(layer)(*args)
    assert len({array.dtype for array in every_array(args)}) == 1
    assert {leaf.dtype for _, leaf in leaves(result)} == {args[0].dtype}


def test_degenerate_sizes_are_drawn():
    assert is_drawn(arguments("attention"), lambda a: a[0].shape == (1, 1, 1))
    assert is_drawn(arguments("pooling"), lambda a: a[0].shape[1:3] == (1, 1) and a[1] == 5)
    assert is_drawn(arguments("conv2d"), lambda a: len(a[0]) == 3 and a[2] == 3 and a[3] == 2)
    assert is_drawn(arguments("linear"), lambda a: a[0].ndim == 2)
    assert is_drawn(arguments("attention_block"), lambda a: a[1].ls1 is None)


def test_numbers_are_drawn_that_careless_code_gets_wrong():
    x = odd_arrays(2, 3, 4)
    assert is_drawn(x, lambda a: a.max() > 150 > -150 > a.min())  # exp(89) is infinite in float32
    assert is_drawn(x, lambda a: (a.mean(-1) ** 2 > 1000 * a.var(-1)).all())
    assert is_drawn(x, lambda a: (np.ptp(a, -1) == 0).all() and (a != 0).all())
    assert is_drawn(x, lambda a: 0 < a.var() < 1e-5)
    for kind in KINDS:
        assert is_drawn(odd_arrays(2, 3, kinds=(kind,)), lambda a: np.isfinite(a).all())


def test_arrangements_are_drawn():
    x = odd_arrays(2, 3, 4, kinds=("normal",))
    assert is_drawn(x, lambda a: min(a.strides) < 0)
    assert is_drawn(x, lambda a: a.flags.f_contiguous)
    assert is_drawn(x, lambda a: a.strides[-1] == 2 * a.itemsize)
    assert len(LAYOUTS) == 5


@quick
@given(data=st.data(), x=odd_arrays(2, 3), p=parameters("attention_block"))
def test_what_is_drawn_is_read_only(data, x, p):
    for array in (x, *every_array(p)):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    again = data.draw(parameters_like(p, "float64"))
    assert [a.shape for a in every_array(again)] == [a.shape for a in every_array(p)]
    assert {a.dtype.name for a in every_array(again)} == {"float64"}


@quick
@given(data=st.data())
def test_what_is_given_is_not_drawn(data):
    p = Linear(np.ones((3, 2), np.float32), np.ones(2, np.float32))
    x, mine = data.draw(arguments("linear", "float32", p=p, shape=(4, None, None)))
    assert mine is p
    assert (len(x), x.ndim, x.shape[-1]) == (4, 3, 3)
    x, other = data.draw(arguments("linear", like=p))
    assert other.weight.shape == (3, 2)
    assert linear(x, other).shape[-1] == 2
    assert data.draw(arguments("conv2d", options={"stride": 2}))[2] == 2


@pytest.mark.parametrize("strategy", [arguments, parameters])
def test_an_unknown_layer_is_refused(strategy):
    with pytest.raises(ConfigError, match="layer is 'lstm'; expected one of linear, conv2d"):
        find(strategy("lstm"), lambda _: True)


@quick
@given(drawn=networks())
def test_networks_run(drawn):
    params, config, pixels = drawn
    logits = forward(pixels, params, config).logits
    assert logits.shape == (len(pixels), config.num_labels or config.hidden_size)
    assert np.isfinite(logits).all()


def test_every_kind_of_network_is_drawn():
    assert is_drawn(configurations(), lambda c: c.num_meta3d_blocks == 2)
    assert is_drawn(configurations(), lambda c: c.num_meta3d_blocks == 0 < c.depths[-1])
    assert is_drawn(configurations(), lambda c: c.depths[0] == 0)
    assert is_drawn(configurations(), lambda c: len(c.depths) == 1)
    assert is_drawn(configurations(), lambda c: c.token_grid[0] != c.token_grid[1])
