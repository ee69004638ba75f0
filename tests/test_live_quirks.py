"""What the reference does where npformer differs, or where one would not expect it.

The page "Differences from the reference" says it in words; here PyTorch, transformers and timm do
it. If one of them changes its mind, a test fails and a line of the page is out of date. The same
inputs are given to npformer, which answers as the page says.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_quirks import SMALL

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
timm = pytest.importorskip("timm")

from timm.models import efficientformer as timm_efficientformer
from timm.models.efficientformer import checkpoint_filter_fn
from transformers.models.efficientformer import (
    convert_efficientformer_original_pytorch_checkpoint_to_pytorch as convert_script,
)

from npformer.checkpoints import assemble
from npformer.errors import ConfigError
from npformer.layers import Array
from npformer.network import forward
from npformer.network.configuration import EfficientFormerConfig


def config(**changes: Any) -> Any:
    return transformers.EfficientFormerConfig(**{**SMALL, **changes})


def network(cls: str = "EfficientFormerForImageClassification", **changes: Any) -> Any:
    torch.manual_seed(0)
    return getattr(transformers, cls)(config(**changes)).eval()


def randomize_biases(model: Any) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("attention_biases"):
                parameter.normal_()


def images(*shape: int) -> Any:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.standard_normal(shape).astype(np.float32))


@torch.no_grad()
def ask(model: Any, x: Any, **arguments: Any) -> Any:
    return model(x, **arguments)


def ours(model: Any, x: Any, **changes: Any) -> Array:
    """The logits of npformer, with the weights of a network of transformers."""
    ours = EfficientFormerConfig.from_dict({**SMALL, **changes})
    tensors = {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}
    return forward(x.numpy().transpose(0, 2, 3, 1), assemble(tensors, ours), ours).logits


def close(a: Any, b: Any) -> bool:
    return bool(np.allclose(np.asarray(a), np.asarray(b), rtol=0, atol=1e-5))


# The configuration


def test_q1_layer_norms_have_another_epsilon_in_timm() -> None:
    model = timm_efficientformer.EfficientFormer((1, 1), (4, 8), num_vit=1, num_classes=5)
    assert model.norm.eps == 1e-5
    assert network("EfficientFormerModel").layernorm.eps == config().layer_norm_eps == 1e-12


def test_q11_two_heads_need_a_key_that_the_configuration_has_not() -> None:
    with pytest.raises(AttributeError, match="hidden_size"):
        network("EfficientFormerForImageClassificationWithTeacher")
    network("EfficientFormerForImageClassificationWithTeacher", hidden_size=8)
    network("EfficientFormerForImageClassification")


def test_q12_there_are_two_classes_unless_told() -> None:
    assert (
        transformers.EfficientFormerConfig().num_labels == EfficientFormerConfig().num_labels == 2
    )


def test_q13_another_dim_fails_only_when_it_runs() -> None:
    with pytest.raises(RuntimeError):
        ask(network(dim=7), images(1, 3, 24, 24))
    with pytest.raises(ConfigError, match="dim is 7; expected the last of hidden_sizes, 8"):
        EfficientFormerConfig(**SMALL | {"dim": 7})


@pytest.mark.parametrize(
    ("downsamples", "sizes"), [([True, False], [8, 8]), ([False, True], [4, 8])]
)
def test_q14_some_entries_of_downsamples_mean_nothing(
    downsamples: list[bool], sizes: list[int]
) -> None:
    x = images(1, 3, 24, 24)
    model = network(downsamples=downsamples, hidden_sizes=sizes)
    assert close(ask(model, x).logits, ask(network(hidden_sizes=sizes), x).logits)
    found = ours(model, x, downsamples=downsamples, hidden_sizes=sizes)
    assert close(found, ask(model, x).logits)


def test_q17_drop_path_grows_beyond_1() -> None:
    model = transformers.EfficientFormerModel(
        transformers.EfficientFormerConfig(drop_path_rate=0.1)
    )
    rates = [m.drop_prob for m in model.modules() if hasattr(m, "drop_prob")]
    assert max(rates) > 1
    assert rates != sorted(rates)  # attention blocks begin anew
    assert not ask(model.train(), images(2, 3, 224, 224)).last_hidden_state.isfinite().all()


def test_q37_a_pool_without_a_middle_fails_only_when_it_runs() -> None:
    with pytest.raises(RuntimeError, match="must match"):
        ask(network(pool_size=2), images(1, 3, 24, 24))


# The network


def test_q15_without_attention_blocks_only_the_first_image_returns() -> None:
    model, x = network("EfficientFormerModel", num_meta3d_blocks=0), images(3, 3, 24, 24)
    assert ask(model, x).last_hidden_state.shape == (9, 8)
    classifier = network(num_meta3d_blocks=0)
    found = ours(classifier, x, num_meta3d_blocks=0)
    assert found.shape == (3, 5)
    assert close(found[0], ask(classifier, x).logits)


def test_q16_another_grid_of_as_many_tokens_is_taken() -> None:
    model, x = network(), images(1, 3, 8, 72)
    assert ask(model, x).logits.shape == (1, 5)  # 1×9 tokens, biases of 3×3
    with pytest.raises(ConfigError, match=r"grid of 1×9 tokens; .* for 3×3"):
        ours(model, x)


def test_q18_old_attention_biases_stay_in_use() -> None:
    model, x = network(), images(1, 3, 24, 24)
    before = ask(model, x).logits
    randomize_biases(model)
    assert torch.equal(ask(model, x).logits, before)
    assert not close(ours(model, x), before)
    assert close(ours(model, x), ask(model.train().eval(), x).logits)
    with pytest.raises(RuntimeError, match="scalar type"):
        ask(network().half(), x.half())


def test_q20_there_is_no_pooler_output() -> None:
    found = ask(network("EfficientFormerModel"), images(1, 3, 24, 24), output_hidden_states=True)
    assert list(found) == ["last_hidden_state", "hidden_states"]


def test_q21_the_first_labels_decide_what_later_ones_mean() -> None:
    model, x = network(), images(3, 3, 24, 24)
    ask(model, x, labels=torch.tensor([0, 1, 2]))
    assert model.config.problem_type == "single_label_classification"
    with pytest.raises(ValueError, match=r"input batch_size \(3\) to match target batch_size"):
        ask(model, x, labels=torch.zeros(3, 5))


def test_q22_q23_q24_q25_unusable_inputs_fail_obscurely() -> None:
    model = network()
    for x, error, message in (
        (images(1, 4, 24, 24), RuntimeError, "to have 3 channels, but got 4"),
        (images(3, 24, 24), ValueError, r"expected 4D input \(got 3D input\)"),
        (images(0, 3, 24, 24), RuntimeError, "cannot reshape tensor of 0 elements"),
        (images(1, 3, 24, 24).double(), RuntimeError, "type"),
        (torch.zeros(1, 3, 24, 24, dtype=torch.int64), RuntimeError, "type"),
    ):
        with pytest.raises(error, match=message):
            ask(model, x)


# Documentation and scripts


def test_q33_the_documentation_contradicts_the_code() -> None:
    documented = transformers.EfficientFormerConfig.__doc__
    assert "hidden_dropout_prob (`float`, *optional*, defaults to 0.1)" in documented
    assert transformers.EfficientFormerConfig().hidden_dropout_prob == 0
    assert '`"selu"`' in documented
    with pytest.raises(KeyError, match="selu"):
        network(hidden_act="selu")

    documented = transformers.EfficientFormerImageProcessor.__doc__
    processor = transformers.EfficientFormerImageProcessor()
    assert "defaults to `PILImageResampling.BILINEAR`" in documented
    assert processor.resample.name == "BICUBIC"
    assert "defaults to `IMAGENET_STANDARD_MEAN`" in documented
    assert processor.image_mean == [0.485, 0.456, 0.406]

    module = transformers.models.efficientformer.modeling_efficientformer
    output = module.EfficientFormerForImageClassificationWithTeacherOutput
    assert "[CLS]" in module.EfficientFormerForImageClassificationWithTeacher.__doc__
    assert "class token" in output.__doc__
    assert "pooler_output" in module.EfficientFormerModel.forward.__doc__
    assert "Egyptian cat" in module.EfficientFormerForImageClassification.forward.__doc__
    tf = Path(module.__file__).with_name("modeling_tf_efficientformer.py").read_text()
    assert '_IMAGE_CLASS_EXPECTED_OUTPUT = "LABEL_281"' in tf


def test_q34_timm_does_not_recognize_its_own_checkpoints() -> None:
    model = timm_efficientformer.EfficientFormer((1, 1), (4, 8), num_vit=1, num_classes=5)
    native = model.state_dict()
    assert "stem.0.weight" not in native
    filtered = checkpoint_filter_fn(native, model)
    assert filtered is not native  # it was walked through, and nothing was renamed
    assert list(filtered) == list(native)


def test_q35_the_script_that_converts_demands_hidden_size(tmp_path: Path) -> None:
    torch.save({"model": {}}, tmp_path / "original.pth")
    (tmp_path / "config.json").write_text(json.dumps(SMALL))
    with pytest.raises(AttributeError, match="hidden_size"):
        convert_script.convert_efficientformer_checkpoint(
            tmp_path / "original.pth", tmp_path / "config.json", tmp_path / "hf", False
        )
