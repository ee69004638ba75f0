"""The explorer's network is as near to the exact one as the derived bounds of float32 ask for."""

from __future__ import annotations

import numpy as np
import pytest
from explorer_cases import Explored, needs_node

import npformer

testing = pytest.importorskip("npformer.testing")

pytestmark = needs_node


@pytest.mark.parametrize("name", npformer.data.PHOTOGRAPHS)
def test_every_step_and_the_logits_keep_their_bounds(name, tmp_path):
    model = npformer.load("tiny", engine="numpy")
    explored = Explored(model, tmp_path)
    image = npformer.data.photograph(name)
    _, _, tensors = explored.ask(["open"], ["show", explored.photograph(name, image)], ["all"])
    arrays = {t["path"]: t["data"].reshape(1, *t["shape"]) for t in tensors}
    del arrays["scores"]
    chain = testing.steps(explored.params, model.config)
    seen = 0
    for step, estimate in testing.walk(chain, arrays):
        if step.path in arrays:
            off = np.abs(arrays[step.path] - estimate.value)
            assert (off <= estimate.bound()).all(), step.path
            seen += 1
    assert seen > 140
    whole = testing.propagate(chain, {"pixel_values": arrays["pixel_values"]})["logits"]
    ratio = (np.abs(arrays["logits"] - whole.value) / whole.bound()).max()
    assert ratio <= 1, f"logits are off by {ratio:.2g} × the bound"
