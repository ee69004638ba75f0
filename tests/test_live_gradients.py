"""Whole networks: every gradient against PyTorch's autograd, in float64."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("timm")

from golden import cases
from golden.gradients import MODES, reference
from gradient_cases import compare, gradients

from npformer.layers import Mode, Trace, training

WITH_NOISE = [name for name, case in cases.SMALL.items() if case["library"] == "transformers"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", cases.SMALL)
def test_gradients_are_those_of_autograd(name: str, mode: str) -> None:
    case = cases.SMALL[name]
    compare(gradients(case, Mode(mode == "training")), reference(case, mode))


@pytest.mark.parametrize("name", WITH_NOISE)
def test_gradients_with_the_same_noise(name: str) -> None:
    case = cases.SMALL[name]
    mode = training(np.random.default_rng(0), dropout=0.2, drop_path=0.5)
    tape = Trace(mode=mode)
    found = gradients(case, mode, tape)
    masks = {path: array for path, array in tape.items() if path.endswith(".mask")}
    assert masks or not sum(case["depths"])
    compare(found, reference(case, "training", masks))
