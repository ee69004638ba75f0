"""Answers to the exercises on activations, softmax, dropout and the loss."""

# fmt: off  (one line for each answer)
from __future__ import annotations

import math

import numpy as np

from npformer.layers import erf, gelu, sigmoid, softmax

from .students import right, wrong

# relu

wrong("relu", "a mask instead of the number", "bool|mask|x > 0|step|0 or 1|dtype", lambda x: x > 0)
wrong("relu", "the minimum", "min", lambda x: np.minimum(x, 0))
wrong("relu", "a leak of 0.01", "leak|0\\.01", lambda x: np.where(x > 0, x, 0.01 * x))
wrong("relu", "clipped to one", "clip|1|one", lambda x: np.clip(x, 0, 1))
wrong("relu", "clipped to six", "6|six", lambda x: np.clip(x, 0, 6))
wrong("relu", "the step function", "step|1|one", lambda x: np.where(x > 0, 1.0, 0.0))
wrong(
    "relu",
    "one for all positive, in the dtype of x",
    "step|1|derivative",
    lambda x: (x > 0).astype(x.dtype),
)
wrong("relu", "softplus", "softplus|log|exp", lambda x: np.log1p(np.exp(x)))
wrong("relu", "the maximum of all numbers", "max", lambda x: np.maximum(x.max(), 0) + 0 * x)
wrong("relu", "the sign lost for negatives", "abs", lambda x: np.where(x > 0, x, -x))
wrong(
    "relu",
    "negative part kept with its sign turned away",
    "sign|negat",
    lambda x: np.maximum(-x, 0),
)
wrong("relu", "maximum with one", "1|one", lambda x: np.maximum(x, 1))
wrong("relu", "nothing done", "identity|unchanged|without|nothing", lambda x: x.copy())
wrong("relu", "squared", "square", lambda x: np.maximum(x, 0) ** 2)
right("relu", "mask times x", lambda x: x * (x > 0))
right("relu", "half of x plus its size", lambda x: (x + abs(x)) / 2)


@right("relu", "a copy, written in place")
def _(x):
    y = x.copy()
    y[y < 0] = 0
    return y


# gelu

cdf = np.vectorize(lambda t: 0.5 * math.erfc(-t / math.sqrt(2)), otypes=[float])

wrong(
    "gelu",
    "tanh approximation",
    "tanh",
    lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
)
wrong("gelu", "sigmoid approximation", "sigmoid", lambda x: x * sigmoid(1.702 * x))
wrong("gelu", "silu", "silu|sigmoid|swish", lambda x: x * sigmoid(x))
wrong("gelu", "no root of two", "√|sqrt|root", lambda x: 0.5 * x * (1 + erf(x)))
wrong(
    "gelu",
    "times the root of two",
    "√|sqrt|root|0\\.5",
    lambda x: 0.5 * x * (1 + erf(x * math.sqrt(2))),
)
wrong("gelu", "no half", "half|0\\.5|factor|2", lambda x: x * (1 + erf(x / math.sqrt(2))))
wrong("gelu", "without x", "x", lambda x: 0.5 * (1 + erf(x / math.sqrt(2))))
wrong("gelu", "the one is missing", "1", lambda x: 0.5 * x * erf(x / math.sqrt(2)))
wrong(
    "gelu",
    "one minus",
    "sign|[−-] ?erf|minus|instead",
    lambda x: 0.5 * x * (1 - erf(x / math.sqrt(2))),
)
wrong("gelu", "divided by two", "2|0\\.5|half", lambda x: 0.5 * x * (1 + erf(x / 2)))
wrong("gelu", "relu", "relu|max", lambda x: np.maximum(x, 0))
wrong(
    "gelu", "tanh in the place of erf", "tanh", lambda x: 0.5 * x * (1 + np.tanh(x / math.sqrt(2)))
)
right("gelu", "erfc of the standard library", lambda x: (x * cdf(x)).astype(x.dtype))
right("gelu", "other order", lambda x: x * (erf(x / math.sqrt(2)) + 1) / 2)

# relu_backward, gelu_backward

