"""Ask the explorer's network under Node, and the same of Python."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from math import cos, log, pi, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from readme import ROOT

import npformer
from npformer.engine.fold import FoldedNetwork
from npformer.explorer.page import page_data
from npformer.explorer.weights import pack, rounded
from npformer.hf.modeling import model_class
from npformer.layers import ACTIVATIONS, Trace, softmax
from npformer.layers.attend import split_heads
from npformer.network import forward
from npformer.network.tree import build, transform

NODE = shutil.which("node")
WEB = ROOT / "npformer/explorer/web"
needs_node = pytest.mark.skipif(NODE is None, reason="Node is not installed")


def kinds_of_interventions() -> set[str]:
    """All kinds that the page has, read from its sources."""
    text = (WEB / "interventions.js").read_text("utf-8")
    table = re.search(r"INTERVENTIONS = \{\n(.*?)\n\};", text, re.S)
    return set(re.findall(r"^  (\w+):", table[1], re.M)) if table else set()


class Explored:
    """A network, and a folder from which Node runs it."""

    def __init__(self, classifier: npformer.Classifier, folder: Path) -> None:
        self.classifier, self.folder = classifier, folder
        data = page_data(classifier, "a network")
        data["manifest"], weights, self.exact = pack(classifier.params)
        (folder / "data.json").write_text(json.dumps(data))
        (folder / "weights.txt").write_text(weights)
        self.params = transform(np.float64, rounded(classifier.params))

    def photograph(self, name: str, image: Any) -> dict[str, Any]:
        """Write a photograph's bytes, and return how a job names it."""
        rgba = np.asarray(image.convert("RGBA"))
        (self.folder / f"{name}.rgba").write_bytes(rgba.tobytes())
        return {"rgba": f"{name}.rgba", "width": image.width, "height": image.height}

    def ask(self, *jobs: list[Any]) -> list[Any]:
        """Return Node's answers."""
        (self.folder / "jobs.json").write_text(json.dumps(jobs))
        command = [str(NODE), str(ROOT / "tests/explorer_node.mjs"), str(self.folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout, object_hook=arrays)

    def trace(self, image: Any, interventions: list[dict[str, Any]] = []) -> Trace:  # noqa: B006 - only read
        """Run Python's layers in float64, with interventions."""
        x = self.classifier.processor.pixels(image)[None].astype(np.float64)
        run = Intervened(interventions, x)
        x = run._arrays["pixel_values"]
        logits = forward(x, self.params, self.classifier.config, run).logits
        run._arrays.update(logits=logits, scores=softmax(logits))
        return run


def off_by_bounds(explored: Explored, name: str) -> tuple[dict[str, float], float]:
    """Return how far off each step is, and the logits after all of them, relative to its bound."""
    from npformer import testing  # has dependencies of its own

    photograph = explored.photograph(name, npformer.data.photograph(name))
    _, _, tensors = explored.ask(["open"], ["show", photograph], ["all"])
    found = {t["path"]: t["data"].reshape(1, *t["shape"]) for t in tensors}
    del found["scores"]
    chain = testing.steps(explored.params, explored.classifier.config)
    steps = {
        step.path: float((np.abs(found[step.path] - estimate.value) / estimate.bound()).max())
        for step, estimate in testing.walk(chain, found)
        if step.path in found
    }
    whole = testing.propagate(chain, {"pixel_values": found["pixel_values"]})["logits"]
    return steps, float((np.abs(found["logits"] - whole.value) / whole.bound()).max())


def arrays(value: dict[str, Any]) -> Any:
    """Turn what stands for an array into one."""
    if "f32" in value:
        return np.frombuffer(base64.b64decode(value["f32"]), np.float32)
    return np.frombuffer(base64.b64decode(value["u8"]), np.uint8) if "u8" in value else value


def small(folder: Path, seed: int = 0, **changes: Any) -> Explored:
    """Make a small network of arbitrary shape whose numbers all matter."""
    sizes = {
        "depths": [1, 1, 1, 2], "hidden_sizes": [8, 12, 8, 16], "dim": 16, "key_dim": 4,
        "num_attention_heads": 2, "num_labels": 6, "image_size": (64, 96), "resolution": (2, 3),
        "layer_scale_init_value": 0.5, "initializer_range": 0.3,
    }  # fmt: skip
    distilled = changes.pop("distilled", True)
    config = npformer.EfficientFormerConfig(**{**sizes, **changes})
    rng = np.random.default_rng(seed)

    def moved(path: str, x: np.ndarray) -> np.ndarray:
        if path.endswith("attention_biases"):
            return rng.standard_normal(x.shape, np.float32) * 3
        return x if x.ndim == 4 else x + rng.uniform(0, 0.3, x.shape).astype(np.float32)

    params = build(moved, npformer.network.initialize(config, seed, distilled))
    height, width = config.image_shape
    processor = npformer.EfficientFormerImageProcessor(
        size={"height": height, "width": width}, do_center_crop=False
    )
    model = model_class(params)(config, params, engine="numpy")
    assert not isinstance(model.params, FoldedNetwork)
    return Explored(npformer.Classifier(model, processor), folder)


def noise_image(height: int, width: int, seed: int = 0) -> Image.Image:
    """Make a photograph of colored noise."""
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))


