"""The networks that the proof looks at, and their parameters, drawn from a seed.

Every parameter is a function of its path, its shape and a seed, so that PyTorch's network, when the
golden files are made, and npformer's, when they are checked, get the same numbers without a weight
file. `numpy.random.RandomState` is used because its stream is frozen, and uniform numbers because
they need no logarithm, of which platforms differ in the last bit. All values are exact in float32.

Layer scales are around 1 and the statistics of batch norms are random: with the values of a fresh
network (1e-5; 0 and 1) a fault inside a block would hide behind the residual connection.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product
from math import prod, sqrt
from typing import Any
from zlib import crc32

import numpy as np

from npformer.layers import Array
from npformer.network import EfficientFormer
from npformer.network.configuration import EfficientFormerConfig
from npformer.network.params import param_specs
from npformer.network.tree import build

BASE: dict[str, Any] = {
    "key_dim": 4, "attention_ratio": 2, "num_attention_heads": 2, "mlp_expansion_ratio": 2,
    "num_labels": 5,
}  # fmt: skip

SMALL: dict[str, dict[str, Any]] = {
    # The usual network, seen by both libraries. 37×45 pixels halve to 19×23, 10×12, 5×6 and 3×3.
    "usual": BASE | {
        "depths": [1, 1, 2], "hidden_sizes": [8, 6, 8], "resolution": 3,
        "image": [2, 37, 45], "library": "transformers",
    },
    # timm's own names and its ε; two attention blocks and wider values.
    "native": BASE | {
        "depths": [1, 3], "hidden_sizes": [6, 8], "num_meta3d_blocks": 2, "resolution": 3,
        "num_attention_heads": 3, "attention_ratio": 4, "layer_norm_eps": 1e-5,
        "image": [2, 21, 23], "library": "timm",
    },
    # No attention block, no layer scale, a wide pool, one head, half-integer expansion.
    "pools": BASE | {
        "depths": [1, 2], "hidden_sizes": [8, 6], "num_meta3d_blocks": 0, "pool_size": 5,
        "use_layer_scale": False, "hidden_act": "silu", "mlp_expansion_ratio": 1.5,
        "resolution": 4, "image": [1, 27, 26], "library": "transformers", "distilled": False,
    },
    # Only attention blocks in the last stage, three of them; a stage without downsampling; wide ε.
    "tokens": BASE | {
        "depths": [1, 1, 3], "hidden_sizes": [6, 6, 12], "downsamples": [False, True, True],
        "num_meta3d_blocks": 3, "num_attention_heads": 3, "key_dim": 6, "attention_ratio": 1.5,
        "mlp_expansion_ratio": 3, "hidden_act": "gelu_new", "resolution": 2,
        "layer_norm_eps": 1e-5, "batch_norm_eps": 1e-3, "image": [2, 13, 15],
        "library": "transformers",
    },
    # Another downsampling window, between equal widths; an empty stage; one color; no heads.
    "window": BASE | {
        "depths": [0, 1], "hidden_sizes": [7, 7], "downsample_patch_size": 5,
        "downsample_stride": 3, "downsample_pad": 1, "num_attention_heads": 1, "key_dim": 3,
        "attention_ratio": 1, "use_layer_scale": False, "num_channels": 1, "num_labels": 0,
        "resolution": 3, "image": [2, 39, 37], "library": "transformers", "distilled": False,
    },
    # One stage, whose blocks are of both kinds, ReLU everywhere.
    "single": BASE | {
        "depths": [2], "hidden_sizes": [6], "downsamples": [True], "hidden_act": "relu",
        "resolution": 3, "image": [3, 9, 12], "library": "transformers",
    },
    # A grid that is not square, which only timm's attention can have.
    "oblong": BASE | {
        "depths": [1, 2], "hidden_sizes": [6, 8], "num_meta3d_blocks": 1, "resolution": [2, 3],
        "layer_norm_eps": 1e-12, "image": [2, 12, 20], "library": "timm",
    },
    # A grid of one token.
    "point": BASE | {
        "depths": [1, 2], "hidden_sizes": [4, 6], "resolution": 1, "hidden_act": "quick_gelu",
        "image": [2, 8, 7], "library": "transformers", "distilled": False,
    },
}  # fmt: skip

FULL: dict[str, dict[str, Any]] = {
    name: {
        "depths": depths, "hidden_sizes": sizes, "num_meta3d_blocks": blocks, "num_labels": 1000,
        "image": [1, 224, 224], "library": "transformers",
    }
    for name, depths, sizes, blocks in (
        ("l1", [3, 2, 6, 4], [48, 96, 224, 448], 1),
        ("l3", [4, 4, 12, 6], [64, 128, 320, 512], 4),
        ("l7", [6, 6, 18, 8], [96, 192, 384, 768], 8),
    )
}  # fmt: skip


def configuration(case: dict[str, Any]) -> EfficientFormerConfig:
    return EfficientFormerConfig.from_dict(keywords(case))


def keywords(case: dict[str, Any]) -> dict[str, Any]:
    """Arguments of the configuration, for transformers too."""
    own = ("image", "library", "distilled")
    values = {key: value for key, value in case.items() if key not in own}
    return {"dim": case["hidden_sizes"][-1], "hidden_size": case["hidden_sizes"][-1]} | values


def pixels(case: dict[str, Any], seed: int = 0) -> Array:
    """Input of a network: (B, H, W, C), float64, exact in float32."""
    return draw("pixels", (*case["image"], case.get("num_channels", 3)), seed)


def draw(path: str, shape: tuple[int, ...], seed: int = 0) -> Array:
    """Values of the tensor that timm calls `path`, in PyTorch's `shape`, as float64."""
    u = np.random.RandomState(crc32(f"{seed} {path}".encode())).random_sample(shape)
    middle, width = 0.0, 0.5
    if path == "pixels":
        width = 2.0
    elif path.endswith("running_var"):
        middle, width = 3.0, 2.0
    elif path.endswith("attention_biases"):
        width = 2.0
    elif len(shape) > 1:
        width = sqrt(3 / prod(shape[1:]))  # a variance of 1 / (inputs of a neuron)
    elif path.endswith(("weight", "gamma")):
        middle = 1.0
    return (middle + width * (2 * u - 1)).astype(np.float32).astype(np.float64)


