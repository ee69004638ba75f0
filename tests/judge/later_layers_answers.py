"""Answers of a second imagined class to the exercises on single layers: all wrong."""

from __future__ import annotations

import numpy as np

from npformer.layers import (
    Conv2d,
    LayerNorm,
    LayerScale,
    Linear,
    average_pool,
    col2im,
    conv2d,
    conv2d_backward,
    erf,
    gelu,
    im2col,
    layer_norm,
    pooling,
    relu,
    softmax,
)

from .students import later


def flat(a):
    return a.reshape(-1, a.shape[-1])


def normalized(x, axis, eps, ddof=0, outside=False):
    mean, variance = x.mean(axis, keepdims=True), x.var(axis, keepdims=True, ddof=ddof)
    return (x - mean) / (np.sqrt(variance) + eps if outside else np.sqrt(variance + eps))


# linear

later(
    "linear",
    "the bias before relu: relu(xW) + b",
    "relu|negative|max",
    lambda x, p: np.maximum(x @ p.weight, 0) + p.bias,
)
later(
    "linear", "the sign of the input turned", "−|minus|sign|-", lambda x, p: -x @ p.weight + p.bias
)
later("linear", "the absolute value of the weight", r"\|", lambda x, p: x @ abs(p.weight) + p.bias)
later(
    "linear",
    "the bias scaled by the width",
    "bias",
    lambda x, p: x @ p.weight + p.bias * p.weight.shape[0],
)
later(
    "linear",
    "the bias divided by the width",
    "bias",
    lambda x, p: x @ p.weight + p.bias / p.weight.shape[0],
)
later(
    "linear",
    "weight normalized by its columns",
    "weight",
    lambda x, p: x @ (p.weight / p.weight.sum(0)) + p.bias,
)
later(
    "linear_backward",
    "dW of the mean over the batch",
    "weight.*(mean|divid|len|first axis)",
    lambda dy, x, p: (dy @ p.weight.T, Linear(flat(x).T @ flat(dy) / len(x), flat(dy).sum(0))),
)
later(
    "linear_backward",
    "both gradients per image",
    "(divid|mean|first axis)",
    lambda dy, x, p: (
        dy @ p.weight.T,
        Linear(flat(x).T @ flat(dy) / len(x), flat(dy).sum(0) / len(x)),
    ),
)
later(
    "linear_backward",
    "the gradients of the first image only",
    "first|image",
    lambda dy, x, p: (dy @ p.weight.T, Linear(flat(x[:1]).T @ flat(dy[:1]), flat(dy[:1]).sum(0))),
)
later(
    "linear_backward",
    "db keeps its axis",
    "keepdims|shape|axis",
    lambda dy, x, p: (
        dy @ p.weight.T,
        Linear(flat(x).T @ flat(dy), flat(dy).sum(0, keepdims=True)),
    ),
)
later(
    "linear_backward",
    "db is the sum of everything",
    "sum|axis|all",
    lambda dy, x, p: (dy @ p.weight.T, Linear(flat(x).T @ flat(dy), flat(dy).sum())),
)
later(
    "linear_backward",
    "the bias added to dx",
    "bias",
    lambda dy, x, p: (dy @ p.weight.T, Linear(flat(x).T @ flat(dy), p.bias * flat(dy).sum(0))),
)
later(
    "linear_backward",
    "dW plus the weight",
    "weight",
    lambda dy, x, p: (dy @ p.weight.T, Linear(flat(x).T @ flat(dy) + p.weight, flat(dy).sum(0))),
)

# convolutions

