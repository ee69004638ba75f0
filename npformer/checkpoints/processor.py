"""The usual preprocessing of a network whose folder does not describe it.

The published networks were trained and evaluated on the central 224 pixels of images whose shorter
side was resized to 256 (the original, ``util/datasets.py``; Hugging Face's processors), and in timm
to 224 / 0.95 = 235 (its ``crop_pct``). Networks for other sizes keep these ratios.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..images.settings import IMAGENET_MEAN, IMAGENET_STD
from ..network import stage_sizes
from ..network.configuration import EfficientFormerConfig
from .naming import Naming

BICUBIC = 3
"""Pillow's number."""


def default_processor(config: EfficientFormerConfig, naming: Naming) -> dict[str, Any]:
    """Return the keys of a ``preprocessor_config.json`` for a network.

    Parameters
    ----------
    config : EfficientFormerConfig
    naming : {"hf", "timm", "original"}
        Where the network comes from.

    Returns
    -------
    dict
    """
    height, width = image_size(config)
    side = min(height, width)
    edge = int(side / 0.95) if naming == "timm" else side * 256 // 224
    return processor_keys({"shortest_edge": edge}, (height, width))


def processor_keys(
    size: dict[str, int],
    crop_size: tuple[int, int],
    resample: int = BICUBIC,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
) -> dict[str, Any]:
    """Return the keys of a ``preprocessor_config.json`` that resizes, crops and normalizes.

    Parameters
    ----------
    size : dict
        ``{"shortest_edge": s}``, or ``{"height": h, "width": w}``, in pixels.
    crop_size : pair of int
        Height and width, in pixels.
    resample : int
        Pillow's number of the filter.
    mean, std : sequence of float
        Of each color, for values from 0 to 1.

    Returns
    -------
    dict
    """
    height, width = crop_size
    return {
        "image_processor_type": "EfficientFormerImageProcessor",
        "do_resize": True,
        "size": size,
        "resample": resample,
        "do_center_crop": True,
        "crop_size": {"height": height, "width": width},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(mean),
        "image_std": list(std),
    }


def image_size(config: EfficientFormerConfig) -> tuple[int, int]:
    """Return a height and width that a network accepts: the configured ones, if possible."""
    height, width = config.image_shape
    if not config.num_meta3d_blocks or stage_sizes(height, width, config)[-1] == config.token_grid:
        return height, width
    rows, columns = config.token_grid
    halvings = sum(config.has_downsample(stage) for stage in range(1, len(config.depths)))
    stride = 4 * config.downsample_stride**halvings
    return rows * stride, columns * stride
