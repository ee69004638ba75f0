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
    sides = ((0, 0), (pad, pad), (pad, pad), (0, 0))
    for mode in ("edge", "reflect", "symmetric", "wrap"):
        if min(x.shape[1:3]) > pad:
            padded = np.pad(x, sides, mode=mode)
            yield "padding", window_sum(padded, size)[:, pad:-pad, pad:-pad] / size**2 if pad else x
    for outside in (-np.inf, 0.0):
        padded = np.pad(x, sides, constant_values=outside)
        yield "pooling_other", sliding_window_view(padded, (size, size), (1, 2)).max((-2, -1))
    for outside in (np.inf, 0.0):
        padded = np.pad(x, sides, constant_values=outside)
        yield "pooling_other", sliding_window_view(padded, (size, size), (1, 2)).min((-2, -1))
    for other in (1, 3, 5, 7):
        if other != size:
            yield "pooling_other", average_pool(x, other)
    for pads in ((0, 1), (1, 0)):  # windows of two pixels
        padded = np.pad(x, ((0, 0), pads, pads, (0, 0)))
        inside = np.pad(np.ones((1, *x.shape[1:3], 1)), ((0, 0), pads, pads, (0, 0)))
        total, count = (
            sliding_window_view(a, (2, 2), (1, 2)).sum((-2, -1)) for a in (padded, inside)
        )
        yield "pooling_other", total / count
        yield "pooling_other", total / 4
    if size % 2:
        windows = sliding_window_view(np.pad(x, sides, mode="edge"), (size, size), (1, 2))
        yield "pooling_other", np.median(windows, (-2, -1))
    yield "pooling_other", window_sum(x, size)
    yield "pooling_other", x.mean((1, 2), keepdims=True) + 0 * x


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
    yield "flatten_order", x.reshape(B, C, H * W).swapaxes(1, 2)  # as if channels were first
    yield "token_order", x.swapaxes(1, 2).reshape(B, H * W, C)
    for turned in (x[:, ::-1, ::-1], x[:, ::-1], x[:, :, ::-1]):
        yield "token_order", turned.reshape(B, H * W, C)


def mean_mistakes(step: Step, inputs: list[Array], _: Any) -> Iterator[tuple[str, Array]]:
    """One token, the largest, the middle one, or the sum."""
    (x,) = inputs
    yield "mean_missing", x[:, 0]
    yield "mean_missing", x.max(1)
    yield "mean_missing", x.min(1)
    yield "mean_missing", np.median(x, 1)
    yield "mean_missing", x.sum(1)
    yield "mean_missing", x[:, -1]
    yield "mean_missing", x[:, 1:].mean(1)
    yield "mean_missing", x[:, x.shape[1] // 2]
