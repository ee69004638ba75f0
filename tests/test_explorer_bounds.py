"""The explorer's network is as near to the exact one as the derived bounds of float32 ask for."""

from __future__ import annotations

import pytest
from explorer_cases import Explored, needs_node, off_by_bounds

import npformer

pytest.importorskip("npformer.testing")

pytestmark = needs_node


@pytest.mark.parametrize("name", npformer.data.PHOTOGRAPHS)
def test_every_step_and_the_logits_keep_their_bounds(name, tmp_path):
    explored = Explored(npformer.load("tiny", engine="numpy"), tmp_path)
    steps, logits = off_by_bounds(explored, name)
    assert len(steps) > 140
    assert {path: ratio for path, ratio in steps.items() if ratio > 1} == {}
    assert logits <= 1, f"logits are off by {logits:.2g} × the bound"
