"""Answers to the exercises on convolutions."""

# fmt: off  (one line for each answer)
from __future__ import annotations

import numpy as np

from npformer.layers import Conv2d, col2im, conv2d, im2col, linear_backward

from .students import right, wrong


def windows(x, kh, kw, stride, padding, flip=False, mode="constant", order="uvc"):
    """What most students write: loops over the taps of the window."""
    if padding:
        x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)), mode=mode)
    B, H, W, C = x.shape
    rows, columns = (H - kh) // stride + 1, (W - kw) // stride + 1
    taps = np.zeros((B, rows, columns, kh, kw, C), x.dtype)
    for u in range(kh):
        for v in range(kw):
            a, b = (kh - 1 - u, kw - 1 - v) if flip else (u, v)
            taps[:, :, :, a, b] = x[
                :, u : u + stride * rows : stride, v : v + stride * columns : stride
            ][:, :rows, :columns]
    if order == "cuv":
        taps = taps.transpose(0, 1, 2, 5, 3, 4)
    if order == "vuc":
        taps = taps.transpose(0, 1, 2, 4, 3, 5)
    return taps.reshape(B, rows, columns, -1)


# im2col

wrong(
    "im2col",
    "channels before taps",
    "channel|transpos|order|c, kh",
    lambda x, kh, kw, stride=1, padding=0: windows(x, kh, kw, stride, padding, order="cuv"),
)
wrong(
    "im2col",
    "rows and columns of the window exchanged in the result",
    "order|transpos|kh|kw|exchang",
    lambda x, kh, kw, stride=1, padding=0: windows(x, kh, kw, stride, padding, order="vuc"),
)
wrong(
    "im2col",
    "taps in reverse",
    "flip|revers|order",
    lambda x, kh, kw, stride=1, padding=0: windows(x, kh, kw, stride, padding, flip=True),
)
wrong(
    "im2col",
    "padding repeats the border",
    "edge|pad",
    lambda x, kh, kw, stride=1, padding=0: windows(x, kh, kw, stride, padding, mode="edge"),
)
wrong(
    "im2col",
    "stride ignored",
    "stride",
    lambda x, kh, kw, stride=1, padding=0: windows(x, kh, kw, 1, padding),
)
wrong(
    "im2col",
    "padding ignored",
    "padding",
    lambda x, kh, kw, stride=1, padding=0: windows(x, kh, kw, stride, 0),
)
wrong(
    "im2col",
    "kh and kw exchanged",
    "kh|kw|exchang|swap",
    lambda x, kh, kw, stride=1, padding=0: windows(x, kw, kh, stride, padding),
)
wrong(
    "im2col",
    "padding twice as wide",
    "padding",
    lambda x, kh, kw, stride=1, padding=0: windows(x, kh, kw, stride, 2 * padding),
)


@wrong("im2col", "the first window is left out", "first|start|slice|window")
def _(x, kh, kw, stride=1, padding=0):
    return windows(x, kh, kw, 1, padding)[:, 1::stride, 1::stride]


@wrong("im2col", "stride only along rows", "stride|column")
def _(x, kh, kw, stride=1, padding=0):
    return windows(x, kh, kw, 1, padding)[:, ::stride]


@right("im2col", "loops over taps")
def _(x, kh, kw, stride=1, padding=0):
    H, W = x.shape[1] + 2 * padding, x.shape[2] + 2 * padding
    if H < kh or W < kw:
        raise ValueError("too small")
    return windows(x, kh, kw, stride, padding)


@right("im2col", "loops over windows")
def _(x, kh, kw, stride=1, padding=0):
    B, H, W, C = x.shape
    big = np.zeros((B, H + 2 * padding, W + 2 * padding, C), x.dtype)
    big[:, padding : padding + H, padding : padding + W] = x
    H, W = big.shape[1:3]
    if H < kh or W < kw:
        raise ValueError
    return np.stack(
        [
            np.stack(
                [
                    big[:, i : i + kh, j : j + kw].reshape(B, -1)
                    for j in range(0, W - kw + 1, stride)
                ],
                1,
            )
            for i in range(0, H - kh + 1, stride)
        ],
        1,
    )


