"""What people get wrong, as functions of the module that is right."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from nets import ROOT, Attn, Fn, Spec
from PIL import Image
from torch import Tensor, nn

Change = Callable[[Any, Spec], Any]


def put(f: Callable[[Tensor], Tensor]) -> Change:
    """Replace a module without parameters by a function."""
    return lambda old, s: Fn(None, lambda _, x: f(x))


def run(f: Callable[[Any, Tensor], Tensor]) -> Change:
    """Replace the forward of a module, which keeps its parameters."""
    return lambda old, s: setattr(old, "forward", MethodType(f, old))


def plain(m: nn.Module, x: Tensor) -> Tensor:
    return type(m).forward(m, x)


def edit(name: str, f: Callable[[Tensor], Tensor]) -> Change:
    """Change a parameter."""

    def change(old: Any, s: Spec) -> None:
        v = getattr(old, name)
        v.copy_(f(v.clone()))

    return change


def eps(value: float) -> Change:
    return lambda old, s: setattr(old, "eps", value)


def attn(**k: Any) -> Change:
    return lambda old, s: Attn(old, s, **k)


def table(read: Callable[[Tensor, Tensor, int, int], Tensor]) -> Change:
    """Read the attention biases by `read(|Δy|, |Δx|, rows, columns)`."""

    def change(old: Any, s: Spec) -> Attn:
        y, x = (
            t.flatten() for t in torch.meshgrid(*(torch.arange(g) for g in s.grid), indexing="ij")
        )
        return Attn(old, s, idxs=read((y[:, None] - y).abs(), (x[:, None] - x).abs(), *s.grid))

    return change


TANH: Change = lambda old, s: nn.GELU("tanh")
SAME = run(lambda m, x: F.conv2d(F.pad(x, (0, 1, 0, 1)), m.weight, m.bias, m.stride))
REFLECT = run(
    lambda m, x: F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), m.weight, m.bias, m.stride)
)
REPLICATE = run(
    lambda m, x: F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), m.weight, m.bias, m.stride)
)
DILATED = run(lambda m, x: F.conv2d(x, m.weight, m.bias, m.stride, 2, 2))
LATER = run(lambda m, x: F.conv2d(x, m.weight, m.bias, 1, 1)[:, :, 1::2, 1::2])
ALL_PADDED = run(
    lambda m, x: F.avg_pool2d(x, m.pool.kernel_size, 1, m.pool.padding, count_include_pad=True) - x
)
KEPT = run(lambda m, x: m.pool(x))
MAXIMUM = run(lambda m, x: F.max_pool2d(x, 3, 1, 1) - x)
FIVE = run(lambda m, x: F.avg_pool2d(x, 5, 1, 2, count_include_pad=False) - x)
BATCH = run(lambda m, x: F.batch_norm(x, None, None, m.weight, m.bias, True, 0, m.eps))
TWICE = run(lambda m, x: plain(m, plain(m, x)))
SKIP = run(lambda m, x: x)
OVER_TOKENS = run(lambda m, x: F.layer_norm(x.mT, x.shape[1:2], eps=m.eps).mT * m.weight + m.bias)
OVER_BOTH = run(lambda m, x: F.layer_norm(x, x.shape[1:], eps=m.eps) * m.weight + m.bias)
RMS = run(lambda m, x: x * (x.square().mean(-1, keepdim=True) + m.eps).rsqrt() * m.weight + m.bias)
COLUMNS = run(lambda m, x: x.transpose(2, 3).flatten(2).transpose(1, 2))
RESHAPED = run(lambda m, x: x.reshape(len(x), -1, x.shape[1]))
READ_LAST = run(lambda m, x: plain(m, x.permute(0, 2, 3, 1).reshape(x.shape)))


def half(dtype: torch.dtype) -> Change:
    def forward(m: nn.Module, x: Tensor) -> Tensor:
        held = {
            n: v.to(dtype)
            for n, v in [*m.named_parameters(), *m.named_buffers()]
            if v.is_floating_point()
        }
        if isinstance(m, nn.Linear):
            return F.linear(x.to(dtype), held["weight"], held["bias"]).float()
        return F.conv2d(x.to(dtype), held["weight"], held["bias"], m.stride, m.padding).float()

    return run(forward)


def rounded(dtype: torch.dtype) -> Change:
    return run(lambda m, x: plain(m, x).to(dtype).float())


def no_residual(m: Any, x: Tensor) -> Tensor:
    x = m.ls1(m.token_mixer(x))
    return x + m.ls2(m.mlp(x))


def no_second_residual(m: Any, x: Tensor) -> Tensor:
    x = x + m.ls1(m.token_mixer(m.norm1(x)))
    return m.ls2(m.mlp(m.norm2(x)))


def no_mlp_branch(m: Any, x: Tensor) -> Tensor:
    y = x + m.ls1(m.token_mixer(x))
    m.ls2(m.mlp(y))
    return y


def reshaped(w: Tensor) -> Tensor:
    """A matrix stored (in, out), read as if it were (out, in)."""
    return w.flatten(1).T.contiguous().reshape(w.shape)


def photo(name: str) -> Any:
    return ROOT / "notebooks" / "images" / name


def pixels(name: str, size: int | tuple[int, int] = 128, how: int = 3, crop: str = "center",
           mean: Any = (0.485, 0.456, 0.406), std: Any = (0.229, 0.224, 0.225), bgr: bool = False,
           scale: float = 1 / 255, float32: bool = False) -> Tensor:  # fmt: skip
    """Turn a photograph into (1, 3, 128, 128) with Pillow, rightly by default."""
    im = Image.open(photo(name)).convert("RGB")
    w, h = im.size
    if isinstance(size, int):
        size = (int(size * w / h), size) if w > h else (size, int(size * h / w))
    if float32:
        a = np.stack([np.asarray(c.convert("F").resize(size, how)) for c in im.split()], -1)
    else:
        a = np.asarray(im.resize(size, how), np.float32)
    top, left = ((a.shape[0] - 128) // 2, (a.shape[1] - 128) // 2) if crop == "center" else (0, 0)
    a = a[top : top + 128, left : left + 128]
    a = a[..., ::-1] if bgr else a
    a = (a * np.float32(scale) - np.array(mean, np.float32)) / np.array(std, np.float32)
    return torch.from_numpy(np.ascontiguousarray(a.transpose(2, 0, 1)[None], np.float32))
