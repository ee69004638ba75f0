"""Networks of several shapes as timm builds them, their forward order, and their faults."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from timm.models.efficientformer import Attention, EfficientFormer, MetaBlock1d
from torch import Tensor, nn

import npformer
from npformer.checkpoints import names

ROOT = Path(npformer.__file__).parents[1]
TINY = ROOT / "weights" / "tiny"
torch.set_grad_enabled(False)


@dataclass(frozen=True)
class Spec:
    """The shape of a network, and how its parameters are drawn."""

    depths: tuple[int, ...] = (1, 2, 1, 2)
    dims: tuple[int, ...] = (16, 24, 32, 48)
    heads: int = 2
    key: int = 8
    ratio: float = 2
    grid: tuple[int, int] = (3, 3)
    vit: int = 1
    labels: int = 11
    eps: float = 1e-5
    pool: int = 3
    mlp: float = 4
    two: bool = True
    start: str = (
        "drawn"  # or "timm", "hf": freshly initialized; "tiny": the weights that come with npformer
    )
    batch: int = 2

    @property
    def size(self) -> tuple[int, int]:
        stride = 2 ** (len(self.dims) + 1)
        return stride * self.grid[0], stride * self.grid[1]


NETS = {
    "small": Spec(),
    "even": Spec((2, 1, 2, 3), (24, 32, 48, 64), 4, 16, 4, (2, 2), 2, 10, 1e-12),
    "oblong": Spec((1, 1, 2, 2), (16, 32, 40, 56), 3, 8, 3, (2, 3), 1, 7, mlp=3),
    "single": Spec((1, 1, 1, 2), (12, 20, 28, 40), 1, 16, 1, (4, 4), 2, 5, 1e-6, two=False),
    "wide": Spec((3, 2, 2, 4), (32, 48, 64, 96), 6, 16, 3, (5, 5), 3, 20, pool=5, batch=1),
    "three": Spec((1, 1, 2), (16, 32, 48), 4, 8, 4, (4, 4), 1, 9),
    "tiny": Spec((2, 2, 4, 3), (32, 64, 128, 256), 8, 32, 4, (4, 4), 2, 200, start="tiny", batch=1),
    "l1": Spec((3, 2, 6, 4), (48, 96, 224, 448), 8, 32, 4, (7, 7), 1, 1000, batch=1),
    "fresh": Spec((1, 1, 2, 2), (16, 32, 64, 96), 4, 16, 4, (4, 4), 1, 10, start="timm"),
    "fresh hf": Spec((1, 2, 1, 3), (24, 32, 40, 64), 2, 16, 4, (3, 3), 2, 8, 1e-12, start="hf"),
    "fresh l1": Spec((3, 2, 6, 4), (48, 96, 224, 448), 8, 32, 4, (7, 7), 1, 1000, start="timm", batch=1),
}  # fmt: skip


def config(s: Spec) -> dict[str, Any]:
    """Return the configuration as transformers writes it."""
    square = s.grid[0] == s.grid[1]
    kind = "EfficientFormerForImageClassification" + ("WithTeacher" if s.two else "")
    return {
        "architectures": [kind], "model_type": "efficientformer", "depths": list(s.depths),
        "hidden_sizes": list(s.dims), "downsamples": [True] * len(s.dims), "dim": s.dims[-1],
        "hidden_size": s.dims[-1], "key_dim": s.key, "attention_ratio": s.ratio,
        "resolution": s.grid[0] if square else list(s.grid), "num_attention_heads": s.heads,
        "mlp_expansion_ratio": s.mlp, "num_meta3d_blocks": s.vit, "pool_size": s.pool,
        "layer_norm_eps": s.eps, "batch_norm_eps": 1e-5, "hidden_act": "gelu",
        "image_size": s.size[0] if square else list(s.size),
        "id2label": {str(i): f"LABEL_{i}" for i in range(s.labels)},
        "label2id": {f"LABEL_{i}": i for i in range(s.labels)},
    }  # fmt: skip


def spelled(s: Spec, naming: str) -> dict[str, str]:
    """Return timm's name -> the name in another naming, for every parameter."""
    if naming == "timm":
        return {k: k for k in names(npformer.EfficientFormerConfig(**config(s)), "timm")}
    return names(npformer.EfficientFormerConfig(**config(s)), naming)