# conv2d


def by_taps(x, w, b, stride=1, padding=0, **options):
    rows = windows(x, *w.shape[:2], stride, padding, **options)
    return rows @ w.reshape(-1, w.shape[-1]) + b


wrong(
    "conv2d",
    "the kernel is flipped",
    "flip|convolution|correl|revers",
    lambda x, p, stride=1, padding=0: by_taps(x, p.weight[::-1, ::-1], p.bias, stride, padding),
)
wrong(
    "conv2d",
    "the kernel is flipped along rows only",
    "flip|revers|row",
    lambda x, p, stride=1, padding=0: by_taps(x, p.weight[::-1], p.bias, stride, padding),
)
wrong(
    "conv2d",
    "no bias",
    "bias",
    lambda x, p, stride=1, padding=0: by_taps(x, p.weight, 0, stride, padding),
)
wrong(
    "conv2d",
    "padding ignored",
    "padding",
    lambda x, p, stride=1, padding=0: by_taps(x, p.weight, p.bias, stride, 0),
)
wrong(
    "conv2d",
    "stride ignored",
    "stride",
    lambda x, p, stride=1, padding=0: by_taps(x, p.weight, p.bias, 1, padding),
)
wrong(
    "conv2d",
    "padding reflects",
    "reflect|pad|border",
    lambda x, p, stride=1, padding=0: by_taps(
        x, p.weight, p.bias, stride, padding, mode="symmetric"
    ),
)
wrong(
    "conv2d",
    "padding wraps around",
    "wrap|pad|border",
    lambda x, p, stride=1, padding=0: by_taps(x, p.weight, p.bias, stride, padding, mode="wrap"),
)
wrong(
    "conv2d",
    "mean over the window instead of sum",
    "mean|average|divid|sum",
    lambda x, p, stride=1, padding=0: by_taps(
        x, p.weight / (p.weight.shape[0] * p.weight.shape[1]), p.bias, stride, padding
    ),
)
wrong(
    "conv2d",
    "stride and padding exchanged",
    "stride|padding",
    lambda x, p, stride=1, padding=0: conv2d(x, p, max(padding, 1), stride),
)
wrong(
    "conv2d",
    "weight reshaped as if (C_in, kh, kw, C_out)",
    "reshape|order|channel|transpos|c_in",
    lambda x, p, stride=1, padding=0: by_taps(x, p.weight, p.bias, stride, padding, order="cuv"),
)
wrong(
    "conv2d",
    "kernel transposed: rows and columns",
    "transpos|exchang|kh|order",
    lambda x, p, stride=1, padding=0: by_taps(x, p.weight.swapaxes(0, 1), p.bias, stride, padding),
)


@wrong("conv2d", "loop misses the last row and column of the kernel", "kernel|short|last|tap|row")
def _(x, p, stride=1, padding=0):
    kh, kw, _, out = p.weight.shape
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    rows, columns = (x.shape[1] - kh) // stride + 1, (x.shape[2] - kw) // stride + 1
    y = np.zeros((len(x), rows, columns, out), x.dtype) + p.bias
    for u in range(max(kh - 1, 1)):
        for v in range(max(kw - 1, 1)):
            y += (
                x[:, u : u + stride * rows : stride, v : v + stride * columns : stride][
                    :, :rows, :columns
                ]
                @ p.weight[u, v]
            )
    return y


@right("conv2d", "einsum over taps")
def _(x, p, stride=1, padding=0):
    kh, kw, c, _ = p.weight.shape
    taps = im2col(x, kh, kw, stride, padding)
    taps = taps.reshape(*taps.shape[:3], kh, kw, c)
    return np.einsum("bijuvc,uvco->bijo", taps, p.weight) + p.bias


