"""Mistakes as functions that take the place of right steps of a `plain.Plain` network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from npformer.layers import Array

from .plain import Tensors, distances

Twist = Callable[..., Array]


def given(**options: Any) -> Twist:
    """Give other options to the right step."""
    return lambda step, *args, **own: step(*args, **(own | options))


def instead(function: Callable[..., Array]) -> Twist:
    """Compute something else, of the first argument alone."""
    return lambda step, x, *args, **own: function(x)


def after(function: Callable[[Array], Array]) -> Twist:
    """Change the result."""
    return lambda step, *args, **own: function(step(*args, **own))


def held(which: int, change: Callable[[Array], Array]) -> Twist:
    """Change what the step holds; the weight is argument 1, the bias argument 2."""

    def twist(step: Any, *args: Array, **own: Any) -> Array:
        changed = [change(arg) if i == which else arg for i, arg in enumerate(args)]
        return step(*changed, **own)

    return twist


def to_half(x: Array) -> Array:
    """Round to float16, and go on in the type before."""
    return x.astype(np.float16).astype(x.dtype)


def to_bfloat16(x: Array) -> Array:
    """Round to bfloat16, to the nearest; go on in float32."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    rounded = bits + 0x7FFF + ((bits >> 16) & 1)
    return (rounded & np.uint32(0xFFFF0000)).astype(np.uint32).view(np.float32)


def rounded(to: Callable[[Array], Array], results: bool = True) -> Twist:
    """Round all that the step takes and holds, and what it gives."""

    def twist(step: Any, *args: Any, **own: Any) -> Array:
        y = step(*[to(arg) for arg in args], **own)
        return to(y) if results else y

    return twist


def in_half(step: Any, *args: Any, **own: Any) -> Array:
    """Compute in float16 throughout, sums too."""
    return step(*[arg.astype(np.float16) for arg in args], **own)


def reshaped(kernel: Array) -> Array:
    """Read the bytes of a kernel of PyTorch's, (O, I, kh, kw), as (kh, kw, I, O)."""
    return np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)).reshape(kernel.shape)


def reread(weight: Array) -> Array:
    """Read the bytes of a matrix of PyTorch's, (O, I), as (I, O)."""
    return np.ascontiguousarray(weight.T).reshape(weight.shape)


def channels_outside(kernel: Array) -> Array:
    """Order a kernel's rows as (I, kh, kw) for patches that are (kh, kw, I)."""
    return kernel.transpose(2, 0, 1, 3).reshape(kernel.shape)


def dilated(step: Any, x: Array, kernel: Array, bias: Array, stride: int, pads: Any) -> Array:
    """Let a kernel of 3×3 reach over 5×5."""
    wide = np.zeros((5, 5, *kernel.shape[2:]), kernel.dtype)
    wide[::2, ::2] = kernel
    return step(x, wide, bias, stride=stride, pads=tuple(p + 1 for p in pads))


def bordered(mode: Any) -> Twist:
    """Pad an image in another way than with zeros."""

    def twist(step: Any, x: Array, kernel: Array, bias: Array, stride: int, pads: Any) -> Array:
        x = np.pad(x, ((0, 0), pads[:2], pads[2:], (0, 0)), mode=mode)
        return step(x, kernel, bias, stride=stride)

    return twist


def table_by(number: Callable[[Array, tuple[int, int]], Array]) -> Twist:
    """Read the table of attention biases at other places, functions of distances and grid."""

    def twist(step: Any, x: Array, table: Array, grid: tuple[int, int]) -> Array:
        return x + table[:, number(distances(grid), grid) % table.shape[1]]

    return twist


def of_batch(step: Any, x: Array, weight: Array, bias: Array, *_: Array, eps: float) -> Array:
    """Normalize by the statistics of the batch."""
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    return step(x, weight, bias, mean, variance, eps=eps)


def three_blocks(step: Any, qkv: Array, part: int, heads: int, K: int) -> Array:
    """Read the columns of qkv as all q, all k, all v."""
    ends = [heads * K, 2 * heads * K]
    columns = np.split(qkv, ends, axis=2)[part]
    return columns.reshape(*qkv.shape[:2], heads, -1).transpose(0, 2, 1, 3)


def dropped(rate: float, seed: int = 0) -> Twist:
    """Leave a dropout on."""

    def drop(x: Array) -> Array:
        kept = np.random.default_rng(seed).random(x.shape) >= rate
        return x * kept / x.dtype.type(1 - rate)

    return after(drop)


# Parameters, by timm's names


def tensor(end: str, change: Callable[[Array], Array]) -> Callable[[Tensors], None]:
    """Change the parameters whose name ends like this."""

    def changed(held: Tensors) -> None:
        found = [name for name in held if name.endswith(end) and held[name].dtype.kind == "f"]
        assert found, end
        for name in found:
            held[name] = np.ascontiguousarray(change(held[name]), held[name].dtype)

    return changed


def exchanged(one: str, other: str) -> Callable[[Tensors], None]:
    """Exchange the parameters below two paths."""

    def changed(held: Tensors) -> None:
        names = [name for name in held if name.startswith(one)]
        assert names, one
        for name in names:
            second = other + name.removeprefix(one)
            held[name], held[second] = held[second], held[name]

    return changed


def uniform(bound: float, seed: int = 5) -> Callable[[Array], Array]:
    """Draw as PyTorch initializes layers, evenly up to a bound."""
    return lambda w: np.random.default_rng(seed).uniform(-bound, bound, w.shape)