def parameters(case: dict[str, Any], seed: int = 0, dtype: str = "float64") -> EfficientFormer:
    """Parameter tree of a network."""

    def fill(path: str, leaf: Any) -> Array:
        shape = leaf.shape
        if path.endswith("attention_biases"):
            array = draw(path, (shape[0], shape[1] * shape[2]), seed).reshape(shape)
        elif len(shape) == 2:
            array = draw(path, shape[::-1], seed).T
        elif len(shape) == 4:
            kh, kw, C_in, C_out = shape
            array = draw(path, (C_out, C_in, kh, kw), seed).transpose(2, 3, 1, 0)
        else:
            array = draw(path, shape, seed)
        array = np.ascontiguousarray(array, dtype)
        array.flags.writeable = False
        return array

    return build(fill, param_specs(configuration(case), case.get("distilled", True)))


def tensors(case: dict[str, Any], shapes: dict[str, list[int]], seed: int = 0) -> dict[str, Array]:
    """State dict of the case's library, from the shapes that PyTorch stated, as float64."""
    rename = renamer(case)
    config = configuration(case)
    state = {}
    for key, shape in shapes.items():
        if key.endswith("num_batches_tracked"):
            state[key] = np.zeros((), np.int64)
        elif key.endswith("attention_bias_idxs"):
            state[key] = bias_indices(*config.token_grid)
        else:
            state[key] = draw(rename(key), tuple(shape), seed)
    return state


def bias_indices(rows: int, columns: int) -> Array:
    """Which bias belongs to which pair of tokens: distances, numbered as they first appear."""
    points = list(product(range(rows), range(columns)))
    numbers: dict[tuple[int, int], int] = {}
    table = [
        numbers.setdefault((abs(y - v), abs(x - u)), len(numbers))
        for y, x in points
        for v, u in points
    ]
    return np.array(table).reshape(len(points), len(points))


def renamer(case: dict[str, Any]) -> Callable[[str], str]:
    """From the library's name of a module or tensor to timm's."""
    if case["library"] == "timm":
        return lambda path: path
    config = configuration(case)
    last = len(config.depths) - 1
    flat = config.depths[last] - config.num_meta3d_blocks
    parts = ["stages.0"]  # what transformers numbers in a row: stages and downsamplings
    for i in range(1, last + 1):
        parts += [f"stages.{i}.downsample"] * config.has_downsample(i) + [f"stages.{i}"]
    rules: tuple[tuple[str, Any], ...] = (
        (r"^efficientformer\.(encoder\.)?", ""),
        (r"^intermediate_stages\.(\d+)", lambda found: parts[int(found[1])]),
        (r"^last_stage\.flat", f"stages.{last}.blocks.{flat}"),
        (r"^last_stage\.meta3D_layers\.blocks\.(\d+)",
         lambda found: f"stages.{last}.blocks.{flat + 1 + int(found[1])}"),
        (r"^last_stage", f"stages.{last}"),
        (r"\.meta4D_layers\.", "."),
        (r"^patch_embed", "stem"),
        (r"^stem\.convolution", "stem.conv"),
        (r"\.mlp\.convolution", ".mlp.fc"),
        (r"\.linear_in", ".fc1"),
        (r"\.linear_out", ".fc2"),
        (r"\.batchnorm_before", ".norm1"),
        (r"\.batchnorm_after", ".norm2"),
        (r"layernorm", "norm"),
        (r"\.activation", ".act"),
        (r"\.layer_scale_(\d)", r".ls\1.gamma"),
        (r"\.downsample\.projection", ".downsample.conv"),
        (r"\.token_mixer\.projection", ".token_mixer.proj"),
        (r"^classifier", "head"),
        (r"^distillation_classifier", "head_dist"),
    )  # fmt: skip

    def rename(path: str) -> str:
        for pattern, new in rules:
            path = re.sub(pattern, new, path)
        return path

    return rename
