"""How people record: which arrays, under which names, in which order and axes, in which file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from npformer.layers import Array

from .answers import Made, Maker
from .port import Faults, Port, run
from .shop import Reference, Shop

Arrays = dict[str, Array]
Dress = Callable[[Arrays], Arrays]
"""From arrays by timm's paths, channels last, to what is written"""


def save(arrays: Mapping[str, Array], path: Path, kind: str = "npz") -> Path:
    """Write arrays, and return the file."""
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    path = path.with_name(f"{path.name}.{kind}")
    if kind == "npz":
        np.savez(path, **arrays)
    else:
        save_file(arrays, path)
    return path


def image_like(name: str, array: Array) -> bool:
    """Whether an array has rows and columns of pixels, rather than of an attention map."""
    inside = {"q", "k", "v", "scores", "biased", "attn"}
    return array.ndim == 4 and name.rpartition(".")[2] not in inside


def first(heard: Arrays) -> Arrays:
    """Channels first, as PyTorch has them, under timm's paths."""
    return {
        name: array.transpose(0, 3, 1, 2) if image_like(name, array) else array
        for name, array in heard.items()
    }


def last(heard: Arrays) -> Arrays:
    """Channels last, as TensorFlow and JAX have them."""
    return heard


def numbered(heard: Arrays) -> Arrays:
    """Numbers for names, in the order of computation, as runtimes give them."""
    return {str(i + 100): array for i, array in enumerate(first(heard).values())}


def as_keras(heard: Arrays) -> Arrays:
    """Names by kind with numbers, as Keras gives them; channels last."""
    kinds = {
        "conv": "conv2d", "norm": "normalization", "act": "activation", "fc": "dense",
        "qkv": "dense", "proj": "dense", "head": "classifier", "token": "mixer", "attn": "softmax",
        "pixel": "input",
    }  # fmt: skip
    counts: dict[str, int] = {}
    found = {}
    for name, array in heard.items():
        part = name.rpartition(".")[2]
        kind = next((kinds[start] for start in kinds if part.startswith(start)), "add")
        counts[kind] = counts.get(kind, 0) + 1
        found[f"{kind}_{counts[kind]}"] = array
    return found


def shuffled(heard: Arrays) -> Arrays:
    """Names and order without meaning."""
    rng = np.random.default_rng(len(heard))
    items = list(first(heard).items())
    order = rng.permutation(len(items))
    return {f"blob_{rng.integers(16**6):06x}": items[i][1] for i in order}


def without_batch(heard: Arrays) -> Arrays:
    """One image, and no axis for it, as in C++."""
    return {name.replace(".", "/"): array[0] for name, array in first(heard).items()}


def tokens_last(heard: Arrays) -> Arrays:
    """Tokens as images, (B, C, 1, N), as ports to phones have them."""
    return {
        name: array.transpose(0, 2, 1)[:, :, None] if array.ndim == 3 else array
        for name, array in first(heard).items()
    }


def as_images(heard: Arrays) -> Arrays:
    """Width before height."""
    return {
        f"act.{name}": array.transpose(0, 2, 1, 3) if image_like(name, array) else array
        for name, array in heard.items()
    }


def as_flax(heard: Arrays) -> Arrays:
    """Names of Flax's `capture_intermediates`; channels last, and heads behind tokens."""
    found = {}
    for name, array in heard.items():
        moved = array.transpose(0, 2, 1, 3) if name.endswith((".q", ".k", ".v")) else array
        path = name.replace("blocks.", "block").replace("stages.", "stage").replace(".", "/")
        found["x" if name == "pixel_values" else f"intermediates/{path}/__call__/0"] = moved
    return found


def as_graph(heard: Arrays) -> Arrays:
    """Names of TensorFlow's graph; channels last."""
    ends = {"conv": "BiasAdd", "fc": "BiasAdd", "qkv": "BiasAdd", "norm": "FusedBatchNormV3",
            "act": "Gelu", "attn": "Softmax", "pixel": "input_1"}  # fmt: skip

    def renamed(i: int, name: str) -> str:
        part = name.rpartition(".")[2]
        end = next((ends[start] for start in ends if part.startswith(start)), "add")
        return f"efficient_former/{end.lower()}_{i}/{end}:0"

    return {renamed(i, name): array for i, (name, array) in enumerate(heard.items())}


