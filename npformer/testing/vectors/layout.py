"""npformer's axes, or those of PyTorch.

                            channels_last (npformer)    channels_first (PyTorch)
    images                  (B, H, W, C)                (B, C, H, W)
    weight, convolution     (kh, kw, C_in, C_out)       (C_out, C_in, kh, kw)
    weight, linear          (C_in, C_out)               (C_out, C_in)
    attention biases        (heads, rows, columns)      (heads, rows·columns)

Everything else is the same in both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias, get_args

import numpy as np

from ...layers import Array

Layout: TypeAlias = Literal["channels_first", "channels_last"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)

Arrange: TypeAlias = Callable[[Array], Array]
"""Gives an array the axes of a layout."""


def arrange_parameter(path: str, layout: Layout) -> Arrange:
    """Return what gives a parameter, or its gradient, the axes of a layout."""
    if layout == "channels_last":
        return np.asarray
    if path.endswith("attention_biases"):
        return lambda a: a.reshape(len(a), -1)  # (heads, rows, columns) -> (heads, rows·columns)
    # (C_in, C_out) -> (C_out, C_in), (kh, kw, C_in, C_out) -> (C_out, C_in, kh, kw)
    return lambda a: np.moveaxis(a, [-1, -2], [0, 1]) if a.ndim > 1 else a


def arrange_images(layout: Layout) -> Arrange:
    """Return what gives images the axes of a layout; other arrays stay as they are."""
    if layout == "channels_last":
        return np.asarray
    return lambda a: np.moveaxis(a, -1, 1) if a.ndim == 4 else a  # (B, H, W, C) -> (B, C, H, W)
