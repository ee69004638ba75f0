"""Optimizers as pure functions on trees: parameters and gradients in, new parameters out.

    SGD     b ← µ b + g + λ w                                       Polyak 1964, PyTorch's form
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


class OptimizerState(NamedTuple):
    """What an optimizer remembers between steps, under PyTorch's names; None if it has no use."""

    step: int
    """number of steps taken"""
    exp_avg: Any = None
    """AdamW: tree of m"""
    exp_avg_sq: Any = None
    """AdamW: tree of v"""
    momentum_buffer: Any = None
    """SGD: tree of b"""


class AdamW(NamedTuple):
    """Adam with decoupled weight decay; the defaults are PyTorch's."""

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.01

    def init(self, p: Any) -> OptimizerState:
        """Return the state before the first step."""
        zeros = transform(np.zeros_like, p)
        return OptimizerState(0, exp_avg=zeros, exp_avg_sq=zeros)

    def update(
        self,
        p: Tree,
        dp: Tree,
        state: OptimizerState,
        lr: float,
        is_trainable: Callable[[str], bool],
    ) -> tuple[Tree, OptimizerState]:
        """Take one step.

        Parameters
        ----------
        p, dp : tree
            Parameters and their gradients.
        state : OptimizerState
        lr : float
            The learning rate η.
        is_trainable : callable
            Whether the parameter at a path may change; see `trainable`.

        Returns
        -------
        p : tree
        state : OptimizerState

        Raises
        ------
        ValueError
            If the trees do not have the same paths.
        """
        t = state.step + 1
        scale = lr / (1 - self.beta1**t)
        correction = sqrt(1 - self.beta2**t)

        def first_moment(path: str, m: Array, g: Array) -> Array:
            return self.beta1 * m + (1 - self.beta1) * g if is_trainable(path) else m

        def second_moment(path: str, v: Array, g: Array) -> Array:
            return self.beta2 * v + (1 - self.beta2) * (g * g) if is_trainable(path) else v

        def move(path: str, w: Array, m: Array, v: Array) -> Array:
            if not is_trainable(path):
                return w
            shrink = 1 - lr * self.weight_decay if decays(path, w) else 1.0
            return w * shrink - scale * (m / (np.sqrt(v) / correction + self.eps))

        m = combine(first_moment, state.exp_avg, dp)
        v = combine(second_moment, state.exp_avg_sq, dp)
        return combine(move, p, m, v), OptimizerState(t, exp_avg=m, exp_avg_sq=v)


class SGD(NamedTuple):
    """Stochastic gradient descent with momentum."""

    momentum: float = 0.9
    weight_decay: float = 0.0
    nesterov: bool = False

    def init(self, p: Any) -> OptimizerState:
        """Return the state before the first step."""
        return OptimizerState(0, momentum_buffer=transform(np.zeros_like, p))

    def update(
        self,
        p: Tree,
        dp: Tree,
        state: OptimizerState,
        lr: float,
        is_trainable: Callable[[str], bool],
    ) -> tuple[Tree, OptimizerState]:
        """Take one step; parameters, results and errors as in `AdamW.update`."""

        def decay(path: str, w: Array, g: Array) -> Array:
            return g + self.weight_decay * w if decays(path, w) else g

        def accumulate(path: str, b: Array, g: Array) -> Array:
            return self.momentum * b + g if is_trainable(path) else b

        def move(path: str, w: Array, b: Array, g: Array) -> Array:
            if not is_trainable(path):
                return w
            return w - lr * (g + self.momentum * b if self.nesterov else b)

        dp = combine(decay, p, dp)
        b = combine(accumulate, state.momentum_buffer, dp)
        return combine(move, p, b, dp), OptimizerState(state.step + 1, momentum_buffer=b)


def decays(path: str, leaf: Array) -> bool:
    """Whether weight decay applies: to matrices and convolution kernels only.

    Biases, norms, layer scales and attention biases are few, and nothing says that they should be
    near 0.
    """
    return leaf.ndim > 1 and not path.endswith("attention_biases")


def trainable(frozen: Iterable[str] = ()) -> Callable[[str], bool]:
    """Return a function that tells whether the parameter at a path may change.

    Parameters
    ----------
    frozen : iterable of str
        Shell-style patterns of paths that must not change, such as ``"stem.*"``.

    Returns
    -------
    callable
        From path to bool. False for running statistics: batch norm updates them, not the optimizer.
    """
    patterns = [*frozen, "*.running_mean", "*.running_var"]
    return lambda path: not any(fnmatchcase(path, pattern) for pattern in patterns)


def clip_grad_norm(dp: Tree, max_norm: float) -> tuple[Tree, float]:
    """Scale gradients down if their common norm exceeds a limit (Pascanu et al. 2013).

    Parameters
    ----------
    dp : tree
    max_norm : float

    Returns
    -------
    dp : tree
        Times ``min(1, max_norm / (norm + 1e-6))``, as in torch.nn.utils.clip_grad_norm_.
    norm : float
        Square root of the sum of all squares, before clipping.
    """
    norm = sqrt(sum(float(np.square(leaf, dtype=np.float64).sum()) for _, leaf in leaves(dp)))
    factor = min(1.0, max_norm / (norm + 1e-6))
    return transform(lambda leaf: leaf * leaf.dtype.type(factor), dp), norm


def cosine_schedule(
    step: int, steps: int, lr: float, warmup: int = 0, min_lr: float = 0.0, start_lr: float = 0.0
) -> float:
    """Return the learning rate of a step: a linear warm-up, then half a cosine wave down.

    Parameters
    ----------
    step : int
        From 0.
    steps : int
        Number of steps in all.
    lr : float
        The highest rate, reached at step `warmup`.
    warmup : int
        Number of steps of the warm-up.
    min_lr, start_lr : float
        The rate after the last step, and at step 0 of the warm-up.

    Returns
    -------
    float

    References
    ----------
    Loshchilov & Hutter 2017, equation 5 (one cycle); Goyal et al. 2017, section 2.2 (warm-up).
    """
    if step < warmup:
        return start_lr + (lr - start_lr) * step / warmup
    progress = min(1.0, (step - warmup) / max(steps - warmup, 1))
    return min_lr + (lr - min_lr) * (1 + cos(pi * progress)) / 2


def ema(average: Tree, p: Tree, decay: float) -> Tree:
    """Update an exponential moving average of parameters (Polyak & Juditsky 1992).

    Parameters
    ----------
    average, p : tree
        The average so far, and the new parameters.
    decay : float
        Weight of the old average, in [0, 1).

    Returns
    -------
    tree
        ``decay · average + (1 − decay) · p``; running statistics are averaged too.

    Raises
    ------
    ValueError
        If the trees do not have the same paths.
    """
    return combine(lambda _, a, b: a + (b - a) * a.dtype.type(1 - decay), average, p)
