"""timm and transformers as ports: their modules with the reference's parameters, and recordings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from golden import cases, reference
from torch import nn

from npformer.checkpoints import state_dict
from npformer.layers import Array

from .answers import Made, Maker
from .recordings import Arrays, Dress, everything, first, written
from .shop import Reference, Shop

Patch = Callable[[Any], Any]
"""Changes a module; what it returns, if anything, is used in its place"""


def timm_model(ours: Reference) -> nn.Module:
    """Return timm's network with the reference's parameters."""
    case = ours.config.to_dict() | {"num_labels": ours.config.num_labels}
    with torch.device("meta"):  # nobody waits for random numbers
        model = reference.timm_network(case)
    return loaded(model, state_dict(ours.params, ours.config, "timm"))


def transformers_model(ours: Reference, **changes: Any) -> nn.Module:
    """Return the network of transformers with the reference's parameters."""
    case = cases.keywords(ours.case) | {"distilled": ours.params.head_dist is not None} | changes
    with torch.device("meta"):
        model = reference.transformers_network(case)
    return loaded(model, state_dict(ours.params, ours.config, "hf"))


def loaded(model: nn.Module, tensors: dict[str, Array]) -> nn.Module:
    state = {key: torch.tensor(value) for key, value in tensors.items()}
    model.load_state_dict(state, assign=True)
    model.eval()  # the biases are gathered here
    return model


def patched(ours: Reference, patch: Patch | None, library: str, **changes: Any) -> nn.Module:
    """Return a library's network after a patch."""
    model = timm_model(ours) if library == "timm" else transformers_model(ours, **changes)
    return (patch and patch(model)) or model


def module(patch: Patch | None = None, library: str = "timm", **changes: Any) -> Maker:
    """Return the maker of a module of a library, for `compare` to run."""

    def make(shop: Shop, ours: Reference, path: Path) -> Made:
        model = patched(ours, patch, library, **changes)
        no_modules = (".attn", "pooled", *((".ls1", ".ls2") if library != "timm" else ()))
        seen = (path for path in shop.order(ours) if not path.endswith(no_modules))
        return Made(model, paths=tuple(seen))

    return make


def hooked(
    patch: Patch | None = None,
    library: str = "timm",
    dress: Dress = first,
    keep: Callable[[Arrays], Arrays] = everything,
    kind: str = "npz",
    *,
    batch: int = 1,
    **changes: Any,
) -> Maker:
    """Return the maker of a recording of a library's modules by hooks."""

    def make(shop: Shop, ours: Reference, path: Path) -> Made:
        model = patched(ours, patch, library, **changes)
        pixels = ours.pixels(3, batch)
        heard = listen(model, ours, pixels, library)
        return written(heard, dress, keep, kind, path)

    return make


def listen(model: nn.Module, ours: Reference, pixels: Array, library: str) -> Arrays:
    """Record what the modules of a library return, by timm's paths, channels last."""
    case = ours.case | {"library": library}
    overheard = reference.overhear(model, case, pixels)
    order = ["pixel_values", *overheard.outputs]
    return {name: ({"pixel_values": pixels} | overheard.outputs)[name] for name in order}


# Patches


def at(path: str, **values: Any) -> Patch:
    """Return a patch that sets attributes of the modules whose timm's path ends like this."""

    def patch(model: Any) -> None:
        found = [part for name, part in model.named_modules() if name.endswith(path)]
        assert found, path
        for part in found:
            for name, value in values.items():
                setattr(part, name, value)

    return patch


def replaced(path: str, new: Callable[[Any], nn.Module]) -> Patch:
    """Return a patch that puts other modules in the place of some."""

    def patch(model: Any) -> None:
        found = [name for name, _ in model.named_modules() if name.endswith(path)]
        assert found, path
        for name in found:
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, new(model.get_submodule(name)))

    return patch


def weights(path: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Patch:
    """Return a patch that changes parameters or buffers."""

    def patch(model: Any) -> None:
        state = model.state_dict()
        found = [name for name in state if name.endswith(path)]
        assert found, path
        for name in found:
            state[name] = change(state[name]).to(state[name].dtype)
        model.load_state_dict(state)
        model.train()
        model.eval()  # gathers biases again

    return patch


def forwards(path: str, forward: Callable[..., Any]) -> Patch:
    """Return a patch that gives modules another forward, a function of the module and its input."""

    def patch(model: Any) -> None:
        found = [part for name, part in model.named_modules() if name.endswith(path)]
        assert found, path
        for part in found:
            part.forward = partial(forward, part)

    return patch


def halved(path: str, dtype: str = "float16") -> Patch:
    """Return a patch that makes layers take, hold and give numbers of another type."""
    to = getattr(torch, dtype)

    def rounded(x: torch.Tensor) -> torch.Tensor:
        return x.to(to).to(torch.float32)

    def patch(model: Any) -> None:
        found = [part for name, part in model.named_modules() if name.endswith(path)]
        assert found, path
        for part in found:
            for parameter in part.parameters():
                parameter.data = rounded(parameter.data)
            part.register_forward_pre_hook(lambda _, args: tuple(map(rounded, args)))
            part.register_forward_hook(lambda _, args, result: rounded(result))

    return patch


def each(*patches: Patch) -> Patch:
    """Return a patch that does several things."""

    def patch(model: Any) -> Any:
        for one in patches:
            model = one(model) or model
        return model

    return patch


def attend(self: Any, x: torch.Tensor, **other: Any) -> torch.Tensor:
    """Timm's attention, with some steps for others to change.

    `other` may hold ``scores(q, k, scale, bias)``, ``axis`` and ``merge(y)``.
    """
    B, N, _ = x.shape
    qkv = self.qkv(x).reshape(B, N, self.num_heads, -1).permute(0, 2, 1, 3)
    q, k, v = qkv.split([self.key_dim, self.key_dim, self.val_dim], dim=3)
    bias = self.attention_biases[:, self.attention_bias_idxs]
    usual = SimpleNamespace(
        scores=lambda q, k, scale, bias: q @ k.transpose(-2, -1) * scale + bias,
        axis=-1,
        merge=lambda y: y.transpose(1, 2).reshape(B, N, -1),
    )
    step = SimpleNamespace(**(vars(usual) | other))
    attn = step.scores(q, k, self.scale, bias).softmax(dim=step.axis)
    return self.proj(step.merge(attn @ v))


def scaled_bias(self: Any, x: torch.Tensor) -> torch.Tensor:
    """Timm's attention, whose biases are scaled with the scores."""
    return attend(
        self, x, scores=lambda q, k, scale, bias: (q @ k.transpose(-2, -1) + bias) * scale
    )


def identity(_: Any) -> nn.Module:
    return nn.Identity()


def seeded(shape: Any, deviation: float = 0.02) -> torch.Tensor:
    """Random numbers, as new parameters have them."""
    rng = np.random.default_rng(7)
    return torch.from_numpy((deviation * rng.standard_normal(tuple(shape))).astype(np.float32))
