"""Exercises, typical mistakes, and a source of random inputs for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ...layers import (
    Activation,
    Array,
    Attention,
    AttentionBlock,
    BatchNorm,
    Conv2d,
    ConvMlp,
    LayerNorm,
    LayerScale,
    Linear,
    Mlp,
    Mode,
    PoolingBlock,
    Rng,
    gelu,
    relu,
    silu,
)

T = TypeVar("T")


class Mistake(NamedTuple):
    """A typical mistake, and the layer with this mistake in it."""

    kind: str
    hint: str
    function: Callable[..., Any]


class Exercise(NamedTuple):
    """A layer for students to write."""

    reference: Callable[..., Any]
    draw: Callable[[Draw], tuple[Any, ...]]
    """returns arguments for the reference; optional ones only above level 0"""
    mistakes: tuple[Mistake, ...]
    """in order: `check` names the first that fits"""
    results: tuple[str, ...] = ("dx", "dp")
    """names of the members if the result is a tuple"""
    options: int = 0
    """how many of the last arguments a function may leave out; it is then checked without them"""


class Draw:
    """A source of random inputs: small integers at level 0, larger arrays at higher levels."""

    def __init__(self, seed: int, level: int, dtype: str = "float64") -> None:
        self.rng: Rng = np.random.default_rng(seed)
        self.level = level
        self.dtype = dtype

    def size(self, least: int = 1) -> int:
        """Draw the size of an axis."""
        return least + int(self.rng.integers(0, self.level + 1))

    def choice(self, first: T, *others: T) -> T:
        """Draw one of several values; at level 0 it is the first."""
        return (first, *others)[self.rng.integers(0, len(others) + 1)] if self.level else first

    def array(self, *shape: int) -> Array:
        """Draw numbers of both signs."""
        if self.level == 0:
            return self.rng.integers(-4, 5, shape).astype(self.dtype)
        return self.rng.standard_normal(shape).astype(self.dtype)

    def positive(self, *shape: int) -> Array:
        """Draw numbers from 1 to 4."""
        if self.level == 0:
            return self.rng.integers(1, 5, shape).astype(self.dtype)
        return self.rng.uniform(1, 4, shape).astype(self.dtype)

    def activation(self) -> Activation:
        """Draw an activation: mostly GELU."""
        return self.choice(gelu, gelu, relu, silu)

    def mode(self) -> Mode:
        """Draw whether forward ran in evaluation or, without noise, in training."""
        return Mode(batch_statistics=self.choice(False, True))

    def images(self, C: int = 0, least: int = 2) -> Array:
        """Draw images, (B, H, W, C); above level 0 they have an inside and a border."""
        least += self.level > 0
        return self.array(self.size(), self.size(least), self.size(least), C or self.size())

    def tokens(self, C: int = 0, N: int = 0) -> Array:
        """Draw tokens, (B, N, C)."""
        return self.array(self.size(), N or self.size(2), C or self.size(2))

    def linear(self, C_in: int, C_out: int) -> Linear:
        """Draw the parameters of a linear layer."""
        return Linear(self.array(C_in, C_out), self.positive(C_out))

    def conv2d(self, C_in: int, C_out: int, kh: int = 1, kw: int = 1) -> Conv2d:
        """Draw the parameters of a convolution."""
        return Conv2d(self.array(kh, kw, C_in, C_out), self.positive(C_out))

    def batch_norm(self, C: int) -> BatchNorm:
        """Draw the parameters and statistics of a batch norm."""
        return BatchNorm(self.positive(C), self.array(C), self.array(C), self.positive(C))

    def layer_norm(self, C: int) -> LayerNorm:
        """Draw the parameters of a layer norm."""
        return LayerNorm(self.positive(C), self.array(C))

    def layer_scale(self, C: int) -> LayerScale:
        """Draw factors far from 1e-5, with which a mistake in a branch would go unnoticed."""
        return LayerScale(self.positive(C))

    def attention(self, C: int) -> Attention:
        """Draw the parameters of an attention layer."""
        heads, K, V = self.size(), self.size(), self.size()
        return Attention(
            self.linear(C, heads * (2 * K + V)),
            self.linear(heads * V, C),
            self.array(heads, self.size(), self.size(2)),
        )

    def mlp(self, C: int) -> Mlp:
        """Draw the parameters of an MLP of tokens."""
        return Mlp(self.linear(C, 2 * C), self.linear(2 * C, C))

    def conv_mlp(self, C: int) -> ConvMlp:
        """Draw the parameters of an MLP of images."""
        return ConvMlp(
            self.conv2d(C, 2 * C), self.batch_norm(2 * C), self.conv2d(2 * C, C), self.batch_norm(C)
        )

    def pooling_block(self, C: int) -> PoolingBlock:
        """Draw the parameters of a pooling block."""
        return PoolingBlock(self.layer_scale(C), self.conv_mlp(C), self.layer_scale(C))

    def attention_block(self, C: int) -> AttentionBlock:
        """Draw the parameters of an attention block."""
        return AttentionBlock(
            self.layer_norm(C), self.attention(C), self.layer_scale(C),
            self.layer_norm(C), self.mlp(C), self.layer_scale(C),
        )  # fmt: skip


class Table(dict[str, Exercise]):
    """Exercises by name."""

    def add(
        self,
        name: str,
        reference: Callable[..., Any],
        draw: Callable[[Draw], tuple[Any, ...]],
        *mistakes: tuple[str, str, Callable[..., Any]],
        results: tuple[str, ...] = ("dx", "dp"),
        options: int = 0,
    ) -> None:
        """Add an exercise; a mistake is (kind, hint, the layer with this mistake)."""
        known = tuple(Mistake(*m) for m in mistakes)
        self[name] = Exercise(reference, draw, known, results, options)
