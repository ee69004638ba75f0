"""The named networks: tiny, l1, l3, l7, and where the last three were published.

Sources: table 1 of the paper (Li et al. 2022) and the authors' code for l1, l3 and l7; tiny comes
with npformer.
"""

from __future__ import annotations

from typing import Any

VARIANTS: dict[str, dict[str, Any]] = {
    "tiny": {
        "depths": [2, 2, 4, 3], "hidden_sizes": [32, 64, 128, 256], "dim": 256,
        "num_meta3d_blocks": 2, "resolution": 4, "image_size": 128, "layer_norm_eps": 1e-5,
        "layer_scale_init_value": 0.2, "num_labels": 200,
    },
    "l1": {
        "depths": [3, 2, 6, 4], "hidden_sizes": [48, 96, 224, 448], "dim": 448,
        "num_meta3d_blocks": 1, "num_labels": 1000,
    },
    "l3": {
        "depths": [4, 4, 12, 6], "hidden_sizes": [64, 128, 320, 512], "dim": 512,
        "num_meta3d_blocks": 4, "num_labels": 1000,
    },
    "l7": {
        "depths": [6, 6, 18, 8], "hidden_sizes": [96, 192, 384, 768], "dim": 768,
        "num_meta3d_blocks": 8, "num_labels": 1000,
    },
}  # fmt: skip
"""What each variant sets in an `EfficientFormerConfig`; everything else has its default."""

REPOSITORIES = {f"snap-research/efficientformer-{name}-300": name for name in ("l1", "l3", "l7")}
"""Repository on the Hugging Face Hub -> variant."""
