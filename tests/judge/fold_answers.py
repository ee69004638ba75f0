"""Answers to the exercises on folding."""

# fmt: off  (one line for each answer)
from __future__ import annotations

import numpy as np

from npformer.layers import Conv2d, Linear

from .students import right, wrong

# fold_batch_norm


def s(norm, eps):
    return norm.weight / np.sqrt(norm.running_var + eps)


wrong(
    "fold_batch_norm",
    "mean not folded",
    "mean",
    lambda conv, norm, eps: Conv2d(
        conv.weight * s(norm, eps), conv.bias * s(norm, eps) + norm.bias
    ),
)
wrong(
    "fold_batch_norm",
    "convolution's bias forgotten",
    "conv.*bias|bias",
    lambda conv, norm, eps: Conv2d(
        conv.weight * s(norm, eps), norm.bias - norm.running_mean * s(norm, eps)
    ),
)
wrong(
    "fold_batch_norm",
    "norm's bias forgotten",
    "norm.*bias|bias",
    lambda conv, norm, eps: Conv2d(
        conv.weight * s(norm, eps), (conv.bias - norm.running_mean) * s(norm, eps)
    ),
)
wrong(
    "fold_batch_norm",
    "convolution's bias not scaled",
    "bias|scale",
    lambda conv, norm, eps: Conv2d(
        conv.weight * s(norm, eps), conv.bias - norm.running_mean * s(norm, eps) + norm.bias
    ),
)
wrong(
    "fold_batch_norm",
    "mean not scaled",
    "mean|scale",
    lambda conv, norm, eps: Conv2d(
        conv.weight * s(norm, eps), conv.bias * s(norm, eps) - norm.running_mean + norm.bias
    ),
)
wrong(
    "fold_batch_norm",
    "mean added",
    "\\+|sign|mean",
    lambda conv, norm, eps: Conv2d(
        conv.weight * s(norm, eps), (conv.bias + norm.running_mean) * s(norm, eps) + norm.bias
    ),
)
wrong(
    "fold_batch_norm",
    "variance without root",
    "root|sqrt|√",
    lambda conv, norm, eps: Conv2d(
        conv.weight * (norm.weight / (norm.running_var + eps)),
        (conv.bias - norm.running_mean) * (norm.weight / (norm.running_var + eps)) + norm.bias,
    ),
)
wrong(
    "fold_batch_norm",
    "epsilon beside the root",
    "eps|ε",
    lambda conv, norm, eps: Conv2d(
        conv.weight * (norm.weight / (np.sqrt(norm.running_var) + eps)),
        (conv.bias - norm.running_mean) * (norm.weight / (np.sqrt(norm.running_var) + eps))
        + norm.bias,
    ),
)
wrong(
    "fold_batch_norm",
    "epsilon left out",
    "eps|ε",
    lambda conv, norm, eps: Conv2d(
        conv.weight * s(norm, 0), (conv.bias - norm.running_mean) * s(norm, 0) + norm.bias
    ),
)
wrong(
    "fold_batch_norm",
    "norm's weight left out",
    "weight",
    lambda conv, norm, eps: Conv2d(
        conv.weight / np.sqrt(norm.running_var + eps),
        (conv.bias - norm.running_mean) / np.sqrt(norm.running_var + eps) + norm.bias,
    ),
)
wrong(
    "fold_batch_norm",
    "weight not scaled",
    "weight|scale",
    lambda conv, norm, eps: Conv2d(
        conv.weight, (conv.bias - norm.running_mean) * s(norm, eps) + norm.bias
    ),
)
wrong(
    "fold_batch_norm",
    "all scaled, the norm's bias too",
    "bias|scale",
    lambda conv, norm, eps: Conv2d(
        conv.weight * s(norm, eps), (conv.bias - norm.running_mean + norm.bias) * s(norm, eps)
    ),
)
wrong(
    "fold_batch_norm",
    "divided by the scale",
    "divi|/",
    lambda conv, norm, eps: Conv2d(
        conv.weight / s(norm, eps), (conv.bias - norm.running_mean) / s(norm, eps) + norm.bias
    ),
)
wrong(
    "fold_batch_norm",
    "norm's weight and bias exchanged",
    "weight.*bias|bias.*weight",
    lambda conv, norm, eps: Conv2d(
        conv.weight * (norm.bias / np.sqrt(norm.running_var + eps)),
        (conv.bias - norm.running_mean) * (norm.bias / np.sqrt(norm.running_var + eps))
        + norm.weight,
    ),
)
wrong(
    "fold_batch_norm",
    "variance times weight under the root",
    "weight|root|√",
    lambda conv, norm, eps: Conv2d(
        conv.weight / np.sqrt(norm.weight * norm.running_var + eps),
        (conv.bias - norm.running_mean) / np.sqrt(norm.weight * norm.running_var + eps) + norm.bias,
    ),
)
right(
    "fold_batch_norm",
    "einsum",
    lambda conv, norm, eps: Conv2d(
        np.einsum("uvio,o->uvio", conv.weight, s(norm, eps)),
        conv.bias * s(norm, eps) + (norm.bias - norm.running_mean * s(norm, eps)),
    ),
)