wrong("relu_backward", "only the mask", "dy", lambda dy, x: (x > 0).astype(dy.dtype))
wrong("relu_backward", "mask of dy", "dy|x", lambda dy, x: dy * (dy > 0))
wrong("relu_backward", "times x", "x|relu|forward", lambda dy, x: dy * np.maximum(x, 0))
wrong("relu_backward", "the other half", "sign|<|negat|instead", lambda dy, x: dy * (x < 0))
wrong(
    "relu_backward",
    "dy passed on",
    "mask|derivative|without|passed|unchanged",
    lambda dy, x: dy.copy(),
)
wrong("relu_backward", "relu of dy", "dy|max", lambda dy, x: np.maximum(dy, 0))
wrong("relu_backward", "one at the kink", ">=|≥|zero|kink|0", lambda dy, x: dy * (x >= 0))
wrong("relu_backward", "sign of x", "sign", lambda dy, x: dy * np.sign(x))
right("relu_backward", "where", lambda dy, x: np.where(x > 0, dy, 0))


def pdf(x):
    return np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def phi(x):
    return 0.5 * (1 + erf(x * math.sqrt(0.5)))


wrong(
    "gelu_backward",
    "product rule forgotten: only the distribution",
    "x|exp|term|density",
    lambda dy, x: dy * phi(x),
)
wrong(
    "gelu_backward",
    "product rule forgotten: only the density",
    "term|erf|distribution",
    lambda dy, x: dy * x * pdf(x),
)
wrong("gelu_backward", "x missing before the density", "x", lambda dy, x: dy * (phi(x) + pdf(x)))
wrong(
    "gelu_backward",
    "density without the half",
    "0\\.5|half|exp",
    lambda dy, x: dy * (phi(x) + x * np.exp(-x * x) / math.sqrt(2 * math.pi)),
)
wrong(
    "gelu_backward",
    "density not normalized",
    "π|pi|sqrt|√",
    lambda dy, x: dy * (phi(x) + x * np.exp(-0.5 * x * x)),
)
wrong(
    "gelu_backward",
    "gelu itself instead of its derivative",
    "gelu|forward|derivative",
    lambda dy, x: dy * gelu(x),
)
wrong("gelu_backward", "dy missing", "dy", lambda dy, x: phi(x) + x * pdf(x))
wrong(
    "gelu_backward",
    "sign of the second term",
    "sign|[-−]|minus|subtract",
    lambda dy, x: dy * (phi(x) - x * pdf(x)),
)
wrong("gelu_backward", "derivative at dy", "dy", lambda dy, x: x * (phi(dy) + dy * pdf(dy)))
wrong(
    "gelu_backward",
    "density of x with a positive exponent",
    "sign|exp",
    lambda dy, x: dy * (phi(x) + x * np.exp(0.5 * x * x) / math.sqrt(2 * math.pi)),
)
wrong("gelu_backward", "relu's derivative", "relu|> 0", lambda dy, x: dy * (x > 0))
right("gelu_backward", "two terms, added last", lambda dy, x: dy * phi(x) + dy * x * pdf(x))

# softmax


