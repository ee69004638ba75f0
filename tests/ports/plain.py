"""The network written once more, in NumPy with channels last, as for JAX, Keras, C++ or Rust.

It is a chain of named steps, plain functions of arrays. A *twist* takes the place of the steps
whose path it fits, and is given the right step first, then what that step is given:

    Plain(reference, {"*.mlp.act": lambda step, x: np.maximum(x, 0)})

so that any mistake is one line. Nothing of it is npformer's but the parameters' values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from npformer.checkpoints import state_dict
from npformer.layers import Array

from .answers import Made, Maker
from .recordings import Arrays, Dress, everything, last, written
from .shop import Reference, Shop

Twists = Mapping[str, Callable[..., Array]]
"""Pattern of paths -> what is computed there: a function of the right step and its arguments"""
Tensors = dict[str, Array]
"""Parameters by timm's names, in PyTorch's shapes"""


def conv(x: Array, kernel: Array, bias: Array, stride: int = 1, pads: Any = (0, 0, 0, 0)) -> Array:
    """Convolve (B, H, W, I) with (kh, kw, I, O) by patches; pads: top, bottom, left, right."""
    x = np.pad(x, ((0, 0), pads[:2], pads[2:], (0, 0)))
    kh, kw, _, out = kernel.shape
    H, W = (x.shape[1] - kh) // stride + 1, (x.shape[2] - kw) // stride + 1
    patches = [
        x[:, i : i + stride * (H - 1) + 1 : stride, j : j + stride * (W - 1) + 1 : stride]
        for i in range(kh)
        for j in range(kw)
    ]
    return np.concatenate(patches, axis=3) @ kernel.reshape(-1, out) + bias


def batch_norm(
    x: Array, weight: Array, bias: Array, mean: Array, variance: Array, eps: float = 1e-5
) -> Array:
    return (x - mean) * (weight / np.sqrt(variance + x.dtype.type(eps))) + bias


def layer_norm(x: Array, weight: Array, bias: Array, eps: float = 1e-5, axis: Any = -1) -> Array:
    centered = x - x.mean(axis, keepdims=True)
    variance = np.square(centered).mean(axis, keepdims=True)
    return centered / np.sqrt(variance + x.dtype.type(eps)) * weight + bias


def linear(x: Array, weight: Array, bias: Array) -> Array:
    return x @ weight + bias


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def gelu(x: Array) -> Array:
    return x * (1 + torch.erf(torch.from_numpy(x / np.sqrt(x.dtype.type(2)))).numpy()) / 2


def gelu_tanh(x: Array) -> Array:
    return x * (1 + np.tanh(np.sqrt(2 / np.pi).astype(x.dtype) * (x + 0.044715 * x**3))) / 2


def windows(x: Array, size: int) -> list[Array]:
    """Return what each pixel's neighbors are, one array for each place in the window."""
    before, (_, H, W, _) = size // 2, x.shape
    after = size - 1 - before
    x = np.pad(x, ((0, 0), (before, after), (before, after), (0, 0)))
    return [x[:, i : i + H, j : j + W] for i in range(size) for j in range(size)]


def pool(x: Array, size: int = 3, counts: bool = False) -> Array:
    """Average over windows; `counts` says that what lies outside is counted."""
    number = size * size if counts else sum(windows(np.ones_like(x[:1, :, :, :1]), size))
    return sum(windows(x, size)) / np.asarray(number, x.dtype)


def subtract(y: Array, x: Array) -> Array:
    return y - x


def scale(x: Array, gamma: Array) -> Array:
    return x * gamma


def add(x: Array, y: Array) -> Array:
    return x + y


def tokens(x: Array) -> Array:
    return x.reshape(x.shape[0], -1, x.shape[-1])


def split(qkv: Array, part: int, heads: int, K: int) -> Array:
    """Cut q, k or v out of (B, N, heads·(2K + V)): (B, heads, N, K or V)."""
    by_head = qkv.reshape(*qkv.shape[:2], heads, -1).transpose(0, 2, 1, 3)
    return np.split(by_head, [K, 2 * K], axis=3)[part]


def scores(q: Array, k: Array, scale: float = 1.0) -> Array:
    return np.einsum("bhqc,bhkc->bhqk", q, k) * q.dtype.type(scale)


def biased(x: Array, table: Array, grid: tuple[int, int]) -> Array:
    """Add biases, of which the table has one for each distance, |Δy| columns + |Δx|."""
    return x + table[:, distances(grid) @ np.array([grid[1], 1])]


def distances(grid: tuple[int, int]) -> Array:
    """Return |Δy| and |Δx| of each two tokens, (N, N, 2)."""
    places = np.stack(np.indices(grid), -1).reshape(-1, 2)
    return np.abs(places[:, None] - places)


def softmax(x: Array, axis: int = -1) -> Array:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def context(attn: Array, v: Array) -> Array:
    y = np.einsum("bhqk,bhkc->bqhc", attn, v)
    return y.reshape(*y.shape[:2], -1)


def mean_of_tokens(x: Array) -> Array:
    return x.mean(1)


def both(x: Array, y: Array) -> Array:
    return (x + y) / 2