later(
    "conv2d",
    "the window transposed",
    "axes|transpos|exchanged",
    lambda x, p, stride=1, padding=0: conv2d(
        x, Conv2d(p.weight.swapaxes(0, 1), p.bias), stride, padding
    ),
)
later(
    "conv2d",
    "correlated with the mirrored kernel",
    "flip|mirror|revers",
    lambda x, p, stride=1, padding=0: conv2d(
        x, Conv2d(p.weight[::-1, ::-1], p.bias), stride, padding
    ),
)
later(
    "conv2d",
    "mirrored along one axis",
    "revers|flip|mirror",
    lambda x, p, stride=1, padding=0: conv2d(x, Conv2d(p.weight[::-1], p.bias), stride, padding),
)
later(
    "conv2d",
    "reflected at the border",
    "reflect",
    lambda x, p, stride=1, padding=0: conv2d(
        np.pad(x, ((0, 0), (padding,) * 2, (padding,) * 2, (0, 0)), mode="reflect"), p, stride
    ),
)
later(
    "conv2d",
    "averaged over the window",
    "divid|mean",
    lambda x, p, stride=1, padding=0: conv2d(
        x, Conv2d(p.weight / p.weight[..., 0, 0].size, p.bias), stride, padding
    ),
)
later(
    "conv2d",
    "the bias in every tap",
    "bias",
    lambda x, p, stride=1, padding=0: conv2d(
        x, Conv2d(p.weight, p.bias * p.weight[..., 0, 0].size), stride, padding
    ),
)
later(
    "conv2d",
    "strides after the convolution start at one",
    "slice|stride|start",
    lambda x, p, stride=1, padding=0: conv2d(x, p, 1, padding)[
        :, stride - 1 :: stride, stride - 1 :: stride
    ],
)
later(
    "conv2d",
    "padding only above and left",
    "pad",
    lambda x, p, stride=1, padding=0: conv2d(
        np.pad(x, ((0, 0), (2 * padding, 0), (2 * padding, 0), (0, 0))), p, stride
    ),
)
later(
    "conv2d",
    "padding only below and right",
    "pad",
    lambda x, p, stride=1, padding=0: conv2d(
        np.pad(x, ((0, 0), (0, 2 * padding), (0, 2 * padding), (0, 0))), p, stride
    ),
)
later(
    "im2col",
    "taps column by column",
    "axes|order|transpos|exchanged",
    lambda x, kh, kw, stride=1, padding=0: (
        im2col(x, kh, kw, stride, padding)
        .reshape(*im2col(x, kh, kw, stride, padding).shape[:3], kh, kw, -1)
        .swapaxes(3, 4)
        .reshape(im2col(x, kh, kw, stride, padding).shape)
    ),
)
later(
    "im2col",
    "padded by minus infinity",
    "∞|pad",
    lambda x, kh, kw, stride=1, padding=0: im2col(
        np.pad(x, ((0, 0), (padding,) * 2, (padding,) * 2, (0, 0)), constant_values=-np.inf),
        kh,
        kw,
        stride,
    ),
)
later(
    "im2col",
    "windows mirrored",
    "flip|revers|mirror",
    lambda x, kh, kw, stride=1, padding=0: (
        im2col(x, kh, kw, stride, padding)
        .reshape(*im2col(x, kh, kw, stride, padding).shape[:3], kh * kw, -1)[..., ::-1, :]
        .reshape(im2col(x, kh, kw, stride, padding).shape)
    ),
)


def coverage(shape, kh, kw, stride, padding):
    return col2im(im2col(np.ones(shape), kh, kw, stride, padding), shape, kh, kw, stride, padding)


later(
    "col2im",
    "divided by how often each pixel is covered",
    "cover|count|divid",
    lambda dy, shape, kh, kw, stride=1, padding=0: (
        col2im(dy, shape, kh, kw, stride, padding)
        / np.maximum(coverage(shape, kh, kw, stride, padding), 1)
    ),
)
later(
    "col2im",
    "divided by the size of the window",
    "divid|kh|kw",
    lambda dy, shape, kh, kw, stride=1, padding=0: (
        col2im(dy, shape, kh, kw, stride, padding) / (kh * kw)
    ),
)
later(
    "col2im",
    "windows mirrored",
    "flip|revers|mirror",
    lambda dy, shape, kh, kw, stride=1, padding=0: col2im(
        dy.reshape(*dy.shape[:3], kh * kw, -1)[..., ::-1, :].reshape(dy.shape),
        shape,
        kh,
        kw,
        stride,
        padding,
    ),
)
later(
    "col2im",
    "the padding cut off one side only",
    "slice|pad",
    lambda dy, shape, kh, kw, stride=1, padding=0: col2im(
        dy, (shape[0], shape[1] + 2 * padding, shape[2] + 2 * padding, shape[3]), kh, kw, stride
    )[:, : shape[1], : shape[2]],
)
later(
    "conv2d_backward",
    "dx without the padding",
    "pad|shape|dx",
    lambda dy, x, p, stride=1, padding=0: (
        col2im(dy @ p.weight.reshape(-1, dy.shape[-1]).T, x.shape, *p.weight.shape[:2], stride)
        if not padding
        else np.zeros_like(x),
        conv2d_backward(dy, x, p, stride, padding)[1],
    ),
)
later(
    "conv2d_backward",
    "gradients of the first image only",
    "first|image",
    lambda dy, x, p, stride=1, padding=0: (
        conv2d_backward(dy, x, p, stride, padding)[0],
        conv2d_backward(dy[:1], x[:1], p, stride, padding)[1],
    ),
)
later(
    "conv2d_backward",
    "gradients averaged over the batch",
    "mean|divid|len|first axis",
    lambda dy, x, p, stride=1, padding=0: (
        conv2d_backward(dy, x, p, stride, padding)[0],
        Conv2d(*(a / len(x) for a in conv2d_backward(dy, x, p, stride, padding)[1])),
    ),
)
later(
    "conv2d_backward",
    "the weight counted in dW",
    "weight",
    lambda dy, x, p, stride=1, padding=0: (
        conv2d_backward(dy, x, p, stride, padding)[0],
        conv2d_backward(dy, x, p, stride, padding)[1]._replace(weight=p.weight),
    ),
)