def over(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


wrong("softmax", "over the first axis", "ax", lambda x: over(x, 0))
wrong("softmax", "over everything", "ax|whole|all", lambda x: over(x, None))
wrong("softmax", "over the axis before the last", "ax", lambda x: over(x, -2 if x.ndim > 1 else -1))
wrong(
    "softmax",
    "the largest not subtracted",
    "max|overflow|finite|largest",
    lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True),
)
wrong(
    "softmax", "not normalized", "sum|normal|divi", lambda x: np.exp(x - x.max(-1, keepdims=True))
)
wrong(
    "softmax",
    "keepdims forgotten",
    "keepdims|broadcast|ax|shape",
    lambda x: (e := np.exp(x - x.max(-1, keepdims=True))) / e.sum(-1),
)
wrong("softmax", "log softmax", "log", lambda x: np.log(over(x, -1)))
wrong("softmax", "no exponential", "exp", lambda x: x / x.sum(-1, keepdims=True))
wrong("softmax", "softmin", "sign|negat|min", lambda x: over(-x, -1))
wrong(
    "softmax",
    "divided by the largest",
    "max|sum",
    lambda x: (e := np.exp(x - x.max(-1, keepdims=True))) / e.max(-1, keepdims=True),
)
wrong(
    "softmax",
    "powers of two",
    "2|exp",
    lambda x: (e := 2.0 ** (x - x.max(-1, keepdims=True))) / e.sum(-1, keepdims=True),
)
wrong(
    "softmax",
    "mean in the place of the sum",
    "mean|sum",
    lambda x: (e := np.exp(x - x.max(-1, keepdims=True))) / e.mean(-1, keepdims=True),
)
wrong("softmax", "sigmoid", "sigmoid", lambda x: sigmoid(x))
wrong(
    "softmax",
    "divided by the norm",
    "square|norm|root",
    lambda x: (e := np.exp(x - x.max(-1, keepdims=True))) / np.sqrt((e * e).sum(-1, keepdims=True)),
)
right(
    "softmax",
    "logsumexp",
    lambda x: np.exp(
        x - (m := x.max(-1, keepdims=True)) - np.log(np.exp(x - m).sum(-1, keepdims=True))
    ),
)
right(
    "softmax",
    "the largest of all numbers of a row, einsum",
    lambda x: np.einsum(
        "...n,...->...n", (e := np.exp(x - np.max(x, axis=-1)[..., None])), 1 / e.sum(-1)
    ),
)

# softmax_backward

wrong("softmax_backward", "only the diagonal", "sum|term|diagonal", lambda dy, y: dy * y * (1 - y))
wrong("softmax_backward", "the sum is missing", "sum|term|without", lambda dy, y: dy * y)
wrong(
    "softmax_backward",
    "y missing inside the sum",
    "y",
    lambda dy, y: y * (dy - dy.sum(-1, keepdims=True)),
)
wrong(
    "softmax_backward",
    "mean for sum",
    "mean|sum",
    lambda dy, y: y * (dy - (dy * y).mean(-1, keepdims=True)),
)
wrong(
    "softmax_backward",
    "plus",
    "\\+|plus|sign|add",
    lambda dy, y: y * (dy + (dy * y).sum(-1, keepdims=True)),
)
wrong(
    "softmax_backward",
    "y in front missing",
    "y",
    lambda dy, y: dy - (dy * y).sum(-1, keepdims=True),
)
wrong(
    "softmax_backward",
    "sum over the wrong axis",
    "ax",
    lambda dy, y: y * (dy - (dy * y).sum(0, keepdims=True)),
)
wrong("softmax_backward", "sum over all", "ax|all", lambda dy, y: y * (dy - (dy * y).sum()))
wrong(
    "softmax_backward",
    "softmax applied again",
    "softmax",
    lambda dy, y: (s := softmax(y)) * (dy - (dy * s).sum(-1, keepdims=True)),
)
wrong(
    "softmax_backward",
    "the wrong way around",
    "sign|exchang",
    lambda dy, y: y * ((dy * y).sum(-1, keepdims=True) - dy),
)
right(
    "softmax_backward",
    "Jacobian",
    lambda dy, y: np.einsum(
        "...i,...ij->...j",
        dy,
        y[..., :, None] * (np.eye(y.shape[-1], dtype=y.dtype) - y[..., None, :]),
    ),
)

# dropout, drop_path


def mask(shape, rate, rng, dtype):
    return (rng.random(shape) >= rate).astype(dtype)


def safe(rate):
    return 1 - rate if rate < 1 else 1


