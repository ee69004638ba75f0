"""PyTorch and timm against the test vectors: right implementations that nobody here wrote."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")
pytest.importorskip("transformers")

import torch_vectors
from golden import reference
from safetensors.torch import load_file

from npformer.testing.vectors import write_vectors


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vectors(tmp_path_factory.mktemp("vectors") / "out").place


@pytest.mark.parametrize(("dtype", "share"), [("float32", 1.0), ("float64", 2.0**-28)])
def test_every_layer_of_pytorch_lies_within_the_bounds(
    folder: Path, dtype: str, share: float
) -> None:
    seen = set()
    for c in torch_vectors.answers(folder, getattr(torch, dtype)):
        error = (c.found.double() - c.expected).abs()
        where = f"{c.layer}, case {c.case}: {c.output}"
        assert bool((error <= share * c.bound.double()).all()), where
        seen.add(c.layer)
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert seen == set(manifest["layers"])


@pytest.mark.parametrize("name", ["usual", "training", "transformers", "oblong"])
def test_networks_of_timm_lie_within_the_bounds(folder: Path, name: str) -> None:
    """Every module's result, the logits and all gradients, in float32."""
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    entry = manifest["networks"][name]
    tensors = load_file(folder / entry["file"])
    model = reference.timm_network(entry["config"])
    state = {key[2:]: tensor for key, tensor in tensors.items() if key.startswith("p.")}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert unexpected == []
    assert all(key.endswith(("num_batches_tracked", "attention_bias_idxs")) for key in missing)
    model.train(entry["training"])
    found: dict[str, Any] = {}

    def hear(path: str, module: Any, args: Any, result: Any) -> None:
        found[f"trace.{path}"] = result.detach()

    for path, module in model.named_modules():
        module.register_forward_hook(partial(hear, path))
    x = tensors["x"].clone().requires_grad_()
    logits = model(x)
    logits.backward(tensors["dy"])
    found |= {"logits": logits.detach(), "dx": x.grad}
    found |= {f"dp.{path}": p.grad for path, p in model.named_parameters()}
    compared = set(entry["outputs"]) & set(found)
    assert {key for key in entry["outputs"] if key.startswith("dp.")} <= compared
    assert len(compared) > 100
    for key in compared:
        error = (found[key].double() - tensors[key]).abs()
        assert bool((error <= tensors[f"bound/{key}"]).all()), (key, float(error.max()))
