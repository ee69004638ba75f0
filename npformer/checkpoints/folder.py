"""Find a checkpoint by its name or place, and read it: configuration, parameters, processor.

A checkpoint is a folder as transformers or timm save it, or a single file of weights, whose
configuration is then read off the tensors.
"""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import DTypeLike

from ..errors import ConfigError, MissingWeights, WeightsError
from ..files.atomic import write_json
from ..files.shipped import shipped
from ..files.strict_json import read_object
from ..network import EfficientFormer
from ..network.configuration import CONFIG_NAME, EfficientFormerConfig
from . import safetensors_file, timm_config
from .assemble import assemble, state_dict
from .dtypes import Tensors, is_floating, name_of
from .infer import infer_config, name_classes
from .processor import PROCESSOR_NAME, default_processor
from .spellings import Spelling, detect

DEFAULT = "tiny"
"""The network that comes with npformer."""

WEIGHTS_NAMES = ("model.safetensors", "pytorch_model.bin")
"""Files of weights in a folder; the first that exists is read."""

TORCH_SUFFIXES = (".bin", ".pth", ".pt")
SUFFIXES = (".safetensors", *TORCH_SUFFIXES)


@dataclass(frozen=True)
class Checkpoint:
    """What `read` finds."""

    config: EfficientFormerConfig
    params: EfficientFormer
    processor: dict[str, Any]
    """the keys of ``preprocessor_config.json``"""
    source: str
    """path of the file of weights"""
    spelling: Spelling


def read(
    name_or_path: str | PathLike[str], *, dtype: DTypeLike = "float32", entry: str | None = None
) -> Checkpoint:
    """Read a checkpoint.

    Parameters
    ----------
    name_or_path : str or path
        ``"tiny"`` (comes with npformer), ``"l1"``, ``"l3"``, ``"l7"`` or ``"owner/name"`` (from the
        hub or its cache), a folder with weights and mostly a ``config.json``, or a file of weights.
    dtype : {"float32", "float64", "float16"}
        Of the parameters.
    entry : str, optional
        Which of several sets of weights in a file of PyTorch, such as ``"model_ema"``.

    Returns
    -------
    Checkpoint

    Raises
    ------
    MissingWeights
        If there are no weights at that place, and it is no name.
    WeightsError
        If the weights are damaged or belong to another network than the configuration.
    UnsafeCheckpointError
        If a file would have to run code to be read.
    ConfigError
        If the configuration is not usable.
    OfflineError
        If weights would have to be downloaded and cannot be.
    """
    found = open_checkpoint(find(name_or_path), entry)
    params = assemble(
        found.tensors,
        found.config,
        found.spelling,
        dtype=dtype,
        distilled=found.distilled,
        source=found.source,
    )
    name_classes(found.config)
    return Checkpoint(found.config, params, found.processor, found.source, found.spelling)


class Found(NamedTuple):
    """A checkpoint whose tensors are still as the file holds them."""

    config: EfficientFormerConfig
    tensors: Tensors
    processor: dict[str, Any]
    source: str
    spelling: Spelling
    distilled: bool | None
    """True if the configuration demands a distillation head"""


def open_checkpoint(place: Path, entry: str | None = None) -> Found:
    """Read the files of a checkpoint; arguments and errors as in `read`."""
    file = weights_file(place)
    tensors = read_tensors(file, entry)
    spelling = detect(tensors, str(file))
    described = place / CONFIG_NAME
    if not described.is_file():
        config = infer_config(tensors, spelling, str(file))
        return Found(
            config, tensors, default_processor(config, spelling), str(file), spelling, None
        )
    values = read_object(described)
    try:
        if timm_config.is_timm(values):
            config = timm_config.read_config(values, tensors, str(file))
            processor = timm_config.read_processor(values)
        else:
            config = EfficientFormerConfig.from_dict(values)
            processor = default_processor(config, spelling)
    except ConfigError as error:
        raise ConfigError(f"{described}: {error}") from error
    if (place / PROCESSOR_NAME).is_file():
        processor = read_object(place / PROCESSOR_NAME)
    demanded = _CLASSES["distillation_classifier.weight"] in (config.architectures or ())
    return Found(config, tensors, processor, str(file), spelling, True if demanded else None)


