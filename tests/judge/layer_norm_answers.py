"""Answers to the exercises on layer norm and layer scale."""

# fmt: off  (one line for each answer)
from __future__ import annotations

import numpy as np

from npformer.layers import LayerNorm, LayerScale

from .students import right, wrong

# layer_norm


def ln(x, p, eps=1e-12):
    m = x.mean(-1, keepdims=True)
    return (x - m) / np.sqrt(x.var(-1, keepdims=True) + eps) * p.weight + p.bias


def hat(x, eps):
    m = x.mean(-1, keepdims=True)
    return (x - m) / np.sqrt(x.var(-1, keepdims=True) + eps)


wrong("layer_norm", "no bias", "bias", lambda x, p, eps=1e-12: hat(x, eps) * p.weight)
wrong("layer_norm", "no weight", "weight", lambda x, p, eps=1e-12: hat(x, eps) + p.bias)
wrong("layer_norm", "no affine part", "weight|bias", lambda x, p, eps=1e-12: hat(x, eps))
wrong(
    "layer_norm",
    "bias and weight exchanged",
    "weight.*bias|bias.*weight",
    lambda x, p, eps=1e-12: hat(x, eps) * p.bias + p.weight,
)
wrong(
    "layer_norm",
    "bias added before the weight",
    "bias",
    lambda x, p, eps=1e-12: (hat(x, eps) + p.bias) * p.weight,
)
wrong(
    "layer_norm",
    "unbiased variance",
    "unbiased|ddof|n − 1|n - 1",
    lambda x, p, eps=1e-12: (
        (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True, ddof=1) + eps) * p.weight
        + p.bias
    ),
)
wrong(
    "layer_norm",
    "epsilon beside the root",
    "eps|ε",
    lambda x, p, eps=1e-12: (
        (x - x.mean(-1, keepdims=True)) / (x.std(-1, keepdims=True) + eps) * p.weight + p.bias
    ),
)
wrong(
    "layer_norm", "epsilon not used", "eps|ε", lambda x, p, eps=1e-12: hat(x, 0) * p.weight + p.bias
)
wrong(
    "layer_norm",
    "epsilon is 1e-5 whatever is asked",
    "eps|ε|1e-05",
    lambda x, p, eps=1e-12: ln(x, p, 1e-5),
)
wrong(
    "layer_norm",
    "normalizes over the tokens",
    "ax|token",
    lambda x, p, eps=1e-12: (
        (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + eps) * p.weight + p.bias
    ),
)
wrong(
    "layer_norm",
    "normalizes over tokens and channels",
    "ax|token|image",
    lambda x, p, eps=1e-12: (
        (x - x.mean((1, 2), keepdims=True)) / np.sqrt(x.var((1, 2), keepdims=True) + eps) * p.weight
        + p.bias
    ),
)
wrong(
    "layer_norm",
    "mean of squares without centering (rms norm)",
    "mean|center|rms",
    lambda x, p, eps=1e-12: x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * p.weight + p.bias,
)
wrong(
    "layer_norm",
    "mean not subtracted",
    "mean|center",
    lambda x, p, eps=1e-12: x / np.sqrt(x.var(-1, keepdims=True) + eps) * p.weight + p.bias,
)
wrong(
    "layer_norm",
    "divided by the variance",
    "root|sqrt|√",
    lambda x, p, eps=1e-12: (
        (x - x.mean(-1, keepdims=True)) / (x.var(-1, keepdims=True) + eps) * p.weight + p.bias
    ),
)
wrong(
    "layer_norm",
    "absolute deviation",
    "abs",
    lambda x, p, eps=1e-12: (
        (c := x - x.mean(-1, keepdims=True)) / (abs(c).mean(-1, keepdims=True) + eps) * p.weight
        + p.bias
    ),
)
right("layer_norm", "numpy's var", ln)
right(
    "layer_norm",
    "a loop over tokens",
    lambda x, p, eps=1e-12: (
        np.stack(
            [
                np.stack(
                    [
                        (t - t.mean())
                        / np.sqrt(((t - t.mean()) ** 2).sum() / t.size + t.dtype.type(eps))
                        for t in image
                    ]
                )
                for image in x
            ]
        )
        * p.weight
        + p.bias
    ),
)

# layer_norm_backward