@right("conv2d", "a loop over taps, products added up")
def _(x, p, stride=1, padding=0):
    kh, kw, _, out = p.weight.shape
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    if x.shape[1] < kh or x.shape[2] < kw:
        raise ValueError("small")
    rows, columns = (x.shape[1] - kh) // stride + 1, (x.shape[2] - kw) // stride + 1
    y = np.zeros((len(x), rows, columns, out), x.dtype)
    for u in reversed(range(kh)):
        for v in range(kw):
            y += (
                x[
                    :,
                    u : u + stride * (rows - 1) + 1 : stride,
                    v : v + stride * (columns - 1) + 1 : stride,
                ]
                @ p.weight[u, v]
            )
    y += p.bias
    return y


# col2im


def add_back(dy, shape, kh, kw, stride, padding, how="add", flip=False, crop=True, step=None):
    B, H, W, C = shape
    rows, columns = dy.shape[1:3]
    taps = dy.reshape(B, rows, columns, kh, kw, C)
    dx = np.zeros((B, H + 2 * padding, W + 2 * padding, C), dy.dtype)
    step = step or stride
    for i in range(rows):
        for j in range(columns):
            window = taps[:, i, j, ::-1, ::-1] if flip else taps[:, i, j]
            place = dx[:, i * step : i * step + kh, j * step : j * step + kw]
            window = window[:, : place.shape[1], : place.shape[2]]
            if how == "add":
                place += window
            elif how == "set":
                place[:] = window
            else:
                np.maximum(place, window, out=place)
    return dx[:, padding : padding + H, padding : padding + W] if crop else dx[:, :H, :W]


wrong(
    "col2im",
    "later windows overwrite",
    "overwrit|add|sum|assign|last",
    lambda dy, shape, kh, kw, stride=1, padding=0: add_back(
        dy, shape, kh, kw, stride, padding, "set"
    ),
)
wrong(
    "col2im",
    "windows flipped",
    "flip|revers|order",
    lambda dy, shape, kh, kw, stride=1, padding=0: add_back(
        dy, shape, kh, kw, stride, padding, flip=True
    ),
)
wrong(
    "col2im",
    "padding cut at the wrong side",
    "padding|slice|cut|shift|start",
    lambda dy, shape, kh, kw, stride=1, padding=0: add_back(
        dy, shape, kh, kw, stride, padding, crop=False
    ),
)
wrong(
    "col2im",
    "stride ignored",
    "stride",
    lambda dy, shape, kh, kw, stride=1, padding=0: add_back(
        dy, shape, kh, kw, stride, padding, step=1
    ),
)
wrong(
    "col2im",
    "maximum instead of sum",
    "max",
    lambda dy, shape, kh, kw, stride=1, padding=0: add_back(
        dy, shape, kh, kw, stride, padding, "max"
    ),
)
wrong(
    "col2im",
    "padding not removed",
    "padding|shape",
    lambda dy, shape, kh, kw, stride=1, padding=0: add_back(
        dy, (shape[0], shape[1] + 2 * padding, shape[2] + 2 * padding, shape[3]), kh, kw, stride, 0
    ),
)


@wrong(
    "col2im", "divided by how many windows cover a pixel", "divid|count|mean|average|factor|cover"
)
def _(dy, shape, kh, kw, stride=1, padding=0):
    count = add_back(np.ones_like(dy), shape, kh, kw, stride, padding)
    return add_back(dy, shape, kh, kw, stride, padding) / np.maximum(count, 1)


@wrong("col2im", "taps read as (C, kh, kw)", "order|transpos|reshape|channel")
def _(dy, shape, kh, kw, stride=1, padding=0):
    b, r, c, _ = dy.shape
    taps = dy.reshape(b, r, c, shape[3], kh, kw).transpose(0, 1, 2, 4, 5, 3).reshape(dy.shape)
    return add_back(taps, shape, kh, kw, stride, padding)


right(
    "col2im",
    "loops over windows",
    lambda dy, shape, kh, kw, stride=1, padding=0: add_back(dy, shape, kh, kw, stride, padding),
)


# conv2d_backward


def gradients(dy, x, p, stride=1, padding=0):
    kh, kw, _, _ = p.weight.shape
    taps = im2col(x, kh, kw, stride, padding)
    rows, columns = dy.reshape(-1, dy.shape[-1]), taps.reshape(-1, taps.shape[-1])
    dw = (columns.T @ rows).reshape(p.weight.shape)
    dtaps = dy @ p.weight.reshape(-1, dy.shape[-1]).T
    return col2im(dtaps, x.shape, kh, kw, stride, padding), dw, rows.sum(0)


