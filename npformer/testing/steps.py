"""The network as a list of elementary steps, each a function of arrays that have a name.

`npformer.network.forward` is a loop over blocks, for readers. To find where another implementation
goes wrong, one wants it flat: a convolution, its batch norm, an activation, the scores of the
attention, their softmax, … A `Step` knows the path of its result, the paths of the arrays that it
reads, and its parameters, so that it can be run alone, on whatever arrays somebody recorded.

Paths are timm's where timm has a module with this result, and those that a `Trace` records. The
others are

    …token_mixer.pool                average of the windows, before x is subtracted (timm's too)
    …token_mixer.q, .k, .v           (B, heads, N, K or V)
    …token_mixer.scores              q kᵀ / √K, before the bias is added
    …token_mixer.biased              what the softmax is given
    …token_mixer.context             attn v, heads side by side: what the projection is given
    …residual1                       x after the first branch of a block
    pixel_values                     the input, with channels last
    logits                           the answer

A module whose result is that of its last part, such as ``mlp``, is an ``identity``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from numpy.typing import DTypeLike

from ..errors import ConfigError
from ..layers import (
    ACTIVATIONS,
    Array,
    Attention,
    AttentionBlock,
    BatchNorm,
    Conv2d,
    ConvMlp,
    Flat,
    LayerNorm,
    LayerScale,
    Linear,
    Mlp,
    PoolingBlock,
    Stem,
    average_pool,
    batch_norm,
    conv2d,
    flat,
    head_sizes,
    layer_norm,
    layer_scale,
    linear,
    relative_position_bias,
    softmax,
)
from ..layers.attend import merge_heads, split_heads
from ..layers.precision import mean64
from ..network import EfficientFormer, EfficientFormerConfig
from ..network.stage import Block, Stage, downsampling
from ..network.tree import leaves, transform

INPUT = "pixel_values"
"""Path of the network's input."""

Params: TypeAlias = "Conv2d | BatchNorm | Linear | LayerNorm | LayerScale | Array | None"
"""What a step holds: the parameters of a layer, attention biases, or nothing."""


class Step(NamedTuple):
    """An elementary step: ``step(*inputs)`` computes the array at `path`."""

    path: str
    """of the result"""
    layer: str
    """what kind of step it is, a key of `LAYERS`"""
    inputs: tuple[str, ...]
    """paths of the arrays that it reads"""
    params: Params = None
    """what it holds"""
    options: dict[str, Any] = {}  # noqa: RUF012 - never written to
    """keyword arguments of its function: ε, stride, padding, …"""
    prefix: str = ""
    """path of `params` in the network's tree; empty if there are none"""

    def __call__(self, *inputs: Array) -> Array:
        """Compute the step by the plain layers, in the dtype of inputs and parameters."""
        return LAYERS[self.layer](*inputs, *self._held(), **self.options)

    def _held(self) -> tuple[Params, ...]:
        return () if self.params is None else (self.params,)

    def parameters(self) -> dict[str, Array]:
        """Return the arrays that the step holds, by timm's keys."""
        return dict(leaves(self.params, self.prefix))

    def astype(self, dtype: DTypeLike) -> Step:
        """Return the same step with parameters of another type."""
        return self._replace(params=transform(lambda a: a.astype(dtype, copy=False), self.params))


def identity(x: Array) -> Array:
    """Return the array itself: the result of a module is that of its last part."""
    return x


def activation(x: Array, name: str) -> Array:
    """Apply an activation, named by a key of `npformer.layers.ACTIVATIONS`."""
    return ACTIVATIONS[name](x)


def add(x: Array, y: Array) -> Array:
    """Add a branch to what it branched off from."""
    return x + y


def subtract(y: Array, x: Array) -> Array:
    """Subtract the pixel from the average of its window."""
    return y - x


def split_head(qkv: Array, part: int, heads: int, K: int) -> Array:
    """Cut q, k or v (`part` 0, 1, 2) out of (B, N, heads·(2K + V)): (B, heads, N, K or V)."""
    return split_heads(qkv, heads, K)[part]


def scores(q: Array, k: Array, scale: float) -> Array:
    """Compare every query with every key: ``scale · q kᵀ``, (B, heads, N, N)."""
    return q @ k.swapaxes(2, 3) * scale


def add_position_bias(x: Array, biases: Array) -> Array:
    """Add the attention biases (heads, rows, columns) to scores (B, heads, N, N)."""
    return x + relative_position_bias(biases)


