"""From one spelling to another, bit for bit.

Only names change, and what a folder says beside the weights: the tensors keep their dtype, bfloat16
too, and their bits. Before anything is written the weights are read as strictly as for use.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import ConfigError
from ..network.configuration import EfficientFormerConfig
from . import safetensors_file, torch_writer
from .assemble import assemble, with_buffers
from .dtypes import Tensors
from .folder import SUFFIXES, TORCH_SUFFIXES, Found, find, open_checkpoint, write_folder
from .infer import LAYER_NORM_EPS, infer_config
from .spellings import SPELLINGS, Spelling, from_native, to_native


class Conversion(NamedTuple):
    """What `convert` has done."""

    place: Path
    spelling: Spelling
    """of the source"""
    tensors: int
    notes: tuple[str, ...]
    """what the target cannot hold, or whoever loads it must know"""


def convert(
    source: str | PathLike[str],
    target: str | PathLike[str],
    *,
    to: Spelling,
    entry: str | None = None,
) -> Conversion:
    """Write a checkpoint in another spelling.

    Parameters
    ----------
    source : str or path
        As for `read`.
    target : str or path
        A file that ends in .safetensors, .bin, .pth or .pt, which holds the weights alone; or a
        folder, as transformers ("hf") or timm loads it.
    to : {"hf", "timm", "original"}
    entry : str, optional
        Which of several sets of weights in a file of PyTorch, such as ``"model_ema"``.

    Returns
    -------
    Conversion

    Raises
    ------
    WeightsError
        If the source is damaged or contradicts itself.
    ConfigError
        If the target cannot hold this network.
    """
    if to not in SPELLINGS:
        raise ConfigError(f"to is {to!r}; expected one of {', '.join(SPELLINGS)}")
    place = Path(target).expanduser()
    found = open_checkpoint(find(source), entry)
    _check(found)
    native = to_native(found.tensors, found.config, found.spelling)
    tensors = from_native(with_buffers(native, found.config), found.config, to)
    if place.suffix in TORCH_SUFFIXES:
        torch_writer.write(place, tensors, "model" if to == "original" else None)
    elif place.suffix in SUFFIXES:
        safetensors_file.write(place, tensors)
    else:
        write_folder(place, found.config, tensors, found.processor, to)
    notes = _notes(found.config, tensors, to, alone=place.suffix in SUFFIXES)
    return Conversion(place, found.spelling, len(tensors), tuple(notes))


def _check(found: Found) -> None:
    """Refuse weights that cannot be used, in a dtype that holds all of theirs."""
    is_double = any(tensor.dtype == np.float64 for tensor in found.tensors.values())
    assemble(
        found.tensors,
        found.config,
        found.spelling,
        dtype="float64" if is_double else "float32",
        distilled=found.distilled,
        source=found.source,
    )


_COMPUTES = (
    "pool_size", "hidden_act", "batch_norm_eps", "downsample_stride", "downsample_pad",
    "key_dim", "resolution", "id2label",
)  # fmt: skip
"""Keys that change what a network answers and that a file of weights may not tell."""


def _notes(config: EfficientFormerConfig, tensors: Tensors, to: Spelling, alone: bool) -> list[str]:
    """Say what was lost, and what differs between the programs."""
    notes = []
    usual = LAYER_NORM_EPS[to]
    if config.layer_norm_eps != usual and (alone or to == "timm"):
        notes.append(
            f"these weights are for layer norms with ε {config.layer_norm_eps:g}; who loads the "
            f"result takes {usual:g}, which changes the logits by about 1e-5"
        )
    if alone:
        told = infer_config(tensors, to)
        lost = [key for key in _COMPUTES if getattr(config, key) != getattr(told, key)]
        if lost:
            notes.append(
                f"a file of weights does not tell {', '.join(lost)}; keep the config.json, or "
                "convert to a folder"
            )
    return notes
