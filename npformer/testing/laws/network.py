"""Laws of the network as a whole: ``network(pixel_values, params, config)`` returns logits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...engine.fold import fold, folded_forward
from ...layers import Array
from ...network import EfficientFormer
from ...network.configuration import EfficientFormerConfig
from ...network.tree import build
from ..network_strategies import networks
from .law import Draw, law

Network = Callable[[Array, EfficientFormer, EfficientFormerConfig], Array]


def _close(found: Array, expected: Array) -> None:
    """Assert that logits differ by no more than rounding in a small network."""
    double = found.dtype == np.float64
    limit = (1e-9 if double else 1e-3) * np.abs(expected).max(initial=1.0)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=limit)


@law("network")
def folding_changes_nothing(draw: Draw, network: Network) -> None:
    """The network with its norms and scales folded into its matrices gives the same logits."""
    params, config, pixels = draw(networks("float64"))
    _close(
        network(pixels, params, config), folded_forward(pixels, fold(params, config), config).logits
    )


@law("network")
def images_stand_alone(draw: Draw, network: Network) -> None:
    """What becomes of an image does not depend on the others of its batch."""
    params, config, pixels = draw(networks("float64"))
    batch = np.concatenate([pixels, -pixels])
    together = network(batch, params, config)
    for i in range(len(batch)):
        _close(network(batch[i : i + 1], params, config), together[i : i + 1])


@law("network")
def two_heads_are_averaged(draw: Draw, network: Network) -> None:
    """The logits of a network with two heads are the mean of those with either alone."""
    params, config, pixels = draw(networks("float64"))
    one = params._replace(head_dist=None)
    other = params._replace(head=params.head_dist, head_dist=None)
    if params.head_dist is not None:
        both = (network(pixels, one, config) + network(pixels, other, config)) / 2
        _close(network(pixels, params, config), both)


@law("network")
def closed_blocks_do_nothing(draw: Draw, network: Network) -> None:
    """With all layer scales at 0, blocks do nothing: their other parameters do not matter."""
    params, config, pixels = draw(networks("float64"))
    if not config.use_layer_scale:
        return
    closed = _without_blocks(params, 0.0)
    _close(network(pixels, closed, config), network(pixels, _without_blocks(closed, 1.0), config))


def _without_blocks(params: EfficientFormer, fill: float) -> EfficientFormer:
    """Close the branches of all blocks by layer scales of 0; with 1, change their MLPs too."""

    def change(path: str, leaf: Array) -> Array:
        if path.endswith("gamma"):
            return np.zeros_like(leaf)
        return leaf + fill if ".mlp.fc1.weight" in path else leaf

    return build(change, params)
