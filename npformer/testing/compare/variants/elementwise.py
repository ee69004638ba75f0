"""Mistakes in activations, layer scale, residual connections and the average of both heads."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ....layers import ACTIVATIONS, Array, LayerScale
from ....network.configuration import EfficientFormerConfig
from ...steps import Step

TANH = ("gelu_new", "gelu_fast", "gelu_pytorch_tanh", "gelu_accurate")
"""GELU by its tanh approximation, as transformers calls it."""


def activation_mistakes(
    step: Step, inputs: list[Array], _: EfficientFormerConfig
) -> Iterator[tuple[str, Array]]:
    """Another activation, or none."""
    (x,), name = inputs, step.options["name"]
    if name not in TANH:
        for other in TANH:
            if other in ACTIVATIONS:
                yield "gelu_tanh", ACTIVATIONS[other](x)
    yield "activation", x
    for other in ("relu", "gelu", "silu", "quick_gelu", *ACTIVATIONS):
        if other != name and other not in TANH:
            yield "activation", ACTIVATIONS[other](x)
    for slope in (0.1, 0.2, 0.3):
        yield "activation", np.where(x > 0, x, slope * x)
    yield "activation", x * np.clip(x + 3, 0, 6) / 6
    yield "activation", np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def layer_scale_mistakes(
    step: Step, inputs: list[Array], config: EfficientFormerConfig
) -> Iterator[tuple[str, Array]]:
    """Left out, or as before training."""
    (x,), p = inputs, step.params
    assert isinstance(p, LayerScale)
    yield "layer_scale_missing", x
    yield "the layer scale is applied twice", x * p.gamma * p.gamma
    yield "activation", np.maximum(x * p.gamma, 0)
    for start in {config.layer_scale_init_value, 1e-5, 1e-6, 1e-4, 0.1}:
        if not np.all(p.gamma == start):
            yield "random_start", x * start


def residual_mistakes(
    _: Step, inputs: list[Array], __: EfficientFormerConfig
) -> Iterator[tuple[str, Array]]:
    """The branch alone, or without it."""
    x, branch = inputs
    yield "residual_missing", branch
    yield "residual_missing", x


def average_mistakes(
    _: Step, inputs: list[Array], __: EfficientFormerConfig
) -> Iterator[tuple[str, Array]]:
    """One head alone, or the sum of both."""
    head, dist = inputs
    yield "heads_not_averaged", head
    yield "heads_not_averaged", dist
    yield "heads_not_averaged", head + dist
