"""The small networks of the test vectors: each option of a configuration away from its default."""

from __future__ import annotations

from typing import Any, NamedTuple

from ...layers import Array
from ...network import EfficientFormer, EfficientFormerConfig
from ...network.params import param_specs
from .drawing import numbers, parameters

_SMALL: dict[str, Any] = {
    "key_dim": 4, "attention_ratio": 2, "num_attention_heads": 2, "mlp_expansion_ratio": 2,
    "num_labels": 5, "layer_norm_eps": 1e-5,
}  # fmt: skip


class Network(NamedTuple):
    """A network and its input."""

    name: str
    comment: str
    config: EfficientFormerConfig
    params: EfficientFormer
    images: Array
    """(B, H, W, C)"""
    training: bool
    """whether batch norm uses the statistics of the batch"""


def networks() -> list[Network]:
    """Return every small network."""
    usual = {"depths": [1, 1, 2], "hidden_sizes": [8, 6, 8], "resolution": 3}
    return [
        _network("usual", "as published, but small; sides that are no multiple of 4",
                 usual, (2, 37, 45)),
        _network("training", "the same, batch norms with the statistics of the batch; no dropout",
                 usual, (2, 37, 45), training=True),
        _network("transformers", "transformers' ε of the layer norms, 1e-12; two attention blocks",
                 {"depths": [1, 3], "hidden_sizes": [6, 8], "num_meta3d_blocks": 2,
                  "resolution": 3, "num_attention_heads": 3, "attention_ratio": 4,
                  "layer_norm_eps": 1e-12}, (2, 21, 23)),
        _network("pooling", "no attention, no layer scale, one head; windows of 5 pixels",
                 {"depths": [1, 2], "hidden_sizes": [8, 6], "num_meta3d_blocks": 0, "pool_size": 5,
                  "use_layer_scale": False, "mlp_expansion_ratio": 1.5, "resolution": 4},
                 (1, 27, 26), distilled=False),
        _network("options", "a stage without downsampling, another activation and ε, wide values",
                 {"depths": [1, 1, 2], "hidden_sizes": [6, 6, 12],
                  "downsamples": [False, True, True], "num_meta3d_blocks": 2, "key_dim": 6,
                  "num_attention_heads": 3, "attention_ratio": 1.5, "mlp_expansion_ratio": 3,
                  "hidden_act": "gelu_new", "resolution": 2, "batch_norm_eps": 1e-3}, (2, 13, 15)),
        _network("window", "another window between stages; one color; no head: pooled features",
                 {"depths": [1, 1], "hidden_sizes": [8, 6], "downsample_patch_size": 5,
                  "downsample_stride": 3, "num_channels": 1, "num_labels": 0, "resolution": 3},
                 (2, 39, 37), distilled=False),
        _network("oblong", "a grid of tokens that is not square",
                 {"depths": [1, 2], "hidden_sizes": [6, 8], "resolution": [2, 3]}, (2, 12, 20)),
    ]  # fmt: skip


def _network(
    name: str,
    comment: str,
    values: dict[str, Any],
    images: tuple[int, ...],
    training: bool = False,
    distilled: bool = True,
) -> Network:
    width = values["hidden_sizes"][-1]
    config = EfficientFormerConfig(**(_SMALL | {"dim": width, "image_size": images[1:]} | values))
    params = parameters(f"network/{name}", param_specs(config, distilled))
    x = numbers(f"network/{name}/pixel_values", (*images, config.num_channels), -2, 2)
    return Network(name, comment, config, params, x, training)
