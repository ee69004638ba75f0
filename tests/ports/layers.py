"""Layers of the port that is written here, each with its switches; see `port`."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (as everybody calls it)

from npformer.network.configuration import EfficientFormerConfig

Faults = Mapping[str, str]
"""Pattern of timm's paths -> kinds of fault, between spaces; "eps=0.001" is one with a value"""


class Part:
    """What all modules have: their path, and what they do wrong."""

    path: str
    wrong: dict[str, float]

    def placed(self, path: str, faults: Faults) -> Any:
        """Tell a module where it stands."""
        kinds = [k for pattern, k in faults.items() if fnmatchcase(path, pattern)]
        pairs = [kind.partition("=") for kind in " ".join(kinds).split()]
        self.path = path
        self.wrong = {kind: float(value or 1) for kind, _, value in pairs}
        return self


class Conv(Part, nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight, None if "bias_zero" in self.wrong else self.bias
        stride = int(self.wrong.get("stride", self.stride[0]))
        padding = self.padding[0]
        if "weight_transposed" in self.wrong:
            weight = weight.transpose(2, 3)
        if "kernel_flipped" in self.wrong:
            weight = weight.flip(2, 3)
        if "padding" in self.wrong:  # all of it on the right and below, as TensorFlow's "same"
            x, padding = F.pad(x, (0, 2 * padding, 0, 2 * padding)), 0
            x = x[:, :, : x.shape[2] - 1, : x.shape[3] - 1]
        if "padding_edge" in self.wrong:
            x, padding = F.pad(x, [padding] * 4, mode="replicate"), 0
        return F.conv2d(x, weight, bias, stride, padding)


class Linear(Part, nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.T if "weight_transposed" in self.wrong else self.weight
        return F.linear(x, weight, None if "bias_zero" in self.wrong else self.bias)


class BatchNorm(Part, nn.BatchNorm2d):
    def forward(self, x: Tensor) -> Tensor:
        if "norm_missing" in self.wrong:
            return x
        y = self.normalize(x)
        return self.normalize(y) if "norm_twice" in self.wrong else y

    def normalize(self, x: Tensor) -> Tensor:
        by_batch = "batch_statistics" in self.wrong
        mean, variance = (None, None) if by_batch else (self.running_mean, self.running_var)
        if "variance" in self.wrong:  # its square root was forgotten
            variance = variance**2
        eps = self.wrong.get("eps", self.eps)
        return F.batch_norm(x, mean, variance, self.weight, self.bias, by_batch, eps=eps)


class LayerNorm(Part, nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        if "norm_missing" in self.wrong:
            return x
        eps = self.wrong.get("eps", self.eps)
        if "unbiased" in self.wrong:
            deviation = (x.var(-1, keepdim=True, unbiased=True) + eps).sqrt()
            return (x - x.mean(-1, keepdim=True)) / deviation * self.weight + self.bias
        if "weight_missing" in self.wrong:
            return F.layer_norm(x, self.normalized_shape, None, None, eps)
        y = F.layer_norm(x, self.normalized_shape, self.weight, self.bias, eps)
        if "norm_twice" in self.wrong:
            y = F.layer_norm(y, self.normalized_shape, self.weight, self.bias, eps)
        return y


class Activation(Part, nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        others = {
            "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
            "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
            "as_relu": F.relu,
            "as_gelu": F.gelu,
            "silu": F.silu,
            "relu6": F.relu6,
            "leaky": F.leaky_relu,
            "nothing": lambda x: x,
            "gelu_by_hand": lambda x: x * (1 + torch.erf(x / 2**0.5)) * 0.5,  # right
        }
        for kind, function in others.items():
            if kind in self.wrong:
                return function(x)
        return {"relu": F.relu, "gelu": F.gelu}[self.kind](x)


class Pooling(Part, nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        size = int(self.wrong.get("pool_size", self.size))
        if "as_convolution" in self.wrong:  # right, with sums in another order
            ones = torch.ones(1, 1, size, size, dtype=x.dtype)
            sums = F.conv2d(x.flatten(0, 1)[:, None], ones, padding=size // 2).view_as(x)
            return sums / F.conv2d(torch.ones_like(x[:1, :1]), ones, padding=size // 2) - x
        if "maximum" in self.wrong:
            return F.max_pool2d(x, size, 1, size // 2) - x
        counts = "pooling_counts_padding" in self.wrong
        y = F.avg_pool2d(x, size, 1, size // 2, count_include_pad=counts)
        return y if "pooling_keeps_input" in self.wrong else y - x


class Softmax(Part, nn.Module):
    def forward(self, scores: Tensor) -> Tensor:
        return scores.softmax(int(self.wrong.get("softmax_axis", -1)))


class Attention(Part, nn.Module):
    def __init__(self, config: EfficientFormerConfig) -> None:
        super().__init__()
        self.heads, self.K, self.V = config.num_attention_heads, config.key_dim, config.value_dim
        self.grid = config.token_grid
        tokens = self.grid[0] * self.grid[1]
        self.qkv = Linear(config.dim, self.heads * (2 * self.K + self.V))
        self.proj = Linear(self.heads * self.V, config.dim)
        self.attention_biases = nn.Parameter(torch.zeros(self.heads, tokens))
        self.register_buffer("attention_bias_idxs", torch.zeros(tokens, tokens, dtype=torch.int64))
        self.attn = Softmax()

    def forward(self, x: Tensor) -> Tensor:
        B, N, C = x.shape
        q, k, v = self.split(self.qkv(x))
        scale = self.K**-0.5
        if "scores_not_scaled" in self.wrong:
            scale = 1.0
        if "scores_scaled_by_dim" in self.wrong:
            scale = C**-0.5
        if "scores_scaled_by_head_dim" in self.wrong:
            scale = (C // self.heads) ** -0.5
        if "scores_scaled_twice" in self.wrong:
            scale = scale**2
        bias = self.bias()
        if "sdpa" in self.wrong:  # right, in one call
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
            return self.proj(y.transpose(1, 2).reshape(B, N, -1))
        if "bias_scaled" in self.wrong:
            attn = self.attn((q @ k.transpose(-2, -1) + bias) * scale)
        else:
            attn = self.attn(q @ k.transpose(-2, -1) * scale + bias)
        if "attn_transposed" in self.wrong:
            attn = attn.transpose(-2, -1)
        y = attn @ v
        if "head_order" in self.wrong:
            y = y.flip(1)
        if "heads_not_moved" in self.wrong:  # (B, heads, N, V) taken for (B, N, heads, V)
            y = y.reshape(B, N, -1)
        elif "heads_inside" in self.wrong:  # (B, N, V, heads)
            y = y.permute(0, 2, 3, 1).reshape(B, N, -1)
        else:
            y = y.transpose(1, 2).reshape(B, N, -1)
        return self.proj(F.hardswish(y) if "extra_activation" in self.wrong else y)

    def split(self, qkv: Tensor) -> list[Tensor]:
        B, N, _ = qkv.shape
        K, V, heads = self.K, self.V, self.heads
        if "qkv_blocks" in self.wrong:  # all q, all k, all v
            parts = qkv.split([heads * K, heads * K, heads * V], -1)
            return [part.reshape(B, N, heads, -1).transpose(1, 2) for part in parts]
        if "qkv_heads_inside" in self.wrong:  # the head is the fastest axis
            by_head = qkv.reshape(B, N, -1, heads).permute(0, 3, 1, 2)
        else:
            by_head = qkv.reshape(B, N, heads, -1).transpose(1, 2)
        if "kvq" in self.wrong:
            k, v, q = by_head.split([K, V, K], -1)
            return [q, k, v]
        return list(by_head.split([K, K, V], -1))

    def bias(self) -> Tensor | float:
        if "bias_missing" in self.wrong:
            return 0.0
        rows, columns = self.grid
        biases, index = self.attention_biases, self.attention_bias_idxs
        if "bias_transposed" in self.wrong:  # |Δx| rows + |Δy|
            y, x = torch.arange(rows * columns) // columns, torch.arange(rows * columns) % columns
            index = (x[:, None] - x).abs() * rows + (y[:, None] - y).abs()
        if "bias_other_grid" in self.wrong:  # the table of a grid with another number of columns
            y, x = torch.arange(rows * columns) // columns, torch.arange(rows * columns) % columns
            wide = columns + int(self.wrong["bias_other_grid"])
            index = ((y[:, None] - y).abs() * wide + (x[:, None] - x).abs()) % (rows * columns)
        if "bias_heads" in self.wrong:
            biases = biases.flip(0)
        return biases[:, index]
