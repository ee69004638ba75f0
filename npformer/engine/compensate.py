"""Rounding the weights of a network so that the errors of some make up for those of others.

What counts is not how far each weight moves but how far the results do, for the rows x that a layer
really meets, with mean m and covariance H:

    E = Σ ‖(x − m) (W − Ŵ)‖²                       b̂ = b + m (W − Ŵ)

The weights of an output are rounded one after the other. Whatever input k gets wrong is made up for
by the inputs that are not rounded yet, as far as they vary together with it:

    H⁻¹ = Uᵀ U,  U upper triangular
    ŵ_k = round(W_k / scale)        e = (W_k − scale ŵ_k) / U_kk        W_j ← W_j − e U_kj,  j > k

Inputs that vary most come first. The layers are rounded in their order, and each one sees what the
layers before it give after they have been rounded.

Reference: Frantar et al. 2022, arXiv:2210.17323 (GPTQ), algorithm 1, with the inputs ordered and
the diagonal of H raised as their code does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..layers import (
    Array,
    Conv2d,
    Linear,
    QuantizedConv2d,
    QuantizedLinear,
    dequantize_linear,
    linear,
    quantize_linear,
    quantize_rows,
)
from ..layers.quantized_linear import LARGEST_WEIGHT
from ..network import EfficientFormer, check_input
from ..network.configuration import EfficientFormerConfig
from ..network.tree import build
from .fold import FoldedNetwork, fold, folded_forward
from .quantize import IN_FLOAT, float_layers, is_below

DAMPING = 0.01
"""What is added to the variance of each input, relative to their mean: a few photographs do not
tell everything about inputs that hardly vary in them."""
BLOCK = 64
"""Inputs that are rounded before their errors are taken to all later ones, in one product."""


def quantize_compensated(
    p: EfficientFormer,
    config: EfficientFormerConfig,
    x: Array,
    in_float: tuple[str, ...] = IN_FLOAT,
) -> FoldedNetwork:
    """Fold a network and round its matrices to eight bits, as suits some images.

    Parameters
    ----------
    p : EfficientFormer
        Of float32.
    config : EfficientFormerConfig
    x : ndarray of float32, shape (B, H, W, C₀)
        Preprocessed images; all pass through the plain layers at once.
    in_float : tuple of str
        As in `npformer.engine.quantize.quantize`.

    Returns
    -------
    FoldedNetwork
        As from `npformer.engine.quantize.quantize`.

    Raises
    ------
    ConfigError
        If the network cannot take such images.
    """
    check_input(x, p, config)
    tree = fold(p, config)
    layers = iter(float_layers(tree))
    rounded: dict[str, QuantizedLinear] = {}

    def multiply(rows: Array, layer: Any) -> Array:
        path = next(layers)
        if is_below(path, in_float):
            return linear(rows, layer)
        rounded[path] = round_linear(layer, rows.reshape(-1, rows.shape[-1]))
        q, step, least = quantize_rows(rows)
        return linear(q * step + least, dequantize_linear(rounded[path]))

    folded_forward(x, tree, config, multiply=multiply)

    def replaced(path: str, node: Any) -> Any:
        if path not in rounded:
            return node
        weight, scale, bias = rounded[path]
        if isinstance(node, Linear):
            return rounded[path]
        return QuantizedConv2d(weight.reshape(node.weight.shape), scale, bias)

    return build(replaced, tree, is_leaf=lambda node: isinstance(node, (Linear, Conv2d)))


def round_linear(p: Linear, x: Array) -> QuantizedLinear:
    """Round a linear layer to eight bits as suits the rows that it meets.

    Parameters
    ----------
    p : Linear
    x : ndarray of float32, shape (n, C_in)
        Rows; if some are not finite, each weight is rounded by itself.

    Returns
    -------
    QuantizedLinear
        With the scales of `npformer.layers.quantize_linear`.
    """
    plain = quantize_linear(p)
    mean = x.mean(0, dtype=np.float64)  # (n, C_in) -> (C_in,)
    centered = x - mean.astype(x.dtype)
    covariance = (centered.T @ centered).astype(np.float64) / len(x)  # -> (C_in, C_in)
    if not np.isfinite(covariance).all():
        return plain
    w = round_columns(p.weight / plain.scale.astype(np.float64), covariance)
    lost = p.weight - w * plain.scale.astype(np.float64)  # (C_in, C_out)
    bias = (p.bias + mean @ lost).astype(p.bias.dtype)
    return QuantizedLinear(w, plain.scale, bias)


def round_columns(w: Array, covariance: Array) -> Array:
    """Round each column to whole numbers so that its product with varying rows changes least.

    Parameters
    ----------
    w : ndarray of float64, shape (C_in, C_out)
        Within ±127.
    covariance : ndarray of float64, shape (C_in, C_in)
        Of the rows that meet the columns.

    Returns
    -------
    ndarray of int8, shape (C_in, C_out)
    """
    order = np.argsort(-np.diag(covariance), kind="stable")
    H = covariance[np.ix_(order, order)]
    H[np.diag_indices_from(H)] += DAMPING * np.trace(H) / len(H) or 1.0
    U = np.linalg.cholesky(np.linalg.inv(H)).T
    w = w[order]
    whole = np.empty(w.shape, np.int8)
    for start in range(0, len(w), BLOCK):
        stop = min(start + BLOCK, len(w))
        errors = np.empty((stop - start, w.shape[1]))
        for k in range(start, stop):
            whole[order[k]] = np.clip(np.rint(w[k]), -LARGEST_WEIGHT, LARGEST_WEIGHT)
            errors[k - start] = (w[k] - whole[order[k]]) / U[k, k]
            w[k + 1 : stop] -= U[k, k + 1 : stop, None] * errors[k - start]
        w[stop:] -= U[start:stop, stop:].T @ errors
    return whole