def gradient(dy, x, p, eps, first=True, second=True, take=np.mean, weight=True):
    c = x - x.mean(-1, keepdims=True)
    sigma = np.sqrt(x.var(-1, keepdims=True) + eps)
    h = c / sigma
    g = dy * p.weight if weight else dy
    dx = g
    if first:
        dx = dx - take(g, -1, keepdims=True)
    if second:
        dx = dx - h * take(g * h, -1, keepdims=True)
    return dx / sigma, h


def whole(dx, h, dy):
    return dx, LayerNorm((dy * h).sum((0, 1)), dy.sum((0, 1)))


wrong(
    "layer_norm_backward",
    "mean and variance taken for constants",
    "mean|constant",
    lambda dy, x, p, eps=1e-12: whole(*gradient(dy, x, p, eps, False, False), dy),
)
wrong(
    "layer_norm_backward",
    "no mean of g",
    "mean",
    lambda dy, x, p, eps=1e-12: whole(*gradient(dy, x, p, eps, False), dy),
)
wrong(
    "layer_norm_backward",
    "no second mean",
    "mean|x̂|x_hat",
    lambda dy, x, p, eps=1e-12: whole(*gradient(dy, x, p, eps, True, False), dy),
)
wrong(
    "layer_norm_backward",
    "sums for means",
    "sum|mean",
    lambda dy, x, p, eps=1e-12: whole(*gradient(dy, x, p, eps, take=np.sum), dy),
)
wrong(
    "layer_norm_backward",
    "weight missing in dx",
    "weight",
    lambda dy, x, p, eps=1e-12: whole(*gradient(dy, x, p, eps, weight=False), dy),
)


@wrong("layer_norm_backward", "sigma missing at the end", "σ|sigma|divi")
def _(dy, x, p, eps=1e-12):
    dx, h = gradient(dy, x, p, eps)
    return whole(dx * np.sqrt(x.var(-1, keepdims=True) + eps), h, dy)


@wrong("layer_norm_backward", "dw from x instead of x hat", "x̂|x_hat|weight|normal")
def _(dy, x, p, eps=1e-12):
    dx, h = gradient(dy, x, p, eps)
    return dx, LayerNorm((dy * x).sum((0, 1)), dy.sum((0, 1)))


@wrong("layer_norm_backward", "db from g", "bias|weight")
def _(dy, x, p, eps=1e-12):
    dx, h = gradient(dy, x, p, eps)
    return dx, LayerNorm((dy * h).sum((0, 1)), (dy * p.weight).sum((0, 1)))


@wrong("layer_norm_backward", "parameters averaged over the batch", "mean|batch|factor|average")
def _(dy, x, p, eps=1e-12):
    dx, h = gradient(dy, x, p, eps)
    return dx, LayerNorm((dy * h).sum(1).mean(0), dy.sum(1).mean(0))


@wrong("layer_norm_backward", "parameters not summed over the batch", "shape|batch|sum|ax")
def _(dy, x, p, eps=1e-12):
    dx, h = gradient(dy, x, p, eps)
    return dx, LayerNorm((dy * h).sum(1), dy.sum(1))


@wrong("layer_norm_backward", "sign of the second term", "sign|\\+|plus|minus|added")
def _(dy, x, p, eps=1e-12):
    sigma = np.sqrt(x.var(-1, keepdims=True) + eps)
    h = (x - x.mean(-1, keepdims=True)) / sigma
    g = dy * p.weight
    return whole(
        (g - g.mean(-1, keepdims=True) + h * (g * h).mean(-1, keepdims=True)) / sigma, h, dy
    )


@right("layer_norm_backward", "by the Jacobian of each token")
def _(dy, x, p, eps=1e-12):
    C = x.shape[-1]
    dx, dw, db = np.zeros_like(x), np.zeros_like(p.weight), np.zeros_like(p.bias)
    for b in range(len(x)):
        for n in range(x.shape[1]):
            c = x[b, n] - x[b, n].mean()
            sigma = np.sqrt((c * c).mean() + eps)
            h = c / sigma
            jacobian = (np.eye(C) - 1 / C - np.outer(h, h) / C) / sigma
            dx[b, n] = jacobian @ (dy[b, n] * p.weight)
            dw += dy[b, n] * h
            db += dy[b, n]
    return dx, LayerNorm(dw.astype(x.dtype), db)


# layer_scale

