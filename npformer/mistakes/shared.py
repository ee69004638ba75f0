"""What typical mistakes in several layers have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..layers import Array, Trace
from ..tree import transform
from .exercise import Draw

SCALE = "The branch is multiplied by its layer scale before it is added"
"""Begins the hints about layer scale in both kinds of block."""

SUM = (
    "mean instead of sum",
    "Every image used the same parameters, so their gradient is the sum over the batch. (If the "
    "loss is a mean, dy is already small.)",
)
"""Kind and hint of a gradient that is divided by the number of images."""

PATH = "and that depends on x too"
"""Ends a sentence about a statistic, in both norms."""

PLACES = (
    (
        "missing activation",
        "Between the two layers the gradient passes the activation: multiply by its derivative.",
        "",
    ),
    (
        "derivative at the output",
        "The derivative of the activation is taken at its input, not at its output.",
        "act",
    ),
)
"""Kind, hint, and where the derivative of the activation is taken, for both MLPs."""

PATHS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (
        "missing residual",
        "The gradient also flows past each branch unchanged: dy + f_backward(dy). Both residuals "
        "are missing.",
        {"past": (0, 0)},
    ),
    (
        "missing residual",
        "The gradient also flows past the second branch: dy + branch.",
        {"past": (1, 0)},
    ),
    (
        "missing residual",
        "The gradient also flows past the first branch: dy + branch.",
        {"past": (0, 1)},
    ),
    (
        "branch not added",
        "What comes out of the second branch belongs to the gradient that the first one is given.",
        {"add_branch": 0},
    ),
    (
        "wrong input",
        "The second branch saw x plus the first branch, not x.",
        {"middle": 0},
    ),
)
"""Kind, hint, and the paths that are cut, for both kinds of block."""


def without_bias(p: Any) -> Any:
    """Return the same parameters with a bias of zero."""
    return p._replace(bias=np.zeros_like(p.bias))


def normalised(
    x: Array, p: Any, eps: float, axes: tuple[int, ...], ddof: int = 0, centre: float = 1
) -> Array:
    """Any norm: over some axes, with some denominator n − ddof, with or without its mean."""
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True, ddof=ddof)
    return (x - centre * mean) / np.sqrt(variance + eps) * p.weight + p.bias


def identity(x: Array) -> Array:
    """Do nothing, in the place of an activation."""
    return x


def like(d: Draw, y: Array) -> Array:
    """Draw a gradient of the shape of an output."""
    return d.array(*y.shape)


def but(f: Callable[..., Any], change: Callable[..., Any]) -> Callable[..., Any]:
    """Return a backward function with its ``dp`` changed; `change` takes dp and all arguments."""

    def g(*args: Any) -> Any:
        dx, dp = f(*args)
        return dx, change(dp, *args)

    return g


def mean_over_batch(f: Callable[..., Any]) -> Callable[..., Any]:
    """Gradients of the parameters divided by the number of images."""
    return but(f, lambda dp, dy, *_: transform(lambda leaf: leaf / len(dy), dp))


def kept(f: Callable[..., Array], *args: Any) -> tuple[Array, Trace]:
    """Run forward with a tape."""
    tape = Trace()
    return f(*args, keep=tape), tape
