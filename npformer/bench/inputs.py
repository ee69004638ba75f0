"""What is measured: a network, and images for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..checkpoints import read_any
from ..checkpoints.processor import default_processor
from ..engine.fold import FoldedNetwork
from ..errors import ImageError
from ..images.files import photographs_below
from ..images.processor import EfficientFormerImageProcessor
from ..layers import Array
from ..network import EfficientFormer
from ..network.configuration import EfficientFormerConfig
from ..network.params import initialize
from ..network.tree import build
from ..network.variants import VARIANTS


class Measured(NamedTuple):
    """A network to measure."""

    config: EfficientFormerConfig
    params: EfficientFormer | FoldedNetwork
    """folded if in eight bits"""
    processor: dict[str, Any]
    """as in ``preprocessor_config.json``"""


def load_network(model: str, entry: str | None = None) -> Measured:
    """Return a named network with random weights, or the model in a folder.

    Parameters
    ----------
    model : str
    entry : str, optional
        Which weights to read from a PyTorch file that has several.

    Raises
    ------
    WeightsError, ConfigError, OfflineError, MissingPackage
        If the model cannot be read, as in `npformer.load`.
    """
    if model in VARIANTS and entry is None:
        config = EfficientFormerConfig.variant(model)
        return Measured(config, random_weights(config), default_processor(config, "hf"))
    found = read_any(model, entry=entry)
    return Measured(found.config, found.params, found.processor)


def random_weights(config: EfficientFormerConfig, seed: int = 0) -> EfficientFormer:
    """Return weights with which every layer affects the logits, so that comparing them is a test.

    With the usual initial weights, layer scales near 0 would hide most blocks.
    """
    rng = np.random.default_rng(seed)

    def fill(path: str, leaf: Array) -> Array:
        kind = path.rsplit(".", 1)[-1]
        if kind in ("gamma", "running_var") or (kind == "weight" and leaf.ndim == 1):
            array = rng.uniform(0.5, 1.5, leaf.shape)
        elif leaf.ndim == 1 or kind == "attention_biases":
            array = rng.standard_normal(leaf.shape) * 0.1
        else:
            array = rng.standard_normal(leaf.shape) / np.sqrt(np.prod(leaf.shape[:-1]))
        return array.astype(np.float32)

    return build(fill, initialize(config))


def random_images(config: EfficientFormerConfig, count: int) -> Array:
    """Return images of a network's size, (count, H, W, C), float32."""
    shape = (count, *config.image_shape, config.num_channels)
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


def photographs(network: Measured, folder: str, most: int) -> Array:
    """Return the photographs of a folder as a network sees them, (B, H, W, C), float32.

    Parameters
    ----------
    network : Measured
    folder : str
        Its sub-folders count. The photographs are taken at equal distances in the list of all.
    most : int
        How many to read at the most.

    Raises
    ------
    ImageError
        If there are no photographs, or one cannot be read.
    OSError
        If a file cannot be read.
    """
    paths = photographs_below(Path(folder))
    if not paths:
        raise ImageError(f"{folder}: found no photographs; expected a folder with some")
    processor = EfficientFormerImageProcessor.from_dict(network.processor)
    chosen = [paths[i * len(paths) // most] for i in range(most)] if len(paths) > most else paths
    return np.stack([processor.pixels(path) for path in chosen])
