"""Typical mistakes in the layers themselves."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np

from ..layers import (
    Array,
    Attention,
    AttentionBlock,
    BatchNorm,
    Conv2d,
    Downsample,
    LayerNorm,
    Linear,
    Mlp,
    Mode,
    PoolingBlock,
    Stem,
    attention,
    attention_block,
    average_pool,
    batch_norm,
    batch_statistics,
    bias_table,
    conv2d,
    conv_mlp,
    cross_entropy,
    downsample,
    drop_path,
    dropout,
    erf,
    flat,
    gelu,
    gelu_new,
    head_sizes,
    layer_norm,
    layer_scale,
    linear,
    mlp,
    patches,
    pooling,
    pooling_block,
    relu,
    softmax,
    stem,
    update_running,
)
from ..layers.activations import quick_gelu
from ..layers.attention import distances, merge_heads, split_heads
from ..layers.pooling import window_sum
from .exercise import Draw, Table, without_bias

FORWARD = Table()

# --- linear and convolution -------------------------------------------------------------------


def _draw_linear(d: Draw) -> tuple[Any, ...]:
    C_in, C_out = d.size(2), d.size(2)
    shape = d.choice((1, C_in), (d.size(), d.size(), C_in), (d.size(), d.size(), d.size(), C_in))
    return d.array(*shape), d.linear(C_in, C_out)


FORWARD.add(
    "linear",
    linear,
    _draw_linear,
    ("missing bias", "Add the bias: y = x W + b.", lambda x, p: x @ p.weight),
    (
        "transposed weight",
        "The weight is stored as (C_in, C_out): x @ W, without a transpose. (PyTorch stores the "
        "transpose.)",
        lambda x, p: x @ p.weight.T + p.bias,
    ),
    (
        "bias before the product",
        "The bias belongs to the output: first the matrix product, then the bias.",
        lambda x, p: (x + p.bias) @ p.weight,
    ),
    (
        "elementwise product",
        "`*` multiplies number by number; a matrix product is `@`.",
        lambda x, p: x * p.weight + p.bias,
    ),
)


def _draw_conv(d: Draw) -> tuple[Any, ...]:
    C_in, C_out = d.size(), d.size()
    kh, kw = d.choice((2, 2), (3, 3), (1, 1), (2, 3), (3, 1))
    p = d.conv2d(C_in, C_out, kh, kw)
    x = d.images(C_in, least=3)
    return (x, p, d.choice(1, 2, 3), d.choice(0, 1, 2)) if d.level else (x, p)


def _conv_channels_first(x: Array, p: Conv2d, stride: int = 1, padding: int = 0) -> Array:
    """Windows laid out as (c, u, v) against a kernel laid out as (u, v, c)."""
    kh, kw, C_in, C_out = p.weight.shape
    windows = patches(x, kh, kw, stride, padding)
    shape = windows.shape
    windows = windows.reshape(*shape[:3], kh * kw, C_in).swapaxes(3, 4).reshape(shape)
    return windows @ p.weight.reshape(-1, C_out) + p.bias


def _conv_edge(x: Array, p: Conv2d, stride: int = 1, padding: int = 0) -> Array:
    sides = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    return conv2d(np.pad(x, sides, mode="edge"), p, stride)


def _conv_pad_after(x: Array, p: Conv2d, stride: int = 1, padding: int = 0) -> Array:
    return conv2d(np.pad(x, ((0, 0), (0, padding), (0, padding), (0, 0))), p, stride)


FORWARD.add(
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
        "Zeros belong on all four sides, above and to the left too.",
        _conv_pad_after,
    ),
)


def _draw_patches(d: Draw) -> tuple[Any, ...]:
    kh, kw = d.choice((2, 2), (3, 3), (1, 1), (2, 3))
    x = d.images(least=3)
    return (x, kh, kw, d.choice(1, 2), d.choice(0, 1)) if d.level else (x, kh, kw)


def _patches_channels_first(x: Array, kh: int, kw: int, stride: int = 1, padding: int = 0) -> Array:
    windows = patches(x, kh, kw, stride, padding)
    shape = windows.shape
    return windows.reshape(*shape[:3], kh * kw, -1).swapaxes(3, 4).reshape(shape)


FORWARD.add(
    "patches",
    patches,
    _draw_patches,
    (
        "channels first",
        "The order along the last axis is (u, v, c): the channels of a pixel stay together.",
        _patches_channels_first,
    ),
    (
        "stride ignored",
        "Window i starts at pixel stride · i.",
        lambda x, kh, kw, stride=1, padding=0: patches(x, kh, kw, 1, padding),
    ),
    (
        "padding ignored",
        "Surround the image by `padding` zeros first.",
        lambda x, kh, kw, stride=1, padding=0: patches(x, kh, kw, stride, 0),
    ),
)

# --- norms ------------------------------------------------------------------------------------


def _draw_batch_norm(d: Draw) -> tuple[Any, ...]:
    C = d.size(2)
    x, p = d.images(C), d.batch_norm(C)
    return (x, p, d.choice(1e-5, 1e-2, 0.5)) if d.level else (x, p)


FORWARD.add(
    "batch_norm",
    batch_norm,
    _draw_batch_norm,
    (
        "missing mean",
        "Subtract the running mean before dividing.",
        lambda x, p, eps=1e-5: x / np.sqrt(p.running_var + eps) * p.weight + p.bias,
    ),
    (
        "missing weight",
        "Multiply the normalised number by the weight of its channel.",
        lambda x, p, eps=1e-5: batch_norm(x, p._replace(weight=np.ones_like(p.weight)), eps),
    ),
    (
        "missing bias",
        "Add the bias of the channel at the end.",
        lambda x, p, eps=1e-5: batch_norm(x, without_bias(p), eps),
    ),
    (
        "bias scaled",
        "The weight multiplies the normalised number only; the bias comes after it.",
        lambda x, p, eps=1e-5: batch_norm(x, p._replace(bias=p.bias * p.weight), eps),
    ),
    (
        "missing square root",
        "Divide by the standard deviation: the square root of the variance.",
        lambda x, p, eps=1e-5: (x - p.running_mean) / (p.running_var + eps) * p.weight + p.bias,
    ),
    (
        "eps outside the root",
        "ε is added to the variance, under the square root.",
        lambda x, p, eps=1e-5: (
            (x - p.running_mean) / (np.sqrt(p.running_var) + eps) * p.weight + p.bias
        ),
    ),
    (
        "missing eps",
        "Add ε to the variance: a dead channel has variance 0.",
        lambda x, p, eps=1e-5: batch_norm(x, p, 0),
    ),
    (
        "eps ignored",
        "Use the ε that the function is given, not always 1e-5.",
        lambda x, p, eps=1e-5: batch_norm(x, p),
    ),
    (
        "statistics of the batch",
        "In evaluation the running mean and variance are used, whatever is in the batch.",
        lambda x, p, eps=1e-5: batch_norm(x, p, eps, Mode(batch_statistics=True)),
    ),
    (
        "divided by the variance of the image",
        "Mean and variance are those in p, one for each channel.",
        lambda x, p, eps=1e-5: layer_norm(x, LayerNorm(p.weight, p.bias), eps),
    ),
)


def batch_norm_training(x: Array, p: BatchNorm, eps: float = 1e-5) -> Array:
    """Batch norm as it works in training: by the statistics of the batch."""
    return batch_norm(x, p, eps, Mode(batch_statistics=True))


def _normalised(
    x: Array, p: Any, eps: float, axes: tuple[int, ...], ddof: int = 0, centre: float = 1
) -> Array:
    """Any norm: over some axes, with some denominator n − ddof, with or without its mean."""
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True, ddof=ddof)
    return (x - centre * mean) / np.sqrt(variance + eps) * p.weight + p.bias


FORWARD.add(
    "batch_norm_training",
    batch_norm_training,
    _draw_batch_norm,
    (
        "running statistics",
        "In training the mean and the variance of the batch itself are used.",
        batch_norm,
    ),
    (
        "unbiased variance",
        "The variance that normalises is the biased one: divided by n, not n − 1.",
        lambda x, p, eps=1e-5: _normalised(x, p, eps, (0, 1, 2), ddof=1),
    ),
    (
        "wrong axis",
        "Statistics are taken for each channel, over the batch and all pixels; yours are taken "
        "for each image by itself.",
        lambda x, p, eps=1e-5: _normalised(x, p, eps, (1, 2)),
    ),
    (
        "wrong axis",
        "Statistics are taken for each channel, over the batch and all pixels; yours are taken "
        "over the channels of each pixel.",
        lambda x, p, eps=1e-5: _normalised(x, p, eps, (3,)),
    ),
    (
        "wrong axis",
        "Statistics are taken for each channel; yours are taken over everything at once.",
        lambda x, p, eps=1e-5: _normalised(x, p, eps, (0, 1, 2, 3)),
    ),
    (
        "missing mean",
        "Subtract the mean of the batch before dividing.",
        lambda x, p, eps=1e-5: _normalised(x, p, eps, (0, 1, 2), centre=0),
    ),
)

FORWARD.add(
    "batch_statistics",
    batch_statistics,
    lambda d: (d.images(),),
    (
        "unbiased variance",
        "The variance that normalises is the biased one: divided by n, not n − 1.",
        lambda x: (x.mean((0, 1, 2)), x.var((0, 1, 2), ddof=1)),
    ),
    (
        "standard deviation",
        "Return the variance, not its square root.",
        lambda x: (x.mean((0, 1, 2)), x.std((0, 1, 2))),
    ),
    (
        "wrong axis",
        "One mean for each channel: over the batch, the rows and the columns.",
        lambda x: (x.mean(0), x.var(0)),
    ),
    results=("mean", "variance"),
)


def _draw_update(d: Draw) -> tuple[Any, ...]:
    C = d.size()
    x, p = d.images(C), d.batch_norm(C)
    return (x, p) if not d.level else (x, p, d.choice(0.1, 0.3, 0.7))


def _move(x: Array, p: BatchNorm, momentum: float, ddof: int) -> BatchNorm:
    return p._replace(
        running_mean=(1 - momentum) * p.running_mean + momentum * x.mean((0, 1, 2)),
        running_var=(1 - momentum) * p.running_var + momentum * x.var((0, 1, 2), ddof=ddof),
    )


FORWARD.add(
    "update_running",
    update_running,
    lambda d: (lambda x, p, *rest: (p, x, *rest))(*_draw_update(d)),
    (
        "biased variance",
        "The running average takes the unbiased variance (n − 1), though the batch is normalised "
        "by the biased one.",
        lambda p, x, momentum=0.1: _move(x, p, momentum, ddof=0),
    ),
    (
        "momentum the wrong way round",
        "The new batch has the weight `momentum`, the old average the rest.",
        lambda p, x, momentum=0.1: _move(x, p, 1 - momentum, ddof=1),
    ),
)


def _draw_layer_norm(d: Draw) -> tuple[Any, ...]:
    C = d.size(2)
    x, p = d.tokens(C), d.layer_norm(C)
    return (x, p, d.choice(1e-12, 1e-5, 0.1)) if d.level else (x, p)


FORWARD.add(
    "layer_norm",
    layer_norm,
    _draw_layer_norm,
    (
        "missing mean",
        "Subtract the mean of the token before dividing.",
        lambda x, p, eps=1e-12: _normalised(x, p, eps, (-1,), centre=0),
    ),
    (
        "missing mean",
        "Subtract the mean of the token; yours divides by the root of the mean square only.",
        lambda x, p, eps=1e-12: (
            x / np.sqrt(np.square(x).mean(-1, keepdims=True) + eps) * p.weight + p.bias
        ),
    ),
    (
        "unbiased variance",
        "The variance is the biased one: divided by C, not C − 1.",
        lambda x, p, eps=1e-12: _normalised(x, p, eps, (-1,), ddof=1),
    ),
    (
        "wrong axis",
        "Each token is normalised by itself, over its channels; yours runs over the tokens.",
        lambda x, p, eps=1e-12: _normalised(x, p, eps, (1,)),
    ),
    (
        "wrong axis",
        "Each token is normalised by itself; yours takes all tokens of an image together.",
        lambda x, p, eps=1e-12: _normalised(x, p, eps, (1, 2)),
    ),
    (
        "wrong axis",
        "Each token is normalised by itself; yours takes the whole array at once.",
        lambda x, p, eps=1e-12: _normalised(x, p, eps, (0, 1, 2)),
    ),
    (
        "wrong axis",
        "Each token is normalised by itself; yours takes a channel over the batch and all tokens, "
        "as batch norm does.",
        lambda x, p, eps=1e-12: _normalised(x, p, eps, (0, 1)),
    ),
    (
        "missing square root",
        "Divide by the standard deviation: the square root of the variance.",
        lambda x, p, eps=1e-12: (
            (x - x.mean(-1, keepdims=True)) / (x.var(-1, keepdims=True) + eps) * p.weight + p.bias
        ),
    ),
    (
        "eps outside the root",
        "ε is added to the variance, under the square root.",
        lambda x, p, eps=1e-12: (
            (x - x.mean(-1, keepdims=True)) / (x.std(-1, keepdims=True) + eps) * p.weight + p.bias
        ),
    ),
    (
        "missing eps",
        "Add ε to the variance: a token of equal numbers has variance 0.",
        lambda x, p, eps=1e-12: layer_norm(x, p, 0),
    ),
    (
        "eps ignored",
        "Use the ε that the function is given.",
        lambda x, p, eps=1e-12: layer_norm(x, p, 1e-12),
    ),
    (
        "eps ignored",
        "Use the ε that the function is given, not always 1e-5.",
        lambda x, p, eps=1e-12: layer_norm(x, p, 1e-5),
    ),
    (
        "missing weight",
        "Multiply the normalised token by the weight.",
        lambda x, p, eps=1e-12: layer_norm(x, p._replace(weight=np.ones_like(p.weight)), eps),
    ),
    (
        "missing bias",
        "Add the bias at the end.",
        lambda x, p, eps=1e-12: layer_norm(x, without_bias(p), eps),
    ),
    (
        "bias scaled",
        "The weight multiplies the normalised number only; the bias comes after it.",
        lambda x, p, eps=1e-12: layer_norm(x, p._replace(bias=p.bias * p.weight), eps),
    ),
)

FORWARD.add(
    "layer_scale",
    layer_scale,
    lambda d: (lambda x: (x, d.choice(d.layer_scale(x.shape[-1]), None)))(d.images()),
    (
        "missing layer scale",
        "Multiply each channel by its γ.",
        lambda x, p: x,
    ),
    (
        "added",
        "γ is a factor, not a summand.",
        lambda x, p: x if p is None else x + p.gamma,
    ),
    (
        "None not handled",
        "In a network without layer scale p is None; then return x as it is.",
        lambda x, p: x * p.gamma,
    ),
    (
        "wrong axis",
        "γ has one number for each channel, and channels are the last axis.",
        lambda x, p: x if p is None else np.moveaxis(np.moveaxis(x, -1, 1) * p.gamma, 1, -1),
    ),
    (
        "residual added",
        "Layer scale is the factor alone; the block adds the residual.",
        lambda x, p: x if p is None else x + x * p.gamma,
    ),
)

# --- elementwise ------------------------------------------------------------------------------

FORWARD.add(
    "gelu",
    gelu,
    lambda d: (d.images(),),
    (
        "tanh GELU",
        "That is the tanh approximation, which differs by up to 5e-4. EfficientFormer uses the "
        "exact one, with erf.",
        gelu_new,
    ),
    (
        "sigmoid GELU",
        "That is the approximation x σ(1.702 x). EfficientFormer uses the exact one, with erf.",
        quick_gelu,
    ),
    ("ReLU", "GELU is smooth: x Φ(x), not max(x, 0).", relu),
    ("missing square root", "It is erf(x / √2).", lambda x: 0.5 * x * (1 + erf(x))),
    ("missing half", "Φ(x) is (1 + erf(x / √2)) / 2.", lambda x: 2 * gelu(x)),
    (
        "missing factor x",
        "GELU is x Φ(x); yours is Φ(x).",
        lambda x: 0.5 * (1 + erf(x * sqrt(0.5))),
    ),
)

FORWARD.add(
    "relu",
    relu,
    lambda d: (d.images(),),
    ("absolute value", "Negative numbers become 0, they do not become positive.", np.abs),
    ("minimum", "Keep the positive numbers, not the negative ones.", lambda x: np.minimum(x, 0)),
    ("step", "Positive numbers stay as they are; they do not become 1.", lambda x: (x > 0) * 1.0),
)

FORWARD.add(
    "softmax",
    softmax,
    lambda d: ((d.tokens() * d.choice(1, 1, 900)).astype(d.dtype),),
    (
        "overflow",
        "exp(900) is infinite. Subtract the largest number of each row first: the result is the "
        "same, and nothing overflows.",
        lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True),
    ),
    (
        "largest of the whole array subtracted",
        "Subtract the largest number of each row. If a row lies far below the largest number of "
        "all, each of its exponentials is 0, and 0 / 0 is NaN.",
        lambda x: np.exp(x - x.max()) / np.exp(x - x.max()).sum(-1, keepdims=True),
    ),
    (
        "wrong axis",
        "The last axis sums to one; yours sums to one along the axis before it.",
        lambda x: softmax(x.swapaxes(1, 2)).swapaxes(1, 2),
    ),
    (
        "wrong axis",
        "Each row sums to one by itself; yours sums to one as a whole.",
        lambda x: np.exp(x - x.max()) / np.exp(x - x.max()).sum(),
    ),
    (
        "not normalised",
        "Divide by the sum, so that each row sums to one.",
        lambda x: np.exp(x - x.max(-1, keepdims=True)),
    ),
)


def _draw_dropout(d: Draw) -> tuple[Any, ...]:
    return d.images(), d.choice(0.5, 0.25, 0.8, 0.0), np.random.default_rng(d.size())


_DROPOUT = (
    "not rescaled",
    "Divide what survives by 1 − rate, so that the mean stays the same.",
)

FORWARD.add(
    "dropout",
    dropout,
    _draw_dropout,
    (*_DROPOUT, lambda x, rate, rng: x * (rng.random(x.shape) >= rate)),
    (
        "kept with the wrong probability",
        "A number is silenced with probability `rate`: it survives where the draw is ≥ rate.",
        lambda x, rate, rng: x * (rng.random(x.shape) < rate) / (1 - rate),
    ),
    (
        "one draw for an image",
        "Each number has a draw of its own; one for the whole image is drop path.",
        lambda x, rate, rng: drop_path(x, rate, rng),
    ),
    ("nothing dropped", "In training numbers are silenced at random.", lambda x, rate, rng: x),
)

FORWARD.add(
    "drop_path",
    drop_path,
    _draw_dropout,
    (*_DROPOUT, lambda x, rate, rng: x * (rng.random((len(x), 1, 1, 1)) >= rate)),
    (
        "one draw for a number",
        "The whole branch of an image is silenced: draw an array of shape (B, 1, …).",
        lambda x, rate, rng: dropout(x, rate, rng),
    ),
    (
        "one draw for the batch",
        "Each image has a draw of its own: draw an array of shape (B, 1, …).",
        lambda x, rate, rng: x * (rng.random() >= rate) / (1 - rate),
    ),
    ("nothing dropped", "In training branches are silenced at random.", lambda x, rate, rng: x),
)


def _draw_logits(d: Draw) -> tuple[Any, ...]:
    logits = d.array(d.size(), d.size(2)) * d.choice(1, 1, 1000)
    return logits.astype(d.dtype), d.rng.integers(0, logits.shape[1], len(logits))


def _picked(p: Array, labels: Array) -> Array:
    return np.asarray(np.take_along_axis(p, labels[:, None], 1)[:, 0])


FORWARD.add(
    "cross_entropy",
    cross_entropy,
    _draw_logits,
    (
        "overflow",
        "exp(1000) is infinite and log(0) too. Write log softmax(x) as x − max x − "
        "log Σ exp(x − max x).",
        lambda x, y: -np.log(_picked(softmax(x), y)).mean(),
    ),
    (
        "overflow",
        "exp(1000) is infinite. Subtract the largest logit of each row first.",
        lambda x, y: (np.log(np.exp(x).sum(-1)) - _picked(x, y)).mean(),
    ),
    (
        "sum instead of mean",
        "The loss of a batch is the mean over its images.",
        lambda x, y: cross_entropy(x, y) * len(x),
    ),
    (
        "wrong sign",
        "A loss is small when the answer is right: −log p.",
        lambda x, y: -cross_entropy(x, y),
    ),
    (
        "missing logarithm",
        "The loss is −log p, not 1 − p.",
        lambda x, y: (1 - _picked(softmax(x), y)).mean(),
    ),
    (
        "missing softmax",
        "Turn the logits into probabilities first.",
        lambda x, y: -_picked(x, y).mean(),
    ),
    (
        "over all classes",
        "Only the probability of the right class counts.",
        lambda x, y: cross_entropy(x, np.full(x.shape, 1 / x.shape[1])),
    ),
)

# --- pooling ----------------------------------------------------------------------------------


def _draw_pooling(d: Draw) -> tuple[Any, ...]:
    return (d.images(), d.choice(3, 5, 1, 7)) if d.level else (d.images(),)


def _pool_edge(x: Array, size: int = 3) -> Array:
    pad = size // 2
    inner = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode="edge")
    return np.asarray(window_sum(inner, size)[:, pad : pad + x.shape[1], pad : pad + x.shape[2]])


def _max_pool(x: Array, size: int = 3) -> Array:
    pad = size // 2
    low = np.pad(
        x, ((0, 0), (pad, pad), (pad, pad), (0, 0)), constant_values=-np.inf
    )  # outside never wins
    windows = np.lib.stride_tricks.sliding_window_view(low, (size, size), axis=(1, 2))
    return np.asarray(windows.max((-2, -1)))


def _valid_pool(x: Array, size: int = 3) -> Array:
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    return np.asarray(windows.mean((-2, -1)))


def _channels_first_pool(x: Array, size: int = 3) -> Array:
    return np.moveaxis(average_pool(np.moveaxis(x, 1, -1), size), -1, 1)


_POOLS: tuple[tuple[str, str, Callable[..., Array]], ...] = (
    (
        "border counted",
        "Pixels outside the image do not count: divide by how many pixels of the window lie "
        "inside, 4 in a corner of a 3×3 pool, 6 at an edge, 9 elsewhere.",
        lambda x, size=3: window_sum(x, size) / size**2,
    ),
    (
        "border repeated",
        "Do not copy pixels beyond the border: a window that sticks out has fewer pixels.",
        lambda x, size=3: _pool_edge(x, size) / size**2,
    ),
    (
        "sum instead of average",
        "Divide by the number of pixels in the window.",
        lambda x, size=3: window_sum(x, size),
    ),
    ("maximum instead of average", "Take the average of the window.", _max_pool),
    (
        "windows inside the image only",
        "Every pixel has a window, those at the border too: the size stays.",
        _valid_pool,
    ),
    (
        "wrong axis",
        "Arrays are (B, H, W, C): pool over axes 1 and 2. Yours pools over the last two, as if "
        "channels came first.",
        _channels_first_pool,
    ),
    (
        "size ignored",
        "Use the window size that the function is given, not always 3.",
        lambda x, size=3: average_pool(x, 3),
    ),
)

FORWARD.add(
    "pooling",
    pooling,
    _draw_pooling,
    (
        "input not subtracted",
        "Subtract x from the average: the residual connection of the block adds it back.",
        average_pool,
    ),
    (
        "input added",
        "Subtract x, do not add it: the block does that.",
        lambda x, size=3: average_pool(x, size) + x,
    ),
    (
        "wrong sign",
        "It is the average minus x, not x minus the average.",
        lambda x, size=3: x - average_pool(x, size),
    ),
    *((kind, hint, lambda x, size=3, f=f: f(x, size) - x) for kind, hint, f in _POOLS),
)

FORWARD.add("average_pool", average_pool, _draw_pooling, *_POOLS)

FORWARD.add(
    "flat",
    flat,
    lambda d: (d.images(),),
    (
        "column by column",
        "Read the image row by row: token y · W + x is pixel (y, x).",
        lambda x: flat(x.swapaxes(1, 2)),
    ),
    (
        "channels first",
        "The channels are last already; nothing has to be moved.",
        lambda x: x.reshape(len(x), x.shape[3], -1).swapaxes(1, 2),
    ),
)

# --- attention --------------------------------------------------------------------------------


def _table(biases: Array, down: Array, across: Array) -> Array:
    return np.asarray(biases[:, down, across])


def _swapped_grid(biases: Array) -> Array:
    """Tokens counted down the columns."""
    _, rows, columns = biases.shape
    x, y = np.divmod(np.arange(rows * columns), rows)
    return _table(biases, abs(y[:, None] - y), abs(x[:, None] - x))


def _signed(biases: Array) -> Array:
    _, rows, columns = biases.shape
    y, x = np.divmod(np.arange(rows * columns), columns)
    return _table(biases, y[:, None] - y, x[:, None] - x)


FORWARD.add(
    "bias_table",
    bias_table,
    lambda d: (d.array(d.size(), d.size(2), d.size(2)),),
    (
        "signed distance",
        "The distance has no sign: |yᵢ − yⱼ| and |xᵢ − xⱼ|. (A negative index counts from the "
        "end.)",
        _signed,
    ),
    (
        "rows and columns swapped",
        "The bias is indexed by |Δy| first, then |Δx|.",
        lambda biases: _table(biases, *distances(*biases.shape[1:])[::-1]),
    ),
    (
        "column by column",
        "Tokens run row by row: token t lies in row t // columns, column t % columns.",
        _swapped_grid,
    ),
)


def _draw_attention(d: Draw) -> tuple[Any, ...]:
    C = d.size(2)
    p = d.attention(C)
    return d.tokens(C, N=p.attention_biases[0].size), p


def _weights(scores: Array, bias: Array, K: int) -> Array:
    return softmax(scores * K**-0.5 + bias)


def _attention(
    x: Array,
    p: Attention,
    weigh: Callable[[Array, Array, int], Array] = _weights,
    split: Callable[[Array, Attention], list[Array]] = split_heads,
    merge: Callable[[Array], Array] = merge_heads,
    project: Callable[[Array, Linear], Array] = linear,
) -> Array:
    """Attention with exchangeable parts."""
    q, k, v = split(linear(x, p.qkv), p)
    attn = weigh(q @ k.swapaxes(2, 3), bias_table(p.attention_biases), q.shape[-1])
    return project(merge(attn @ v), p.proj)


def _three_blocks(qkv: Array, p: Attention) -> list[Array]:
    """All queries first, then all keys, then all values."""
    heads, (K, V) = len(p.attention_biases), head_sizes(p)
    parts = np.split(qkv, [heads * K, 2 * heads * K], axis=-1)
    B, N, _ = qkv.shape
    return [
        part.reshape(B, N, heads, width).swapaxes(1, 2)
        for part, width in zip(parts, (K, K, V), strict=True)
    ]


def _keys_first(qkv: Array, p: Attention) -> list[Array]:
    q, k, v = split_heads(qkv, p)
    return [k, q, v]


def _values_first(qkv: Array, p: Attention) -> list[Array]:
    K, V = head_sizes(p)
    B, N, _ = qkv.shape
    v, q, k = np.split(qkv.reshape(B, N, -1, 2 * K + V).swapaxes(1, 2), [V, V + K], axis=-1)
    return [q, k, v]


def _merge_without_transpose(x: Array) -> Array:
    B, heads, N, V = x.shape
    return x.reshape(B, N, heads * V)


FORWARD.add(
    "attention",
    attention,
    _draw_attention,
    (
        "missing scale",
        "Divide q kᵀ by √K, K being the width of a key.",
        lambda x, p: _attention(x, p, lambda qk, bias, K: softmax(qk + bias)),
    ),
    (
        "wrong scale",
        "Divide by √K, not by K.",
        lambda x, p: _attention(x, p, lambda qk, bias, K: softmax(qk / K + bias)),
    ),
    (
        "wrong scale",
        "K is the width of a key of one head, not the number of channels C.",
        lambda x, p: _attention(x, p, lambda qk, bias, K: _weights(qk, bias, x.shape[-1])),
    ),
    (
        "wrong scale",
        "Divide by the root of the width of a key, not of a value.",
        lambda x, p: _attention(x, p, lambda qk, bias, K: _weights(qk, bias, head_sizes(p)[1])),
    ),
    (
        "bias before scale",
        "The bias is added after the scaling, and is not scaled.",
        lambda x, p: _attention(x, p, lambda qk, bias, K: softmax((qk + bias) * K**-0.5)),
    ),
    (
        "missing attention bias",
        "Add the bias table to the scores: without it attention does not know where a token lies.",
        lambda x, p: _attention(x, p, lambda qk, bias, K: softmax(qk * K**-0.5)),
    ),
    (
        "bias after the softmax",
        "The bias belongs to the scores, before the softmax.",
        lambda x, p: _attention(x, p, lambda qk, bias, K: softmax(qk * K**-0.5) + bias),
    ),
    (
        "missing softmax",
        "Turn the scores into weights that sum to one.",
        lambda x, p: _attention(x, p, lambda qk, bias, K: qk * K**-0.5 + bias),
    ),
    (
        "wrong axis",
        "Softmax runs over the keys, the last axis of the scores; yours runs over the queries.",
        lambda x, p: _attention(
            x,
            p,
            lambda qk, bias, K: softmax((qk * K**-0.5 + bias).swapaxes(2, 3)).swapaxes(2, 3),
        ),
    ),
    (
        "q and k swapped",
        "Within a head the columns run q, k, v: the first K are the query.",
        lambda x, p: _attention(x, p, split=_keys_first),
    ),
    (
        "values first",
        "Within a head the columns run q, k, v.",
        lambda x, p: _attention(x, p, split=_values_first),
    ),
    (
        "heads not interleaved",
        "The columns of qkv run head by head, within a head q, k, v. Yours takes all queries "
        "first, then all keys, then all values.",
        lambda x, p: _attention(x, p, split=_three_blocks),
    ),
    (
        "heads mixed up",
        "Swap the axes (B, heads, N, V) -> (B, N, heads, V) before the reshape; a reshape alone "
        "mixes tokens with heads.",
        lambda x, p: _attention(x, p, merge=_merge_without_transpose),
    ),
    (
        "missing projection",
        "The heads, side by side, go through the linear layer proj.",
        lambda x, p: _attention(x, p, project=lambda y, _: y),
    ),
    (
        "missing bias",
        "Both linear layers have a bias; that of qkv is missing.",
        lambda x, p: attention(x, p._replace(qkv=without_bias(p.qkv))),
    ),
    (
        "missing bias",
        "Both linear layers have a bias; that of proj is missing.",
        lambda x, p: attention(x, p._replace(proj=without_bias(p.proj))),
    ),
    (
        "missing bias",
        "Both linear layers have a bias; both are missing.",
        lambda x, p: attention(x, Attention(without_bias(p.qkv), without_bias(p.proj), p[2])),
    ),
    (
        "residual added",
        "The attention layer is the branch alone; the block adds the residual.",
        lambda x, p: x + attention(x, p),
    ),
)

# --- MLPs and blocks --------------------------------------------------------------------------


def _draw_tokens(parameters: Callable[[Draw, int], Any]) -> Callable[[Draw], tuple[Any, ...]]:
    def draw(d: Draw) -> tuple[Any, ...]:
        C = d.size()
        return d.tokens(C), parameters(d, C)

    return draw


def _draw_images(parameters: Callable[[Draw, int], Any]) -> Callable[[Draw], tuple[Any, ...]]:
    def draw(d: Draw) -> tuple[Any, ...]:
        C = d.size()
        return d.images(C), parameters(d, C)

    return draw


def _identity(x: Array) -> Array:
    return x


FORWARD.add(
    "mlp",
    mlp,
    _draw_tokens(Draw.mlp),
    (
        "missing activation",
        "Between the two linear layers stands an activation; without it they are one matrix.",
        lambda x, p: mlp(x, p, _identity),
    ),
    ("tanh GELU", "Use the exact GELU, with erf.", lambda x, p: mlp(x, p, gelu_new)),
    ("ReLU", "The activation is GELU.", lambda x, p: mlp(x, p, relu)),
    (
        "activation at the end",
        "The activation follows the first linear layer only.",
        lambda x, p: gelu(mlp(x, p)),
    ),
    (
        "missing bias",
        "Both linear layers have a bias.",
        lambda x, p: mlp(x, Mlp(without_bias(p.fc1), without_bias(p.fc2))),
    ),
    (
        "residual added",
        "The MLP is the branch alone; the block adds the residual.",
        lambda x, p: x + mlp(x, p),
    ),
)

FORWARD.add(
    "conv_mlp",
    conv_mlp,
    _draw_images(Draw.conv_mlp),
    (
        "missing activation",
        "After the first batch norm stands an activation.",
        lambda x, p: conv_mlp(x, p, _identity),
    ),
    ("tanh GELU", "Use the exact GELU, with erf.", lambda x, p: conv_mlp(x, p, gelu_new)),
    ("ReLU", "The activation is GELU.", lambda x, p: conv_mlp(x, p, relu)),
    (
        "activation at the end",
        "The activation follows the first batch norm only, not the second.",
        lambda x, p: gelu(conv_mlp(x, p)),
    ),
    (
        "activation before batch norm",
        "First the batch norm, then the activation.",
        lambda x, p: batch_norm(
            conv2d(batch_norm(gelu(conv2d(x, p.fc1)), p.norm1), p.fc2), p.norm2
        ),
    ),
    (
        "missing batch norm",
        "Each convolution is followed by its batch norm; the first is missing.",
        lambda x, p: batch_norm(conv2d(gelu(conv2d(x, p.fc1)), p.fc2), p.norm2),
    ),
    (
        "missing batch norm",
        "Each convolution is followed by its batch norm; the second is missing.",
        lambda x, p: conv2d(gelu(batch_norm(conv2d(x, p.fc1), p.norm1)), p.fc2),
    ),
    (
        "missing batch norm",
        "Each convolution is followed by its batch norm; both are missing.",
        lambda x, p: conv2d(gelu(conv2d(x, p.fc1)), p.fc2),
    ),
    (
        "missing bias",
        "The convolutions have a bias, though a batch norm follows.",
        lambda x, p: conv_mlp(x, p._replace(fc1=without_bias(p.fc1), fc2=without_bias(p.fc2))),
    ),
    (
        "residual added",
        "The MLP is the branch alone; the block adds the residual.",
        lambda x, p: x + conv_mlp(x, p),
    ),
)


def _pooling_block(
    x: Array,
    p: PoolingBlock,
    residual: tuple[int, int] = (1, 1),
    mix: Callable[[Array], Array] = pooling,
) -> Array:
    y = residual[0] * x + layer_scale(mix(x), p.ls1)
    return residual[1] * y + layer_scale(conv_mlp(y, p.mlp), p.ls2)


_SCALE = "The branch is multiplied by its layer scale before it is added"

FORWARD.add(
    "pooling_block",
    pooling_block,
    _draw_images(Draw.pooling_block),
    (
        "missing residual",
        "Add each branch to what went into it: x + γ₁ · mix(x), and so again. Both are missing.",
        lambda x, p: _pooling_block(x, p, (0, 0)),
    ),
    (
        "missing residual",
        "Add the mixed pixels to x: the first residual is missing.",
        lambda x, p: _pooling_block(x, p, (0, 1)),
    ),
    (
        "missing residual",
        "Add what the MLP returns to what went into it: the second residual is missing.",
        lambda x, p: _pooling_block(x, p, (1, 0)),
    ),
    (
        "missing layer scale",
        f"{_SCALE}; both are missing.",
        lambda x, p: pooling_block(x, p._replace(ls1=None, ls2=None)),
    ),
    ("missing layer scale", f"{_SCALE}: γ₁.", lambda x, p: pooling_block(x, p._replace(ls1=None))),
    ("missing layer scale", f"{_SCALE}: γ₂.", lambda x, p: pooling_block(x, p._replace(ls2=None))),
    (
        "layer scales swapped",
        "ls1 belongs to the pooling, ls2 to the MLP.",
        lambda x, p: pooling_block(x, p._replace(ls1=p.ls2, ls2=p.ls1)),
    ),
    (
        "layer scale on the sum",
        "γ scales the branch alone, not the sum of x and branch.",
        lambda x, p: (lambda y: layer_scale(y + conv_mlp(y, p.mlp), p.ls2))(
            layer_scale(x + pooling(x), p.ls1)
        ),
    ),
    (
        "input not subtracted",
        "The token mixer is pool(x) − x; the residual connection adds x back.",
        lambda x, p: _pooling_block(x, p, mix=average_pool),
    ),
    (
        "parallel branches",
        "The MLP works on the mixed pixels, not on the input of the block.",
        lambda x, p: x + layer_scale(pooling(x), p.ls1) + layer_scale(conv_mlp(x, p.mlp), p.ls2),
    ),
    ("tanh GELU", "Use the exact GELU.", lambda x, p: pooling_block(x, p, 3, gelu_new)),
    ("ReLU", "The activation is GELU.", lambda x, p: pooling_block(x, p, 3, relu)),
)


def _draw_attention_block(d: Draw) -> tuple[Any, ...]:
    C = d.size(2)
    p = d.attention_block(C)
    return d.tokens(C, N=p.token_mixer.attention_biases[0].size), p


def _attention_block(
    x: Array,
    p: AttentionBlock,
    residual: tuple[int, int] = (1, 1),
    norm1: Callable[..., Array] = layer_norm,
    norm2: Callable[..., Array] = layer_norm,
) -> Array:
    y = residual[0] * x + layer_scale(attention(norm1(x, p.norm1), p.token_mixer), p.ls1)
    return residual[1] * y + layer_scale(mlp(norm2(y, p.norm2), p.mlp), p.ls2)


def _norm_skipped(x: Array, p: LayerNorm) -> Array:
    return x


def _post_norm(x: Array, p: AttentionBlock) -> Array:
    x = layer_norm(x + layer_scale(attention(x, p.token_mixer), p.ls1), p.norm1)
    return layer_norm(x + layer_scale(mlp(x, p.mlp), p.ls2), p.norm2)


FORWARD.add(
    "attention_block",
    attention_block,
    _draw_attention_block,
    (
        "missing residual",
        "Add each branch to what went into it; both residuals are missing.",
        lambda x, p: _attention_block(x, p, (0, 0)),
    ),
    (
        "missing residual",
        "Add what attention returns to x: the first residual is missing.",
        lambda x, p: _attention_block(x, p, (0, 1)),
    ),
    (
        "missing residual",
        "Add what the MLP returns to what went into it: the second residual is missing.",
        lambda x, p: _attention_block(x, p, (1, 0)),
    ),
    (
        "residual after the norm",
        "The residual adds x itself, not the normalised x.",
        lambda x, p: (
            lambda y: (lambda m: m + layer_scale(mlp(m, p.mlp), p.ls2))(
                layer_norm(y + layer_scale(attention(y, p.token_mixer), p.ls1), p.norm2)
            )
        )(layer_norm(x, p.norm1)),
    ),
    (
        "missing layer scale",
        f"{_SCALE}; both are missing.",
        lambda x, p: attention_block(x, p._replace(ls1=None, ls2=None)),
    ),
    (
        "missing layer scale",
        f"{_SCALE}: γ₁.",
        lambda x, p: attention_block(x, p._replace(ls1=None)),
    ),
    (
        "missing layer scale",
        f"{_SCALE}: γ₂.",
        lambda x, p: attention_block(x, p._replace(ls2=None)),
    ),
    (
        "layer scales swapped",
        "ls1 belongs to the attention, ls2 to the MLP.",
        lambda x, p: attention_block(x, p._replace(ls1=p.ls2, ls2=p.ls1)),
    ),
    (
        "missing layer norm",
        "A layer norm stands before the attention and before the MLP; both are missing.",
        lambda x, p: _attention_block(x, p, norm1=_norm_skipped, norm2=_norm_skipped),
    ),
    (
        "missing layer norm",
        "The layer norm before the attention is missing.",
        lambda x, p: _attention_block(x, p, norm1=_norm_skipped),
    ),
    (
        "missing layer norm",
        "The layer norm before the MLP is missing.",
        lambda x, p: _attention_block(x, p, norm2=_norm_skipped),
    ),
    (
        "same layer norm twice",
        "norm1 stands before the attention, norm2 before the MLP.",
        lambda x, p: attention_block(x, p._replace(norm2=p.norm1)),
    ),
    (
        "norm after the branch",
        "The norm stands before each branch (pre-norm), not after the sum.",
        _post_norm,
    ),
    (
        "parallel branches",
        "The MLP works on what the attention left, not on the input of the block.",
        lambda x, p: (
            x
            + layer_scale(attention(layer_norm(x, p.norm1), p.token_mixer), p.ls1)
            + layer_scale(mlp(layer_norm(x, p.norm2), p.mlp), p.ls2)
        ),
    ),
    (
        "wrong eps",
        "ε of these layer norms is 1e-12, not 1e-5.",
        lambda x, p: attention_block(x, p, eps=1e-5),
    ),
    ("tanh GELU", "Use the exact GELU.", lambda x, p: attention_block(x, p, gelu_new)),
    ("ReLU", "The activation is GELU.", lambda x, p: attention_block(x, p, relu)),
)


def _draw_stem(d: Draw) -> tuple[Any, ...]:
    C0, C1, C2 = d.size(), d.size(), d.size()
    p = Stem(d.conv2d(C0, C1, 3, 3), d.batch_norm(C1), d.conv2d(C1, C2, 3, 3), d.batch_norm(C2))
    return d.images(C0, least=4), p


def _stem(
    x: Array,
    p: Stem,
    act1: Callable[[Array], Array] = relu,
    act2: Callable[[Array], Array] = relu,
    norm: Callable[[Array, BatchNorm], Array] = batch_norm,
    stride: int = 2,
    padding: int = 1,
) -> Array:
    x = act1(norm(conv2d(x, p.conv1, stride, padding), p.norm1))
    return act2(norm(conv2d(x, p.conv2, stride, padding), p.norm2))


FORWARD.add(
    "stem",
    stem,
    _draw_stem,
    (
        "missing activation",
        "ReLU follows the second batch norm too.",
        lambda x, p: _stem(x, p, act2=_identity),
    ),
    (
        "missing activation",
        "ReLU follows the first batch norm too.",
        lambda x, p: _stem(x, p, act1=_identity),
    ),
    (
        "missing activation",
        "ReLU follows each batch norm.",
        lambda x, p: _stem(x, p, act1=_identity, act2=_identity),
    ),
    (
        "GELU",
        "The stem always uses ReLU; GELU is for the MLPs.",
        lambda x, p: _stem(x, p, act1=gelu, act2=gelu),
    ),
    (
        "missing batch norm",
        "Each convolution is followed by its batch norm.",
        lambda x, p: _stem(x, p, norm=lambda y, _: y),
    ),
    (
        "stride ignored",
        "Both convolutions have stride 2: the stem leaves a quarter of the side.",
        lambda x, p: _stem(x, p, stride=1),
    ),
    (
        "padding ignored",
        "Both convolutions have padding 1.",
        lambda x, p: _stem(x, p, padding=0),
    ),
)


def _draw_downsample(d: Draw) -> tuple[Any, ...]:
    C_in, C_out = d.size(), d.size()
    return d.images(C_in, least=3), Downsample(d.conv2d(C_in, C_out, 3, 3), d.batch_norm(C_out))


FORWARD.add(
    "downsample",
    downsample,
    _draw_downsample,
    (
        "missing batch norm",
        "The convolution is followed by its batch norm.",
        lambda x, p: conv2d(x, p.conv, 2, 1),
    ),
    (
        "activation at the end",
        "No activation stands between the stages.",
        lambda x, p: relu(downsample(x, p)),
    ),
    (
        "activation at the end",
        "No activation stands between the stages.",
        lambda x, p: gelu(downsample(x, p)),
    ),
    (
        "stride ignored",
        "The convolution has stride 2: it leaves half of the side.",
        lambda x, p: downsample(x, p, stride=1),
    ),
    (
        "padding ignored",
        "The convolution has padding 1.",
        lambda x, p: downsample(x, p, padding=0),
    ),
)
