"""Answers to the exercises on batch norm."""

# fmt: off  (one line for each answer)
from __future__ import annotations

import numpy as np

from npformer.layers import BatchNorm

from .students import right, wrong

# batch_norm


def bn(x, p, eps=1e-5):
    return (x - p.running_mean) / np.sqrt(p.running_var + eps) * p.weight + p.bias


wrong(
    "batch_norm",
    "epsilon outside the root",
    "eps|ε",
    lambda x, p, eps=1e-5: (
        (x - p.running_mean) / (np.sqrt(p.running_var) + eps) * p.weight + p.bias
    ),
)
wrong(
    "batch_norm",
    "no root",
    "sqrt|root|√",
    lambda x, p, eps=1e-5: (x - p.running_mean) / (p.running_var + eps) * p.weight + p.bias,
)
wrong(
    "batch_norm",
    "no epsilon",
    "eps|ε",
    lambda x, p, eps=1e-5: (x - p.running_mean) / np.sqrt(p.running_var) * p.weight + p.bias,
)
wrong(
    "batch_norm",
    "weight and bias exchanged",
    "weight.*bias|bias.*weight",
    lambda x, p, eps=1e-5: (x - p.running_mean) / np.sqrt(p.running_var + eps) * p.bias + p.weight,
)
wrong(
    "batch_norm",
    "running mean and variance exchanged",
    "mean.*var|var.*mean",
    lambda x, p, eps=1e-5: (x - p.running_var) / np.sqrt(p.running_mean + eps) * p.weight + p.bias,
)
wrong(
    "batch_norm",
    "no bias",
    "bias",
    lambda x, p, eps=1e-5: (x - p.running_mean) / np.sqrt(p.running_var + eps) * p.weight,
)
wrong(
    "batch_norm",
    "no weight",
    "weight",
    lambda x, p, eps=1e-5: (x - p.running_mean) / np.sqrt(p.running_var + eps) + p.bias,
)
wrong(
    "batch_norm",
    "mean not subtracted",
    "mean",
    lambda x, p, eps=1e-5: x / np.sqrt(p.running_var + eps) * p.weight + p.bias,
)
wrong(
    "batch_norm",
    "multiplied by the deviation",
    "multipl|instead of .*/|divid|\\*|·",
    lambda x, p, eps=1e-5: (x - p.running_mean) * np.sqrt(p.running_var + eps) * p.weight + p.bias,
)
wrong(
    "batch_norm",
    "the batch's own statistics",
    "batch|statistics",
    lambda x, p, eps=1e-5: (
        (x - x.mean((0, 1, 2) if x.ndim == 4 else tuple(range(x.ndim - 1))))
        / np.sqrt(x.var(tuple(range(x.ndim - 1))) + eps)
        * p.weight
        + p.bias
    ),
)
wrong(
    "batch_norm",
    "mean subtracted after scaling",
    "mean|order|preced",
    lambda x, p, eps=1e-5: (x / np.sqrt(p.running_var + eps) - p.running_mean) * p.weight + p.bias,
)
wrong(
    "batch_norm",
    "bias scaled too",
    "bias",
    lambda x, p, eps=1e-5: (
        ((x - p.running_mean) / np.sqrt(p.running_var + eps) + p.bias) * p.weight
    ),
)
wrong("batch_norm", "epsilon fixed to 1e-5", "eps|ε|1e-05", lambda x, p, eps=1e-5: bn(x, p, 1e-5))
right(
    "batch_norm",
    "scale and shift prepared",
    lambda x, p, eps=1e-5: (
        x * (s := p.weight * (p.running_var + eps) ** -0.5) + (p.bias - p.running_mean * s)
    ),
)
right("batch_norm", "epsilon by position, plain order", bn)

# batch_statistics

