"""Little photographs and little networks to train, for the tests of learning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from npformer import checkpoints
from npformer.network.configuration import EfficientFormerConfig
from npformer.network.params import initialize

COLORS = {"lime": (40, 200, 40), "plum": (150, 40, 150), "sky": (60, 120, 230)}
SIZE = 16


def photographs(root: Path, count: int = 6, classes: tuple[str, ...] = ("lime", "plum")) -> Path:
    """Make a folder of noisy pictures, whose color tells the class."""
    rng = np.random.default_rng(5)
    for name in classes:
        (root / name).mkdir(parents=True)
        for i in range(count):
            noise = rng.integers(-40, 40, (20 + i, 24, 3))
            pixels = np.clip(noise + COLORS[name], 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


def network(folder: Path, classes: int = 4) -> Path:
    """Write a network of one pooling and one attention block for images of 16 pixels."""
    config = EfficientFormerConfig(
        depths=[1, 1], hidden_sizes=[4, 8], dim=8, downsamples=[True], key_dim=4,
        attention_ratio=2, num_attention_heads=2, mlp_expansion_ratio=2, resolution=2,
        image_size=SIZE, num_labels=classes, initializer_range=0.2, layer_scale_init_value=0.5,
    )  # fmt: skip
    checkpoints.write(folder, config, initialize(config, seed=3))
    return folder
