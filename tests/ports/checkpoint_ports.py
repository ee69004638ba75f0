"""Wrong ports that are other checkpoints: converted wrongly, trained further, rounded."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from npformer import checkpoints
from npformer.checkpoints import safetensors_file, torch_writer
from npformer.layers import Array

from .answers import Made, Maker, wrong
from .shop import Reference, Shop

Change = Callable[[Array], Array]


def checkpoint(
    changes: dict[str, Change] | None = None, naming: str = "timm", file: str = "", **config: Any
) -> Maker:
    """Return the maker of a checkpoint with some tensors changed.

    Parameters
    ----------
    changes : dict of str to callable
        By the end of timm's name of a tensor, in PyTorch's shape.
    naming : {"timm", "hf", "original"}
    file : str
        Ending of a lone file; a folder of transformers without one.
    **config
        Other values of the configuration.
    """

    def make(shop: Shop, reference: Reference, path: Path) -> Made:
        tensors = checkpoints.state_dict(reference.params, reference.config, "timm")
        for end, change in (changes or {}).items():
            found = [n for n in tensors if n.endswith(end) and tensors[n].dtype.kind == "f"]
            assert found, end
            for name in found:
                dtype = tensors[name].dtype
                changed = np.asarray(change(tensors[name]))
                tensors[name] = np.ascontiguousarray(changed.astype(dtype))
        other = copy.deepcopy(reference.config)
        for key, value in config.items():
            setattr(other, key, value)
        if not file:
            params = checkpoints.assemble(tensors, other, "timm", dtype="float32", source="made")
            checkpoints.write(path, other, params)
            return Made(path)
        place = path.with_name(f"{path.name}.{file}")
        renamed = checkpoints.names(reference.config, naming)
        tensors = {renamed[name]: array for name, array in tensors.items()}
        if file == "safetensors":
            safetensors_file.write(place, tensors)
        else:
            torch_writer.write(place, tensors, "model")
        return Made(place)

    return make


def three_blocks(heads: int, K: int, V: int) -> Change:
    """Return the change from head by head to all q, all k, all v; of weights and of biases."""

    def change(array: Array) -> Array:
        by_head = array.reshape(heads, 2 * K + V, *array.shape[1:])
        parts = np.split(by_head, [K, 2 * K], axis=1)
        return np.concatenate([part.reshape(-1, *array.shape[1:]) for part in parts])

    return change


def half(array: Array) -> Array:
    return array.astype(np.float16)


def new(array: Array) -> Array:
    return 0.02 * np.random.default_rng(1).standard_normal(array.shape)


MIXER = "stages.2.blocks.2.token_mixer"  # of "small"
BLOCKS = three_blocks(3, 6, 12)

wrong("checkpoint: q, k and v in three blocks", "small", f"{MIXER}.qkv", "qkv_blocks",
      checkpoint({".qkv.weight": BLOCKS, ".qkv.bias": BLOCKS}, file="safetensors"))  # fmt: skip
wrong("checkpoint: q, k and v of one block in three blocks", "small",
      "stages.2.blocks.3.token_mixer.qkv", "qkv_blocks",
      checkpoint({"3.token_mixer.qkv.weight": BLOCKS,
                  "3.token_mixer.qkv.bias": BLOCKS}))  # fmt: skip
wrong("checkpoint: a new distillation head", "deep", "head_dist", ("random_start", "parameter"),
      checkpoint({"head_dist.weight": new, "head_dist.bias": np.zeros_like}))  # fmt: skip
wrong("checkpoint: a new MLP", "tiny", "stages.2.blocks.1.mlp.fc1", "random_start",
      checkpoint({"stages.2.blocks.1.mlp.fc1.weight": new,
                  "stages.2.blocks.1.mlp.fc1.bias": np.zeros_like}))  # fmt: skip
wrong("checkpoint: half precision", "small", "stem.conv1", "half_precision",
      checkpoint({"": half}, naming="original", file="pth"))  # fmt: skip
wrong("checkpoint: half precision in the heads", "deep", "head", "half_precision",
      checkpoint({"head.weight": half, "head_dist.weight": half}))  # fmt: skip
wrong("checkpoint: kernels with rows for columns", "deep", "stem.conv1", "weight_transposed",
      checkpoint({"stem.conv1.weight": lambda w: w.swapaxes(2, 3),
                  "stem.conv2.weight": lambda w: w.swapaxes(2, 3)}))  # fmt: skip
wrong("checkpoint: a square projection transposed", "square",
      "stages.1.blocks.2.token_mixer.proj", "weight_transposed",
      checkpoint({"proj.weight": lambda w: w.T}, file="safetensors"))  # fmt: skip
wrong("checkpoint: attention biases by columns", "small", f"{MIXER}.attn", "bias_transposed",
      checkpoint({"attention_biases": lambda b: b.reshape(-1, 4, 4).swapaxes(1, 2).reshape(
          b.shape)}), also=(MIXER,))  # fmt: skip
wrong("checkpoint: attention biases zero", "deep", "stages.3.blocks.2.token_mixer.attn",
      ("bias_missing", "random_start"),
      checkpoint({"attention_biases": np.zeros_like}),
      also=("stages.3.blocks.2.token_mixer",))  # fmt: skip
wrong("checkpoint: another epsilon", "small", "stages.2.blocks.2.norm1", "eps",
      checkpoint(layer_norm_eps=1e-2))  # fmt: skip
wrong("checkpoint: colors exchanged", "small", "stem.conv1", "bgr",
      checkpoint({"stem.conv1.weight": lambda w: w[:, ::-1]}, file="pth", naming="original"),
      also=("pixel_values",))  # fmt: skip
wrong("checkpoint: statistics of a norm forgotten", "tiny", "stages.1.downsample.norm",
      ("random_start", "parameter"),
      checkpoint({"stages.1.downsample.norm.running_mean": np.zeros_like,
                  "stages.1.downsample.norm.running_var": np.ones_like}))  # fmt: skip
wrong("checkpoint: one tensor a little larger", "deep", "stages.2.blocks.0.mlp.fc2", "parameter",
      checkpoint({"stages.2.blocks.0.mlp.fc2.weight": lambda w: 1.01 * w}))  # fmt: skip
wrong("checkpoint: one number", "square", "stages.1.blocks.2.mlp.fc1", "parameter",
      checkpoint({"stages.1.blocks.2.mlp.fc1.bias": lambda b: b + 0.3 * (np.arange(len(b)) == 5)},
                 naming="timm", file="safetensors"))  # fmt: skip
wrong("checkpoint: scales of layers at their start", "small", "stages.1.blocks.0.ls2",
      ("random_start", "parameter"),
      checkpoint({"stages.1.blocks.0.ls2.gamma": lambda g: np.full_like(g, 1e-5)}))  # fmt: skip
