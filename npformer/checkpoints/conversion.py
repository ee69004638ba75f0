"""Convert a checkpoint from one naming to another, bit for bit.

Only the names change, and the files beside the weights: tensors keep their bits and their dtype,
including bfloat16. Before anything is written, the weights are checked as strictly as for use.
"""

from __future__ import annotations

import copy
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import ConfigError
from ..files.names import SUFFIXES, TORCH_SUFFIXES
from ..files.paths import as_path
from ..network import EfficientFormer, forward
from . import safetensors_file, torch_writer
from .assemble import assemble, with_buffers
from .dtypes import Tensors
from .folder import Found, find, open_checkpoint, write_folder
from .infer import LAYER_NORM_EPS, infer_config
from .naming import NAMINGS, Naming, from_native, to_native
from .processor import image_size


class Conversion(NamedTuple):
    """What `convert` has done."""

    place: Path
    """the file or folder that was written"""
    naming: Naming
    """naming of the source"""
    tensors: int
    """number of tensors written"""
    notes: tuple[str, ...]
    """what the target cannot hold, or what its users must know"""


def convert(
    source: str | PathLike[str],
    target: str | PathLike[str],
    *,
    to: Naming,
    entry: str | None = None,
) -> Conversion:
    """Write a checkpoint under other names.

    Parameters
    ----------
    source : str or path
        As in `read`.
    target : str or path
        A file that ends in .safetensors, .bin, .pth or .pt, for the weights alone; or a folder that
        transformers ("hf") or timm loads.
    to : {"hf", "timm", "original"}
        Whose names the tensors get.
    entry : str, optional
        Which set of weights to read from a PyTorch file that has several, such as ``"model_ema"``.

    Returns
    -------
    Conversion

    Raises
    ------
    MissingWeights, UnsafeCheckpointError, OfflineError
        If the source cannot be read; as in `read`.
    WeightsError
        If the source is damaged or contradicts itself.
    ConfigError
        If the target cannot hold this network, or the configuration of the source is unusable.
    OSError
        If a file cannot be read or written.
    """
    if to not in NAMINGS:
        raise ConfigError(f"to is {to!r}; expected one of {', '.join(NAMINGS)}")
    place = as_path(target, "the target", ConfigError)
    if place.suffix.lower() in _OTHER_SUFFIXES and not place.is_dir():
        raise ConfigError(
            f"{place}: {_OTHER_SUFFIXES[place.suffix.lower()]}; expected a folder, or a file that "
            f"ends in {', '.join(SUFFIXES)}"
        )
    found = open_checkpoint(find(source), entry)
    _check(found)
    native = to_native(found.weights.tensors, found.config, found.naming)
    tensors = from_native(with_buffers(native, found.config), found.config, to)
    if place.suffix in TORCH_SUFFIXES:
        torch_writer.write(place, tensors, "model" if to == "original" else None)
    elif place.suffix in SUFFIXES:
        safetensors_file.write(place, tensors)
    else:
        write_folder(place, found.config, tensors, found.processor, to)
    notes = _notes(found, tensors, to, alone=place.suffix in SUFFIXES)
    weights = found.weights
    if weights.prefix:
        notes.append(
            f"the names in {weights.source} begin with {weights.prefix}, which was removed"
        )
    if entry is None and weights.others:
        notes.append(weights.note_of_others())
    return Conversion(place, found.naming, len(tensors), tuple(notes))


def _check(found: Found) -> None:
    """Refuse weights that cannot be used, checking them in a dtype that can hold all of them."""
    is_double = any(tensor.dtype == np.float64 for tensor in found.weights.tensors.values())
    _parameters(found, "float64" if is_double else "float32")


def _parameters(found: Found, dtype: str) -> EfficientFormer:
    return assemble(
        found.weights.tensors,
        found.config,
        found.naming,
        dtype=dtype,
        distilled=found.distilled,
        source=found.weights.source,
    )


def _change(found: Found, eps: float) -> str:
    """Measure how much another ε of the layer norms changes the answers of these weights.

    In float64, so that nothing is measured but ε, for one image of noise with the mean and the
    deviation of preprocessed photographs.
    """
    config, params = found.config, _parameters(found, "float64")
    changed = copy.deepcopy(config)
    changed.layer_norm_eps = eps
    shape = (1, *image_size(config), config.num_channels)
    noise = np.random.default_rng(0).standard_normal(shape)
    before, after = (forward(noise, params, c).logits for c in (config, changed))
    largest, change = abs(before).max(), abs(after - before).max()
    what = "the pooled features" if params.head is None else "the logits"
    return f"{what} of an image of noise, of up to {largest:.2g}, by up to {change:.1g} (measured)"


_OTHER_SUFFIXES = {
    ".onnx": "an ONNX graph is no checkpoint; `npformer convert IN OUT.onnx` writes one",
    **dict.fromkeys(
        (".h5", ".keras", ".npz", ".npy", ".pkl", ".ckpt", ".pt2", ".tflite", ".pb", ".gguf",
         ".msgpack", ".xml", ".mlmodel", ".mlpackage", ".engine", ".safetensor", ".json"),
        "npformer does not write such files",
    ),
}  # fmt: skip
"""Endings of files that a folder of that name would be mistaken for."""

_COMPUTES = (
    "pool_size", "hidden_act", "batch_norm_eps", "downsample_stride", "downsample_pad",
    "key_dim", "resolution", "id2label",
)  # fmt: skip
"""Keys that change the results of a network and that a file of weights may not reveal."""


def _notes(found: Found, tensors: Tensors, to: Naming, alone: bool) -> list[str]:
    """List what was lost, and what differs between the libraries."""
    notes = []
    config = found.config
    usual = LAYER_NORM_EPS[to]
    if config.layer_norm_eps != usual and (alone or to == "timm"):
        notes.append(
            f"these weights are for layer norms with ε {config.layer_norm_eps:g}; whatever loads "
            f"the result uses {usual:g}, which changes {_change(found, usual)}"
        )
    if alone:
        told = infer_config(tensors, to)
        lost = [key for key in _COMPUTES if getattr(config, key) != getattr(told, key)]
        if lost:
            notes.append(
                f"a file of weights does not contain {', '.join(lost)}; keep the config.json, or "
                "convert to a folder"
            )
    return notes
