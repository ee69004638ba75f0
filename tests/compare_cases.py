"""Wrong networks for the tests of `npformer.compare`: arrays with a mistake in one step."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from npformer import checkpoints
from npformer.bench.inputs import random_weights
from npformer.images.processor import EfficientFormerImageProcessor
from npformer.layers import Array
from npformer.network.configuration import EfficientFormerConfig
from npformer.network.tree import transform
from npformer.testing import Step, run_steps, steps
from npformer.testing.compare.variants import variants

SIZE = 64


@lru_cache
def config(**changes: Any) -> EfficientFormerConfig:
    """Return the sizes of a small network with two attention blocks, for images of 64 pixels."""
    return EfficientFormerConfig(
        depths=[1, 2, 3], hidden_sizes=[8, 12, 20], dim=20, key_dim=4, attention_ratio=3,
        num_attention_heads=2, mlp_expansion_ratio=2, resolution=4, image_size=SIZE,
        num_meta3d_blocks=2, num_labels=10, layer_norm_eps=1e-5, downsamples=[True] * 3, **changes,
    )  # fmt: skip


@lru_cache
def reference() -> Any:
    """Return what `npformer.compare` takes for a reference."""
    sides = {"height": SIZE, "width": SIZE}
    processor = EfficientFormerImageProcessor(size={"shortest_edge": 72}, crop_size=sides)
    params = random_weights(config())
    return SimpleNamespace(params=params, config=config(), processor=processor)


@lru_cache
def chain() -> tuple[Step, ...]:
    """Return the steps of the reference, in float32."""
    return steps(transform(lambda a: a.astype(np.float32), reference().params), config())


def pixels(seed: int = 0, batch: int = 1) -> Array:
    """Return pixel values of noise, (B, H, W, 3)."""
    shape = (batch, SIZE, SIZE, 3)
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


Fault = Callable[[Step, list[Array]], "dict[str, Array] | None"]


def run(x: Array, fault: Fault | None = None) -> dict[str, Array]:
    """Run the network in float32; where `fault` returns arrays, these are taken."""
    found = {"pixel_values": x}
    for step in chain():
        if step.path in found:
            continue
        inputs = [found[path] for path in step.inputs]
        wrong = None if fault is None else fault(step, inputs)
        if wrong is not None:
            found |= {path: np.asarray(a, np.float32) for path, a in wrong.items()}
        else:
            found |= run_steps([step], {p: found[p] for p in step.inputs})
    return found


def mistake(path: str, number: int) -> Fault:
    """Return a fault: variant `number` of the step at `path`."""

    def fault(step: Step, inputs: list[Array]) -> dict[str, Array] | None:
        if step.path != path:
            return None
        given = [x.astype(np.float64) for x in inputs]
        made = list(variants(step.astype(np.float64), given, config()))
        return made[number].arrays

    return fault


TRACED = frozenset(
    step.path
    for step in chain()
    if step.path.rpartition(".")[2]
    not in ("q", "k", "v", "scores", "biased", "context", "pool", "residual1")
) | {"pixel_values"}
"""What a recording of modules has."""


def as_recorded(
    arrays: dict[str, Array], keep: Callable[[str], bool], order: str
) -> dict[str, Array]:
    """Choose arrays, give them foreign names, and put their channels first or last."""
    kept = {path: array for path, array in arrays.items() if keep(path)}
    if order == "first":
        kept = {
            path: np.moveaxis(array, -1, 1) if array.ndim > 2 and "attn" not in path else array
            for path, array in kept.items()
        }
    return {f"t{i}": array for i, array in enumerate(kept.values())}


def folder(place: Path) -> Path:
    """Write the reference as a folder."""
    known = reference()
    checkpoints.write(place, known.config, known.params, known.processor.to_dict())
    return place
