"""Small networks and their files, for the tests of checkpoints."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from npformer import checkpoints
from npformer.checkpoints.dtypes import BFLOAT16, Tensors
from npformer.layers import Array
from npformer.network import EfficientFormer
from npformer.network.configuration import EfficientFormerConfig
from npformer.network.params import ParamSpec, param_specs
from npformer.network.tree import build

EVERYTHING = {
    "depths": [1, 0, 2, 3],
    "hidden_sizes": [4, 6, 6, 10],
    "downsamples": [True, False, True, True],
    "dim": 10,
    "key_dim": 3,
    "attention_ratio": 7 / 3,
    "num_attention_heads": 2,
    "resolution": 2,
    "image_size": 32,
    "mlp_expansion_ratio": 2.5,
    "num_meta3d_blocks": 2,
    "num_labels": 5,
}
"""Each branch of the network: a missing downsampling, an empty stage, both kinds of blocks."""


def config(**changes: object) -> EfficientFormerConfig:
    """The small configuration, with changes."""
    return EfficientFormerConfig.from_dict({**EVERYTHING, **changes})


def parameters(
    c: EfficientFormerConfig, seed: int = 0, distilled: bool = True, dtype: str = "float32"
) -> EfficientFormer:
    """Random parameters, none of which has its initial value; variances are positive."""
    rng = np.random.default_rng(seed)

    def fill(_: str, spec: ParamSpec) -> Array:
        return (rng.random(spec.shape) + 0.1).astype(dtype)

    return build(fill, param_specs(c, distilled))


def tensors(c: EfficientFormerConfig, naming: checkpoints.Naming = "hf") -> Tensors:
    """The tensors in a file of the small network."""
    return checkpoints.state_dict(parameters(c), c, naming)


def folder(path: Path, c: EfficientFormerConfig, contents: Tensors) -> Path:
    """Write a folder as transformers does."""
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text(json.dumps(c.to_diff_dict()))
    checkpoints.safetensors_file.write(path / "model.safetensors", contents)
    return path


def to_bfloat16(x: Array) -> Array:
    """The upper halves of float32 numbers."""
    return (x.astype("<f4").view("<u4") >> 16).astype("<u2").view(BFLOAT16)


def same(a: Tensors, b: Tensors) -> bool:
    """Whether two files hold the same names, dtypes, shapes and bits."""
    return a.keys() == b.keys() and all(
        (a[k].dtype, a[k].shape, a[k].tobytes()) == (b[k].dtype, b[k].shape, b[k].tobytes())
        for k in a
    )
