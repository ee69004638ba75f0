"""What is known of the other network: the arrays that it computed, however they were recorded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ...checkpoints.dtypes import widen
from ...errors import RecordingError
from ...files.names import SUFFIXES
from ...files.paths import as_path
from ...files.sniff import what_is
from ...layers import Array
from .arrangement import sums_of

LIMIT = 100_000
"""The most arrays that a recording may have."""


@dataclass(frozen=True)
class Recorded:
    """Arrays of the other network, in the order in which they were computed where that is known."""

    source: str
    """what messages call it"""
    arrays: dict[str, Array]
    """by any names"""
    outputs: tuple[str, ...] = ()
    """those that the network returns"""
    fed: Array | None = None
    """the pixel values that it was run with here, channels last; None if it ran elsewhere"""
    is_graph: bool = False
    """whether everything was recorded, parts of layers too"""
    parameters: dict[str, Array] = field(default_factory=dict)
    """its parameters, by timm's keys, if it is a checkpoint"""
    held: dict[str, Array] = field(default_factory=dict)
    """the same of a module, which may compute otherwise: they may say why it is wrong, not where"""

    def has_two_precisions(self) -> bool:
        """Whether arrays are in float64 and in less: the network went on from one of them."""
        kinds = {array.dtype for array in self.arrays.values() if array.dtype.kind == "f"}
        return np.dtype(np.float64) in kinds and len(kinds) > 1


class Candidate:
    """A recorded array, prepared for many comparisons."""

    def __init__(self, name: str, array: Array) -> None:
        self.name, self.array = name, array

    @cached_property
    def sums(self) -> tuple[float, float]:
        """Sum of its numbers, and of their squares."""
        return sums_of(self.array)

    @cached_property
    def not_finite(self) -> int:
        """How many of its numbers are NaN or infinite."""
        return int(np.count_nonzero(~np.isfinite(self.array)))


PARAMETERS = (
    "weight", "bias", "running_mean", "running_var", "num_batches_tracked", "gamma",
    "attention_biases", "attention_bias_idxs", "layer_scale_1", "layer_scale_2",
)  # fmt: skip
"""Last parts of the names of a checkpoint's tensors."""


def is_checkpoint(names: list[str]) -> bool:
    """Whether names are those of parameters rather than of results."""
    known = sum(name.rpartition(".")[2] in PARAMETERS for name in names)
    return 2 * known > len(names)


def from_mapping(arrays: Mapping[str, Any], source: str) -> Recorded:
    """Take recorded arrays by name.

    Parameters
    ----------
    arrays : mapping of str to array_like
        PyTorch's tensors will do.
    source : str
        What messages call them.

    Returns
    -------
    Recorded

    Raises
    ------
    RecordingError
        If there are none, too many, or one is not an array of real numbers.
    """
    if not arrays:
        raise RecordingError(
            f"{source}: holds no array; expected what the layers computed, and the picture that "
            "went in"
        )
    if len(arrays) > LIMIT:
        raise RecordingError(f"{source}: holds {len(arrays)} arrays; expected at most {LIMIT}")
    return Recorded(source, {str(name): _real(name, a, source) for name, a in arrays.items()})


def _real(name: object, value: Any, source: str) -> Array:
    """Return an array of real numbers; bfloat16, which NumPy lacks, becomes float32."""
    if hasattr(value, "detach"):  # a tensor of PyTorch, perhaps bfloat16
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":
            value = value.float()
    try:
        array = widen(np.asarray(value))
    except (TypeError, ValueError, RuntimeError) as error:
        raise RecordingError(f"{source}: {name!r} is no array ({error})") from error
    if array.dtype.kind not in "fiub":
        raise RecordingError(
            f"{source}: {name!r} holds {array.dtype}; expected an array of real numbers"
        )
    return array


def from_npz(path: Path) -> Recorded:
    """Read arrays that `numpy.savez` wrote.

    Raises
    ------
    RecordingError
        If the file is something else or damaged, or holds Python objects, which are not read.
    OSError
        If it cannot be read.
    """
    with path.open("rb") as stream:
        start = stream.read(262)
    if not start.startswith(b"PK"):
        raise RecordingError(
            f"{path}: this is {what_is(start) or 'no zip archive'}; expected what numpy.savez "
            "writes"
        )
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except OSError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy's own parser raise many kinds
        raise RecordingError(
            f"{path}: cannot be read as arrays ({error}); save plain arrays with "
            "numpy.savez(path, **arrays)"
        ) from error
    return from_mapping(arrays, str(path))


def file_of(place: str) -> Path | None:
    """Return the path of a file of recorded arrays or of an ONNX graph; None of anything else.

    Raises
    ------
    RecordingError
        If it is a file whose kind cannot be compared, or there is none of that name.
    """
    path = as_path(place, "the other network", RecordingError, model=True)
    suffix = path.suffix.lower()
    if suffix not in (".onnx", ".npz", ".npy", *SUFFIXES) and not path.is_file():
        return None
    if suffix in (".onnx", ".npz") and not path.is_file():
        found = "is a folder" if path.is_dir() else "no such file"
        raise RecordingError(f"{path}: {found}; expected an ONNX graph or recorded arrays")
    if suffix == ".npy":
        raise RecordingError(
            f"{path}: one array says too little; save those of all layers, and the picture that "
            "went in, with numpy.savez(path, **arrays)"
        )
    if suffix not in (".onnx", ".npz", *SUFFIXES):
        raise RecordingError(
            f"{path}: ends in {suffix or 'nothing'}; expected an ONNX graph (.onnx), recorded "
            "arrays (.npz, .safetensors), a checkpoint or its folder"
        )
    return path


NOISE = {
    "model", "module", "efficientformer", "output", "outputs", "out", "result", "results", "orig",
    "mod", "activation", "activations", "features", "net", "network", "y", "intermediates",
}  # fmt: skip
"""Words in names that say nothing about which layer it is."""


def words_of(name: str) -> str:
    """Return a name in its plainest form: lower case, with dots, without words that say nothing."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", ".", name.removesuffix("/__call__/0"))  # Flax's
    words = re.findall(r"[a-z]+|[0-9]+", apart.lower())
    kept = [word for word in words if word not in NOISE]
    return ".".join(word.removesuffix("s") if len(word) > 3 else word for word in kept)