class Averaged(EfficientFormer):
    """timm's network, whose last step is a module of its own, and which may have one head."""

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = self.head_drop(x.mean(dim=1) if not hasattr(self, "reduce") else self.reduce(x))
        a = self.head(x)
        b = a if isinstance(self.head_dist, nn.Identity) else self.head_dist(x)
        return self.average(a, b) if hasattr(self, "average") else (a + b) / 2


def blank(s: Spec) -> Averaged:
    """Return timm's network of this shape."""
    m = Averaged(s.depths, s.dims, 3, s.labels, num_vit=s.vit, pool_size=s.pool, mlp_ratios=s.mlp,
                 norm_layer_cl=partial(nn.LayerNorm, eps=s.eps))  # fmt: skip
    for block in m.stages[-1].blocks:
        if isinstance(block, MetaBlock1d):
            block.token_mixer = Attention(s.dims[-1], s.key, s.heads, s.ratio, s.grid)
    if not s.two:
        m.head_dist = nn.Identity()
    return m


def build(net: str, seed: int = 0) -> Averaged:
    """Return a right network with parameters that are drawn, fresh or tiny's, in evaluation."""
    s = NETS[net]
    torch.manual_seed(seed + sum(map(ord, net)))
    m = blank(s)
    if s.start == "tiny":
        load(m, s, load_file(TINY / "model.safetensors"), "hf")
    for name, module in m.named_modules():
        if s.start == "hf" and isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)
        if s.start == "timm" and isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
    if s.start == "drawn":
        for name, v in [*m.named_parameters(), *m.named_buffers()]:
            *_, owner, last = ("", *name.split("."))
            if not v.is_floating_point():
                continue
            if last == "running_var":
                v.uniform_(0.4, 2)
            elif last == "running_mean":
                v.normal_(0, 0.3)
            elif last == "gamma":
                v.uniform_(0.1, 1)
            elif last == "attention_biases":
                v.normal_(0, 0.8)
            elif v.ndim > 1:
                v.normal_(0, 1.1 * v[0].numel() ** -0.5)
            else:
                v.normal_(0, 0.25)
                if "norm" in owner and last == "weight":
                    v.add_(1)
    m.train(False)
    return m


def tensors(m: nn.Module, s: Spec, naming: str = "hf") -> dict[str, Tensor]:
    """Return the parameters under the names of one of the namings."""
    known = spelled(s, naming)
    state = m.state_dict()
    out = {h: state[t].clone() for t, h in known.items() if t in state}
    for t, v in state.items():
        if t.endswith("attention_bias_idxs"):
            h = known[t.replace("_bias_idxs", "_biases")]
            out[h.replace("_biases", "_bias_idxs")] = v.clone()
    return out


def load(m: nn.Module, s: Spec, held: dict[str, Tensor], naming: str) -> None:
    """Fill `m` from tensors in one of the namings; every parameter must be there."""
    state = m.state_dict()
    for t, h in spelled(s, naming).items():
        if t in state and not t.endswith("num_batches_tracked"):
            state[t].copy_(held[h].reshape(state[t].shape))
    m.train(False)


def write(folder: Path, net: str, m: nn.Module | None = None, naming: str = "hf") -> Path:
    """Write a checkpoint folder, the reference if `m` is right."""
    s = NETS[net]
    if s.start == "tiny" and m is None:
        return TINY
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config(s), indent=1))
    save_file(tensors(m or build(net), s, naming), folder / "model.safetensors", {"format": "pt"})
    return folder


