"""Folding changes nothing but rounding: proved in float64 by the plain layers."""

from __future__ import annotations

import numpy as np
import pytest
from engine_cases import CASES as ENGINE_CASES
from engine_cases import config, images, network

from npformer.engine import fold as folding
from npformer.layers import Trace
from npformer.network import forward

CASES = ENGINE_CASES | {"another activation": {"hidden_act": "silu"}}


@pytest.mark.parametrize("name", CASES)
def test_folded_is_the_same_function(name):
    c = config(**CASES[name])
    p, x = network(c, dtype="float64"), images(2)[..., : c.num_channels].astype(np.float64)
    plain, folded = Trace(), Trace()
    want = forward(x, p, c, plain)
    got = folding.folded_forward(x, folding.fold(p, c), c, folded)
    for a, b in zip(got, want, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert np.abs(a - b).max() <= 1e-12 * max(1, np.abs(b).max())
    assert len(folded) > 5
    for key, value in folded.items():
        assert value.shape == plain[key].shape, key
        assert np.abs(value - plain[key]).max() <= 1e-11 * np.abs(plain[key]).max(), key


def test_both_heads_into_their_mean():
    c = config()
    p, x = network(c, dtype="float64"), images(2).astype(np.float64)
    want = forward(x, p, c)
    got = folding.folded_forward(x, folding.fold(p, c, average_heads=True), c)
    assert got.cls_logits is None
    assert got.distillation_logits is None
    np.testing.assert_allclose(got.logits, want.logits, rtol=0, atol=1e-12)


def test_one_head_has_no_mean():
    c = config()
    p = network(c, distilled=False)
    assert folding.fold(p, c, average_heads=True).head is p.head


@pytest.mark.parametrize("part", ["weight", "bias", "running_mean", "running_var"])
def test_every_number_of_a_batch_norm_counts(part):
    c = config()
    p = network(c)
    norm = p.stem.norm1._replace(**{part: getattr(p.stem.norm1, part) * 2 + 1})
    a = folding.fold_batch_norm(p.stem.conv1, p.stem.norm1, 1e-5)
    b = folding.fold_batch_norm(p.stem.conv1, norm, 1e-5)
    assert not np.allclose(a.bias, b.bias)


def test_folding_keeps_the_dtype():
    c = config()
    folded = folding.fold(network(c), c)
    assert {leaf.dtype.name for leaf in _leaves(folded)} == {"float32"}


def _leaves(tree):
    if isinstance(tree, tuple):
        for child in tree:
            yield from _leaves(child)
    elif tree is not None:
        yield tree
