"""What students do to an array that they should not: each a function, with its words.

A candidate of the search may apply one of these to any part of a layer's formula.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ...layers import Array, Trace, gelu, gelu_new, relu, sigmoid, silu, softmax


class Tool(NamedTuple):
    """A function of an array, and the sentence about an array to which it was applied."""

    cost: float
    """the higher the less likely"""
    kind: str
    words: str
    """with {0} in the place of the array"""
    function: Callable[[Array], Any]
    elementwise: bool = False
    """whether it is likely inside an expression too"""


def _axes_reversed(*axes: int) -> Callable[[Array], Array]:
    return lambda a: np.flip(a, axes)


def _axes_swapped(i: int, j: int) -> Callable[[Array], Array]:
    return lambda a: np.swapaxes(a, i, j)


def _mean_kept(*axes: int) -> Callable[[Array], Array]:
    return lambda a: np.broadcast_to(a.mean(axes, keepdims=True), a.shape)


def _channels_first_values(a: Array) -> Array:
    """Read the numbers as if the array had its channels before its pixels."""
    return np.moveaxis(a.reshape(a.shape[0], a.shape[-1], *a.shape[1:-1]), 1, -1)


def _channels_first_order(a: Array) -> Array:
    """Put the channels first, then read the numbers in the shape of the original."""
    return np.moveaxis(a, -1, 1).reshape(a.shape)


def _masked(keep: Callable[[Array], Array]) -> Callable[[Array], Array]:
    def f(scores: Array) -> Array:
        return np.where(keep(np.ones(scores.shape[-2:], bool)), scores, -np.inf)

    return f


def _whole(a: Array) -> Array:
    return a.astype(int).astype(a.dtype)


def _rounded_to(dtype: str) -> Callable[[Array], Array]:
    return lambda a: a.astype(dtype).astype(a.dtype)


def _ones(a: Any) -> Any:
    return np.ones_like(a)


def _zeros(a: Any) -> Any:
    return np.zeros_like(a)


def add_once(target: Array, index: Any, values: Array) -> None:
    """Add at an index as plain indexing does: a place that is listed twice receives one value."""
    target[index] += values


def put(target: Array, index: Any, values: Array) -> None:
    """Write at an index: a place that is listed twice keeps the last value."""
    target[index] = values


def unbiased_mean(a: Array, *args: Any, **kwargs: Any) -> Array:
    """Mean with the denominator n − 1."""
    mean = np.mean(a, *args, **kwargs)
    n = a.size / max(np.size(mean), 1)
    with np.errstate(all="ignore"):
        return np.asarray(mean * np.divide(n, n - 1))


def biased_var(a: Array, *args: Any, **kwargs: Any) -> Array:
    """Variance with the denominator n − 1."""
    return np.asarray(np.var(a, *args, **kwargs, ddof=1))


def residual(a: Array, x: Array) -> Array:
    """Add x, if it has the same shape.

    Raises
    ------
    ValueError
        If it has not.
    """
    if a.shape != x.shape:
        raise ValueError("no residual")
    return a + x


def first_image(*some: Any) -> tuple[Any, ...]:
    """Cut arrays, and those of a tape, to the first image of a batch."""
    return _images(slice(None, 1), some)


def last_image(*some: Any) -> tuple[Any, ...]:
    """Cut arrays, and those of a tape, to the last image of a batch."""
    return _images(slice(-1, None), some)


def _images(which: slice, some: tuple[Any, ...]) -> tuple[Any, ...]:
    count = len(some[0])

    def cut(value: Any) -> Any:
        if isinstance(value, Mapping):
            part = Trace()
            for path, array in value.items():
                part(path, array[which] if array.ndim > 2 and len(array) == count else array)
            return part
        return value[which]

    return tuple(map(cut, some))


def hanging_mean(x: Array, size: int, before: int) -> Array:
    """Average, of what is inside the image, of windows that begin `before` pixels earlier."""
    around = (before, size - 1 - before)
    width = ((0, 0), around, around, (0, 0))
    sums, counts = (
        sliding_window_view(np.pad(a, width), (size, size), axis=(1, 2)).sum((-2, -1))
        for a in (x, np.ones_like(x))
    )
    return np.asarray(sums / counts)


def minus(a: Array, x: Array) -> Array:
    """Subtract x, if it has the same shape."""
    return residual(a, -x)


TOOLS: dict[str, Tool] = {
    "absolute": Tool(2.6, "absolute value", "with |{0}| in the place of {0}", np.abs, True),
    "squared": Tool(2.6, "squared", "with the square of {0}", np.square, True),
    "rooted": Tool(2.8, "square root", "with the square root of {0}", np.sqrt, True),
    "inverse": Tool(2.8, "reciprocal", "with 1 / {0} in the place of {0}", np.reciprocal, True),
    "exponential": Tool(3.0, "exponential", "with exp({0}) in the place of {0}", np.exp, True),
    "logarithm": Tool(3.0, "logarithm", "with log({0}) in the place of {0}", np.log, True),
    "relu": Tool(2.2, "ReLU too many", "with a ReLU after {0}", relu, True),
    "gelu": Tool(2.4, "GELU too many", "with a GELU after {0}", gelu, True),
    "sigmoid": Tool(2.8, "sigmoid too many", "with a sigmoid after {0}", sigmoid, True),
    "tanh": Tool(2.9, "tanh too many", "with a tanh after {0}", np.tanh, True),
    "softmax": Tool(2.6, "softmax too many", "with a softmax after {0}", softmax),
    "silu": Tool(3.2, "SiLU too many", "with a SiLU after {0}", silu),
    "opposite": Tool(1.6, "wrong sign", "with −{0} in the place of {0}", np.negative, True),
    "twice": Tool(2.2, "counted twice", "with {0} counted twice", lambda a: 2 * a, True),
    "halved": Tool(2.4, "halved", "with half of {0}", lambda a: a / 2, True),
    "complement": Tool(2.9, "1 minus", "with 1 − {0} in the place of {0}", lambda a: 1 - a, True),
    "zeros": Tool(2.2, "zero", "with 0 in the place of {0}", _zeros, True),
    "ones": Tool(2.2, "one", "with 1 in the place of {0}", _ones, True),
    "transposed": Tool(
        1.9,
        "transposed",
        "with {0} transposed: its last two axes exchanged",
        _axes_swapped(-1, -2),
        True,
    ),
    "swapped01": Tool(
        2.6, "axes exchanged", "with axes 0 and 1 of {0} exchanged", _axes_swapped(0, 1)
    ),
    "swapped12": Tool(
        2.4, "axes exchanged", "with axes 1 and 2 of {0} exchanged", _axes_swapped(1, 2)
    ),
    "swapped13": Tool(
        2.8, "axes exchanged", "with axes 1 and 3 of {0} exchanged", _axes_swapped(1, 3)
    ),
    "swapped23": Tool(
        2.8, "axes exchanged", "with axes 2 and 3 of {0} exchanged", _axes_swapped(2, 3)
    ),
    "reversed0": Tool(
        2.4, "order reversed", "with {0} in reverse order along axis 0", _axes_reversed(0)
    ),
    "reversed1": Tool(
        2.4, "order reversed", "with {0} in reverse order along axis 1", _axes_reversed(1)
    ),
    "reversed2": Tool(
        2.6, "order reversed", "with {0} in reverse order along axis 2", _axes_reversed(2)
    ),
    "reversed_last": Tool(
        2.6, "order reversed", "with {0} in reverse order along its last axis", _axes_reversed(-1)
    ),
    "flipped01": Tool(
        2.2,
        "flipped",
        "with {0} flipped along axes 0 and 1: mirrored, as in a true convolution",
        _axes_reversed(0, 1),
    ),
    "flipped12": Tool(2.4, "flipped", "with {0} flipped along axes 1 and 2", _axes_reversed(1, 2)),
    "flipped34": Tool(2.6, "flipped", "with {0} flipped along axes 3 and 4", _axes_reversed(3, 4)),
    "first_image": Tool(
        2.2,
        "first image only",
        "with {0} of the first image for the whole batch",
        lambda a: np.broadcast_to(a[:1], a.shape),
    ),
    "batch_mean": Tool(
        2.6, "images mixed", "with {0} averaged over the batch (axis 0)", _mean_kept(0)
    ),
    "image_mean": Tool(2.6, "averaged", "with {0} averaged over axes 1 and 2", _mean_kept(1, 2)),
    "token_mean": Tool(2.6, "averaged", "with {0} averaged over axis 1", _mean_kept(1)),
    "last_mean": Tool(2.5, "averaged", "with {0} averaged over its last axis", _mean_kept(-1)),
    "mean_of_all": Tool(
        2.5,
        "averaged",
        "with the mean of {0} in the place of {0}",
        lambda a: np.broadcast_to(a.mean(), a.shape),
    ),
    "sum_of_all": Tool(
        2.8,
        "summed",
        "with the sum of all of {0} in the place of {0}",
        lambda a: np.broadcast_to(a.sum(), a.shape),
    ),
    "first_channel": Tool(
        2.8,
        "first channel only",
        "with the first channel of {0} for all",
        lambda a: np.broadcast_to(a[..., :1], a.shape),
    ),
    "per_first": Tool(
        2.3,
        "divided by a count",
        "with {0} divided by the size of its first axis",
        lambda a: a / len(a),
    ),
    "times_first": Tool(
        2.8,
        "multiplied by a count",
        "with {0} multiplied by the size of its first axis",
        lambda a: a * len(a),
    ),
    "per_last": Tool(
        2.5,
        "divided by a count",
        "with {0} divided by the size of its last axis",
        lambda a: a / a.shape[-1],
    ),
    "per_all": Tool(
        2.6,
        "divided by a count",
        "with {0} divided by how many numbers it has",
        lambda a: a / a.size,
    ),
    "upper": Tool(2.8, "half of the pairs", "with only the upper triangle of {0}", np.triu),
    "lower": Tool(2.7, "half of the pairs", "with only the lower triangle of {0}", np.tril),
    "diagonal": Tool(
        2.8,
        "diagonal only",
        "with only the diagonal of {0}",
        lambda a: a * np.eye(a.shape[-2], a.shape[-1], dtype=a.dtype),
    ),
    "off_diagonal": Tool(
        2.8,
        "diagonal left out",
        "with the diagonal of {0} left out",
        lambda a: a * (1 - np.eye(a.shape[-2], a.shape[-1], dtype=a.dtype)),
    ),
    "causal": Tool(
        1.5,
        "causal mask",
        "with a causal mask on {0}: no query sees a later key",
        _masked(np.tril),
    ),
    "anticausal": Tool(
        1.6, "mask", "with a mask on {0}: no query sees an earlier key", _masked(np.triu)
    ),
    "no_self": Tool(
        1.6,
        "mask",
        "with a mask on {0}: no token sees itself",
        _masked(lambda a: ~np.eye(a.shape[0], a.shape[1], dtype=bool)),
    ),
    "channels_first_values": Tool(
        2.4,
        "channels first",
        "with {0} reshaped as if its channels came before its pixels",
        _channels_first_values,
    ),
    "channels_first_order": Tool(
        2.5,
        "channels first",
        "with the channels of {0} moved to the front, then a reshape",
        _channels_first_order,
    ),
    "whole": Tool(2.6, "whole numbers", "with {0} cut to whole numbers (dtype int)", _whole),
    "float32": Tool(3.0, "low precision", "with {0} in float32", _rounded_to("float32")),
    "float16": Tool(2.8, "low precision", "with {0} in float16", _rounded_to("float16")),
    "as_column": Tool(
        2.4, "another axis", "with {0} along the axis before the last", lambda a: a[..., None]
    ),
    "positive": Tool(
        2.4,
        "mask instead of the number",
        "with {0} > 0, a mask, in the place of {0}",
        lambda a: (a > 0).astype(a.dtype),
        True,
    ),
    "sign": Tool(2.8, "sign instead of the number", "with the sign of {0}", np.sign, True),
    "clipped1": Tool(
        2.6, "clipped", "with {0} clipped to at most 1", lambda a: np.minimum(a, 1), True
    ),
    "clipped6": Tool(
        2.7, "clipped", "with {0} clipped to at most 6", lambda a: np.minimum(a, 6), True
    ),
}

NEIGHBORS: dict[str, tuple[str, ...]] = {
    "exp": ("exp2", "expm1", "square", "abs", "log", "tanh"),
    "log": ("log2", "log10", "log1p", "exp", "sqrt"),
    "sqrt": ("square", "log", "abs", "reciprocal", "cbrt"),
    "square": ("abs", "sqrt", "exp"),
    "maximum": ("minimum", "add"),
    "minimum": ("maximum", "add"),
    "add": ("maximum", "minimum", "multiply"),
    "erf": ("tanh", "sigmoid", "sign"),
    "softmax": ("sigmoid", "relu", "exp", "log_softmax"),
    "log_softmax": ("softmax", "logsumexp"),
    "rint": ("trunc", "floor", "ceil"),
    "zeros": ("ones",),
    "abs": ("square",),
}
"""Functions that are taken for each other."""

REDUCTIONS = ("sum", "mean", "max", "min", "median", "var", "std", "prod")
MOMENTS = ("var", "std")

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": gelu,
    "relu": relu,
    "gelu_new": gelu_new,
    "silu": silu,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
}
"""Activations that are taken for each other."""


WHOLE: dict[str, Callable[[Array], Array]] = {
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "softplus": lambda x: np.logaddexp(x, 0),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "relu6": lambda x: np.clip(x, 0, 6),
    "step": lambda x: (x > 0).astype(x.dtype),
    "identity": lambda x: x,
    **ACTIVATIONS,
}
"""Functions of one array that are taken for a whole layer."""


def whole(name: str, x: Any) -> Any:
    """Apply a function that is taken for a whole layer."""
    return WHOLE[name](x)


def apply(name: str, a: Any) -> Any:
    """Apply a tool by name."""
    return TOOLS[name].function(a)


def reduce_by(name: str, a: Array, *args: Any, **kwargs: Any) -> Any:
    """Reduce an array by the function of NumPy with this name."""
    return getattr(np, name)(a, *args, **kwargs)


def neighbor(name: str, *args: Any) -> Any:
    """Call a function by name: an activation, or one of NumPy."""
    if name == "log_softmax":
        x = args[0] - args[0].max(-1, keepdims=True)
        return x - np.log(np.exp(x).sum(-1, keepdims=True))
    if name == "softmax":
        return softmax(args[0])
    if name in ACTIVATIONS:
        return ACTIVATIONS[name](args[0])
    return getattr(np, name)(*args)