def paths(s: Spec) -> list[str]:
    """Return all arrays in the order in which they are computed."""
    out = [f"stem.{p}" for p in ("conv1", "norm1", "act1", "conv2", "norm2", "act2")] + ["stem"]
    for i, depth in enumerate(s.depths):
        if i:
            out += [f"stages.{i}.downsample.{p}" for p in ("conv", "norm")] + [
                f"stages.{i}.downsample"
            ]
        last = i == len(s.depths) - 1
        for b in range(depth + last):
            flat = depth - s.vit if last else depth
            at = f"stages.{i}.blocks.{b}"
            if b < flat:
                inner = (
                    "token_mixer",
                    "ls1",
                    "mlp.fc1",
                    "mlp.norm1",
                    "mlp.act",
                    "mlp.fc2",
                    "mlp.norm2",
                    "mlp",
                    "ls2",
                )
            elif b == flat:
                inner = ()
            else:
                inner = ("norm1", "token_mixer.qkv", "token_mixer.attn", "token_mixer.proj", "token_mixer", "ls1",
                         "norm2", "mlp.fc1", "mlp.act", "mlp.fc2", "mlp", "ls2")  # fmt: skip
            out += [f"{at}.{p}" for p in inner] + [at]
        out.append(f"stages.{i}")
    return [*out, "norm", "pooled", "head", *(["head_dist"] if s.two else []), "logits"]


def same(s: Spec, path: str) -> set[str]:
    """Return the other paths of the same array."""
    order = paths(s)
    at, out = order.index(path), {path}
    for child, parent in (
        (".proj", ""),
        (".norm2", ""),
        (".norm", ""),
        (".act2", ""),
        (".fc2", ""),
    ):
        if path.endswith(child) and order[at + 1] == path.removesuffix(child):
            out.add(order[at + 1])
    if ".blocks." in path and path.count(".") == 3 and order[at + 1] == path.split(".blocks")[0]:
        out.add(order[at + 1])
    if path.endswith("token_mixer") and order[at - 1].endswith((".proj",)):
        out.add(order[at - 1])
    elif path.endswith("token_mixer"):
        out.add(path + ".pool")
    return (
        out
        | ({path + ".gamma"} if path.endswith(("ls1", "ls2")) else set())
        | ({"head_drop", "global_pool"} if path == "pooled" else set())
    )


def span(
    net: str, at: str, hidden: Iterable[str] = (), only: Iterable[str] | None = None
) -> tuple[str, ...]:
    """Return every right answer if `at` is the first wrong array and some were not recorded."""
    s = NETS[net]
    order = paths(s)
    seen = [p for p in order if not any(fnmatchcase(p, g) for g in hidden)]
    seen = [p for p in seen if only is None or any(fnmatchcase(p, g) for g in only)]
    i = order.index(at)
    before = [order.index(p) for p in seen if order.index(p) < i]
    after = [order.index(p) for p in seen if order.index(p) >= i]
    low = max(before, default=-1) + 1
    found = order[low : (after[0] if after else len(order) - 1) + 1]
    return tuple(sorted({q for p in found for q in same(s, p)}))


class Fn(nn.Module):
    """A function as a module, around the module that it replaces."""

    def __init__(self, old: nn.Module | None, f: Callable[..., Tensor]) -> None:
        super().__init__()
        self.f = f
        self.old = old if old is not None else nn.Identity()

    def forward(self, *x: Tensor) -> Tensor:
        return self.f(self.old, *x)