wrong(
    "batch_statistics",
    "unbiased variance",
    "unbiased|ddof|n − 1|n - 1|bias",
    lambda x: (x.mean(tuple(range(x.ndim - 1))), x.var(tuple(range(x.ndim - 1)), ddof=1)),
)
wrong(
    "batch_statistics",
    "deviation instead of variance",
    "std|deviation|root|sqrt|√",
    lambda x: (x.mean(tuple(range(x.ndim - 1))), x.std(tuple(range(x.ndim - 1)))),
)
wrong(
    "batch_statistics",
    "variance and mean exchanged",
    "exchang|order|swap|result",
    lambda x: (x.var(tuple(range(x.ndim - 1))), x.mean(tuple(range(x.ndim - 1)))),
)
wrong(
    "batch_statistics",
    "statistics of each image",
    "ax|batch|shape|image",
    lambda x: (x.mean(tuple(range(1, x.ndim - 1))), x.var(tuple(range(1, x.ndim - 1)))),
)
wrong("batch_statistics", "over all numbers", "ax|shape|channel", lambda x: (x.mean(), x.var()))
wrong("batch_statistics", "over the channels", "ax|shape", lambda x: (x.mean(-1), x.var(-1)))
wrong(
    "batch_statistics",
    "mean of squares, mean not subtracted",
    "mean|square",
    lambda x: (x.mean(tuple(range(x.ndim - 1))), (x * x).mean(tuple(range(x.ndim - 1)))),
)
wrong(
    "batch_statistics",
    "median instead of mean",
    "median",
    lambda x: (np.median(x, tuple(range(x.ndim - 1))), x.var(tuple(range(x.ndim - 1)))),
)
wrong(
    "batch_statistics",
    "sum of squared differences",
    "sum|mean|divi",
    lambda x: (
        x.mean(tuple(range(x.ndim - 1))),
        ((x - x.mean(tuple(range(x.ndim - 1)))) ** 2).sum(tuple(range(x.ndim - 1))),
    ),
)
right(
    "batch_statistics",
    "rows, E x² − (E x)²",
    lambda x: (
        (m := x.reshape(-1, x.shape[-1]).mean(0)),
        ((x.reshape(-1, x.shape[-1]) - m) ** 2).mean(0),
    ),
)
right(
    "batch_statistics",
    "float64 inside, back at the end",
    lambda x: (
        x.astype(np.float64).mean(tuple(range(x.ndim - 1))).astype(x.dtype),
        x.astype(np.float64).var(tuple(range(x.ndim - 1))).astype(x.dtype),
    ),
)

# batch_norm_training


def stats(x):
    axes = tuple(range(x.ndim - 1))
    return x.mean(axes), x.var(axes)


wrong("batch_norm_training", "running statistics", "running", lambda x, p, eps=1e-5: bn(x, p, eps))
wrong(
    "batch_norm_training",
    "running mean, batch variance",
    "running|mean",
    lambda x, p, eps=1e-5: (x - p.running_mean) / np.sqrt(stats(x)[1] + eps) * p.weight + p.bias,
)
wrong(
    "batch_norm_training",
    "unbiased variance",
    "unbiased|ddof|n − 1|n - 1",
    lambda x, p, eps=1e-5: (
        (x - stats(x)[0]) / np.sqrt(x.var(tuple(range(x.ndim - 1)), ddof=1) + eps) * p.weight
        + p.bias
    ),
)
wrong(
    "batch_norm_training",
    "no epsilon",
    "eps|ε",
    lambda x, p, eps=1e-5: (x - stats(x)[0]) / np.sqrt(stats(x)[1]) * p.weight + p.bias,
)
wrong(
    "batch_norm_training",
    "epsilon added to the deviation",
    "eps|ε",
    lambda x, p, eps=1e-5: (x - stats(x)[0]) / (np.sqrt(stats(x)[1]) + eps) * p.weight + p.bias,
)
wrong(
    "batch_norm_training",
    "no affine part",
    "weight|bias",
    lambda x, p, eps=1e-5: (x - stats(x)[0]) / np.sqrt(stats(x)[1] + eps),
)
wrong(
    "batch_norm_training",
    "normalizes each image by itself",
    "image|instance|ax|batch",
    lambda x, p, eps=1e-5: (
        (x - x.mean((1, 2), keepdims=True)) / np.sqrt(x.var((1, 2), keepdims=True) + eps) * p.weight
        + p.bias
    ),
)
wrong(
    "batch_norm_training",
    "normalizes each token, as layer norm",
    "layer norm|ax|token|last",
    lambda x, p, eps=1e-5: (
        (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps) * p.weight
        + p.bias
    ),
)
wrong(
    "batch_norm_training",
    "divided by the variance",
    "root|sqrt|√",
    lambda x, p, eps=1e-5: (x - stats(x)[0]) / (stats(x)[1] + eps) * p.weight + p.bias,
)
right(
    "batch_norm_training",
    "statistics over rows",
    lambda x, p, eps=1e-5: (
        ((r := x.reshape(-1, x.shape[-1])) - r.mean(0))
        .__truediv__(np.sqrt(r.var(0) + eps))
        .reshape(x.shape)
        * p.weight
        + p.bias
    ),
)

# update_running_stats


def update(p, mean, var):
    return BatchNorm(p.weight, p.bias, mean, var)


