"""What typical mistakes in several layers have in common."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from ...layers import Array, Trace
from ...network.tree import transform
from .exercise import Draw

Entry: TypeAlias = tuple[str, str, Callable[..., Any]]
"""Kind, hint, and the layer with this mistake."""

SUM = (
    "mean instead of sum",
    "Every image used the same parameters, so their gradient is the sum over the batch. (If the "
    "loss is a mean, dy is already small.)",
)
"""Kind and hint of a gradient that is divided by the number of images."""

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


def without_weight(p: Any) -> Any:
    """Return the same parameters with a weight of one."""
    return p._replace(weight=np.ones_like(p.weight))


def normalized(
    x: Array, p: Any, eps: float, axes: tuple[int, ...], ddof: int = 0, center: float = 1
) -> Array:
    """Any norm: over some axes, with some denominator n − ddof, with or without its mean."""
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True, ddof=ddof)
    return (x - center * mean) / np.sqrt(variance + eps) * p.weight + p.bias


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
    return f(*args, run=tape), tape


def affine(norm: Callable[..., Array]) -> tuple[Entry, ...]:
    """Mistakes in what a norm does after it has normalized."""
    return (
        (
            "missing weight",
            "Multiply the normalized number by the weight of its channel.",
            lambda x, p, *eps: norm(x, without_weight(p), *eps),
        ),
        (
            "missing bias",
            "Add the bias of the channel at the end.",
            lambda x, p, *eps: norm(x, without_bias(p), *eps),
        ),
        (
            "bias scaled",
            "The weight multiplies the normalized number only; the bias comes after it.",
            lambda x, p, *eps: norm(x, p._replace(bias=p.bias * p.weight), *eps),
        ),
    )


def through_statistics(backward: Callable[..., Any], whose: str) -> tuple[Entry, ...]:
    """Paths that the gradient of a norm takes, cut by ``mean=0`` and ``var=0``."""
    return (
        (
            "statistics taken for constants",
            f"The mean and the variance of {whose} depend on x: two more terms.",
            partial(backward, mean=0, var=0),
        ),
        (
            "path through the mean missing",
            f"The mean of {whose} depends on x too: − mean(g).",
            partial(backward, mean=0),
        ),
        (
            "path through the variance missing",
            f"The variance of {whose} depends on x too: − x̂ · mean(g · x̂).",
            partial(backward, var=0),
        ),
    )


def unweighted(backward: Callable[..., Any]) -> Entry:
    """The gradient of a norm that forgets the weight on its way to x."""

    def g(dy: Array, x: Array, p: Any, *rest: Any) -> Any:
        return backward(dy, x, without_weight(p), *rest)[0], backward(dy, x, p, *rest)[1]

    return "missing weight", "y = x̂ · weight + bias: the gradient of x̂ is dy · weight.", g


def layer_scales(block: Callable[..., Array], mixer: str) -> tuple[Entry, ...]:
    """Mistakes in the layer scale of either kind of block."""
    rule = "The branch is multiplied by its layer scale before it is added"
    return (
        (
            "missing layer scale",
            f"{rule}; both are missing.",
            lambda x, p: block(x, p._replace(ls1=None, ls2=None)),
        ),
        ("missing layer scale", f"{rule}: γ₁.", lambda x, p: block(x, p._replace(ls1=None))),
        ("missing layer scale", f"{rule}: γ₂.", lambda x, p: block(x, p._replace(ls2=None))),
        (
            "layer scales swapped",
            f"ls1 belongs to the {mixer}, ls2 to the MLP.",
            lambda x, p: block(x, p._replace(ls1=p.ls2, ls2=p.ls1)),
        ),
    )