wrong(
    "dropout",
    "not rescaled",
    "scal|divi|1 [-−] rate",
    lambda x, rate, rng: x if rate == 0 else x * mask(x.shape, rate, rng, x.dtype),
)
wrong(
    "dropout",
    "keeps what it should drop",
    "<|instead|keep|invert|revers",
    lambda x, rate, rng: (
        x if rate == 0 else x * (rng.random(x.shape) < rate).astype(x.dtype) / safe(rate)
    ),
)
wrong(
    "dropout",
    "divided by the rate",
    "rate",
    lambda x, rate, rng: x if rate == 0 else x * mask(x.shape, rate, rng, x.dtype) / rate,
)
wrong(
    "dropout",
    "multiplied by the survival",
    "1 [-−] rate|multipl|divi|\\*",
    lambda x, rate, rng: x if rate == 0 else x * mask(x.shape, rate, rng, x.dtype) * (1 - rate),
)
wrong(
    "dropout",
    "one draw for each channel",
    "channel|shape|draw|mask",
    lambda x, rate, rng: x if rate == 0 else x * mask(x.shape[-1], rate, rng, x.dtype) / safe(rate),
)
wrong(
    "dropout",
    "only scaled",
    "mask|without|drop|random",
    lambda x, rate, rng: x if rate == 0 else x / safe(rate),
)
wrong("dropout", "identity", "identity|unchanged|without|noth", lambda x, rate, rng: x)
wrong(
    "dropout",
    "drops whole images",
    "image|path|shape",
    lambda x, rate, rng: (
        x if rate == 0 else x * mask((len(x), *[1] * (x.ndim - 1)), rate, rng, x.dtype) / safe(rate)
    ),
)
right(
    "dropout",
    "where",
    lambda x, rate, rng: (
        x if rate == 0 else np.where(rng.random(x.shape) >= rate, x / safe(rate), 0).astype(x.dtype)
    ),
)
wrong(
    "drop_path",
    "one draw for all images",
    "image|batch|shape|draw",
    lambda x, rate, rng: (
        x if rate == 0 else x * mask((1,) * x.ndim, rate, rng, x.dtype) / safe(rate)
    ),
)
wrong(
    "drop_path",
    "drops single numbers",
    "number|dropout|shape|element",
    lambda x, rate, rng: x if rate == 0 else x * mask(x.shape, rate, rng, x.dtype) / safe(rate),
)
wrong(
    "drop_path",
    "not rescaled",
    "scal|divi|1 [-−] rate",
    lambda x, rate, rng: (
        x if rate == 0 else x * mask((len(x), *[1] * (x.ndim - 1)), rate, rng, x.dtype)
    ),
)
wrong(
    "drop_path",
    "keeps what it should drop",
    "<|instead|keep|invert|revers",
    lambda x, rate, rng: (
        x if rate == 0 else x * (rng.random((len(x), *[1] * (x.ndim - 1))) < rate) / safe(rate)
    ),
)
wrong(
    "drop_path",
    "adds x as well",
    "x|residual|add",
    lambda x, rate, rng: (
        x
        if rate == 0
        else x + x * mask((len(x), *[1] * (x.ndim - 1)), rate, rng, x.dtype) / safe(rate)
    ),
)
wrong(
    "drop_path",
    "one draw for each channel",
    "channel|shape|last",
    lambda x, rate, rng: (
        x if rate == 0 else x * mask(x.shape[-1:], rate, rng, x.dtype) / safe(rate)
    ),
)
wrong(
    "drop_path",
    "divided by the rate",
    "rate",
    lambda x, rate, rng: (
        x if rate == 0 else x * mask((len(x), *[1] * (x.ndim - 1)), rate, rng, x.dtype) / rate
    ),
)
right(
    "drop_path",
    "images stacked",
    lambda x, rate, rng: (
        x
        if rate == 0
        else np.stack(
            [
                image * image.dtype.type(keep / safe(rate))
                for image, keep in zip(x, rng.random((len(x), *[1] * (x.ndim - 1))).ravel() >= rate)
            ]
        )
    ),
)

# cross_entropy


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def pick(a, labels):
    return a[np.arange(len(labels)), labels]


