"""Where ports are made: the networks that they are ports of, photographs, a folder for files."""

from __future__ import annotations

import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from golden import cases
from PIL import Image

import npformer
from npformer import checkpoints
from npformer.layers import Array
from npformer.network import EfficientFormer, Trace, forward, initialize
from npformer.network.configuration import EfficientFormerConfig

NETWORKS: dict[str, dict[str, Any]] = {
    "small": cases.BASE | {
        "depths": [1, 1, 3], "hidden_sizes": [12, 16, 24], "num_meta3d_blocks": 2, "resolution": 4,
        "num_attention_heads": 3, "key_dim": 6, "layer_norm_eps": 1e-5, "num_labels": 10,
        "image": [1, 64, 64], "library": "timm",
    },
    "deep": cases.BASE | {
        "depths": [2, 1, 2, 2], "hidden_sizes": [8, 16, 24, 32], "num_attention_heads": 4,
        "key_dim": 4, "resolution": 3, "num_labels": 7, "image": [1, 96, 96],
        "library": "transformers",
    },
    # All matrices of the attention and of the heads are square: nothing is told by its shape.
    "square": cases.BASE | {
        "depths": [1, 2], "hidden_sizes": [16, 16], "num_attention_heads": 4, "key_dim": 4,
        "attention_ratio": 1, "mlp_expansion_ratio": 3, "resolution": 4, "num_labels": 16,
        "layer_norm_eps": 1e-5, "image": [1, 32, 32], "library": "timm",
    },
    "oblong": cases.BASE | {
        "depths": [1, 2], "hidden_sizes": [12, 16], "resolution": [3, 5], "num_labels": 6,
        "layer_norm_eps": 1e-5, "image": [1, 24, 40], "library": "timm",
    },
    "alone": cases.BASE | {  # one head
        "depths": [1, 2], "hidden_sizes": [10, 14], "resolution": 4, "num_labels": 9,
        "distilled": False, "image": [1, 32, 32], "library": "transformers",
    },
    "lake": cases.BASE | {  # three blocks on tokens and none on images in the last stage
        "depths": [1, 2, 3], "hidden_sizes": [8, 12, 20], "num_meta3d_blocks": 3, "resolution": 3,
        "key_dim": 8, "attention_ratio": 1, "mlp_expansion_ratio": 3, "layer_norm_eps": 1e-5,
        "num_labels": 12, "image": [1, 48, 48], "library": "timm",
    },
    "hill": cases.BASE | {  # one head for the answer, odd widths
        "depths": [2, 2], "hidden_sizes": [10, 15], "num_attention_heads": 3, "key_dim": 5,
        "resolution": 5, "num_labels": 8, "distilled": False, "image": [1, 40, 40],
        "library": "transformers",
    },
    "reef": cases.BASE | {  # four stages of one block, and one on four tokens
        "depths": [1, 1, 1, 2], "hidden_sizes": [6, 8, 12, 16], "num_attention_heads": 4,
        "key_dim": 3, "attention_ratio": 3, "mlp_expansion_ratio": 3, "resolution": 2,
        "num_labels": 11, "image": [1, 64, 64], "library": "transformers",
    },
    "cove": cases.BASE | {  # a grid of more rows than columns
        "depths": [1, 3], "hidden_sizes": [14, 18], "num_meta3d_blocks": 2, "key_dim": 6,
        "resolution": [4, 2], "layer_norm_eps": 1e-5, "num_labels": 13, "image": [1, 32, 16],
        "library": "timm",
    },
    "l1": cases.FULL["l1"],
}  # fmt: skip
"""Besides ``tiny``, the default weights."""

NEW = "new "
"""Before the name of a network: as before training, where norms and layer scales change nearly
nothing."""

PROCESSOR: dict[str, Any] = {
    "do_resize": True, "resample": 3, "do_center_crop": True, "do_rescale": True,
    "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225], "image_processor_type": "EfficientFormerImageProcessor",
}  # fmt: skip


class Reference(NamedTuple):
    """A network that others are ports of."""

    name: str
    folder: Path
    case: dict[str, Any]
    config: EfficientFormerConfig
    params: EfficientFormer
    """in float32"""

    def pixels(self, seed: int = 0, batch: int = 1) -> Array:
        """Draw preprocessed images, (B, H, W, C), in float32."""
        shape = (batch, *self.config.image_shape, self.config.num_channels)
        smooth = np.random.default_rng(seed).standard_normal(shape).cumsum(1).cumsum(2)
        smooth /= np.abs(smooth).max()  # neighbors resemble each other, as in photographs
        noise = np.random.default_rng(seed + 1).standard_normal(shape)
        return (1.5 * smooth + 0.5 * noise).astype(np.float32)

    def trace(self, pixels: Array) -> Trace:
        """Record every array, with the picture first and the answer last."""
        trace = Trace()
        trace("pixel_values", pixels)
        trace("logits", forward(pixels, self.params, self.config, trace).logits)
        return trace


class Shop:
    """A temporary folder, and references that are made once.

    Parameters
    ----------
    folder : Path, optional
        Where to work; a temporary folder by default.
    """

    def __init__(self, folder: Path | None = None) -> None:
        if folder is None:
            self._temporary = tempfile.TemporaryDirectory()
            folder = Path(self._temporary.name)
        self.folder = folder
        self._references: dict[str, Reference] = {}
        self._orders: dict[str, list[str]] = {}

    def reference(self, name: str) -> Reference:
        """Return a network of `NETWORKS`, or ``tiny``; its folder is written the first time."""
        if name not in self._references:
            self._references[name] = self._make(name)
        return self._references[name]

    def _make(self, name: str) -> Reference:
        if name == "tiny":
            found = checkpoints.read("tiny")
            case = found.config.to_dict() | {"library": "timm"}
            params, config = found.params, found.config
        else:
            case = NETWORKS[name.removeprefix(NEW)]
            config = cases.configuration(case)
            if name.startswith(NEW):
                params = initialize(config, distilled=case.get("distilled", True))
            else:
                params = cases.parameters(case, 0, "float32")
            config.image_size = case["image"][1:]
        height, width = config.image_shape
        processor = PROCESSOR | {
            "size": {"shortest_edge": min(height, width) * 8 // 7},
            "crop_size": {"height": height, "width": width},
        }
        folder = self.folder / name
        checkpoints.write(folder, config, params, processor)
        return Reference(name, folder, case, config, params)

    def order(self, reference: Reference) -> list[str]:
        """Return all paths of a network in the order of computation."""
        if reference.name not in self._orders:
            self._orders[reference.name] = list(reference.trace(reference.pixels()))
        return self._orders[reference.name]

    @cached_property
    def photo(self) -> Path:
        """A photograph whose sides differ by an odd number of pixels, as a file."""
        path = self.folder / "photo.png"
        npformer.data.photograph("coffee").convert("RGB").crop((40, 20, 557, 399)).save(path)
        return path

    def photo_pixels(self, reference: Reference, **changes: Any) -> Array:
        """Preprocess the photograph as the reference does, but for some keys; (1, H, W, C)."""
        processor = npformer.AutoImageProcessor.from_pretrained(reference.folder)
        with Image.open(self.photo) as image:
            found = processor(image, return_tensors="np", **changes)["pixel_values"]
        return np.ascontiguousarray(found.transpose(0, 2, 3, 1))  # (B, C, H, W) -> (B, H, W, C)
