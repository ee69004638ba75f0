"""PyTorch's own numbers, layer by layer, against npformer's. Needs no PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from golden import cases, check

from npformer.checkpoints import assemble, state_dict
from npformer.layers import average_pool
from npformer.network import forward
from npformer.network.tree import leaves, transform


@pytest.mark.parametrize("name", cases.SMALL)
def test_every_array_in_float64(name: str) -> None:
    golden = check.golden(name)
    check.check_float64(golden.case, golden.heard)


@pytest.mark.parametrize("name", cases.SMALL)
def test_every_layer_in_float32(name: str) -> None:
    golden = check.golden(name)
    check.check_float32(golden.case, golden.heard)


@pytest.mark.parametrize("name", cases.SMALL)
def test_the_average_inside_a_pooling(name: str) -> None:
    case, (inputs, outputs), _ = check.golden(name)
    size = case.get("pool_size", 3)
    for path, expected in outputs.items():
        if path.endswith(check.POOL):
            found = average_pool(inputs[path], size)
            np.testing.assert_allclose(found, expected, rtol=0, atol=check.FLOAT64, err_msg=path)


@pytest.mark.parametrize("name", cases.SMALL)
def test_pytorchs_tensors_become_the_tree_and_come_back(name: str) -> None:
    case, _, shapes = check.golden(name)
    config, params = cases.configuration(case), cases.parameters(case)
    tensors = cases.tensors(case, shapes)
    loaded = dict(leaves(assemble(tensors, config, dtype="float64")))
    assert list(loaded) == [path for path, _ in leaves(params)]
    for path, array in leaves(params):
        np.testing.assert_array_equal(loaded[path], array, err_msg=path)
    back = state_dict(params, config, "timm" if case["library"] == "timm" else "hf")
    # A network without heads is written as the bare model, whose names lack this prefix.
    expected = {
        key if config.num_labels else key.removeprefix("efficientformer."): tensor
        for key, tensor in tensors.items()
    }
    assert set(back) == set(expected)
    for key, tensor in expected.items():
        np.testing.assert_array_equal(back[key], tensor, err_msg=key)


def test_the_files_are_of_the_cases_that_the_script_would_make() -> None:
    networks = cases.SMALL | cases.FULL
    assert {name: check.read(name)[1]["case"] for name in networks} == networks


def test_the_files_are_small() -> None:
    assert sum(path.stat().st_size for path in check.FOLDER.iterdir() if path.is_file()) < 4e6


@pytest.fixture(scope="module", params=list(cases.FULL))
def full(request: pytest.FixtureRequest) -> Any:
    """Golden arrays, notes and float64 parameters of a network of full size."""
    arrays, notes = check.read(request.param)
    return arrays, notes, cases.parameters(notes["case"])


def test_full_size_in_float64(full: Any) -> None:
    arrays, notes, params = full
    expected = dict(zip(notes["layers"], arrays["summaries"], strict=True))
    examiner = check.Examiner(expected, check.absolute, check.FLOAT64, view=check.summary)
    config = cases.configuration(notes["case"])
    logits = forward(cases.pixels(notes["case"]), params, config, examiner).logits
    examiner("logits", logits)
    examiner.finish()
    assert check.absolute(logits, arrays["logits"]) <= check.FLOAT64


def test_full_size_logits_in_float32(full: Any) -> None:
    arrays, notes, params = full
    config = cases.configuration(notes["case"])
    pixels = cases.pixels(notes["case"]).astype(np.float32)
    logits = forward(pixels, transform(np.float32, params), config).logits
    assert logits.dtype == np.float32
    assert check.absolute(logits, arrays["logits"]) <= check.LOGITS
    assert check.absolute(logits, arrays["logits_float32"]) <= check.LOGITS
