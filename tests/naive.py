"""Every layer as plain loops over Python floats: slow, and obviously right.

The formulas are those of the docstrings in ``npformer/layers``, one number at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from math import erf, erfc, exp, expm1, log1p, pi, sqrt, tanh

import numpy as np

from npformer.layers import Array


def linear(x: Array, weight: Array, bias: Array) -> Array:
    y = np.empty((*x.shape[:-1], len(bias)))
    for at in np.ndindex(*y.shape):
        *row, o = at
        terms = [float(x[(*row, c)]) * float(weight[c, o]) for c in range(len(weight))]
        y[at] = sum(terms) + float(bias[o])
    return y


def conv2d(x: Array, weight: Array, bias: Array, stride: int, padding: int) -> Array:
    B, H, W, C = x.shape
    kh, kw, _, C_out = weight.shape
    rows = (H + 2 * padding - kh) // stride + 1
    columns = (W + 2 * padding - kw) // stride + 1
    y = np.empty((B, rows, columns, C_out))
    for b, i, j, o in np.ndindex(*y.shape):
        total = float(bias[o])
        for u, v, c in product(range(kh), range(kw), range(C)):
            row, column = i * stride + u - padding, j * stride + v - padding
            inside = 0 <= row < H and 0 <= column < W
            pixel = float(x[b, row, column, c]) if inside else 0.0
            total += pixel * float(weight[u, v, c, o])
        y[b, i, j, o] = total
    return y


def average_pool(x: Array, size: int) -> Array:
    _, H, W, _ = x.shape
    y = np.empty(x.shape)
    reach = range(-(size // 2), size // 2 + 1)
    for b, i, j, c in np.ndindex(*x.shape):
        window = [
            float(x[b, i + u, j + v, c])
            for u, v in product(reach, reach)
            if 0 <= i + u < H and 0 <= j + v < W
        ]
        y[b, i, j, c] = sum(window) / len(window)
    return y


def batch_norm(
    x: Array, weight: Array, bias: Array, mean: Array, variance: Array, eps: float
) -> Array:
    y = np.empty(x.shape)
    for at in np.ndindex(*x.shape):
        c = at[-1]
        normal = (float(x[at]) - float(mean[c])) / sqrt(float(variance[c]) + eps)
        y[at] = normal * float(weight[c]) + float(bias[c])
    return y


def batch_statistics(x: Array) -> tuple[list[float], list[float]]:
    means, variances = [], []
    for c in range(x.shape[-1]):
        values = [float(v) for v in x[..., c].ravel()]
        means.append(sum(values) / len(values))
        variances.append(sum((v - means[-1]) ** 2 for v in values) / len(values))
    return means, variances


def layer_norm(x: Array, weight: Array, bias: Array, eps: float) -> Array:
    y = np.empty(x.shape)
    for at in np.ndindex(*x.shape[:-1]):
        token = [float(v) for v in x[at]]
        mean = sum(token) / len(token)
        variance = sum((v - mean) ** 2 for v in token) / len(token)
        for c, v in enumerate(token):
            y[(*at, c)] = (v - mean) / sqrt(variance + eps) * float(weight[c]) + float(bias[c])
    return y


def softmax(x: Array) -> Array:
    y = np.empty(x.shape)
    for at in np.ndindex(*x.shape[:-1]):
        powers = [exp(float(v)) for v in x[at]]
        y[at] = [power / sum(powers) for power in powers]
    return y


def attention(
    x: Array, qkv: tuple[Array, Array], proj: tuple[Array, Array], biases: Array, K: int
) -> Array:
    B, N, _ = x.shape
    heads, _, columns = biases.shape
    V = len(proj[0]) // heads
    wide = linear(x, *qkv)  # (B, N, heads·(2K + V))
    mixed = np.empty((B, N, heads * V))
    for b, h, i in product(range(B), range(heads), range(N)):
        first = h * (2 * K + V)
        query = wide[b, i, first : first + K]
        scores = []
        for j in range(N):
            key = wide[b, j, first + K : first + 2 * K]
            dy, dx = abs(i // columns - j // columns), abs(i % columns - j % columns)
            product_ = sum(float(q) * float(k) for q, k in zip(query, key, strict=True))
            scores.append(product_ / sqrt(K) + float(biases[h, dy, dx]))
        weights = softmax(np.array([scores]))[0]
        for v in range(V):
            values = wide[b, :, first + 2 * K + v]
            mixed[b, i, h * V + v] = sum(w * float(y) for w, y in zip(weights, values, strict=True))
    return linear(mixed, *proj)


def mlp(x: Array, fc1: tuple[Array, Array], fc2: tuple[Array, Array], name: str) -> Array:
    return linear(activation(linear(x, *fc1), name), *fc2)


def conv_mlp(x: Array, p: tuple[tuple[Array, ...], ...], name: str, eps: float) -> Array:
    fc1, norm1, fc2, norm2 = p
    wide = batch_norm(conv2d(x, *fc1, 1, 0), *norm1, eps)
    return batch_norm(conv2d(activation(wide, name), *fc2, 1, 0), *norm2, eps)


def activation(x: Array, name: str) -> Array:
    return np.vectorize(ACTIVATIONS[name], otypes=[float])(x.astype(np.float64))


def _sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x)) if x >= 0 else exp(x) / (1 + exp(x))


def _gelu(x: float) -> float:
    return x * erfc(-x / sqrt(2)) / 2


def _gelu_new(x: float) -> float:
    return x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))


def _softplus(x: float) -> float:
    return max(x, 0) + log1p(exp(-abs(x)))


ACTIVATIONS: dict[str, Callable[[float], float]] = {
    "gelu": _gelu,
    "gelu_10": lambda x: min(max(_gelu(x), -10), 10),
    "gelu_accurate": _gelu_new,
    "gelu_fast": lambda x: x / 2 * (1 + tanh(0.7978845608 * (x + 0.044715 * x**3))),
    "gelu_new": _gelu_new,
    "gelu_python": _gelu,
    "gelu_pytorch_tanh": _gelu_new,
    "laplace": lambda x: (1 + erf((x - 0.707107) / (0.282095 * sqrt(2)))) / 2,
    "leaky_relu": lambda x: x if x > 0 else x / 100,
    "linear": lambda x: x,
    "mish": lambda x: x * tanh(_softplus(x)),
    "quick_gelu": lambda x: x * _sigmoid(1.702 * x),
    "relu": lambda x: max(x, 0),
    "relu2": lambda x: max(x, 0) ** 2,
    "relu6": lambda x: min(max(x, 0), 6),
    "selu": lambda x: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * expm1(x)),
    "sigmoid": _sigmoid,
    "silu": lambda x: x * _sigmoid(x),
    "swish": lambda x: x * _sigmoid(x),
    "tanh": tanh,
}