class Attn(nn.Module):
    """Attention with every way of being wrong; a tuple is returned inside transformers."""

    def __init__(self, old: nn.Module, s: Spec, cut: str = "heads", merge: str = "heads", scale: float | None = None,
                 bias: Callable[[Tensor], Tensor] | None = None, idxs: Tensor | None = None, axis: int = -1,
                 scaled: bool = False) -> None:  # fmt: skip
        super().__init__()
        self.hf = hasattr(old, "projection")
        self.qkv = old.qkv
        self.proj = old.projection if self.hf else old.proj
        self.attention_biases = old.attention_biases
        self.register_buffer(
            "attention_bias_idxs", old.attention_bias_idxs if idxs is None else idxs
        )
        self.attn = nn.Softmax(axis)
        self.heads, self.key, self.value = s.heads, s.key, int(s.ratio * s.key)
        self.cut, self.merge, self.scaled, self.bias = cut, merge, scaled, bias or (lambda b: b)
        self.scale = s.key**-0.5 if scale is None else scale

    def forward(self, x: Tensor, *_: Any) -> Any:
        B, N, _c = x.shape
        t, h = self.qkv(x), self.heads
        widths = {"q": self.key, "k": self.key, "v": self.value}
        if self.cut == "blocks":
            parts = dict(zip("qkv", t.split([h * widths[c] for c in "qkv"], -1), strict=True))
            q, k, v = (parts[c].reshape(B, N, h, widths[c]).transpose(1, 2) for c in "qkv")
        elif self.cut == "inner":  # (N, 2K + V, heads)
            q, k, v = t.reshape(B, N, -1, h).permute(0, 3, 1, 2).split(list(widths.values()), -1)
        else:
            order = "qkv" if self.cut == "heads" else self.cut
            cut = t.reshape(B, N, h, -1).transpose(1, 2).split([widths[c] for c in order], -1)
            q, k, v = (cut[order.index(c)] for c in "qkv")
        b = self.bias(self.attention_biases[:, self.attention_bias_idxs])
        p = q @ k.transpose(-2, -1)
        p = self.attn((p + b) * self.scale if self.scaled else p * self.scale + b)
        y = p @ v
        y = {
            "heads": lambda: y.transpose(1, 2),
            "inner": lambda: y.permute(0, 2, 3, 1),
            "raw": lambda: y,
        }[self.merge]()
        y = self.proj(y.reshape(B, N, -1))
        return (y, p) if self.hf else y


Fault = dict[str, Callable[..., Any]]
"""Pattern of timm's paths -> (the module there, the shape) -> what stands there instead."""


def apply(
    m: nn.Module, s: Spec, fault: Fault, translate: dict[str, str] | None = None
) -> nn.Module:
    """Put the faults into a network; `translate` leads from timm's paths to its own."""
    hit = set()
    every = translate or {n: n for n, _ in m.named_modules()}
    for pattern, f in fault.items():
        for t, own in list(every.items()):
            if fnmatchcase(t, pattern):
                parent, _, leaf = own.rpartition(".")
                new = f(m.get_submodule(own), s)
                if new is not None:
                    setattr(m.get_submodule(parent), leaf, new)
                hit.add(pattern)
        if pattern in ("average", "reduce"):
            setattr(m, pattern, f(None, s))
            hit.add(pattern)
    if missing := set(fault) - hit:
        raise KeyError(missing)
    m.train(False)
    return m


def listen(
    m: nn.Module, x: Tensor, s: Spec, translate: dict[str, str] | None = None
) -> dict[str, np.ndarray]:
    """Run with hooks; return what was seen under timm's paths, in order."""
    seen: dict[str, Tensor] = {}
    own = translate or {n: n for n, _ in m.named_modules()}
    hooks = []
    for t, n in own.items():
        t = {"head_drop": "pooled"}.get(t, t)
        if t in paths(s):

            def hook(_m: Any, _i: Any, y: Any, t: str = t) -> None:
                seen[t] = (y[0] if isinstance(y, tuple) else y).detach().float().clone()

            hooks.append(m.get_submodule(n).register_forward_hook(hook))
    y = m(x)
    for h in hooks:
        h.remove()
    seen["logits"] = (y if isinstance(y, Tensor) else y.logits).float()
    return {p: seen[p].numpy() for p in paths(s) if p in seen}


def open_attention(m: nn.Module, s: Spec) -> nn.Module:
    """Replace timm's attention by one whose softmax can be heard; the numbers stay."""
    for name, module in list(m.named_modules()):
        if isinstance(module, Attention):
            apply(m, s, {name: lambda old, s: Attn(old, s)})
    return m


def picture(s: Spec, seed: int = 0, batch: int | None = None) -> Tensor:
    """Draw a batch of pictures that are smooth and colored, as normalized ones are."""
    g = torch.Generator().manual_seed(seed + 100)
    B = batch or s.batch
    low = torch.randn(B, 3, s.size[0] // 8, s.size[1] // 8, generator=g)
    x = nn.functional.interpolate(low, s.size, mode="bilinear")
    return (
        x
        + 0.3 * torch.randn(B, 3, *s.size, generator=g)
        + torch.tensor([0.5, 0.0, -0.4])[:, None, None]
    )