def as_ncnn(heard: Arrays) -> Arrays:
    """Blobs of ncnn: channels first, no axis for the batch, numbers."""
    return {f"blob{2 * i:03}": array[0] for i, array in enumerate(first(heard).values())}


def as_core_ml(heard: Arrays) -> Arrays:
    """Variables of Core ML: tokens as (B, C, 1, N)."""
    return {f"var_{17 + 3 * i}": array for i, array in enumerate(tokens_last(heard).values())}


def as_rust(heard: Arrays) -> Arrays:
    """Names with underscores, in alphabetical order, and a picture called ``input``."""
    named = {
        "input" if name == "pixel_values" else name.replace(".", "_"): array
        for name, array in first(heard).items()
    }
    return dict(sorted(named.items()))


def stored(dtype: str, dress: Dress) -> Dress:
    """Write arrays in another type than they were computed in."""
    return lambda heard: {name: array.astype(dtype) for name, array in dress(heard).items()}


def every(step: int, start: int = 0) -> Callable[[Arrays], Arrays]:
    """Keep every so many arrays, the picture and the answer."""

    def keep(heard: Arrays) -> Arrays:
        names = ["pixel_values", *list(heard)[start::step], "logits"]
        return {name: array for name, array in heard.items() if name in names}

    return keep


def crowded(heard: Arrays) -> Arrays:
    """With arrays that do not belong to it."""
    rng = np.random.default_rng(5)
    others = {
        "step": np.array(17), "labels": np.array([3]), "loss": np.array(1.5, np.float32),
        "empty": np.zeros((0, 4), np.float32),
        "noise": rng.standard_normal((1, 16, 16, 12)).astype(np.float32),
        "rgb": rng.integers(0, 255, (64, 64, 3), np.uint8),
    }  # fmt: skip
    return others | first(heard)


def only(*patterns: str) -> Callable[[Arrays], Arrays]:
    """Return a filter of what is recorded, by timm's paths."""

    def keep(heard: Arrays) -> Arrays:
        return {n: a for n, a in heard.items() if any(fnmatchcase(n, p) for p in patterns)}

    return keep


def without(*patterns: str) -> Callable[[Arrays], Arrays]:
    """Return a filter of what is left out."""

    def keep(heard: Arrays) -> Arrays:
        return {n: a for n, a in heard.items() if not any(fnmatchcase(n, p) for p in patterns)}

    return keep


def fold(heard: Arrays) -> Arrays:
    """Leave out what a convolution gives before the norm that is folded into it."""
    norms = {"conv1": "norm1", "conv2": "norm2", "fc1": "norm1", "fc2": "norm2", "conv": "norm"}

    def folded(name: str) -> bool:
        module, _, layer = name.rpartition(".")
        return layer in norms and f"{module}.{norms[layer]}" in heard

    return {name: array for name, array in heard.items() if not folded(name)}


def everything(heard: Arrays) -> Arrays:
    return heard


BLOCKS = only("pixel_values", "stem.act2", "stages.?.downsample.norm", "stages.?.blocks.?", "norm",
              "logits")  # fmt: skip
FEW = only("pixel_values", "stem.act2", "stages.?.downsample.norm", "norm", "logits")


def recorded(
    faults: Faults | None = None,
    dress: Dress = first,
    keep: Callable[[Arrays], Arrays] = everything,
    kind: str = "npz",
    *,
    batch: int = 1,
    seed: int = 0,
    double: bool = False,
) -> Maker:
    """Return the maker of a recording of a `Port`."""

    def make(shop: Shop, reference: Reference, path: Path) -> Made:
        model = Port(reference, faults)
        pixels = reference.pixels(seed, batch)
        if double:
            model, pixels = model.double(), pixels.astype(np.float64)
        return written(run(model, pixels), dress, keep, kind, path)

    return make


def written(
    heard: Arrays,
    dress: Dress,
    keep: Callable[[Arrays], Arrays],
    kind: str,
    path: Path,
    image: Path | None = None,
) -> Made:
    """Write what was heard."""
    kept = keep(heard)
    return Made(save(dress(kept), path, kind), image, kept)
