"""Derivatives along a direction, by the difference quotient and by the backward pass.

    d/ds L(x + s v)  at s = 0        ≈ Σₖ cₖ L(x + s_k v) / h        = ⟨dx, v⟩

The left side needs forward alone and knows nothing of backward. With six points around 0 the
truncation error is of order h⁶, so that a wide step can be taken, which keeps rounding small.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from npformer.layers import Array, Trace
from npformer.network.tree import build, leaves

STEPS = (1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6)
STENCIL = {-3: -1 / 60, -2: 3 / 20, -1: -3 / 4, 1: 3 / 4, 2: -3 / 20, 3: 1 / 60}
TOLERANCE = 1e-7


def flatten(tree: Any) -> Array:
    """All learned numbers of a tree in a row."""
    learned = [leaf.ravel() for path, leaf in leaves(tree) if "running" not in path]
    return np.concatenate([*learned, np.zeros(0)])


def move(tree: Any, direction: Array, step: float) -> Any:
    """The tree, `step` further along a direction in the order of `flatten`."""
    position = 0

    def shift(path: str, leaf: Array) -> Array:
        nonlocal position
        if "running" in path:
            return leaf
        piece = direction[position : position + leaf.size]
        position += leaf.size
        return leaf + step * piece.reshape(leaf.shape)

    return build(shift, tree)


def aligned_direction(gradient: Array, seed: int) -> Array:
    """A random direction with a part along the gradient: no derivative is small by accident."""
    random = np.random.default_rng(seed).standard_normal(gradient.shape)
    random /= np.linalg.norm(random)
    return random + gradient / max(np.linalg.norm(gradient), 1e-300)


def derivative(
    loss: Callable[[float], float], sides: Callable[[float], Array] | None = None
) -> float:
    """Derivative of `loss` at 0: the quotient of the step where it depends least on the step.

    A loss with kinks tells by `sides` on which side of each it is; steps that cross one are left
    out. The choice (Ridders 1982) looks at the quotients alone, not at what they shall prove.
    """
    quotients = []
    for step in STEPS:
        if sides is None or all(np.array_equal(sides(k * step), sides(0)) for k in STENCIL):
            quotients.append(sum(c * loss(k * step) for k, c in STENCIL.items()) / step)
    spreads = [abs(q - r) for q, r in pairwise(quotients)]
    assert spreads, "a kink lies too near: take another seed"
    return quotients[int(np.argmin(spreads)) + 1]


def check(
    forward: Callable[..., Array],
    backward: Callable[..., tuple[Any, Any]],
    x: Array,
    p: Any,
    seed: int,
) -> None:
    """Compare a layer's ``forward(x, p)`` and ``backward(dy, x, p)`` along a direction."""
    dy = np.random.default_rng(seed).standard_normal(forward(x, p).shape)
    gradient = backward(dy, x, p)
    assert [leaf.shape for _, leaf in leaves(gradient)] == [
        leaf.shape for _, leaf in leaves((x, p))
    ]
    direction = aligned_direction(flatten(gradient), seed + 1)

    def loss(step: float) -> float:
        return float((dy * forward(*move((x, p), direction, step))).sum())

    close(flatten(gradient) @ direction, derivative(loss))


def close(found: float, expected: float) -> None:
    error = abs(found - expected) / max(abs(expected), 1e-300)
    assert error <= TOLERANCE, f"backward {found!r}, difference quotient {expected!r}: {error:.1e}"


def kinks(tape: Trace) -> Array:
    """On which side of each ReLU of the stem, the only kinks of a network, a forward was."""
    return np.concatenate([tape[f"stem.{name}"].ravel() > 0 for name in ("norm1", "norm2")])
