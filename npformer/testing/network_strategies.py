"""Hypothesis strategies for small networks, whose every part matters."""

from __future__ import annotations

import numpy as np

from ..files.optional import optional
from ..layers import Array
from ..network import EfficientFormer
from ..network.configuration import EfficientFormerConfig

with optional("hypothesis", "drawing test data", "npformer[testing]"):
    from hypothesis import strategies as st

from .array_strategies import seeds, sizes
from .random_networks import random_network


@st.composite
def configurations(draw: st.DrawFn) -> EfficientFormerConfig:
    """Draw the configuration of a small network, with every kind of block or without.

    Images of its ``image_size`` end on the grid that its attention biases are for.

    Returns
    -------
    strategy of EfficientFormerConfig
    """
    stages = draw(sizes(1, 3))
    hidden = [draw(sizes(2, 6)) for _ in range(stages)]
    depths = [draw(st.integers(0, 2)) for _ in range(stages)]
    downsamples = [draw(st.booleans()) for _ in range(stages)]
    halvings = 2 + sum(
        down or narrow != wide
        for down, narrow, wide in zip(downsamples, hidden, hidden[1:], strict=False)
    )
    rows, columns = draw(sizes(1, 3)), draw(sizes(1, 3))
    below = draw(st.integers(0, 2**halvings - 1))  # the last windows may reach over the border
    return EfficientFormerConfig(
        depths=depths,
        hidden_sizes=hidden,
        downsamples=downsamples,
        dim=hidden[-1],
        num_meta3d_blocks=draw(st.integers(0, depths[-1])),
        num_attention_heads=draw(sizes(1, 3)),
        key_dim=draw(sizes(1, 4)),
        attention_ratio=draw(st.sampled_from([1, 2, 4])),
        mlp_expansion_ratio=draw(st.sampled_from([1, 2, 4])),
        resolution=(rows, columns),
        image_size=(rows * 2**halvings - below, columns * 2**halvings - below),
        num_channels=draw(st.sampled_from([3, 1])),
        pool_size=draw(st.sampled_from([3, 1, 5])),
        use_layer_scale=draw(st.booleans()),
        hidden_act=draw(st.sampled_from(["gelu", "relu", "silu", "gelu_new"])),
        layer_norm_eps=draw(st.sampled_from([1e-5, 1e-12])),
        num_labels=draw(st.sampled_from([2, 5, 0])),
    )


@st.composite
def networks(
    draw: st.DrawFn, dtype: str = "float32"
) -> tuple[EfficientFormer, EfficientFormerConfig, Array]:
    """Draw a small network with images for it.

    Parameters
    ----------
    dtype : str

    Returns
    -------
    strategy of (params, config, pixel_values)
        What `npformer.network.forward` takes, in another order: images (B, H, W, C) come last.
    """
    config = draw(configurations())
    distilled = draw(st.booleans())
    params = random_network(config, draw(seeds), dtype, distilled)
    shape = (draw(sizes(1, 2)), *config.image_shape, config.num_channels)
    pixels = np.random.default_rng(draw(seeds)).standard_normal(shape)
    return params, config, pixels.astype(dtype)
