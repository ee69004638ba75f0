"""Which preprocessing belongs to a network whose folder does not say.

The published networks were trained and measured on the central 224 pixels of images whose shorter
side was brought to 256 (the original, ``util/datasets.py``; Hugging Face's processors), and in timm
to 224 / 0.95 = 235 (its ``crop_pct``). Networks for other sizes keep these ratios.
"""

from __future__ import annotations

from typing import Any

from ..network import stage_sizes
from ..network.configuration import EfficientFormerConfig
from .spellings import Spelling

PROCESSOR_NAME = "preprocessor_config.json"

IMAGENET_MEAN = [0.485, 0.456, 0.406]
IMAGENET_STD = [0.229, 0.224, 0.225]
BICUBIC = 3
"""Pillow's number."""


def default_processor(config: EfficientFormerConfig, spelling: Spelling) -> dict[str, Any]:
    """Return the keys of a ``preprocessor_config.json`` for a network.

    Parameters
    ----------
    config : EfficientFormerConfig
    spelling : {"hf", "timm", "original"}
        Where the network comes from.

    Returns
    -------
    dict
    """
    height, width = image_size(config)
    side = min(height, width)
    return {
        "image_processor_type": "EfficientFormerImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": int(side / 0.95) if spelling == "timm" else side * 256 // 224},
        "resample": BICUBIC,
        "do_center_crop": True,
        "crop_size": {"height": height, "width": width},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": IMAGENET_MEAN,
        "image_std": IMAGENET_STD,
    }


def image_size(config: EfficientFormerConfig) -> tuple[int, int]:
    """Return a height and width that a network takes: the configured ones, if it does."""
    size = config.image_size
    height, width = (size, size) if isinstance(size, int) else size
    if not config.num_meta3d_blocks or stage_sizes(height, width, config)[-1] == config.token_grid:
        return height, width
    rows, columns = config.token_grid
    halvings = sum(config.has_downsample(stage) for stage in range(1, len(config.depths)))
    stride = 4 * config.downsample_stride**halvings
    return rows * stride, columns * stride
