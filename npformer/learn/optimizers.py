"""Optimizers as pure functions on trees: parameters and gradients in, new parameters out.

    SGD     b ← µ b + g + λ w                                       Polyak 1964, as PyTorch has it
            w ← w − η b
    AdamW   m ← β₁ m + (1 − β₁) g,    v ← β₂ v + (1 − β₂) g²        Kingma & Ba 2015
            w ← w − η λ w − η m̂ / (√v̂ + ε)                          Loshchilov & Hutter 2019

η is the learning rate, λ the weight decay; m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ) at step t.
References: torch.optim.SGD, torch.optim.AdamW.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from math import cos, pi, sqrt
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ..layers import Array
from ..network.tree import combine, leaves, transform

Tree = TypeVar("Tree")


class State(NamedTuple):
    """What an optimizer remembers between steps."""

    step: int
    """how many steps have been taken"""
    first: Any
    """tree of m, or of b"""
    second: Any
    """tree of v, or None"""


class AdamW(NamedTuple):
    """Adam with decoupled weight decay; its constants, with PyTorch's defaults."""

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.01

    def start(self, p: Any) -> State:
        """Return the state before the first step."""
        return State(0, transform(np.zeros_like, p), transform(np.zeros_like, p))

    def update(
        self, p: Tree, dp: Tree, state: State, rate: float, learns: Callable[[str], bool]
    ) -> tuple[Tree, State]:
        """Take a step.

        Parameters
        ----------
        p, dp : tree
            Parameters and their gradients.
        state : State
        rate : float
            The learning rate η.
        learns : callable
            Whether the parameter at a path may change; see `learned`.

        Returns
        -------
        p : tree
        state : State
        """
        t = state.step + 1
        scale = rate / (1 - self.beta1**t)
        correction = sqrt(1 - self.beta2**t)

        def first(path: str, m: Array, g: Array) -> Array:
            return self.beta1 * m + (1 - self.beta1) * g if learns(path) else m

        def second(path: str, v: Array, g: Array) -> Array:
            return self.beta2 * v + (1 - self.beta2) * (g * g) if learns(path) else v

        def move(path: str, w: Array, m: Array, v: Array) -> Array:
            if not learns(path):
                return w
            shrink = 1 - rate * self.weight_decay if decays(path, w) else 1.0
            return w * shrink - scale * (m / (np.sqrt(v) / correction + self.eps))

        m = combine(first, state.first, dp)
        v = combine(second, state.second, dp)
        return combine(move, p, m, v), State(t, m, v)


class SGD(NamedTuple):
    """Gradient descent with momentum; its constants."""

    momentum: float = 0.9
    weight_decay: float = 0.0
    nesterov: bool = False

    def start(self, p: Any) -> State:
        """Return the state before the first step."""
        return State(0, transform(np.zeros_like, p), None)

    def update(
        self, p: Tree, dp: Tree, state: State, rate: float, learns: Callable[[str], bool]
    ) -> tuple[Tree, State]:
        """Take a step; the arguments are those of `AdamW.update`."""

        def decayed(path: str, w: Array, g: Array) -> Array:
            return g + self.weight_decay * w if decays(path, w) else g

        def gather(path: str, b: Array, g: Array) -> Array:
            return self.momentum * b + g if learns(path) else b

        def move(path: str, w: Array, b: Array, g: Array) -> Array:
            if not learns(path):
                return w
            return w - rate * (g + self.momentum * b if self.nesterov else b)

        dp = combine(decayed, p, dp)
        b = combine(gather, state.first, dp)
        return combine(move, p, b, dp), State(state.step + 1, b, None)


def decays(path: str, leaf: Array) -> bool:
    """Whether weight decay applies: to matrices and kernels only.

    Biases, norms, layer scales and attention biases are few, and 0 is no natural value for them.
    """
    return leaf.ndim > 1 and not path.endswith("attention_biases")


def learned(frozen: Iterable[str] = ()) -> Callable[[str], bool]:
    """Return a function that tells whether the parameter at a path may change.

    Parameters
    ----------
    frozen : iterable of str
        Shell-style patterns of paths that shall stay as they are, such as ``"stem.*"``.

    Returns
    -------
    callable
        Of a path. Running statistics are never learned: batch norm keeps them by itself.
    """
    patterns = [*frozen, "*.running_mean", "*.running_var"]
    return lambda path: not any(fnmatchcase(path, pattern) for pattern in patterns)


def clip(dp: Tree, limit: float) -> tuple[Tree, float]:
    """Shorten gradients whose common length exceeds a limit (Pascanu et al. 2013).

    Parameters
    ----------
    dp : tree
    limit : float

    Returns
    -------
    dp : tree
        Times ``min(1, limit / (length + 1e-6))``, as torch.nn.utils.clip_grad_norm_ has it.
    length : float
        √ of the sum of all squares, before.
    """
    length = sqrt(sum(float(np.square(leaf, dtype=np.float64).sum()) for _, leaf in leaves(dp)))
    factor = min(1.0, limit / (length + 1e-6))
    return transform(lambda leaf: leaf * leaf.dtype.type(factor), dp), length


def cosine(
    step: int, steps: int, rate: float, warmup: int = 0, lowest: float = 0.0, start: float = 0.0
) -> float:
    """Learning rate of a step: up in a straight line, then down along half a cosine wave.

    Parameters
    ----------
    step : int
        From 0.
    steps : int
        How many there are in all.
    rate : float
        The highest rate, reached at step `warmup`.
    warmup : int
        Steps of the way up.
    lowest, start : float
        The rate at the end, and at step 0 of the way up.

    References
    ----------
    Loshchilov & Hutter 2017, equation 5 (one cycle); Goyal et al. 2017, section 2.2 (warm-up).
    """
    if step < warmup:
        return start + (rate - start) * step / warmup
    progress = min(1.0, (step - warmup) / max(steps - warmup, 1))
    return lowest + (rate - lowest) * (1 + cos(pi * progress)) / 2


def average(mean: Tree, p: Tree, decay: float) -> Tree:
    """Move an exponential moving average towards new parameters (Polyak & Juditsky 1992).

    Parameters
    ----------
    mean, p : tree
    decay : float
        Weight of the old average, in [0, 1).

    Returns
    -------
    tree
        ``decay · mean + (1 − decay) · p``; running statistics are averaged too.
    """
    return combine(lambda _, a, b: a + (b - a) * a.dtype.type(1 - decay), mean, p)