def weighted_sum(attn: Array, v: Array) -> Array:
    """Mix the values as the attention says, and lay the heads side by side: (B, N, heads·V)."""
    return merge_heads(attn @ v)


def mean_of_tokens(x: Array) -> Array:
    """Average over tokens: (B, N, C) -> (B, C)."""
    return mean64(x, 1)


def average(x: Array, y: Array) -> Array:
    """Average the logits of both heads."""
    return (x + y) / 2


LAYERS: dict[str, Callable[..., Array]] = {
    "identity": identity,
    "conv2d": conv2d,
    "batch_norm": batch_norm,
    "activation": activation,
    "average_pool": average_pool,
    "subtract": subtract,
    "layer_scale": layer_scale,
    "residual": add,
    "flat": flat,
    "layer_norm": layer_norm,
    "linear": linear,
    "split_head": split_head,
    "scores": scores,
    "position_bias": add_position_bias,
    "softmax": softmax,
    "weighted_sum": weighted_sum,
    "token_mean": mean_of_tokens,
    "average": average,
}
"""The function of each kind of step: its inputs, then its parameters, then its options."""

Steps: TypeAlias = Generator[Step, None, str]
"""Yields steps; returns the path of the last result."""


def steps(params: EfficientFormer, config: EfficientFormerConfig) -> tuple[Step, ...]:
    """List the elementary steps of a network, in the order of computation.

    Parameters
    ----------
    params : EfficientFormer
    config : EfficientFormerConfig

    Returns
    -------
    tuple of Step
        Run one after the other, they give the same bits as `npformer.network.forward` in float32
        and float64. (In float16 a step rounds what `forward` keeps in float32 within a layer.)

    Raises
    ------
    ConfigError
        If the parameters are those of a network that was folded or put into eight bits.
    """
    if not isinstance(params, EfficientFormer):
        found = type(params).__name__
        raise ConfigError(
            f"parameters are a {found}; expected an EfficientFormer: a folded network, or one in "
            "eight bits, has other steps. Load the float network that it was made of"
        )
    return tuple(_network(params, config))


def run_steps(
    chain: Sequence[Step], arrays: Mapping[str, Array], dtype: DTypeLike | None = None
) -> dict[str, Array]:
    """Run steps one after the other.

    Parameters
    ----------
    chain : sequence of Step
        In the order of computation; not all of a network need be there.
    arrays : mapping of str to ndarray
        What is known, by path: for a whole network, ``{"pixel_values": x}``. Where a path is also
        the result of a step, the array is taken, and the step is not run.
    dtype : dtype, optional
        What to compute in: parameters and arrays are converted. By default as they are.

    Returns
    -------
    dict of str to ndarray
        The arrays, and the result of each step.

    Raises
    ------
    KeyError
        If a step reads an array that is neither given nor computed before.
    """
    found = dict(arrays)
    if dtype is not None:
        found = {path: array.astype(dtype, copy=False) for path, array in found.items()}
    for step in chain:
        if step.path not in found:
            ready = step if dtype is None else step.astype(dtype)
            found[step.path] = ready(*[found[path] for path in step.inputs])
    return found


def _one(
    path: str, layer: str, *inputs: str, params: Params = None, prefix: str = "", **options: Any
) -> Steps:
    """A single step; its parameters lie at its path unless `prefix` says where."""
    prefix = "" if params is None else prefix or path
    yield Step(path, layer, inputs, params, options, prefix)
    return path


def _network(p: EfficientFormer, config: EfficientFormerConfig) -> Steps:
    x = yield from _stem(INPUT, "stem", p.stem, config.batch_norm_eps)
    for i, stage in enumerate(p.stages):
        x = yield from _stage(x, f"stages.{i}", stage, config)
    x = yield from _one("norm", "layer_norm", x, params=p.norm, eps=config.layer_norm_eps)
    x = yield from _one("pooled", "token_mean", x)
    if p.head is None:
        return (yield from _one("logits", "identity", x))
    head = yield from _one("head", "linear", x, params=p.head)
    if p.head_dist is None:
        return (yield from _one("logits", "identity", head))
    dist = yield from _one("head_dist", "linear", x, params=p.head_dist)
    return (yield from _one("logits", "average", head, dist))


