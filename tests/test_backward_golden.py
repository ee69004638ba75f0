"""Whole networks: every gradient against those of PyTorch, from a file."""

from __future__ import annotations

import numpy as np
import pytest
from golden import cases
from golden.gradients import FILE, MODES
from gradient_cases import compare, gradients

from npformer.layers import Mode


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", cases.SMALL)
def test_gradients_are_those_of_pytorch(name: str, mode: str) -> None:
    start = f"{name}/{mode}/"
    with np.load(FILE) as file:
        expected = {key.removeprefix(start): file[key] for key in file if key.startswith(start)}
    assert expected
    compare(gradients(cases.SMALL[name], Mode(mode == "training")), expected)