@wrong("conv2d_backward", "dW flipped", "flip|order|revers")
def _(dy, x, p, stride=1, padding=0):
    dx, dw, db = gradients(dy, x, p, stride, padding)
    return dx, Conv2d(dw[::-1, ::-1], db)


@wrong("conv2d_backward", "dW left as a matrix", "shape|reshape|weight")
def _(dy, x, p, stride=1, padding=0):
    dx, dw, db = gradients(dy, x, p, stride, padding)
    return dx, Conv2d(dw.reshape(-1, dw.shape[-1]), db)


@wrong("conv2d_backward", "db summed over the batch only, mean over positions", "bias|mean|sum")
def _(dy, x, p, stride=1, padding=0):
    dx, dw, db = gradients(dy, x, p, stride, padding)
    return dx, Conv2d(dw, dy.mean((1, 2)).sum(0))


@wrong("conv2d_backward", "dW is the mean over the batch", "mean|batch|factor|divid")
def _(dy, x, p, stride=1, padding=0):
    dx, dw, db = gradients(dy, x, p, stride, padding)
    return dx, Conv2d(dw / len(x), db)


@wrong("conv2d_backward", "no bias gradient", "bias|result|None|number")
def _(dy, x, p, stride=1, padding=0):
    dx, dw, db = gradients(dy, x, p, stride, padding)
    return dx, dw


@wrong("conv2d_backward", "dx ignores the stride", "stride")
def _(dy, x, p, stride=1, padding=0):
    dx, dw, db = gradients(dy, x, p, stride, padding)
    kh, kw = p.weight.shape[:2]
    dtaps = dy @ p.weight.reshape(-1, dy.shape[-1]).T
    return col2im(dtaps, x.shape, kh, kw, 1, padding), Conv2d(dw, db)


@wrong("conv2d_backward", "dx with the flipped kernel", "flip|order|revers")
def _(dy, x, p, stride=1, padding=0):
    dx, dw, db = gradients(dy, x, p._replace(weight=p.weight[::-1, ::-1]), stride, padding)
    return dx, Conv2d(dw, db)


@wrong("conv2d_backward", "order of the results", "order|number|result|exchang|shape|array")
def _(dy, x, p, stride=1, padding=0):
    dx, dw, db = gradients(dy, x, p, stride, padding)
    return Conv2d(dw, db), dx


@wrong("conv2d_backward", "padding forgotten in dW", "padding")
def _(dy, x, p, stride=1, padding=0):
    kh, kw, _, _ = p.weight.shape
    dx, dw, db = gradients(dy, x, p, stride, padding)
    _, other = linear_backward(
        dy, im2col(x, kh, kw, stride), p._replace(weight=p.weight.reshape(-1, dy.shape[-1]))
    )
    return dx, Conv2d(other.weight.reshape(p.weight.shape), db)


@right("conv2d_backward", "loops over taps")
def _(dy, x, p, stride=1, padding=0):
    kh, kw, _, _ = p.weight.shape
    B, H, W, C = x.shape
    rows, columns = dy.shape[1:3]
    big = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    dbig, dw = np.zeros_like(big), np.zeros_like(p.weight)
    for u in range(kh):
        for v in range(kw):
            place = np.s_[
                :,
                u : u + stride * (rows - 1) + 1 : stride,
                v : v + stride * (columns - 1) + 1 : stride,
            ]
            dw[u, v] = np.tensordot(big[place], dy, axes=([0, 1, 2], [0, 1, 2]))
            dbig[place] += dy @ p.weight[u, v].T
    return dbig[:, padding : padding + H, padding : padding + W], Conv2d(dw, dy.sum((0, 1, 2)))


right(
    "conv2d_backward",
    "a helper for all three",
    lambda dy, x, p, stride=1, padding=0: (
        (g := gradients(dy, x, p, stride, padding))[0],
        Conv2d(g[1], g[2]),
    ),
)