# norms

later(
    "layer_norm",
    "statistics of the whole image",
    "axis|all",
    lambda x, p, eps=1e-12: normalized(x, (1, 2), eps) * p.weight + p.bias,
)
later(
    "layer_norm",
    "unbiased variance",
    "n − 1|unbiased",
    lambda x, p, eps=1e-12: normalized(x, -1, eps, ddof=1) * p.weight + p.bias,
)
later(
    "layer_norm",
    "epsilon outside the root",
    "eps",
    lambda x, p, eps=1e-12: normalized(x, -1, eps, outside=True) * p.weight + p.bias,
)
later(
    "layer_norm",
    "weight and bias exchanged",
    "exchanged|bias",
    lambda x, p, eps=1e-12: normalized(x, -1, eps) * p.bias + p.weight,
)
later(
    "layer_norm",
    "the bias scaled too",
    "bias",
    lambda x, p, eps=1e-12: (normalized(x, -1, eps) + p.bias) * p.weight,
)
later(
    "layer_norm",
    "weight plus one",
    "weight",
    lambda x, p, eps=1e-12: normalized(x, -1, eps) * (1 + p.weight) + p.bias,
)
later(
    "layer_norm",
    "divided by the mean absolute deviation",
    r"\||abs|absolute",
    lambda x, p, eps=1e-12: (
        (x - x.mean(-1, keepdims=True))
        / np.sqrt(abs(x - x.mean(-1, keepdims=True)).mean(-1, keepdims=True) + eps)
        * p.weight
        + p.bias
    ),
)
later(
    "layer_norm",
    "median instead of the mean",
    "median",
    lambda x, p, eps=1e-12: (
        (x - np.median(x, -1, keepdims=True))
        / np.sqrt(((x - np.median(x, -1, keepdims=True)) ** 2).mean(-1, keepdims=True) + eps)
        * p.weight
        + p.bias
    ),
)
later(
    "layer_norm",
    "root mean square: the mean not subtracted in the numerator",
    "mean|centered",
    lambda x, p, eps=1e-12: x / np.sqrt(x.var(-1, keepdims=True) + eps) * p.weight + p.bias,
)
later(
    "layer_norm",
    "variance of the numbers as given",
    "mean|centered|x",
    lambda x, p, eps=1e-12: (
        (x - x.mean(-1, keepdims=True)) / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * p.weight
        + p.bias
    ),
)
later("layer_norm", "residual", "x", lambda x, p, eps=1e-12: x + layer_norm(x, p, eps))


def ln(dy, x, p, eps, first=1.0, second=1.0, keep=lambda a: a):
    s = np.sqrt(x.var(-1, keepdims=True) + eps)
    h, g = (x - x.mean(-1, keepdims=True)) / s, dy * p.weight
    dx = (g - first * g.mean(-1, keepdims=True) - second * h * (g * h).mean(-1, keepdims=True)) / s
    return dx, h