class Intervened(Trace):
    """A trace that changes what it sees, as the page's interventions do."""

    def __init__(self, interventions: list[dict[str, Any]], pixels: np.ndarray) -> None:
        super().__init__()
        self.interventions = interventions
        self._arrays["pixel_values"] = self._changed("pixel_values", pixels)

    def __call__(self, name: str, value: np.ndarray, /) -> np.ndarray:
        return super().__call__(name, self._changed(self._prefix + name, value))

    def _changed(self, path: str, value: np.ndarray) -> np.ndarray:
        first = sorted(self.interventions, key=lambda each: each["kind"] != "biases")
        for each in first:  # scores are computed anew before heads are switched off
            value = self._one(each, path, value.copy())
        return value

    def _one(self, each: dict[str, Any], path: str, x: np.ndarray) -> np.ndarray:
        kind, place, seen = each["kind"], each["path"], self._arrays
        if kind == "block" and path in (f"{place}.ls1", f"{place}.ls2"):
            return 0 * x
        if kind == "head" and path == f"{place}.attn":
            x[:, each["head"]] = 0
        if kind == "biases" and path == f"{place}.attn":
            qkv, K = seen[f"{place}.qkv"], each["K"]
            q, k, _ = split_heads(qkv, x.shape[1], K)
            return softmax(q @ k.swapaxes(2, 3) / sqrt(K))
        if kind == "activation" and (path == place or (place == "*" and path.endswith(".mlp.act"))):
            before = path.replace("act", "norm1")
            found = seen[before if before in seen else path.replace("act", "fc1")]
            return ACTIVATIONS[each["activation"]](found)
        if path != place:
            return x
        if kind == "branch":
            return 0 * x
        if kind == "subtraction":
            return x + seen[input_of(path.removesuffix(".token_mixer"), seen)]
        if kind == "scale":
            return seen[path.replace("ls1", "token_mixer").replace("ls2", "mlp")]
        if kind == "channel":
            x[..., each["channel"]] = 0
        if kind == "noise":
            size = each["strength"] * x.std()
            return x + size * np.array(normals(each["seed"], x.size)).reshape(x.shape)
        if kind == "value":
            x[(0, *each["index"])] = each["value"]
        return x


def input_of(block: str, seen: dict[str, Any]) -> str:
    """Return the path of what a block of images reads."""
    _, stage, _, number = block.split(".")
    if number != "0":
        return f"stages.{stage}.blocks.{int(number) - 1}"
    down = f"stages.{stage}.downsample"
    before = "stem" if stage == "0" else f"stages.{int(stage) - 1}"
    return down if down in seen else before


def normals(seed: int, count: int) -> list[float]:
    """Return normal numbers: Marsaglia's xorshift, 32 bits, and the transform of Box and Muller."""
    state = (seed + 1) * 2654435761 % 2**32 or 1

    def uniform() -> float:
        nonlocal state
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        return (state + 0.5) / 2**32

    return [sqrt(-2 * log(uniform())) * cos(2 * pi * uniform()) for _ in range(count)]
