"""All that training needs to continue, bit for bit, in one file.

The file is a safetensors file: the tensors are those of the trees, ``params.stem.conv1.weight`` and
so on; its metadata hold the rest as JSON. It appears whole or not at all, so that a kill at any
moment leaves the last one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ..checkpoints import safetensors_file
from ..errors import WeightsError
from ..layers import Array
from ..network import EfficientFormer
from ..network.tree import build, leaves, transform
from . import optimizers

NAME = "training.safetensors"

Tree = TypeVar("Tree")


class State(NamedTuple):
    """Where training stands; a step makes a new one."""

    step: int
    """how many steps have been taken"""
    params: EfficientFormer
    optimizer: optimizers.State
    mean: EfficientFormer | None
    """exponential moving average of the parameters, if one is kept"""
    losses: tuple[float, ...] = ()
    """those of the steps of the epoch that has begun"""
    seconds: float = 0.0
    """how long that epoch has taken so far"""
    history: tuple[dict[str, Any], ...] = ()
    """what was found at the end of each epoch"""


def save(path: Path, state: State, facts: dict[str, Any]) -> None:
    """Write a state, and what else must be the same for whoever continues."""
    trees = {
        "params": state.params,
        "first": state.optimizer.first,
        "second": state.optimizer.second,
        "mean": state.mean,
    }
    tensors = {
        f"{name}.{where}": leaf for name, tree in trees.items() for where, leaf in leaves(tree)
    }
    rest = {
        "step": state.step,
        "updates": state.optimizer.step,
        "losses": state.losses,
        "seconds": state.seconds,
        "history": state.history,
        "facts": facts,
    }
    safetensors_file.write(path, tensors, {"npformer": json.dumps(rest)})


def load(path: Path, like: EfficientFormer) -> tuple[State, dict[str, Any]]:
    """Read a state and what was saved beside it; `like` is a tree of the right shapes.

    Raises
    ------
    WeightsError
        If the file is damaged or of another network.
    FileNotFoundError
        If there is none.
    """
    tensors, metadata = safetensors_file.read(path)
    if "npformer" not in metadata:
        raise WeightsError(f"{path}: not a state of training that npformer saved")

    def tree(name: str) -> EfficientFormer | None:
        if not any(key.startswith(f"{name}.") for key in tensors):
            return None
        return build(lambda where, leaf: take(f"{name}.{where}", leaf), like)

    def take(name: str, leaf: Array) -> Array:
        found = tensors.get(name)
        if found is None or found.shape != leaf.shape:
            has = "no such tensor" if found is None else f"shape {found.shape}"
            raise WeightsError(f"{path}: {name} has {has}; expected {leaf.shape}")
        return np.array(found)

    rest = json.loads(metadata["npformer"])
    params, first = tree("params"), tree("first")
    if params is None or first is None:
        raise WeightsError(f"{path}: the parameters are missing")
    optimizer = optimizers.State(rest["updates"], first, tree("second"))
    state = State(
        rest["step"],
        params,
        optimizer,
        tree("mean"),
        tuple(rest["losses"]),
        rest["seconds"],
        tuple(rest["history"]),
    )
    return state, rest["facts"]


def contiguous(tree: Tree) -> Tree:
    """Return a tree of arrays in C order.

    A file keeps values, not strides. On strides depends the order in which BLAS adds, and so the
    last bit: without this, training would go on differently after a restart.
    """
    return transform(np.ascontiguousarray, tree)