later(
    "layer_norm_backward",
    "only the first mean",
    "missing|without",
    lambda dy, x, p, eps=1e-12: (
        ln(dy, x, p, eps, second=0)[0],
        LayerNorm(flat(dy * ln(dy, x, p, eps)[1]).sum(0), flat(dy).sum(0)),
    ),
)
later(
    "layer_norm_backward",
    "sign of the first mean",
    "sign|\\+",
    lambda dy, x, p, eps=1e-12: (
        ln(dy, x, p, eps, first=-1)[0],
        LayerNorm(flat(dy * ln(dy, x, p, eps)[1]).sum(0), flat(dy).sum(0)),
    ),
)
later(
    "layer_norm_backward",
    "weight gradient from the scaled gradient",
    "weight|`g`",
    lambda dy, x, p, eps=1e-12: (
        ln(dy, x, p, eps)[0],
        LayerNorm(flat(dy * p.weight * ln(dy, x, p, eps)[1]).sum(0), flat(dy).sum(0)),
    ),
)
later(
    "layer_norm_backward",
    "db weighted",
    "weight|`g`",
    lambda dy, x, p, eps=1e-12: (
        ln(dy, x, p, eps)[0],
        LayerNorm(flat(dy * ln(dy, x, p, eps)[1]).sum(0), flat(dy * p.weight).sum(0)),
    ),
)
later(
    "layer_norm_backward",
    "parameters of the first image",
    "first|image",
    lambda dy, x, p, eps=1e-12: (
        ln(dy, x, p, eps)[0],
        LayerNorm((dy * ln(dy, x, p, eps)[1])[0].sum(0), dy[0].sum(0)),
    ),
)
later(
    "batch_norm",
    "statistics of the batch",
    "batch|statistic|mean|var",
    lambda x, p, eps=1e-5: normalized(x, tuple(range(x.ndim - 1)), eps) * p.weight + p.bias,
)
later(
    "batch_norm",
    "epsilon outside the root",
    "eps",
    lambda x, p, eps=1e-5: (
        (x - p.running_mean) / (np.sqrt(p.running_var) + eps) * p.weight + p.bias
    ),
)
later(
    "batch_norm",
    "the mean scaled twice",
    "mean",
    lambda x, p, eps=1e-5: x * p.weight / np.sqrt(p.running_var + eps) + p.bias - p.running_mean,
)
later(
    "batch_norm",
    "the variance for the deviation",
    "sqrt|root",
    lambda x, p, eps=1e-5: (x - p.running_mean) / (p.running_var + eps) * p.weight + p.bias,
)
later(
    "batch_norm",
    "multiplied by the deviation",
    "\\*|multipl|another operation",
    lambda x, p, eps=1e-5: (x - p.running_mean) * np.sqrt(p.running_var + eps) * p.weight + p.bias,
)
later(
    "batch_norm_training",
    "each image by itself",
    "image",
    lambda x, p, eps=1e-5: normalized(x, tuple(range(1, x.ndim - 1)), eps) * p.weight + p.bias,
)
later(
    "batch_norm_training",
    "each token by itself",
    "axis",
    lambda x, p, eps=1e-5: normalized(x, -1, eps) * p.weight + p.bias,
)
later(
    "batch_norm_training",
    "unbiased",
    "n − 1|unbiased",
    lambda x, p, eps=1e-5: normalized(x, tuple(range(x.ndim - 1)), eps, 1) * p.weight + p.bias,
)
later(
    "batch_norm_training",
    "the batch's mean, the running variance",
    "var",
    lambda x, p, eps=1e-5: (x - flat(x).mean(0)) / np.sqrt(p.running_var + eps) * p.weight + p.bias,
)
later(
    "batch_statistics",
    "standard deviation",
    "std|root",
    lambda x: (flat(x).mean(0), flat(x).std(0)),
)
later(
    "batch_statistics",
    "unbiased",
    "n − 1|unbiased",
    lambda x: (flat(x).mean(0), flat(x).var(0, ddof=1)),
)
later(
    "batch_statistics",
    "keepdims",
    "keepdims|shape",
    lambda x: (flat(x).mean(0, keepdims=True), flat(x).var(0, keepdims=True)),
)
later(
    "batch_statistics",
    "variance first",
    "order|exchanged",
    lambda x: (flat(x).var(0), flat(x).mean(0)),
)
later(
    "batch_statistics",
    "mean of squares",
    "squares|mean is not",
    lambda x: (flat(x).mean(0), (flat(x) ** 2).mean(0)),
)
later(
    "update_running_stats",
    "momentum exchanged",
    "momentum",
    lambda p, mean, variance, n, momentum=0.1: p._replace(
        running_mean=momentum * p.running_mean + (1 - momentum) * mean,
        running_var=momentum * p.running_var + (1 - momentum) * variance * n / (n - 1),
    ),
)
later(
    "update_running_stats",
    "biased",
    "n|biased",
    lambda p, mean, variance, n, momentum=0.1: p._replace(
        running_mean=(1 - momentum) * p.running_mean + momentum * mean,
        running_var=(1 - momentum) * p.running_var + momentum * variance,
    ),
)
later(
    "update_running_stats",
    "the mean corrected too",
    "n",
    lambda p, mean, variance, n, momentum=0.1: p._replace(
        running_mean=(1 - momentum) * p.running_mean + momentum * mean * n / (n - 1),
        running_var=(1 - momentum) * p.running_var + momentum * variance * n / (n - 1),
    ),
)
later(
    "update_running_stats",
    "replaced",
    "momentum|missing|without",
    lambda p, mean, variance, n, momentum=0.1: p._replace(
        running_mean=mean, running_var=variance * n / (n - 1)
    ),
)