wrong("layer_scale", "added", "\\+|add|sum", lambda x, p: x if p is None else x + p.gamma)
wrong("layer_scale", "divided", "divi|/", lambda x, p: x if p is None else x / p.gamma)
wrong(
    "layer_scale",
    "residual added inside",
    "x|residual|added",
    lambda x, p: x if p is None else x + x * p.gamma,
)
wrong(
    "layer_scale",
    "gamma squared",
    "gamma|γ|square|twice",
    lambda x, p: x if p is None else x * p.gamma**2,
)
wrong(
    "layer_scale",
    "None gives zeros",
    "none|zero",
    lambda x, p: np.zeros_like(x) if p is None else x * p.gamma,
)
wrong("layer_scale", "nothing done", "gamma|γ|identity|unchanged|without", lambda x, p: x)
wrong(
    "layer_scale",
    "the mean of gamma",
    "mean|gamma",
    lambda x, p: x if p is None else x * p.gamma.mean(),
)
wrong(
    "layer_scale",
    "one minus gamma",
    "1 [-−]|γ|gamma",
    lambda x, p: x if p is None else x * (1 - p.gamma),
)
wrong(
    "layer_scale",
    "only the first channel's gamma",
    "channel|first|gamma",
    lambda x, p: x if p is None else x * p.gamma[0],
)
wrong(
    "layer_scale", "absolute value of x", "abs", lambda x, p: x if p is None else abs(x) * p.gamma
)
right("layer_scale", "a diagonal matrix", lambda x, p: x if p is None else x @ np.diag(p.gamma))
right(
    "layer_scale",
    "a copy, scaled in place",
    lambda x, p: x.copy() if p is None else np.multiply(x, p.gamma, out=np.empty_like(x)),
)

# layer_scale_backward


def scaled(dy, x, p, dx, dgamma):
    return (dy, None) if p is None else (dx(), LayerScale(dgamma()))


wrong(
    "layer_scale_backward",
    "dx not scaled",
    "gamma|γ|dx",
    lambda dy, x, p: scaled(dy, x, p, lambda: dy, lambda: (dy * x).reshape(-1, x.shape[-1]).sum(0)),
)
wrong(
    "layer_scale_backward",
    "dx from x",
    "dx|x|dy",
    lambda dy, x, p: scaled(
        dy, x, p, lambda: x * p.gamma, lambda: (dy * x).reshape(-1, x.shape[-1]).sum(0)
    ),
)
wrong(
    "layer_scale_backward",
    "dgamma without x",
    "x",
    lambda dy, x, p: scaled(
        dy, x, p, lambda: dy * p.gamma, lambda: dy.reshape(-1, x.shape[-1]).sum(0)
    ),
)
wrong(
    "layer_scale_backward",
    "dgamma not summed",
    "sum|shape",
    lambda dy, x, p: scaled(dy, x, p, lambda: dy * p.gamma, lambda: dy * x),
)
wrong(
    "layer_scale_backward",
    "dgamma a mean",
    "mean",
    lambda dy, x, p: scaled(
        dy, x, p, lambda: dy * p.gamma, lambda: (dy * x).reshape(-1, x.shape[-1]).mean(0)
    ),
)
wrong(
    "layer_scale_backward",
    "dgamma times gamma",
    "gamma|γ",
    lambda dy, x, p: scaled(
        dy, x, p, lambda: dy * p.gamma, lambda: (dy * x * p.gamma).reshape(-1, x.shape[-1]).sum(0)
    ),
)
wrong(
    "layer_scale_backward",
    "zeros for None",
    "none|result|number|zero",
    lambda dy, x, p: (
        (dy, LayerScale(np.zeros(x.shape[-1])))
        if p is None
        else (dy * p.gamma, LayerScale((dy * x).reshape(-1, x.shape[-1]).sum(0)))
    ),
)
wrong(
    "layer_scale_backward",
    "dgamma summed over channels too",
    "ax|sum|channel|shape",
    lambda dy, x, p: scaled(
        dy, x, p, lambda: dy * p.gamma, lambda: np.full_like(p.gamma, (dy * x).sum())
    ),
)
wrong(
    "layer_scale_backward",
    "dx divided by gamma",
    "divi|/",
    lambda dy, x, p: scaled(
        dy, x, p, lambda: dy / p.gamma, lambda: (dy * x).reshape(-1, x.shape[-1]).sum(0)
    ),
)
right(
    "layer_scale_backward",
    "einsum",
    lambda dy, x, p: scaled(
        dy,
        x,
        p,
        lambda: p.gamma * dy,
        lambda: np.einsum("nc,nc->c", dy.reshape(-1, dy.shape[-1]), x.reshape(-1, x.shape[-1])),
    ),
)
