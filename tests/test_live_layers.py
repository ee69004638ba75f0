"""The golden comparison, live: PyTorch beside npformer, on numbers that no file holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("timm")

from golden import cases, check, reference
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.activations import ACT2FN

from npformer.checkpoints import assemble
from npformer.layers import (
    ACTIVATIONS,
    Array,
    BatchNorm,
    Conv2d,
    LayerNorm,
    Linear,
    Run,
    average_pool,
    batch_norm,
    batch_statistics,
    conv2d,
    drop_path,
    dropout,
    layer_norm,
    linear,
    softmax,
    training,
    update_running_stats,
)
from npformer.network.tree import leaves
from npformer.testing.array_strategies import arrays, assert_close, sizes

# timm can make the usual networks, too, and with more attention blocks.
CASES = cases.SMALL | {
    f"{name} by timm, {blocks}": cases.SMALL[name]
    | {"library": "timm", "layer_norm_eps": 1e-12, "num_meta3d_blocks": blocks}
    for name, blocks in (("usual", 1), ("usual", 2), ("native", 3))
}


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_every_array_in_float64(name: str, seed: int) -> None:
    case = CASES[name]
    model = reference.network(case, seed)
    check.check_float64(case, reference.overhear(model, case, cases.pixels(case, seed)), seed)


@pytest.mark.parametrize("name", CASES)
def test_every_layer_in_float32(name: str) -> None:
    case = CASES[name]
    model = reference.network(case, seed=3, dtype="float32")
    pixels = cases.pixels(case, seed=3).astype(np.float32)
    check.check_float32(case, reference.overhear(model, case, pixels), seed=3)


@pytest.mark.parametrize("name", CASES)
def test_pytorchs_tensors_become_the_tree(name: str) -> None:
    case = CASES[name]
    state = reference.network(case, seed=4).state_dict()
    tensors = {key: tensor.numpy() for key, tensor in state.items()}
    loaded = assemble(tensors, cases.configuration(case), dtype="float64")
    for (path, found), (_, expected) in zip(
        leaves(loaded), leaves(cases.parameters(case, seed=4)), strict=True
    ):
        np.testing.assert_array_equal(found, expected, err_msg=path)


@pytest.mark.parametrize("name", cases.SMALL)
def test_the_golden_files_are_what_pytorch_says_today(name: str) -> None:
    golden = check.golden(name)
    model = reference.network(golden.case)
    heard = reference.overhear(model, golden.case, cases.pixels(golden.case))
    for old, new in zip(golden.heard, heard, strict=True):
        assert list(old) == list(new)
        for path, array in old.items():
            np.testing.assert_allclose(new[path], array, rtol=0, atol=1e-13, err_msg=path)
    assert {key: list(x.shape) for key, x in model.state_dict().items()} == golden.state


quick = settings(max_examples=25, deadline=None)
F = torch.nn.functional


def images(x: Array) -> Any:
    """Channels last to PyTorch's (B, C, H, W)."""
    return torch.from_numpy(np.array(np.moveaxis(x, -1, 1)))


def back(y: Any) -> Array:
    return np.moveaxis(y.numpy(), 1, -1)


@quick
@given(st.data(), sizes(1, 5), sizes(1, 5), sizes(1, 4), st.integers(0, 3))
def test_conv2d(data: st.DataObject, kh: int, kw: int, stride: int, padding: int) -> None:
    H = data.draw(st.integers(max(1, kh - 2 * padding), 9))
    W = data.draw(st.integers(max(1, kw - 2 * padding), 9))
    x = data.draw(arrays(2, H, W, 3))
    p = Conv2d(*(data.draw(arrays(*s, dtype=x.dtype)) for s in ((kh, kw, 3, 4), (4,))))
    weight = torch.from_numpy(np.array(p.weight.transpose(3, 2, 0, 1)))
    expected = F.conv2d(images(x), weight, torch.from_numpy(np.array(p.bias)), stride, padding)
    assert_close(conv2d(x, p, stride, padding), back(expected), x.dtype)


@quick
@given(st.data(), sizes(), sizes(), sizes())
def test_linear(data: st.DataObject, N: int, C_in: int, C_out: int) -> None:
    x = data.draw(arrays(2, N, C_in))
    p = Linear(*(data.draw(arrays(*s, dtype=x.dtype)) for s in ((C_in, C_out), (C_out,))))
    tensors = (torch.from_numpy(np.array(array)) for array in (x, p.weight.T, p.bias))
    assert_close(linear(x, p), F.linear(*tensors).numpy(), x.dtype)


