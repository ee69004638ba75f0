"""PyTorch's, timm's and transformers' own layers pass, and what is changed in them is found."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")
pytest.importorskip("transformers")

from right_modules import RIGHT
from timm.models import efficientformer as timm

from npformer.errors import ConfigError, WeightsError
from npformer.testing import check_layer
from npformer.testing.adapters import Module

nn = torch.nn


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_module_passes(name):
    module = RIGHT[name]()
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    report = check_layer(name.split(" by ")[0], module, examples=12)
    assert report, report
    for key, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[key]), "the module itself is not changed"


def test_timms_attention_block_has_its_own_eps():
    block = timm.MetaBlock1d(8)
    assert check_layer("attention_block", block, examples=4)
    assert check_layer("attention_block", block, examples=4, options={"eps": 1e-5})


@pytest.mark.parametrize(
    "layer",
    [
        "linear",
        "gelu",
        "batch_norm",
        "pooling by timm",
        "attention by timm",
        "mlp by timm",
        "conv_mlp by timm",
        "stem by timm",
        "attention by transformers",
        "attention_block by transformers",
    ],
)
def test_autograd_gives_the_gradients(layer):
    report = check_layer(f"{layer.split(' by ')[0]}_backward", RIGHT[layer](), examples=8)
    assert report, report


def doubled_scale():
    module = RIGHT["attention by timm"]()
    module.scale *= 2
    return module


def heads_apart():
    """Queries, keys and values in three blocks, as most implementations have them."""

    class Blocks(timm.Attention):
        def forward(self, x):
            B, N, _ = x.shape
            q, k, v = self.qkv(x).split([6, 6, 12], -1)
            q, k, v = (a.reshape(B, N, 2, -1).transpose(1, 2) for a in (q, k, v))
            attn = q @ k.mT * self.scale + self.attention_biases[:, self.attention_bias_idxs]
            return self.proj((attn.softmax(-1) @ v).transpose(1, 2).reshape(B, N, 12))

    return Blocks(8, 3, 2, 2, (2, 3))


WRONG = [
    ("layer_norm", lambda: nn.LayerNorm(6), "another eps"),
    ("gelu", lambda: nn.GELU(approximate="tanh"), "tanh GELU"),
    ("average_pool", lambda: nn.AvgPool2d(3, 1, 1), "border counted"),
    ("pooling", lambda: nn.AvgPool2d(3, 1, 1, count_include_pad=False), "input not subtracted"),
    ("attention", heads_apart, None),
    ("attention", doubled_scale, None),
    ("mlp", lambda: timm.Mlp(4, 8, act_layer=nn.ReLU), "ReLU"),
    ("softmax", lambda: nn.Softmax(1), "wrong axis"),
]


@pytest.mark.parametrize(
    ("layer", "make", "mistake"), WRONG, ids=lambda v: getattr(v, "__name__", v)
)
def test_a_wrong_module_is_named(layer, make, mistake):
    report = check_layer(layer, make())
    assert not report
    assert report.named, report
    if mistake:
        assert report.mistake == mistake, report


def test_the_eps_of_pytorch_is_an_option():
    assert check_layer("layer_norm", nn.LayerNorm(6), options={"eps": 1e-5})


@pytest.mark.parametrize(
    ("layer", "module", "error", "words"),
    [
        ("linear", nn.Linear(3, 5, bias=False), WeightsError,
         "the module Linear has no tensor 'bias', but weight; expected, by the names of timm"),
        ("linear", nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)), WeightsError,
         "holds 2 layers of the kind linear, below 0., 1.; expected one"),
        ("conv2d", nn.Linear(3, 5), WeightsError, r"'weight' has shape \(5, 3\); expected 4 axes"),
        ("softmax_backward", nn.Softmax(-1), ConfigError, "softmax itself"),
    ],
)  # fmt: skip
def test_a_module_of_another_layer_is_answered(layer, module, error, words):
    with pytest.raises(error, match=words):
        check_layer(layer, module)


def test_no_module_is_answered():
    with pytest.raises(ConfigError, match=r"expected a torch\.nn\.Module"):
        check_layer("linear", np.sin, adapter=Module())