wrong(
    "cross_entropy",
    "no minus",
    "sign|negat|minus",
    lambda logits, labels: pick(log_softmax(logits), labels).mean(),
)
wrong(
    "cross_entropy",
    "summed",
    "sum|mean",
    lambda logits, labels: -pick(log_softmax(logits), labels).sum(),
)
wrong(
    "cross_entropy",
    "no logarithm",
    "log",
    lambda logits, labels: -pick(softmax(logits), labels).mean(),
)
wrong(
    "cross_entropy",
    "logits taken for logarithms",
    "log_softmax|log|normal|softmax",
    lambda logits, labels: -pick(logits, labels).mean(),
)
wrong(
    "cross_entropy",
    "softmax twice",
    "softmax|twice",
    lambda logits, labels: -pick(log_softmax(softmax(logits)), labels).mean(),
)
wrong(
    "cross_entropy",
    "one loss for each image",
    "mean|shape",
    lambda logits, labels: -pick(log_softmax(logits), labels),
)
wrong(
    "cross_entropy",
    "softmax over the batch",
    "ax|batch",
    lambda logits, labels: -pick(log_softmax(logits.T).T, labels).mean(),
)
wrong(
    "cross_entropy",
    "mean over all classes",
    "class|mean|label|factor|divi",
    lambda logits, labels: -(log_softmax(logits) * np.eye(logits.shape[1])[labels]).mean(),
)
wrong(
    "cross_entropy",
    "the columns of all images",
    "label|index|class|take",
    lambda logits, labels: -log_softmax(logits)[:, labels].mean(),
)
wrong(
    "cross_entropy",
    "logarithm to base two",
    "log|2|factor",
    lambda logits, labels: -pick(log_softmax(logits), labels).mean() / np.log(2),
)
wrong(
    "cross_entropy",
    "labels ignored: the largest class",
    "label|max|class",
    lambda logits, labels: -log_softmax(logits).max(-1).mean(),
)
right(
    "cross_entropy",
    "one-hot",
    lambda logits, labels: (
        -(
            log_softmax(logits)
            * (labels[:, None] == np.arange(logits.shape[1])).astype(logits.dtype)
        ).sum()
        / logits.dtype.type(len(labels))
    ),
)

wrong(
    "cross_entropy_backward",
    "not divided by the batch",
    "divi|mean|batch|factor|len",
    lambda logits, labels: softmax(logits) - np.eye(logits.shape[1], dtype=logits.dtype)[labels],
)
wrong(
    "cross_entropy_backward",
    "sign",
    "sign|negat",
    lambda logits, labels: (
        (np.eye(logits.shape[1], dtype=logits.dtype)[labels] - softmax(logits)) / len(labels)
    ),
)
wrong(
    "cross_entropy_backward",
    "divided by the classes",
    "class|divi|size|shape",
    lambda logits, labels: (
        (softmax(logits) - np.eye(logits.shape[1], dtype=logits.dtype)[labels]) / logits.shape[1]
    ),
)
wrong(
    "cross_entropy_backward",
    "only softmax",
    "target|label|without|[-−]",
    lambda logits, labels: softmax(logits) / len(labels),
)
wrong(
    "cross_entropy_backward",
    "log softmax",
    "log",
    lambda logits, labels: (
        (log_softmax(logits) - np.eye(logits.shape[1], dtype=logits.dtype)[labels]) / len(labels)
    ),
)
wrong(
    "cross_entropy_backward",
    "divided by all numbers",
    "size|divi|class",
    lambda logits, labels: (
        (softmax(logits) - np.eye(logits.shape[1], dtype=logits.dtype)[labels]) / logits.size
    ),
)
wrong(
    "cross_entropy_backward",
    "logits instead of probabilities",
    "softmax",
    lambda logits, labels: (
        (logits - np.eye(logits.shape[1], dtype=logits.dtype)[labels]) / len(labels)
    ),
)
wrong(
    "cross_entropy_backward",
    "softmax over the batch",
    "ax|batch",
    lambda logits, labels: (
        (over(logits, 0) - np.eye(logits.shape[1], dtype=logits.dtype)[labels]) / len(labels)
    ),
)
wrong(
    "cross_entropy_backward",
    "target only, wrong sign of everything missing",
    "softmax|target|without|probab",
    lambda logits, labels: -np.eye(logits.shape[1], dtype=logits.dtype)[labels] / len(labels),
)


@right("cross_entropy_backward", "one subtracted in place")
def _(logits, labels):
    d = softmax(logits)
    d[np.arange(len(labels)), labels] -= 1
    return d / len(labels)