class Plain:
    """The network; `heard` holds the result of every step by its path after a run.

    Parameters
    ----------
    reference : Reference
    twists : mapping of str to callable, optional
    tensors : callable, optional
        Changes the parameters before they are used.
    dtype : str
    """

    def __init__(
        self,
        reference: Reference,
        twists: Twists | None = None,
        tensors: Callable[[Tensors], Tensors | None] | None = None,
        dtype: str = "float32",
    ) -> None:
        self.config, self.twists, self.dtype = reference.config, twists or {}, np.dtype(dtype)
        held = {
            name: np.array(array, dtype if array.dtype.kind == "f" else None)
            for name, array in state_dict(reference.params, reference.config, "timm").items()
        }
        self.held = (tensors and tensors(held)) or held
        self.depths = [len(stage.blocks) for stage in reference.params.stages]
        self.heard: Arrays = {}

    def do(self, path: str, step: Callable[..., Array], *args: Any, **options: Any) -> Array:
        """Compute a step, or what is computed in its place, and keep the result."""
        for pattern, twist in self.twists.items():
            if fnmatchcase(path, pattern):
                step = partial(twist, step)
        self.heard[path] = np.ascontiguousarray(step(*args, **options), self.dtype)
        return self.heard[path]

    def run(self, x: Array) -> Arrays:
        self.heard = {}
        x = self.do("pixel_values", lambda x: x, x)
        for n in (1, 2):
            x = self.conv(x, f"stem.conv{n}", 2, 1)
            x = self.do(f"stem.act{n}", relu, self.batch_norm(x, f"stem.norm{n}"))
        for s, depth in enumerate(self.depths):
            at, config = f"stages.{s}", self.config
            if f"{at}.downsample.conv.weight" in self.held:
                stride, padding = config.downsample_stride, config.downsample_pad
                x = self.conv(x, f"{at}.downsample.conv", stride, padding)
                x = self.batch_norm(x, f"{at}.downsample.norm")
            for b in range(depth):
                x = self.block(x, f"{at}.blocks.{b}")
        x = self.do("pooled", mean_of_tokens, self.layer_norm(x, "norm"))
        logits = self.linear(x, "head")
        if "head_dist.weight" in self.held:
            return self.heard | {
                "logits": self.do("logits", both, logits, self.linear(x, "head_dist"))
            }
        self.do("logits", lambda x: x, logits)
        return self.heard

    def block(self, x: Array, at: str) -> Array:
        if f"{at}.mlp.fc1.weight" not in self.held:
            return self.do(at, tokens, x)
        on_tokens = f"{at}.norm1.weight" in self.held
        if on_tokens:
            y = self.attention(self.layer_norm(x, f"{at}.norm1"), f"{at}.token_mixer")
        else:
            average = self.do(f"{at}.token_mixer.pool", pool, x, size=self.config.pool_size)
            y = self.do(f"{at}.token_mixer", subtract, average, x)
        y = self.do(f"{at}.ls1", scale, y, self.held[f"{at}.ls1.gamma"])
        x = self.do(f"{at}.residual1", add, x, y)
        y = self.layer_norm(x, f"{at}.norm2") if on_tokens else x
        for layer in ("fc1", "fc2"):
            y = self.linear(y, f"{at}.mlp.{layer}")
            if not on_tokens:
                y = self.batch_norm(y, f"{at}.mlp.norm{layer[2]}")
            if layer == "fc1":
                y = self.do(f"{at}.mlp.act", gelu, y)
        y = self.do(f"{at}.ls2", scale, y, self.held[f"{at}.ls2.gamma"])
        return self.do(at, add, x, y)

    def attention(self, x: Array, at: str) -> Array:
        heads, K = self.config.num_attention_heads, self.config.key_dim
        qkv = self.linear(x, f"{at}.qkv")
        q, k, v = (
            self.do(f"{at}.{name}", split, qkv, part, heads=heads, K=K)
            for part, name in enumerate("qkv")
        )
        x = self.do(f"{at}.scores", scores, q, k, scale=K**-0.5)
        table = self.held[f"{at}.attention_biases"]
        x = self.do(f"{at}.biased", biased, x, table, grid=self.config.token_grid)
        x = self.do(f"{at}.context", context, self.do(f"{at}.attn", softmax, x), v)
        return self.linear(x, f"{at}.proj")

    def conv(self, x: Array, at: str, stride: int, padding: int) -> Array:
        kernel = self.held[f"{at}.weight"].transpose(2, 3, 1, 0)
        return self.do(
            at, conv, x, kernel, self.held[f"{at}.bias"], stride=stride, pads=(padding,) * 4
        )

    def linear(self, x: Array, at: str) -> Array:
        """Multiply with a matrix; a convolution of one pixel is that too."""
        weight = self.held[f"{at}.weight"]
        return self.do(at, linear, x, weight.reshape(len(weight), -1).T, self.held[f"{at}.bias"])

    def batch_norm(self, x: Array, at: str) -> Array:
        names = ("weight", "bias", "running_mean", "running_var")
        held = [self.held[f"{at}.{name}"] for name in names]
        return self.do(at, batch_norm, x, *held, eps=self.config.batch_norm_eps)

    def layer_norm(self, x: Array, at: str) -> Array:
        held = [self.held[f"{at}.{name}"] for name in ("weight", "bias")]
        return self.do(at, layer_norm, x, *held, eps=self.config.layer_norm_eps)


def plain(
    twists: Twists | None = None,
    dress: Dress = last,
    keep: Callable[[Arrays], Arrays] = everything,
    kind: str = "npz",
    *,
    tensors: Callable[[Tensors], Tensors | None] | None = None,
    batch: int = 1,
    seed: int = 11,
    dtype: str = "float32",
    photo: Callable[[Shop, Reference], Array] | None = None,
) -> Maker:
    """Return the maker of a recording of a `Plain` network; `photo` prepares the photograph."""

    def make(shop: Shop, reference: Reference, path: Path) -> Made:
        pixels = reference.pixels(seed, batch) if photo is None else photo(shop, reference)
        model = Plain(reference, twists, tensors, dtype)
        heard = model.run(np.ascontiguousarray(pixels, dtype))
        return written(heard, dress, keep, kind, path, photo and shop.photo)

    return make
