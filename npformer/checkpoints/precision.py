"""Read a checkpoint in the numbers that it is in, or in others: real ones, or eight bits."""

from __future__ import annotations

from os import PathLike

from ..engine.fold import FoldedNetwork
from ..engine.quantize import quantize
from ..errors import ConfigError, MissingWeights, WeightsError
from ..files.names import CONFIG_NAME, PROCESSOR_NAME, WEIGHTS_NAMES
from ..files.presence import is_file
from ..files.strict_json import read_object
from ..network import EfficientFormer
from ..network.configuration import EfficientFormerConfig
from . import quantized, safetensors_file
from .folder import Checkpoint, find, read
from .processor import default_processor


def read_any(
    name_or_path: str | PathLike[str], *, dtype: str | None = None, entry: str | None = None
) -> Checkpoint[EfficientFormer] | Checkpoint[FoldedNetwork]:
    """Read a checkpoint whose weights may be in eight bits.

    Parameters
    ----------
    name_or_path, entry
        As in `read`.
    dtype : {"float32", "float64", "float16", "int8"}, optional
        Of the parameters; ``"int8"`` rounds each weight to the nearest. By default what the
        checkpoint is in: eight bits, or else float32.

    Returns
    -------
    Checkpoint
        Its parameters are a `FoldedNetwork` in eight bits, or an `EfficientFormer`.

    Raises
    ------
    WeightsError
        As in `read`; also if the weights are in eight bits and another dtype is asked for.
    MissingWeights, UnsafeCheckpointError, ConfigError, OfflineError, OSError
        As in `read`.
    """
    place = find(name_or_path)
    described = place / CONFIG_NAME
    values = read_object(described) if is_file(described, ConfigError) else {}
    if not quantized.scheme_of(values, described):
        found = read(place, dtype="float32" if dtype in (None, "int8") else dtype, entry=entry)
        if dtype != "int8":
            return found
        return Checkpoint(**(vars(found) | {"params": quantize(found.params, found.config)}))
    if dtype not in (None, "int8"):
        raise WeightsError(
            f"{place}: dtype is {dtype!r} and the weights are in eight bits, from which there is "
            "no way back; expected 'int8', or the weights that they were made from"
        )
    if entry is not None:
        raise WeightsError(f"{place}: weights in eight bits have no entry {entry!r}")
    file = place / WEIGHTS_NAMES[0]
    if not is_file(file, MissingWeights):
        raise MissingWeights(f"{file}: no such file, and {CONFIG_NAME} says the weights are there")
    tensors, _ = safetensors_file.read(file)
    try:
        config = EfficientFormerConfig.from_dict(
            {key: value for key, value in values.items() if key != quantized.KEY}
        )
    except ConfigError as error:
        raise ConfigError(f"{described}: {error}") from error
    params = quantized.assemble(tensors, config, str(file))
    config.add_imagenet_names()
    guessed = not is_file(place / PROCESSOR_NAME, ConfigError)
    processor = default_processor(config, "hf") if guessed else read_object(place / PROCESSOR_NAME)
    return Checkpoint(config, params, processor, str(file), "timm", processor_is_guessed=guessed)