def find(name_or_path: str | PathLike[str]) -> Path:
    """Return the folder or file that a name or path means; names go before paths."""
    name = fspath(name_or_path)
    if name == DEFAULT:
        return shipped(DEFAULT)
    from . import hub  # not needed for the network that is always there

    if name in hub.manifest():
        return hub.locate(name)
    path = Path(name).expanduser()
    if path.exists():
        return path
    if hub.is_hub_name(name):
        return hub.locate(name)
    raise MissingWeights(
        f"{name}: no such file or folder, and no name of a network; names are "
        f"{', '.join(hub.manifest())} and owner/name of the Hugging Face Hub"
    )


def weights_file(place: Path) -> Path:
    """Return the file of weights at a place, which is that file or a folder."""
    if not place.is_dir():
        return place
    for name in WEIGHTS_NAMES:
        if (place / name).is_file():
            return place / name
    others = sorted(path for path in place.iterdir() if path.suffix in SUFFIXES)
    if len(others) == 1:
        return others[0]
    found = ", ".join(path.name for path in others) or "none of them"
    raise MissingWeights(
        f"{place}: the folder holds {found}; expected {' or '.join(WEIGHTS_NAMES)}, or one file of "
        f"another name that ends in {', '.join(SUFFIXES)}"
    )


def read_tensors(file: Path, entry: str | None = None) -> Tensors:
    """Read the tensors of a file, whose format is told by its first bytes.

    Raises
    ------
    MissingWeights, IsADirectoryError
        If there is no such file.
    WeightsError
        If it is damaged.
    UnsafeCheckpointError
        If it would have to run code.
    """
    try:
        with file.open("rb") as stream:
            start = stream.read(9)
    except FileNotFoundError:
        raise MissingWeights(f"{file}: no such file") from None
    if start.startswith(b"PK") or (file.suffix in TORCH_SUFFIXES and start[8:] != b"{"):
        from . import torch_file  # a reader of its own, which few need

        return torch_file.read(file, entry)
    if entry is not None:
        raise WeightsError(f"{file}: a safetensors file has no entries such as {entry!r}")
    return safetensors_file.read(file)[0]


def write(
    folder: str | PathLike[str],
    config: EfficientFormerConfig,
    params: EfficientFormer,
    processor: dict[str, Any] | None = None,
    spelling: Spelling = "hf",
) -> None:
    """Write a folder that `read` and transformers read.

    Parameters
    ----------
    folder : str or path
        Is made if need be. Each file appears whole or not at all, the weights first.
    config : EfficientFormerConfig
    params : EfficientFormer
    processor : dict, optional
        The keys of ``preprocessor_config.json``; by default those that fit the network.
    spelling : {"hf", "timm"}
        Whose folder it is to be.
    """
    write_folder(Path(folder), config, state_dict(params, config, spelling), processor, spelling)


def write_folder(
    folder: Path,
    config: EfficientFormerConfig,
    tensors: Tensors,
    processor: dict[str, Any] | None,
    spelling: Spelling,
) -> None:
    """Write tensors that are already spelled, and what belongs beside them."""
    if spelling == "original":
        raise ConfigError(
            f"{folder}: the original's program loads a file; name one that ends in .pth"
        )
    processor = processor or default_processor(config, spelling)
    floating = [tensor.dtype for tensor in tensors.values() if is_floating(tensor.dtype)]
    if spelling == "timm":
        described = timm_config.write_config(config, tensors, processor)
    else:
        described = {
            **config.to_diff_dict(),
            "architectures": [architecture(tensors)],
            "hidden_size": config.hidden_size,
            "torch_dtype": name_of(max(floating, key=lambda dtype: dtype.itemsize)),
        }
    folder.mkdir(parents=True, exist_ok=True)
    safetensors_file.write(folder / WEIGHTS_NAMES[0], tensors)
    write_json(folder / PROCESSOR_NAME, processor)
    write_json(folder / CONFIG_NAME, described)


_CLASSES = {
    "distillation_classifier.weight": "EfficientFormerForImageClassificationWithTeacher",
    "classifier.weight": "EfficientFormerForImageClassification",
}


def architecture(tensors: Tensors) -> str:
    """Return the class of transformers that tensors in Hugging Face's spelling belong to."""
    found = (name for tensor, name in _CLASSES.items() if tensor in tensors)
    return next(found, "EfficientFormerModel")
