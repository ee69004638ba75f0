"""Typical mistakes that several layers share, and parts to build them from."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from ...layers import EVALUATION, Array, LayerScale, Mode, Trace
from ...network.tree import transform
from .exercise import Draw

Entry: TypeAlias = tuple[str, str, Callable[..., Any]]
"""Kind, hint, and the layer with this mistake."""

SUM = (
    "mean instead of sum",
    "Every image used the same parameters, so their gradient is the sum over the batch. (If the "
    "loss is a mean, dy has been divided already.)",
)
"""Kind and hint of a gradient that is divided by the number of images."""

PLACES = (
    (
        "missing activation",
        "Between the layers the gradient passes the activation: multiply by its derivative.",
        "",
    ),
    (
        "derivative at the output",
        "The derivative of the activation is taken at its input, not at its output.",
        "act",
    ),
)
"""Kind, hint, and where the derivative of the activation is taken, for both MLPs; "" is nowhere."""

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
        "The gradient that reaches the first branch includes what the second branch sends back.",
        {"add_branch": 0},
    ),
    (
        "wrong input",
        "The input of the second branch is x plus the first branch, not x.",
        {"add_first": 0},
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
    """Normalize over some axes, with denominator n − ddof, with or without subtracting the mean."""
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True, ddof=ddof)
    return (x - center * mean) / np.sqrt(variance + eps) * p.weight + p.bias


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
    """Return a backward function whose ``dp`` is divided by the number of images."""
    return but(f, lambda dp, dy, *_: transform(lambda leaf: leaf / len(dy), dp))


def kept(f: Callable[..., Array], *args: Any, mode: Mode = EVALUATION.mode) -> tuple[Array, Trace]:
    """Run forward, and record it on a tape."""
    tape = Trace(mode=mode)
    return f(*args, run=tape), tape


def altered(tape: Trace, **arrays: Array) -> Trace:
    """Return a copy of a tape that holds other arrays under some names."""
    other = Trace()
    for name, array in tape.items():
        other(name, arrays.get(name, array))
    return other


def first_half(block: Callable[..., Array], x: Array, p: Any, *how: Any) -> Array:
    """Return x and the first branch of a block: the block without its second branch."""
    return block(x, p._replace(ls2=_zero(p.ls2)), *how)


def second_half(block: Callable[..., Array], x: Array, p: Any, *how: Any) -> Array:
    """Return x and the second branch of a block: the block without its first branch."""
    return block(x, p._replace(ls1=_zero(p.ls1)), *how)


def _zero(scale: LayerScale) -> LayerScale:
    return LayerScale(np.zeros_like(scale.gamma))


def residuals(block: Callable[..., Array], mixer: str) -> tuple[Entry, ...]:
    """Return the mistakes of either kind of block without one or both of its residuals."""

    def without(x: Array, p: Any, *how: Any, past: tuple[int, int]) -> Array:
        y = first_half(block, x, p, *how) - (1 - past[0]) * x
        return second_half(block, y, p, *how) - (1 - past[1]) * y

    return (
        (
            "missing residual",
            "Add each branch to its input; both residuals are missing.",
            partial(without, past=(0, 0)),
        ),
        (
            "missing residual",
            f"Add the result of the {mixer} to x: the first residual is missing.",
            partial(without, past=(0, 1)),
        ),
        (
            "missing residual",
            "Add the result of the MLP to its input: the second residual is missing.",
            partial(without, past=(1, 0)),
        ),
    )


def order(block: Callable[..., Array], mixer: str) -> Entry:
    """Return the mistake of either kind of block with its branches in the wrong order."""
    return (
        "branches in the wrong order",
        f"The {mixer} comes first, then the MLP.",
        lambda x, p, *how: first_half(block, second_half(block, x, p, *how), p, *how),
    )


def paths(backward: Callable[..., Any]) -> tuple[Entry, ...]:
    """Return the mistakes of a block's gradient that takes not all of the `PATHS`."""

    def along(
        dy: Array,
        x: Array,
        p: Any,
        *rest: Any,
        past: tuple[int, int] = (1, 1),
        add_branch: int = 1,
        add_first: int = 1,
    ) -> tuple[Array, Any]:
        *options, tape = rest
        how = (*options, altered(tape, ls1=add_first * tape["ls1"]))
        after, second = backward(dy, x, p._replace(ls1=_zero(p.ls1)), *how)
        dy = past[1] * dy + add_branch * (after - dy)
        before, first = backward(dy, x, p._replace(ls2=_zero(p.ls2)), *how)
        split = p._fields.index("ls1") + 1
        return before - (1 - past[0]) * dy, type(p)(*first[:split], *second[split:])

    return tuple((kind, hint, partial(along, **ways)) for kind, hint, ways in PATHS)


def affine(norm: Callable[..., Array]) -> tuple[Entry, ...]:
    """Return mistakes in what a norm does after normalizing."""
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
            "The weight multiplies only the normalized number; the bias is added afterwards.",
            lambda x, p, *eps: norm(x, p._replace(bias=p.bias * p.weight), *eps),
        ),
    )


def through_statistics(backward: Callable[..., Any], whose: str) -> tuple[Entry, ...]:
    """Return mistakes in which paths of a norm's gradient are missing."""
    return (
        (
            "statistics treated as constants",
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
    """Return the mistake of a norm whose gradient of x lacks the weight."""

    def g(dy: Array, x: Array, p: Any, *rest: Any) -> Any:
        return backward(dy, x, without_weight(p), *rest)[0], backward(dy, x, p, *rest)[1]

    return "missing weight", "y = x̂ · weight + bias: the gradient of x̂ is dy · weight.", g


def layer_scales(block: Callable[..., Array], mixer: str) -> tuple[Entry, ...]:
    """Return mistakes in the layer scales of either kind of block."""
    rule = "The branch is multiplied by its layer scale before it is added"
    return (
        (
            "missing layer scale",
            f"{rule}; both are missing.",
            lambda x, p, *how: block(x, p._replace(ls1=None, ls2=None), *how),
        ),
        (
            "missing layer scale",
            f"{rule}: γ₁.",
            lambda x, p, *how: block(x, p._replace(ls1=None), *how),
        ),
        (
            "missing layer scale",
            f"{rule}: γ₂.",
            lambda x, p, *how: block(x, p._replace(ls2=None), *how),
        ),
        (
            "layer scales swapped",
            f"ls1 belongs to the {mixer}, ls2 to the MLP.",
            lambda x, p, *how: block(x, p._replace(ls1=p.ls2, ls2=p.ls1), *how),
        ),
    )