def _stem(x: str, at: str, p: Stem, eps: float) -> Steps:
    for n, conv, norm in ((1, p.conv1, p.norm1), (2, p.conv2, p.norm2)):
        x = yield from _one(f"{at}.conv{n}", "conv2d", x, params=conv, stride=2, padding=1)
        x = yield from _one(f"{at}.norm{n}", "batch_norm", x, params=norm, eps=eps)
        x = yield from _one(f"{at}.act{n}", "activation", x, name="relu")
    return (yield from _one(at, "identity", x))


def _stage(x: str, at: str, p: Stage, config: EfficientFormerConfig) -> Steps:
    if p.downsample is not None:
        stride, padding, eps = downsampling(config)
        inside, (conv, norm) = f"{at}.downsample", p.downsample
        x = yield from _one(
            f"{inside}.conv", "conv2d", x, params=conv, stride=stride, padding=padding
        )
        x = yield from _one(f"{inside}.norm", "batch_norm", x, params=norm, eps=eps)
        x = yield from _one(inside, "identity", x)
    for i, block in enumerate(p.blocks):
        x = yield from _block(x, f"{at}.blocks.{i}", block, config)
    return (yield from _one(at, "identity", x))


def _block(x: str, at: str, p: Block, config: EfficientFormerConfig) -> Steps:
    if isinstance(p, Flat):
        return (yield from _one(at, "flat", x))
    eps = config.layer_norm_eps
    if isinstance(p, PoolingBlock):
        y = yield from _pooling(x, f"{at}.token_mixer", config.pool_size)
    else:
        y = yield from _one(f"{at}.norm1", "layer_norm", x, params=p.norm1, eps=eps)
        y = yield from _attention(y, f"{at}.token_mixer", p.token_mixer)
    y = yield from _scale(y, f"{at}.ls1", p.ls1)
    x = yield from _one(f"{at}.residual1", "residual", x, y)
    y = x
    if isinstance(p, AttentionBlock):
        y = yield from _one(f"{at}.norm2", "layer_norm", y, params=p.norm2, eps=eps)
    y = yield from _mlp(y, f"{at}.mlp", p.mlp, config)
    y = yield from _scale(y, f"{at}.ls2", p.ls2)
    return (yield from _one(at, "residual", x, y))


def _pooling(x: str, at: str, size: int) -> Steps:
    y = yield from _one(f"{at}.pool", "average_pool", x, size=size)
    return (yield from _one(at, "subtract", y, x))


def _attention(x: str, at: str, p: Attention) -> Steps:
    heads, (K, _) = len(p.attention_biases), head_sizes(p)
    qkv = yield from _one(f"{at}.qkv", "linear", x, params=p.qkv)
    parts = []
    for i, name in enumerate("qkv"):
        part = yield from _one(f"{at}.{name}", "split_head", qkv, part=i, heads=heads, K=K)
        parts.append(part)
    q, k, v = parts
    x = yield from _one(f"{at}.scores", "scores", q, k, scale=K**-0.5)
    biases = f"{at}.attention_biases"
    x = yield from _one(
        f"{at}.biased", "position_bias", x, params=p.attention_biases, prefix=biases
    )
    x = yield from _one(f"{at}.attn", "softmax", x)
    x = yield from _one(f"{at}.context", "weighted_sum", x, v)
    x = yield from _one(f"{at}.proj", "linear", x, params=p.proj)
    return (yield from _one(at, "identity", x))


def _mlp(x: str, at: str, p: ConvMlp | Mlp, config: EfficientFormerConfig) -> Steps:
    eps = config.batch_norm_eps
    if isinstance(p, ConvMlp):
        x = yield from _one(f"{at}.fc1", "conv2d", x, params=p.fc1)
        x = yield from _one(f"{at}.norm1", "batch_norm", x, params=p.norm1, eps=eps)
    else:
        x = yield from _one(f"{at}.fc1", "linear", x, params=p.fc1)
    x = yield from _one(f"{at}.act", "activation", x, name=config.hidden_act)
    if isinstance(p, ConvMlp):
        x = yield from _one(f"{at}.fc2", "conv2d", x, params=p.fc2)
        x = yield from _one(f"{at}.norm2", "batch_norm", x, params=p.norm2, eps=eps)
    else:
        x = yield from _one(f"{at}.fc2", "linear", x, params=p.fc2)
    return (yield from _one(at, "identity", x))


def _scale(x: str, at: str, p: LayerScale | None) -> Steps:
    if p is None:
        return (yield from _one(at, "identity", x))
    return (yield from _one(at, "layer_scale", x, params=p))
