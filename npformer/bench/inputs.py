"""What is measured: a network, and images for it."""

from __future__ import annotations

import numpy as np

from ..checkpoints import read
from ..layers import Array
from ..network import EfficientFormer
from ..network.configuration import EfficientFormerConfig
from ..network.params import initialize
from ..network.tree import build
from ..network.variants import VARIANTS


def load_network(
    model: str, entry: str | None = None
) -> tuple[EfficientFormerConfig, EfficientFormer]:
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
        return config, random_weights(config)
    found = read(model, entry=entry)
    return found.config, found.params


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
