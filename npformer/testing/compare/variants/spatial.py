"""Mistakes in pooling, in the step from pixels to tokens, and in the mean over tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ....layers import Array, average_pool
from ....layers.pooling import window_sum
from ...steps import Step


def pool_mistakes(step: Step, inputs: list[Array], _: Any) -> Iterator[tuple[str, Array]]:
    """Padding counted, another border, another window, the largest instead of the mean."""
    (x,), size = inputs, step.options["size"]
    pad = size // 2
    yield "pooling_counts_padding", window_sum(x, size) / size**2
    pads = ((0, 0), (pad, pad), (pad, pad), (0, 0))
    for mode in ("edge", "reflect", "symmetric", "wrap"):
        if min(x.shape[1:3]) > pad:
            padded = np.pad(x, pads, mode=mode)
            yield "padding", window_sum(padded, size)[:, pad:-pad, pad:-pad] / size**2 if pad else x
    lowest = np.pad(x, pads, constant_values=-np.inf)
    yield (
        "the largest of each window is taken, not the mean",
        sliding_window_view(lowest, (size, size), (1, 2)).max((-2, -1)),
    )
    for other in (1, 3, 5, 7):
        if other != size:
            yield f"the pooling takes windows of {other} pixels, not {size}", average_pool(x, other)
    yield "the windows are summed, not averaged", window_sum(x, size)
    yield "the mean of the whole image is taken", x.mean((1, 2), keepdims=True) + 0 * x


def subtract_mistakes(step: Step, inputs: list[Array], _: Any) -> Iterator[tuple[str, Array]]:
    """The input not subtracted, or the other way round."""
    pooled, x = inputs
    yield "pooling_keeps_input", pooled
    yield "the pooling is subtracted from its input, not the reverse", x - pooled
    yield "the input is added to the pooling, not subtracted", pooled + x


def flat_mistakes(step: Step, inputs: list[Array], _: Any) -> Iterator[tuple[str, Array]]:
    """Channels first reshaped as if they were last; columns before rows."""
    (x,) = inputs
    B, H, W, C = x.shape
    first = np.ascontiguousarray(np.moveaxis(x, -1, 1))
    yield "flatten_order", first.reshape(B, H * W, C)
    yield "token_order", x.swapaxes(1, 2).reshape(B, H * W, C)
    for turned in (x[:, ::-1, ::-1], x[:, ::-1], x[:, :, ::-1]):
        yield "token_order", turned.reshape(B, H * W, C)


def mean_mistakes(step: Step, inputs: list[Array], _: Any) -> Iterator[tuple[str, Array]]:
    """One token, the largest, or the sum."""
    (x,) = inputs
    yield "the first token is taken, not the mean of all", x[:, 0]
    yield "the largest of the tokens is taken, not their mean", x.max(1)
    yield "the tokens are summed, not averaged", x.sum(1)
    yield "the last token is taken, not the mean of all", x[:, -1]
    yield "the first token is left out of the mean", x[:, 1:].mean(1)
    yield "the middle token is taken, not the mean of all", x[:, x.shape[1] // 2]