wrong(
    "update_running_stats",
    "momentum the other way around",
    "momentum",
    lambda p, mean, variance, n, momentum=0.1: update(
        p,
        momentum * p.running_mean + (1 - momentum) * mean,
        momentum * p.running_var + (1 - momentum) * variance * n / (n - 1),
    ),
)
wrong(
    "update_running_stats",
    "biased variance",
    "unbiased|biased|n − 1|n - 1|n / |n/",
    lambda p, mean, variance, n, momentum=0.1: update(
        p,
        (1 - momentum) * p.running_mean + momentum * mean,
        (1 - momentum) * p.running_var + momentum * variance,
    ),
)
wrong(
    "update_running_stats",
    "unbiased upside down",
    "n − 1|n - 1|unbiased|upside",
    lambda p, mean, variance, n, momentum=0.1: update(
        p,
        (1 - momentum) * p.running_mean + momentum * mean,
        (1 - momentum) * p.running_var + momentum * variance * (n - 1) / n,
    ),
)
wrong(
    "update_running_stats",
    "old mean not weighted",
    "1 [-−] momentum|momentum",
    lambda p, mean, variance, n, momentum=0.1: update(
        p, p.running_mean + momentum * mean, p.running_var + momentum * variance * n / (n - 1)
    ),
)
wrong(
    "update_running_stats",
    "replaced by the batch's",
    "running|momentum",
    lambda p, mean, variance, n, momentum=0.1: update(p, mean, variance * n / (n - 1)),
)
wrong(
    "update_running_stats",
    "unbiased for the whole sum",
    "n − 1|n - 1|running_var|preced|unbiased",
    lambda p, mean, variance, n, momentum=0.1: update(
        p,
        (1 - momentum) * p.running_mean + momentum * mean,
        ((1 - momentum) * p.running_var + momentum * variance) * n / (n - 1),
    ),
)
wrong(
    "update_running_stats",
    "variance left as it was",
    "var",
    lambda p, mean, variance, n, momentum=0.1: update(
        p, (1 - momentum) * p.running_mean + momentum * mean, p.running_var
    ),
)
wrong(
    "update_running_stats",
    "momentum fixed to 0.1",
    "momentum|0\\.1",
    lambda p, mean, variance, n, momentum=0.1: update(
        p, 0.9 * p.running_mean + 0.1 * mean, 0.9 * p.running_var + 0.1 * variance * n / (n - 1)
    ),
)
wrong(
    "update_running_stats",
    "mean and variance exchanged",
    "mean|var|exchang",
    lambda p, mean, variance, n, momentum=0.1: update(
        p,
        (1 - momentum) * p.running_var + momentum * variance * n / (n - 1),
        (1 - momentum) * p.running_mean + momentum * mean,
    ),
)
wrong(
    "update_running_stats",
    "the statistics by themselves are returned",
    "result|number|structure|arrays",
    lambda p, mean, variance, n, momentum=0.1: (
        (1 - momentum) * p.running_mean + momentum * mean,
        (1 - momentum) * p.running_var + momentum * variance * n / (n - 1),
    ),
)


@right("update_running_stats", "moved by a difference")
def _(p, mean, variance, n, momentum=0.1):
    if n < 2:
        raise ValueError("one value")
    new = variance * (n / (n - 1))
    return update(
        p,
        p.running_mean + momentum * (mean - p.running_mean),
        p.running_var + momentum * (new - p.running_var),
    )


# batch_norm_backward


def parts(dy, x, p, eps, tape):
    axes = tuple(range(x.ndim - 1))
    batch = "mean" in tape
    mean, var = (tape["mean"], tape["var"]) if batch else (p.running_mean, p.running_var)
    sigma = np.sqrt(var + eps)
    x_hat = (x - mean) / sigma
    return axes, batch, sigma, x_hat, dy * p.weight


def answer(dx, dw, db, p):
    zero = np.zeros_like(p.running_mean)
    return dx, BatchNorm(dw, db, zero, zero)


@wrong(
    "batch_norm_backward",
    "the batch's statistics taken for constants",
    "mean|constant|statistics|batch",
)
def _(dy, x, p, eps=1e-5, tape=()):
    axes, batch, sigma, x_hat, g = parts(dy, x, p, eps, tape)
    return answer(g / sigma, (dy * x_hat).sum(axes), dy.sum(axes), p)


@wrong("batch_norm_backward", "the term of the variance is missing", "x̂|x_hat|variance")
def _(dy, x, p, eps=1e-5, tape=()):
    axes, batch, sigma, x_hat, g = parts(dy, x, p, eps, tape)
    dx = g - g.mean(axes) if batch else g
    return answer(dx / sigma, (dy * x_hat).sum(axes), dy.sum(axes), p)