# fold_layer_scale

wrong(
    "fold_layer_scale",
    "bias not scaled",
    "bias",
    lambda p, scale: p if scale is None else Linear(p.weight * scale.gamma, p.bias),
)
wrong(
    "fold_layer_scale",
    "weight not scaled",
    "weight",
    lambda p, scale: p if scale is None else Linear(p.weight, p.bias * scale.gamma),
)
wrong(
    "fold_layer_scale",
    "rows scaled",
    "row|ax|transpos|broadcast|shape|input",
    lambda p, scale: (
        p if scale is None else Linear(p.weight * scale.gamma[:, None], p.bias * scale.gamma)
    ),
)
wrong(
    "fold_layer_scale",
    "divided",
    "divi|/",
    lambda p, scale: p if scale is None else Linear(p.weight / scale.gamma, p.bias / scale.gamma),
)
wrong(
    "fold_layer_scale",
    "added to the bias",
    "\\+|add|bias",
    lambda p, scale: p if scale is None else Linear(p.weight * scale.gamma, p.bias + scale.gamma),
)
wrong(
    "fold_layer_scale",
    "None raises",
    "none|attribute",
    lambda p, scale: Linear(p.weight * scale.gamma, p.bias * scale.gamma),
)
wrong(
    "fold_layer_scale",
    "scale squared on the weight",
    "gamma|γ|square|twice",
    lambda p, scale: (
        p if scale is None else Linear(p.weight * scale.gamma**2, p.bias * scale.gamma)
    ),
)
wrong("fold_layer_scale", "nothing folded", "scale|gamma|γ|unchanged|without", lambda p, scale: p)
right(
    "fold_layer_scale",
    "a diagonal matrix",
    lambda p, scale: (
        p
        if scale is None
        else Linear(p.weight @ np.diag(scale.gamma), np.diag(scale.gamma) @ p.bias)
    ),
)

# fold_layer_norm

wrong(
    "fold_layer_norm",
    "columns scaled",
    "ax|column|transpos|shape|broadcast|None|output",
    lambda norm, p: Linear(p.weight * norm.weight, norm.bias @ p.weight + p.bias),
)
wrong(
    "fold_layer_norm",
    "norm's bias just added",
    "bias",
    lambda norm, p: Linear(p.weight * norm.weight[:, None], norm.bias.sum() + p.bias),
)
wrong(
    "fold_layer_norm",
    "norm's bias forgotten",
    "bias",
    lambda norm, p: Linear(p.weight * norm.weight[:, None], p.bias),
)
wrong(
    "fold_layer_norm",
    "linear's bias forgotten",
    "bias",
    lambda norm, p: Linear(p.weight * norm.weight[:, None], norm.bias @ p.weight),
)
wrong(
    "fold_layer_norm",
    "norm's bias through the folded weight",
    "weight|bias|folded|twice",
    lambda norm, p: Linear(
        p.weight * norm.weight[:, None], norm.bias @ (p.weight * norm.weight[:, None]) + p.bias
    ),
)
wrong(
    "fold_layer_norm",
    "weight not folded",
    "weight",
    lambda norm, p: Linear(p.weight, norm.bias @ p.weight + p.bias),
)
wrong(
    "fold_layer_norm",
    "divided by the norm's weight",
    "divi|/",
    lambda norm, p: Linear(p.weight / norm.weight[:, None], norm.bias @ p.weight + p.bias),
)
wrong(
    "fold_layer_norm",
    "bias subtracted",
    "sign|[-−]|subtract",
    lambda norm, p: Linear(p.weight * norm.weight[:, None], p.bias - norm.bias @ p.weight),
)
wrong(
    "fold_layer_norm",
    "weight and bias exchanged",
    "weight.*bias|bias.*weight",
    lambda norm, p: Linear(p.weight * norm.bias[:, None], norm.weight @ p.weight + p.bias),
)
right(
    "fold_layer_norm",
    "a diagonal matrix",
    lambda norm, p: Linear(
        np.diag(norm.weight) @ p.weight, np.einsum("i,io->o", norm.bias, p.weight) + p.bias
    ),
)
