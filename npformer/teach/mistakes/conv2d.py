"""Typical mistakes in a convolution and its windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...layers import Array, Conv2d, col2im, conv2d, conv2d_backward, im2col
from .exercise import Draw, Table
from .shared import SUM, but, like, mean_over_batch, without_bias

TABLE = Table()


def _draw_conv(d: Draw) -> tuple[Any, ...]:
    C_in, C_out = d.size(), d.size()
    kh, kw = d.choice((2, 2), (3, 3), (1, 1), (2, 3), (3, 1))
    p = d.conv2d(C_in, C_out, kh, kw)
    x = d.images(C_in, least=3)
    return (x, p, d.choice(1, 2, 3), d.choice(0, 1, 2)) if d.level else (x, p)


def _conv_channels_first(x: Array, p: Conv2d, stride: int = 1, padding: int = 0) -> Array:
    """Windows laid out as (c, u, v) against a kernel laid out as (u, v, c)."""
    kh, kw, C_in, C_out = p.weight.shape
    windows = im2col(x, kh, kw, stride, padding)
    shape = windows.shape
    windows = windows.reshape(*shape[:3], kh * kw, C_in).swapaxes(3, 4).reshape(shape)
    return windows @ p.weight.reshape(-1, C_out) + p.bias


def _conv_edge(x: Array, p: Conv2d, stride: int = 1, padding: int = 0) -> Array:
    sides = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    return conv2d(np.pad(x, sides, mode="edge"), p, stride)


def _conv_pad_after(x: Array, p: Conv2d, stride: int = 1, padding: int = 0) -> Array:
    return conv2d(np.pad(x, ((0, 0), (0, padding), (0, padding), (0, 0))), p, stride)


TABLE.add(
    "conv2d",
    conv2d,
    _draw_conv,
    (
        "missing bias",
        "Add the bias of each output channel.",
        lambda x, p, *how: conv2d(x, without_bias(p), *how),
    ),
    (
        "flipped kernel",
        "Deep learning's convolution does not flip the kernel: tap (u, v) meets pixel "
        "(s i + u, s j + v).",
        lambda x, p, *how: conv2d(x, p._replace(weight=p.weight[::-1, ::-1]), *how),
    ),
    (
        "rows and columns of the kernel swapped",
        "The first axis of the weight runs down the image, the second across.",
        lambda x, p, *how: conv2d(x, p._replace(weight=p.weight.swapaxes(0, 1)), *how),
    ),
    (
        "transposed weight",
        "The weight is (kh, kw, C_in, C_out): the last axis is the output channel.",
        lambda x, p, *how: conv2d(x, p._replace(weight=p.weight.swapaxes(2, 3)), *how),
    ),
    (
        "window and kernel in different orders",
        "Both must be laid out as (u, v, c) before they are flattened; yours has the channels "
        "first in one of them.",
        _conv_channels_first,
    ),
    (
        "stride ignored",
        "Output pixel i looks at input pixel stride · i.",
        lambda x, p, stride=1, padding=0: conv2d(x, p, 1, padding),
    ),
    (
        "padding ignored",
        "Surround the image by `padding` zeros on each of its four sides.",
        lambda x, p, stride=1, padding=0: conv2d(x, p, stride, 0),
    ),
    ("padding not zero", "The pixels around the image are zeros, not copies of it.", _conv_edge),
    (
        "padding on one side",
        "Zeros belong on all four sides, also above and on the left.",
        _conv_pad_after,
    ),
)


def _draw_patches(d: Draw) -> tuple[Any, ...]:
    kh, kw = d.choice((2, 2), (3, 3), (1, 1), (2, 3))
    x = d.images(least=3)
    return (x, kh, kw, d.choice(1, 2), d.choice(0, 1)) if d.level else (x, kh, kw)


def _patches_channels_first(x: Array, kh: int, kw: int, stride: int = 1, padding: int = 0) -> Array:
    windows = im2col(x, kh, kw, stride, padding)
    shape = windows.shape
    return windows.reshape(*shape[:3], kh * kw, -1).swapaxes(3, 4).reshape(shape)


TABLE.add(
    "im2col",
    im2col,
    _draw_patches,
    (
        "channels first",
        "The order along the last axis is (u, v, c): the channels of a pixel stay together.",
        _patches_channels_first,
    ),
    (
        "stride ignored",
        "Window i starts at pixel stride · i.",
        lambda x, kh, kw, stride=1, padding=0: im2col(x, kh, kw, 1, padding),
    ),
    (
        "padding ignored",
        "Surround the image by `padding` zeros first.",
        lambda x, kh, kw, stride=1, padding=0: im2col(x, kh, kw, stride, 0),
    ),
)


def _draw_conv_backward(d: Draw) -> tuple[Any, ...]:
    C_in, C_out = d.size(), d.size()
    kh, kw = d.choice((2, 2), (3, 3), (1, 1), (2, 3))
    x, p = d.images(C_in, least=3), d.conv2d(C_in, C_out, kh, kw)
    how = (d.choice(1, 2), d.choice(0, 1)) if d.level else ()
    return like(d, conv2d(x, p, *how)), x, p, *how


def _overwriting(
    dy: Array, shape: tuple[int, ...], kh: int, kw: int, stride: int = 1, padding: int = 0
) -> Array:
    """Windows that overwrite each other where they overlap."""
    B, H, W, C = shape
    rows, columns = dy.shape[1:3]
    dy = dy.reshape(B, rows, columns, kh, kw, C)
    dx = np.zeros((B, H + 2 * padding, W + 2 * padding, C), dy.dtype)
    for i in range(rows):
        for j in range(columns):
            dx[:, stride * i : stride * i + kh, stride * j : stride * j + kw] = dy[:, i, j]
    return dx[:, padding : padding + H, padding : padding + W]


def _uncropped(
    dy: Array, shape: tuple[int, ...], kh: int, kw: int, stride: int = 1, padding: int = 0
) -> Array:
    B, H, W, C = shape
    whole = (B, H + 2 * padding, W + 2 * padding, C)
    return col2im(dy, whole, kh, kw, stride)


def _conv_with(
    scatter: Callable[..., Array],
) -> Callable[..., tuple[Array, Conv2d]]:
    """conv2d_backward with another way back from windows to pixels."""

    def f(
        dy: Array, x: Array, p: Conv2d, stride: int = 1, padding: int = 0
    ) -> tuple[Array, Conv2d]:
        kh, kw, _, C_out = p.weight.shape
        dwindows = dy @ p.weight.reshape(-1, C_out).T
        dp = conv2d_backward(dy, x, p, stride, padding)[1]
        return scatter(dwindows, x.shape, kh, kw, stride, padding), dp

    return f


_SCATTER = (
    (
        "overlaps lost",
        "Where windows overlap, a pixel receives the sum of what they all send back: += instead "
        "of =.",
        _overwriting,
    ),
    (
        "padding not cropped",
        "The zeros around the image take part in forward, but they are not pixels: crop their "
        "gradient.",
        _uncropped,
    ),
)

TABLE.add(
    "conv2d_backward",
    conv2d_backward,
    _draw_conv_backward,
    *((kind, hint, _conv_with(f)) for kind, hint, f in _SCATTER),
    (
        "flipped kernel",
        "Each tap of dW belongs to the tap of W at the same place; yours is flipped.",
        but(conv2d_backward, lambda dp, *_: dp._replace(weight=dp.weight[::-1, ::-1])),
    ),
    (*SUM, mean_over_batch(conv2d_backward)),
    (
        "missing bias gradient",
        "db is the sum of dy over the batch, the rows and the columns.",
        but(conv2d_backward, lambda dp, *_: without_bias(dp)),
    ),
)


def _draw_col2im(d: Draw) -> tuple[Any, ...]:
    kh, kw = d.choice((2, 2), (3, 3), (1, 1), (2, 3))
    x = d.images(least=3)
    how = (d.choice(1, 2), d.choice(0, 1)) if d.level else ()
    return like(d, im2col(x, kh, kw, *how)), x.shape, kh, kw, *how


TABLE.add("col2im", col2im, _draw_col2im, *_SCATTER)
