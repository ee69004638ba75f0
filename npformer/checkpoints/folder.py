"""Find a checkpoint by its name or path, and read its configuration, parameters and processor.

A checkpoint is a folder, as transformers or timm save it, or a single file of weights, whose
configuration is inferred from the tensors.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from numpy.typing import DTypeLike

from ..engine.fold import FoldedNetwork
from ..errors import ConfigError, MissingWeights, WeightsError
from ..files.atomic import write_json
from ..files.names import (
    CONFIG_NAME,
    INDEX_SUFFIX,
    PROCESSOR_NAME,
    WEIGHTS_NAMES,
)
from ..files.paths import as_path
from ..files.presence import is_file
from ..files.repository import USUAL, Download
from ..files.shipped import shipped
from ..files.strict_json import read_object
from ..network import EfficientFormer
from ..network.configuration import EfficientFormerConfig
from . import hub, quantized, safetensors_file, timm_config
from .assemble import assemble, state_dict
from .dtypes import Tensors, is_floating, name_of
from .infer import infer_config
from .naming import Naming, detect
from .processor import default_processor
from .weights_file import Weights, read_weights, weights_file

if TYPE_CHECKING:
    from ..images.processor import EfficientFormerImageProcessor

DEFAULT = "tiny"
"""The network that comes with npformer."""


Params = TypeVar("Params", bound="EfficientFormer | FoldedNetwork")


@dataclass(frozen=True)
class Checkpoint(Generic[Params]):
    """What `read` returns."""

    config: EfficientFormerConfig
    params: Params
    processor: dict[str, Any]
    """the keys and values of ``preprocessor_config.json``"""
    source: str
    """path of the file of weights"""
    naming: Naming
    """whose names the tensors have in the file"""
    entry: str | None = None
    """under which key the weights are in a PyTorch file; None if it holds nothing else"""
    prefix: str = ""
    """what stands before the names in the file, such as ``"module."`` or ``"_orig_mod."``"""
    processor_is_guessed: bool = False
    """whether no file says how images are preprocessed, so that `processor` is the usual one"""

    def image_processor(self) -> EfficientFormerImageProcessor:
        """Return what preprocesses images for this network.

        Raises
        ------
        ConfigError
            If a setting is impossible; the message names the weights that it was found with.
        """
        from ..images.processor import EfficientFormerImageProcessor  # Pillow takes a while

        try:
            return EfficientFormerImageProcessor.from_dict(self.processor)
        except ConfigError as error:
            raise ConfigError(f"preprocessing of {self.source}: {error}") from error

    def note_of_processor(self) -> str:
        """Say in one line that the preprocessing is guessed, and how to settle it."""
        edge, crop = self.processor["size"]["shortest_edge"], self.processor["crop_size"]
        return (
            f"{self.source}: nothing says how its images are preprocessed; assuming the usual, the "
            f"shorter side resized to {edge} pixels, the middle {crop['height']}×{crop['width']} "
            f"and ImageNet's mean and deviation. To settle it, put a {PROCESSOR_NAME} beside the "
            "weights and name their folder"
        )


def read(
    name_or_path: str | PathLike[str],
    *,
    dtype: DTypeLike = "float32",
    entry: str | None = None,
    config: EfficientFormerConfig | None = None,
) -> Checkpoint[EfficientFormer]:
    """Read a checkpoint.

    Parameters
    ----------
    name_or_path : str or path
        ``"tiny"`` (comes with npformer), ``"l1"``, ``"l3"``, ``"l7"`` or ``"owner/name"`` (from the
        hub or its cache), a folder with weights and usually a ``config.json``, or a file of
        weights.
    dtype : {"float32", "float64", "float16"}
        Of the parameters.
    entry : str, optional
        Which set of weights to read from a PyTorch file that has several, such as ``"model_ema"``.
        If there are several and none is named, a warning says which one was read.
    config : EfficientFormerConfig, optional
        Of the network, where no ``config.json`` says it; by default it is inferred from the
        tensors, which say nothing of ε and of an oblong grid of tokens.

    Returns
    -------
    Checkpoint

    Raises
    ------
    MissingWeights
        If there are no weights at this path, and it is not the name of a network.
    WeightsError
        If the weights are damaged or do not fit the configuration, if they are in eight bits, which
        `read_any` reads, or the dtype is none of these.
    UnsafeCheckpointError
        If reading a file would mean running code.
    ConfigError
        If the configuration is not usable.
    OfflineError
        If weights would have to be downloaded and cannot be.
    OSError
        If a file cannot be read.
    """
    found = open_checkpoint(find(name_or_path), entry, config)
    weights = found.weights
    params = assemble(
        weights.tensors,
        found.config,
        found.naming,
        dtype=dtype,
        distilled=found.distilled,
        source=weights.source,
    )
    found.config.add_imagenet_names()
    if entry is None and weights.others:
        warnings.warn(weights.note_of_others(), stacklevel=2)
    return Checkpoint(
        found.config,
        params,
        found.processor,
        weights.source,
        found.naming,
        weights.entry,
        weights.prefix,
        found.processor_is_guessed,
    )


class Found(NamedTuple):
    """A checkpoint whose tensors are still as they are in the file."""

    config: EfficientFormerConfig
    weights: Weights
    processor: dict[str, Any]
    naming: Naming
    distilled: bool | None
    """True if the configuration requires a distillation head; None if the tensors decide"""
    processor_is_guessed: bool
    """whether no file says how images are preprocessed"""


def open_checkpoint(
    place: Path, entry: str | None = None, config: EfficientFormerConfig | None = None
) -> Found:
    """Read the files of a checkpoint, without building parameters from its tensors.

    Parameters
    ----------
    place : Path
        A folder or a file of weights.
    entry : str, optional
    config : EfficientFormerConfig, optional
        As in `read`.

    Returns
    -------
    Found

    Raises
    ------
    MissingWeights, WeightsError, UnsafeCheckpointError, ConfigError, OSError
        As in `read`.
    """
    weights = read_weights(weights_file(place), entry)
    tensors, source = weights.tensors, weights.source
    folder = place.parent if place.name.endswith(INDEX_SUFFIX) else place
    described = folder / CONFIG_NAME
    values = read_object(described) if is_file(described, ConfigError) else None
    if values is not None and quantized.scheme_of(values, described):
        raise WeightsError(
            f"{source}: the weights are in eight bits, with which npformer classifies, evaluates, "
            "explains and measures; for anything else take the weights that they were made from"
        )
    quantized.refuse_without_scheme(tensors, source)
    naming = detect(tensors, source)
    guessed = True
    if values is None:
        config = config or infer_config(tensors, naming, source)
        processor = default_processor(config, naming)
    else:
        try:
            if timm_config.is_timm(values):
                config = timm_config.read_config(values, tensors, source)
                processor = timm_config.read_processor(values)
                guessed = False
            else:
                config = EfficientFormerConfig.from_dict(values)
                processor = default_processor(config, naming)
        except ConfigError as error:
            raise ConfigError(f"{described}: {error}") from error
    if is_file(folder / PROCESSOR_NAME, ConfigError):
        processor, guessed = read_object(folder / PROCESSOR_NAME), False
    demanded = _CLASSES["distillation_classifier.weight"] in (config.architectures or ())
    return Found(config, weights, processor, naming, True if demanded else None, guessed)


def find(name_or_path: str | PathLike[str], download: Download = USUAL) -> Path:
    """Return the folder or file that a name or path refers to; names take precedence.

    Parameters
    ----------
    name_or_path : str or path
        As in `read`.
    download : Download
        How to download; its subfolder counts for local folders too.

    Raises
    ------
    MissingWeights
        If there is no such path and no such name, or it is an address.
    OfflineError, WeightsError
        If a model is not in the cache and cannot be downloaded, or is not the published one.
    """
    name = fspath(name_or_path)
    if name == DEFAULT:
        return shipped(DEFAULT)
    if name in hub.manifest():
        return hub.locate(name, download)
    path = as_path(name, "the name of a model", MissingWeights, model=True)
    if path.exists():
        return path / download.subfolder
    if hub.is_hub_name(name):
        return hub.locate(name, download)
    raise MissingWeights(
        f"{name}: no such file or folder, and no name of a network; names are "
        f"{', '.join(hub.manifest())} and owner/name of the Hugging Face Hub"
    )


def write(
    folder: str | PathLike[str],
    config: EfficientFormerConfig,
    params: EfficientFormer,
    processor: dict[str, Any] | None = None,
    naming: Naming = "hf",
) -> None:
    """Write a folder that `read` and the library of that naming can read.

    Parameters
    ----------
    folder : str or path
        Created if it does not exist. Each file appears whole or not at all, the weights first.
    config : EfficientFormerConfig
    params : EfficientFormer
    processor : dict, optional
        The keys and values of ``preprocessor_config.json``; by default those that fit the network.
    naming : {"hf", "timm"}
        Whether transformers or timm is to read the folder.

    Raises
    ------
    ConfigError
        If the naming is "original", timm has no such network, or the folder is an address.
    WeightsError
        If the attention biases were resized by "original", which no file can store.
    OSError
        If a file cannot be written.
    """
    write_folder(
        as_path(folder, "the folder to write", ConfigError),
        config,
        state_dict(params, config, naming),
        processor,
        naming,
    )


def write_folder(
    folder: Path,
    config: EfficientFormerConfig,
    tensors: Tensors,
    processor: dict[str, Any] | None,
    naming: Naming,
) -> None:
    """Write renamed tensors and the files that belong beside them.

    Parameters
    ----------
    folder, config, processor, naming
        As in `write`.
    tensors : dict of str to ndarray
        Under the names of `naming`.

    Raises
    ------
    ConfigError, OSError
        As in `write`.
    """
    if naming == "original":
        raise ConfigError(
            f"{folder}: the original's code loads a file, not a folder; name one that ends in .pth"
        )
    processor = processor or default_processor(config, naming)
    floating = [tensor.dtype for tensor in tensors.values() if is_floating(tensor.dtype)]
    if naming == "timm":
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
    """Return the class of transformers to which tensors with Hugging Face's names belong."""
    found = (name for tensor, name in _CLASSES.items() if tensor in tensors)
    return next(found, "EfficientFormerModel")