@wrong("batch_norm_backward", "the term of the mean is missing", "mean")
def _(dy, x, p, eps=1e-5, tape=()):
    axes, batch, sigma, x_hat, g = parts(dy, x, p, eps, tape)
    dx = g - x_hat * (g * x_hat).mean(axes) if batch else g
    return answer(dx / sigma, (dy * x_hat).sum(axes), dy.sum(axes), p)


@wrong(
    "batch_norm_backward",
    "always through the batch's statistics",
    "running|batch|always|evaluation|condition",
)
def _(dy, x, p, eps=1e-5, tape=()):
    axes, batch, sigma, x_hat, g = parts(dy, x, p, eps, tape)
    dx = g - g.mean(axes) - x_hat * (g * x_hat).mean(axes)
    return answer(dx / sigma, (dy * x_hat).sum(axes), dy.sum(axes), p)


@wrong("batch_norm_backward", "dw from x", "x̂|x_hat|normal|weight")
def _(dy, x, p, eps=1e-5, tape=()):
    axes, batch, sigma, x_hat, g = parts(dy, x, p, eps, tape)
    dx = g - g.mean(axes) - x_hat * (g * x_hat).mean(axes) if batch else g
    return answer(dx / sigma, (dy * x).sum(axes), dy.sum(axes), p)


@wrong("batch_norm_backward", "sums instead of means in dx", "sum|mean")
def _(dy, x, p, eps=1e-5, tape=()):
    axes, batch, sigma, x_hat, g = parts(dy, x, p, eps, tape)
    dx = g - g.sum(axes) - x_hat * (g * x_hat).sum(axes) if batch else g
    return answer(dx / sigma, (dy * x_hat).sum(axes), dy.sum(axes), p)


@wrong("batch_norm_backward", "not divided by sigma", "σ|sigma|divi")
def _(dy, x, p, eps=1e-5, tape=()):
    axes, batch, sigma, x_hat, g = parts(dy, x, p, eps, tape)
    dx = g - g.mean(axes) - x_hat * (g * x_hat).mean(axes) if batch else g
    return answer(dx, (dy * x_hat).sum(axes), dy.sum(axes), p)


@wrong("batch_norm_backward", "weight forgotten in dx", "weight")
def _(dy, x, p, eps=1e-5, tape=()):
    axes, batch, sigma, x_hat, g = parts(dy, x, p, eps, tape)
    dx = dy - dy.mean(axes) - x_hat * (dy * x_hat).mean(axes) if batch else dy
    return answer(dx / sigma, (dy * x_hat).sum(axes), dy.sum(axes), p)


@wrong("batch_norm_backward", "dw and db exchanged", "exchang|swap|weight.*bias|order")
def _(dy, x, p, eps=1e-5, tape=()):
    axes, batch, sigma, x_hat, g = parts(dy, x, p, eps, tape)
    dx = g - g.mean(axes) - x_hat * (g * x_hat).mean(axes) if batch else g
    return answer(dx / sigma, dy.sum(axes), (dy * x_hat).sum(axes), p)


@wrong("batch_norm_backward", "means instead of sums for the parameters", "mean|sum")
def _(dy, x, p, eps=1e-5, tape=()):
    axes, batch, sigma, x_hat, g = parts(dy, x, p, eps, tape)
    dx = g - g.mean(axes) - x_hat * (g * x_hat).mean(axes) if batch else g
    return answer(dx / sigma, (dy * x_hat).mean(axes), dy.mean(axes), p)


@wrong("batch_norm_backward", "the running mean gets a gradient", "running")
def _(dy, x, p, eps=1e-5, tape=()):
    axes, batch, sigma, x_hat, g = parts(dy, x, p, eps, tape)
    dx = g - g.mean(axes) - x_hat * (g * x_hat).mean(axes) if batch else g
    zero = np.zeros_like(p.running_mean)
    return dx / sigma, BatchNorm((dy * x_hat).sum(axes), dy.sum(axes), (-g / sigma).sum(axes), zero)


@right("batch_norm_backward", "the chain rule step by step")
def _(dy, x, p, eps=1e-5, tape=()):
    axes, batch, sigma, x_hat, g = parts(dy, x, p, eps, tape)
    dx = g / sigma
    if batch:
        n = x.size // x.shape[-1]
        dvar = (g * (x - tape["mean"])).sum(axes) * -0.5 * (tape["var"] + eps) ** -1.5
        dmean = -(g / sigma).sum(axes)
        dx = dx + dvar * 2 * (x - tape["mean"]) / n + dmean / n
    return answer(
        dx,
        np.einsum("nc,nc->c", *(a.reshape(-1, a.shape[-1]) for a in (dy, x_hat))),
        dy.reshape(-1, dy.shape[-1]).sum(0),
        p,
    )