# elementwise, losses, softmax

later(
    "gelu",
    "tanh approximation",
    "tanh|gelu_new",
    lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
)
later(
    "gelu",
    "divided by the root of two twice",
    "constant|sqrt|erf|0.5",
    lambda x: 0.5 * x * (1 + erf(x / 2)),
)
later("gelu", "x squared", "square|x|twice", lambda x: 0.5 * x * x * (1 + erf(x / 2**0.5)))
later(
    "gelu_backward",
    "the density without its root",
    "sqrt|pi|missing|constant",
    lambda dy, x: dy * (0.5 * (1 + erf(x / 2**0.5)) + x * np.exp(-x * x / 2)),
)
later(
    "gelu_backward",
    "only the distribution",
    "missing|without",
    lambda dy, x: dy * 0.5 * (1 + erf(x / 2**0.5)),
)
later(
    "gelu_backward",
    "the exponent without its half",
    "0.5|constant|missing|without",
    lambda dy, x: dy * (0.5 * (1 + erf(x / 2**0.5)) + x * np.exp(-x * x) / np.sqrt(2 * np.pi)),
)
later("gelu_backward", "gelu of x times dy", "gelu", lambda dy, x: dy * gelu(x))
later("relu_backward", "relu of x times dy", "relu|x", lambda dy, x: dy * relu(x))
later(
    "relu_backward",
    "half at the kink",
    "heaviside|0\\.5|half|kink|where|at 0",
    lambda dy, x: dy * np.heaviside(x, 0.5),
)
later(
    "softmax",
    "no sum of exponentials but of numbers",
    "exp|sum",
    lambda x: np.exp(x - x.max(-1, keepdims=True)) / x.sum(-1, keepdims=True),
)
later(
    "softmax",
    "normalized by its maximum",
    "max",
    lambda x: (
        np.exp(x - x.max(-1, keepdims=True))
        / np.exp(x - x.max(-1, keepdims=True)).max(-1, keepdims=True)
    ),
)
later("softmax", "a temperature of two", "half|halved|2|0.5", lambda x: softmax(x / 2))
later("softmax", "twice", "twice", lambda x: softmax(softmax(x)))
later(
    "softmax_backward",
    "sum over the other axis",
    "axis",
    lambda dy, y: y * (dy - (dy * y).sum(-2, keepdims=True)),
)
later(
    "softmax_backward",
    "mean for the sum",
    "mean",
    lambda dy, y: y * (dy - (dy * y).mean(-1, keepdims=True)),
)
later(
    "softmax_backward",
    "y not multiplied at the end",
    "missing|without",
    lambda dy, y: dy - (dy * y).sum(-1, keepdims=True),
)
later(
    "layer_scale",
    "one plus gamma",
    "added|x|residual|counted",
    lambda x, p: x if p is None else x * (1 + p.gamma),
)
later(
    "layer_scale_backward",
    "dgamma averaged",
    "mean|divid",
    lambda dy, x, p: (dy, None) if p is None else (dy * p.gamma, LayerScale(flat(dy * x).mean(0))),
)
later(
    "layer_scale_backward",
    "dgamma from the scaled gradient",
    "gamma",
    lambda dy, x, p: (
        (dy, None) if p is None else (dy * p.gamma, LayerScale(flat(dy * x).sum(0) * p.gamma))
    ),
)
later(
    "layer_scale_backward",
    "dgamma of the first image",
    "first|image",
    lambda dy, x, p: (
        (dy, None) if p is None else (dy * p.gamma, LayerScale(flat((dy * x)[:1]).sum(0)))
    ),
)


