"""What a model is made of, read from a checkpoint by the arguments of ``from_pretrained``."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

from .. import checkpoints
from ..engine.fold import FoldedNetwork
from ..errors import ConfigError
from ..files.repository import Download
from ..network import EfficientFormer
from ..network.configuration import EfficientFormerConfig
from ..network.hf_arguments import LOAD_MODEL, settle
from ..network.resizing import Method, resize
from .heads import with_fitting_heads
from .module import chosen_dtype


def read_pretrained(
    source: str | PathLike[str],
    *,
    config: EfficientFormerConfig | str | PathLike[str] | None = None,
    dtype: Any = None,
    torch_dtype: Any = None,
    image_size: int | Sequence[int] | None = None,
    method: Method = "offsets",
    ignore_mismatched_sizes: bool = False,
    seed: int = 0,
    entry: str | None = None,
    **options: Any,
) -> tuple[EfficientFormerConfig, EfficientFormer | FoldedNetwork]:
    """Read what a model is made of.

    Parameters
    ----------
    source : str or path
        As in `EfficientFormerPreTrainedModel.from_pretrained`.
    config : EfficientFormerConfig, str or path, optional
        Instead of the configuration beside the weights; a name or path is read by
        `EfficientFormerConfig.from_pretrained`.
    dtype, torch_dtype : {"float32", "float64", "float16"}, optional
        Type of the weights, and of all results; objects of PyTorch and NumPy are understood.
    image_size : int or pair of int, optional
        Side, or height and width, in pixels, to use images of another size than the weights were
        trained for; the attention biases are interpolated.
    method : {"offsets", "original"}
        How to interpolate; see `npformer.network.resizing`.
    ignore_mismatched_sizes : bool
        Whether heads that are missing, or have another number of classes, are replaced by random
        ones; otherwise they are an error.
    seed : int
        Seed of random heads.
    entry : str, optional
        Which weights to read from a PyTorch file that has several, such as ``"model_ema"``.
    **options
        How to download (`npformer.files.repository.Download`), other arguments of transformers
        (`npformer.network.hf_arguments`), and changes of the configuration.

    Returns
    -------
    config : EfficientFormerConfig
    params : EfficientFormer or FoldedNetwork
        The latter if the checkpoint is in eight bits.

    Raises
    ------
    MissingWeights, WeightsError, UnsafeCheckpointError, OfflineError, ConfigError, TypeError
        As in `EfficientFormerPreTrainedModel.from_pretrained`.
    """
    changes = settle("from_pretrained", options, LOAD_MODEL)
    download = Download.take(changes)
    place = checkpoints.folder.find(source, download)
    wanted = None if dtype is torch_dtype is None else str(chosen_dtype(dtype, torch_dtype))
    found = checkpoints.read_any(place, dtype=wanted, entry=entry)
    params = found.params
    if isinstance(params, FoldedNetwork):
        if config is not None or changes or image_size is not None or ignore_mismatched_sizes:
            raise ConfigError(
                f"{place}: the weights are in eight bits, and a network in eight bits stays as it "
                "is; change the one that it was made from, and quantize that"
            )
        return found.config, params
    if config is None:
        config = found.config
    elif not isinstance(config, EfficientFormerConfig):
        config = EfficientFormerConfig.from_pretrained(config, **download._asdict())
    for name in changes:
        if not hasattr(config, name):
            raise TypeError(
                f"{name!r} is neither an argument of from_pretrained nor a key of the configuration"
            )
    if changes:
        config = EfficientFormerConfig.from_dict(config.to_dict(), **changes)
    if image_size is not None:
        params, config = resize(params, config, image_size, method)
    if ignore_mismatched_sizes:
        params = with_fitting_heads(params, config, seed)
    return config, params
