"""A network in eight bits: a quarter of the memory, and faster."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

import numpy as np

from .classification import Classifier, Image, load
from .engine.compensate import quantize_compensated
from .engine.fold import FoldedNetwork
from .errors import ConfigError, ImageError
from .files.paths import as_path
from .hf.modeling import model_class
from .images.dead_leaves import dead_leaves
from .images.files import photographs_below
from .layers import Array

PICTURES = 32
"""How many pictures of dead leaves stand in for photographs."""
PHOTOGRAPHS = 64
"""How many photographs of a folder are used, at the most: more hardly change a weight."""


def quantize(
    model: str | PathLike[str] | Classifier = "tiny",
    photographs: str | PathLike[str] | Sequence[Image] | None = None,
    *,
    engine: str = "auto",
    entry: str | None = None,
) -> Classifier:
    """Put the weights of a network into eight bits.

    Parameters
    ----------
    model : str, path or Classifier
        As in `load`, or what it returned.
    photographs : str, path or sequence of images, optional
        Photographs such as the network is to classify, without labels: a folder, of which it takes
        64 at equal distances, or a list. The weights are rounded so that errors make up for one
        another on them. By default pictures of nothing (`npformer.images.dead_leaves`) stand in.
    engine : {"auto", "numba", "numpy"}
        What is to compute, as in `load`.
    entry : str, optional
        Which weights to read if `model` is a PyTorch file that has several, as in `load`.

    Returns
    -------
    Classifier
        Its method ``save`` writes a folder.

    Raises
    ------
    ConfigError
        If the model is in eight bits already, or not in float32.
    ImageError
        If there are no photographs, or one cannot be read, or the folder is an address.
    MissingWeights, WeightsError, UnsafeCheckpointError, OfflineError, OSError
        As in `load`.

    Examples
    --------
    >>> npformer.quantize("tiny", "photographs").save("tiny-int8")  # doctest: +SKIP
    """
    if not isinstance(model, Classifier):
        model = load(model, engine="numpy", entry=entry)
    params, config = model.params, model.config
    if isinstance(params, FoldedNetwork):
        raise ConfigError("the model is in eight bits already; expected one in float32")
    if params.norm.weight.dtype != "float32":
        raise ConfigError(f"the model is {params.norm.weight.dtype}; expected float32")
    if photographs is None:
        x = dead_leaves(PICTURES, *config.image_shape, config.num_channels)
    else:
        x = calibration_images(model, photographs)
    quantized = quantize_compensated(params, config, x)
    return Classifier(model_class(quantized)(config, quantized, engine=engine), model.processor)


def calibration_images(
    model: Classifier, photographs: str | PathLike[str] | Sequence[Image]
) -> Array:
    """Return photographs as a network sees them, (B, H, W, C₀).

    Raises
    ------
    ImageError
        If there are none, or one cannot be read, or the folder is an address.
    """
    images: Sequence[Image]
    if isinstance(photographs, (str, PathLike)):
        paths = photographs_below(as_path(photographs, "photographs", ImageError))
        count = min(len(paths), PHOTOGRAPHS)
        images = [paths[i * len(paths) // count] for i in range(count)]
    else:
        images = photographs
    if not len(images):
        where = f"{photographs}: " if isinstance(photographs, (str, PathLike)) else ""
        raise ImageError(f"{where}found no photographs; expected at least one")
    return np.stack([model.processor.pixels(image) for image in images])
