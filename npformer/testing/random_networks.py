"""Parameters with which every layer of a network counts.

In a new network the layer scales are 1e-5 and the statistics of batch norms are 0 and 1, so that a
fault inside a block hides behind the residual connection.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..layers import Array
from ..network import EfficientFormer
from ..network.configuration import EfficientFormerConfig
from ..network.params import param_specs
from ..network.tree import build


def random_network(
    config: EfficientFormerConfig,
    seed: int = 0,
    dtype: str = "float32",
    distilled: bool = True,
    gamma: tuple[float, float] = (0.5, 1.0),
) -> EfficientFormer:
    """Make parameters with which every layer of a network counts.

    Parameters
    ----------
    config : EfficientFormerConfig
    seed : int
        The same seed gives the same parameters.
    dtype : str
    distilled : bool
        Whether there is a second head.
    gamma : pair of float
        Between which numbers the layer scales lie.

    Returns
    -------
    EfficientFormer

    Raises
    ------
    ConfigError
        If no network can have this configuration.
    """
    rng = np.random.default_rng(seed)

    def fill(path: str, leaf: Any) -> Array:
        kind, shape = path.rsplit(".", 1)[-1], leaf.shape
        if kind == "gamma":
            array = rng.uniform(*gamma, shape)
        elif kind == "running_var" or (kind == "weight" and len(shape) == 1):
            array = rng.uniform(0.5, 1.5, shape)
        elif len(shape) == 1 or kind == "attention_biases":
            array = rng.standard_normal(shape) * 0.3
        else:
            array = rng.standard_normal(shape) / np.sqrt(np.prod(shape[:-1]))
        return array.astype(dtype)

    return build(fill, param_specs(config, distilled))
