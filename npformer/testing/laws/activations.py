"""Laws of the activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..array_strategies import arrays
from .law import Draw, close, law

Layer = Callable[..., Any]


@law("gelu", "relu", "silu")
def activation_of_x_less_that_of_minus_x_is_x(draw: Draw, layer: Layer) -> None:
    """f(x) − f(−x) = x."""
    x = draw(arrays(40, dtype="float64", scale=3.0))
    close(layer(x) - layer(-x), x)


@law("gelu", "relu", "silu")
def activation_passes_what_is_large(draw: Draw, layer: Layer) -> None:
    """A large number passes as it is, and a large negative one becomes 0."""
    x = 40 + np.abs(draw(arrays(10, dtype="float64", scale=3.0)))
    close(layer(x), x)
    close(layer(-x), 0 * x)


@law("sigmoid")
def sigmoid_and_its_mirror_image_sum_to_one(draw: Draw, layer: Layer) -> None:
    """σ(x) + σ(−x) = 1."""
    x = draw(arrays(40, dtype="float64", scale=3.0))
    close(layer(x) + layer(-x), np.ones_like(x))