@quick
@given(st.data(), sizes(1, 8), sizes(1, 8), st.sampled_from([1, 3, 5, 7]))
def test_average_pool(data: st.DataObject, H: int, W: int, size: int) -> None:
    x = data.draw(arrays(2, H, W, 3))
    pool = torch.nn.AvgPool2d(size, stride=1, padding=size // 2, count_include_pad=False)
    assert_close(average_pool(x, size), back(pool(images(x))), x.dtype)


@quick
@given(st.data(), sizes(2, 4), sizes(1, 5), st.sampled_from([1e-5, 1e-2]), st.floats(0, 1))
def test_batch_norm(data: st.DataObject, B: int, C: int, eps: float, momentum: float) -> None:
    x = data.draw(arrays(B, 3, 4, C))
    weight, bias, mean, root = (data.draw(arrays(C, dtype=x.dtype)) for _ in range(4))
    p = BatchNorm(weight, bias, mean, root * root + x.dtype.type(0.1))
    norm = torch.nn.BatchNorm2d(C, eps, momentum, dtype=images(x).dtype)
    norm.load_state_dict({
        name: torch.from_numpy(np.array(array)) for name, array in p._asdict().items()
    } | {"num_batches_tracked": torch.tensor(0)})  # fmt: skip
    with torch.no_grad():
        assert_close(batch_norm(x, p, eps), back(norm.eval()(images(x))), x.dtype)
        expected = back(norm.train()(images(x)))
    run = Run(training(np.random.default_rng(0)))
    assert_close(batch_norm(x, p, eps, run), expected, x.dtype)
    moved = update_running_stats(p, *batch_statistics(x), x.size // C, momentum)
    assert_close(moved.running_mean, norm.running_mean.numpy(), x.dtype)
    assert_close(moved.running_var, norm.running_var.numpy(), x.dtype)


@quick
@given(st.data(), sizes(1, 4), sizes(4, 9), st.sampled_from([1e-12, 1e-5, 1e-2]))
def test_layer_norm(data: st.DataObject, N: int, C: int, eps: float) -> None:
    x = data.draw(arrays(2, N, C))
    p = LayerNorm(*(data.draw(arrays(C, dtype=x.dtype)) for _ in range(2)))
    tensors = [torch.from_numpy(np.array(array)) for array in (x, *p)]
    expected = F.layer_norm(tensors[0], (C,), *tensors[1:], eps)
    assert_close(layer_norm(x, p, eps), expected.numpy(), x.dtype)


@quick
@given(x=arrays(2, 3, 7, scale=10.0))
def test_softmax(x: Array) -> None:
    assert_close(softmax(x), torch.from_numpy(np.array(x)).softmax(-1).numpy(), x.dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str, dtype: str) -> None:
    function = torch.nn.SELU() if name == "selu" else ACT2FN[name]
    x = np.concatenate([np.linspace(-12, 12, 4001), [0.0, -0.0, 40.0, -40.0]]).astype(dtype)
    assert_close(ACTIVATIONS[name](x), function(torch.from_numpy(x)).numpy(), x.dtype)


def test_every_activation_of_transformers_is_there() -> None:
    assert set(ACTIVATIONS) == {*ACT2FN, "selu"}


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.9])
def test_dropout_scales_the_survivors_as_pytorch_does(rate: float) -> None:
    x = np.random.default_rng(0).standard_normal((64, 5)).astype(np.float32)
    torch.manual_seed(0)
    theirs = F.dropout(torch.from_numpy(x), rate).numpy()
    ours = dropout(x, rate, np.random.default_rng(0))
    both = (theirs != 0) & (ours != 0)
    assert both.any()
    np.testing.assert_allclose(ours[both], theirs[both], rtol=1e-6)


@pytest.mark.parametrize("rate", [0.3, 0.9])
def test_drop_path_scales_the_survivors_as_transformers_does(rate: float) -> None:
    from transformers.models.efficientformer import modeling_efficientformer as theirs

    x = np.random.default_rng(0).standard_normal((64, 2, 5)).astype(np.float32)
    torch.manual_seed(0)
    expected = theirs.drop_path(torch.from_numpy(x), rate, training=True).numpy()
    found = drop_path(x, rate, np.random.default_rng(0))
    both = (expected != 0) & (found != 0)
    assert both.any()
    np.testing.assert_allclose(found[both], expected[both], rtol=1e-6)