def log_p(logits):
    x = logits - logits.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def picked(log_p, labels):
    return -log_p[np.arange(len(labels)), labels]


def slopes(logits, labels):
    return softmax(logits) - (labels[:, None] == np.arange(logits.shape[-1]))


later("cross_entropy", "sum instead of mean", "sum", lambda x, y: picked(log_p(x), y).sum())
later(
    "cross_entropy",
    "the logarithm to base two",
    "log2|two|constant factor",
    lambda x, y: picked(log_p(x), y).mean() / np.log(2),
)
later("cross_entropy", "no logarithm", "log", lambda x, y: picked(softmax(x), y).mean())
later("cross_entropy", "the sign", "sign|minus|−", lambda x, y: -picked(log_p(x), y).mean())
later(
    "cross_entropy",
    "the largest class, not the right one",
    "max|label|target",
    lambda x, y: -log_p(x).max(-1).mean(),
)
later(
    "cross_entropy_backward",
    "not divided by the images",
    "divid|missing|without|/|mean",
    lambda x, y: slopes(x, y),
)
later(
    "cross_entropy_backward",
    "divided by all numbers",
    "size|mean|divid|classes",
    lambda x, y: slopes(x, y) / x.size,
)
later("cross_entropy_backward", "the sign", "sign|minus|−", lambda x, y: -slopes(x, y) / len(x))

# pooling


def window(x, size, lo, hi, center=True, reduce=np.mean):
    y = np.empty_like(x)
    for r in range(x.shape[1]):
        for c in range(x.shape[2]):
            rows = range(max(r - lo, 0), min(r + hi + 1, x.shape[1]))
            columns = range(max(c - lo, 0), min(c + hi + 1, x.shape[2]))
            taps = [x[:, a, b] for a in rows for b in columns if center or (a, b) != (r, c)]
            y[:, r, c] = reduce(taps, axis=0) if taps else 0
    return y


later(
    "average_pool",
    "without the center",
    "center",
    lambda x, size=3: window(x, size, size // 2, size // 2, False),
)
later(
    "pooling",
    "without the center",
    "center",
    lambda x, size=3: window(x, size, size // 2, size // 2, False) - x,
)
later(
    "average_pool",
    "the window hangs to the lower right",
    "slice|window|last|first|side",
    lambda x, size=3: window(x, size, 0, size - 1),
)
later(
    "average_pool",
    "the window hangs to the upper left",
    "slice|window|last|first|side",
    lambda x, size=3: window(x, size, size - 1, 0),
)
later(
    "average_pool",
    "the median",
    "median",
    lambda x, size=3: window(x, size, size // 2, size // 2, reduce=np.median),
)
later(
    "average_pool",
    "edge padding",
    "edge",
    lambda x, size=3: window(
        np.pad(x, ((0, 0), (size // 2,) * 2, (size // 2,) * 2, (0, 0)), mode="edge"),
        size,
        size // 2,
        size // 2,
    )[:, size // 2 : size // 2 + x.shape[1], size // 2 : size // 2 + x.shape[2]],
)
later(
    "average_pool",
    "zeros counted",
    "size|count|divi",
    lambda x, size=3: window(
        np.pad(x, ((0, 0), (size // 2,) * 2, (size // 2,) * 2, (0, 0))), size, size // 2, size // 2
    )[:, size // 2 : size // 2 + x.shape[1], size // 2 : size // 2 + x.shape[2]],
)
later(
    "average_pool",
    "along rows only",
    "row|column|slice|axis|missing|without",
    lambda x, size=3: np.stack(
        [x[:, :, max(c - size // 2, 0) : c + size // 2 + 1].mean(2) for c in range(x.shape[2])],
        axis=2,
    ),
)
later("pooling", "doubled", "2|twice|double", lambda x, size=3: 2 * pooling(x, size))
later(
    "pooling", "half of x subtracted", "half|0.5", lambda x, size=3: average_pool(x, size) - x / 2
)
later(
    "pooling_backward",
    "divided after the sum",
    "window_area|divid|/",
    lambda dy, size=3: average_pool(dy, size) - dy,
)
later("pooling_backward", "plus dy", "\\+|sign", lambda dy, size=3: pooling(dy, size) + 2 * dy)
