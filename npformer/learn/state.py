"""Everything that training needs to continue bit for bit, in one file.

The file is a safetensors file: its tensors are those of the trees, ``params.stem.conv1.weight``,
``exp_avg.stem.conv1.weight`` and so on; its metadata holds the rest as JSON. It is replaced
atomically, so a kill at any moment leaves the one before.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ..checkpoints import safetensors_file
from ..checks import is_real, is_whole, shortened
from ..errors import ConfigError, WeightsError
from ..layers import Array
from ..network import EfficientFormer
from ..network.tree import build, leaves, transform
from .optimizers import OptimizerState

NAME = "training.safetensors"

Tree = TypeVar("Tree")


class TrainingState(NamedTuple):
    """Where training stands; each step makes a new one."""

    step: int
    """number of steps taken"""
    params: EfficientFormer
    optimizer: OptimizerState
    ema_params: EfficientFormer | None
    """exponential moving average of the parameters, if the recipe asks for one"""
    losses: tuple[float, ...] = ()
    """of the steps of the current epoch so far"""
    seconds: float = 0.0
    """how long the current epoch has taken so far"""
    history: tuple[dict[str, Any], ...] = ()
    """the log: a row for each epoch that is over"""

    def mean_loss(self) -> float | None:
        """Return the mean loss of the current epoch so far; None if no photograph could be read."""
        return float(np.mean(self.losses)) if self.losses else None


def save(path: Path, state: TrainingState, settings: dict[str, Any]) -> None:
    """Write a state, and the settings that a resumed training must share."""
    tensors = {
        f"{name}.{where}": leaf
        for name, tree in _trees(state).items()
        for where, leaf in leaves(tree)
    }
    rest = {
        "step": state.step,
        "optimizer_step": state.optimizer.step,
        "losses": state.losses,
        "seconds": state.seconds,
        "history": state.history,
        "settings": settings,
    }
    safetensors_file.write(path, tensors, {"npformer": json.dumps(rest)})


def load(path: Path, like: TrainingState, settings: dict[str, Any]) -> TrainingState:
    """Read a state.

    Parameters
    ----------
    path : Path
    like : TrainingState
        Has trees of the right shapes.
    settings : dict
        What the saved settings must equal.

    Returns
    -------
    TrainingState

    Raises
    ------
    ConfigError
        If the training was begun with other settings.
    WeightsError
        If the file is damaged, or is not a saved state of this network.
    FileNotFoundError
        If there is no such file.
    """
    tensors, metadata = safetensors_file.read(path)
    if "npformer" not in metadata:
        raise WeightsError(f"{path}: not a training state saved by npformer")
    rest = _checked(path, metadata["npformer"])
    for name, value in settings.items():
        begun = rest["settings"].get(name)
        if begun != value:
            raise ConfigError(
                f"{path}: begun with {name} = {shortened(begun)} and not {shortened(value)}; "
                "resume with the same settings, or begin in another folder"
            )

    def take(name: str, leaf: Array) -> Array:
        found = tensors.get(name)
        if found is None or found.shape != leaf.shape or found.dtype != leaf.dtype:
            problem = "is missing" if found is None else f"is {found.dtype} of {found.shape}"
            raise WeightsError(f"{path}: {name} {problem}; expected {leaf.dtype} of {leaf.shape}")
        return np.array(found)

    def read_tree(name: str, tree: Tree) -> Tree:
        return build(lambda where, leaf: take(f"{name}.{where}", leaf), tree)

    trees = {name: read_tree(name, tree) for name, tree in _trees(like).items()}
    return TrainingState(
        rest["step"],
        trees.pop("params"),
        ema_params=trees.pop("ema_params"),
        optimizer=OptimizerState(rest["optimizer_step"], **trees),
        losses=tuple(rest["losses"]),
        seconds=rest["seconds"],
        history=tuple(rest["history"]),
    )


def _is_number(value: Any) -> bool:
    return is_real(value) and abs(value) <= 1e30  # what NumPy can hold


_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "step": (lambda value: is_whole(value) and 0 <= value < 2**63, "a whole number from 0"),
    "optimizer_step": (lambda value: is_whole(value) and 0 <= value < 2**63, "the same"),
    "losses": (lambda value: isinstance(value, list) and all(map(_is_number, value)), "numbers"),
    "seconds": (_is_number, "a number"),
    "history": (lambda value: isinstance(value, list) and all(map(_is_row, value)),
                "a row of numbers, with its epoch, for each epoch"),
    "settings": (lambda value: isinstance(value, dict), "an object"),
}  # fmt: skip
"""What must be under each key of the JSON beside the tensors."""


def _checked(path: Path, text: str) -> dict[str, Any]:
    """Parse the JSON beside the tensors, and refuse whatever `save` does not write."""
    try:
        rest = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WeightsError(
            f"{path}: damaged: what is beside the tensors is not JSON ({error})"
        ) from (error)
    for key, (is_right, expected) in _KINDS.items():
        if not isinstance(rest, dict) or key not in rest or not is_right(rest[key]):
            found = shortened(rest[key]) if isinstance(rest, dict) and key in rest else "missing"
            raise WeightsError(
                f"{path}: damaged: {key} is {found}; expected {expected}. Begin again in another "
                "folder; the weights of the last epoch are in the folder's model.safetensors"
            )
    begun = rest["history"][-1]["step"] if rest["history"] else 0
    if not begun + len(rest["losses"]) <= rest["step"]:
        raise WeightsError(
            f"{path}: damaged: step is {rest['step']} after an epoch that ended at step {begun} "
            f"and {len(rest['losses'])} losses since. Begin again in another folder"
        )
    return dict(rest)


def _is_row(value: Any) -> bool:
    """Whether a value is a row of the log, whose numbers may be missing or not finite."""
    return (
        isinstance(value, dict)
        and is_whole(value.get("epoch"))
        and is_whole(value.get("step"))
        and all(isinstance(number, (int, float, type(None))) for number in value.values())
    )


def _trees(state: TrainingState) -> dict[str, Any]:
    """Return the trees of a state by their names in the file."""
    of_optimizer = {k: tree for k, tree in state.optimizer._asdict().items() if k != "step"}
    return {"params": state.params, "ema_params": state.ema_params, **of_optimizer}


def contiguous(tree: Tree) -> Tree:
    """Return a tree of arrays in C order.

    A file keeps values, not strides; and the order in which BLAS adds, hence the last bit, depends
    on strides. Without this, training would continue differently after a restart.
    """
    return transform(np.ascontiguousarray, tree)
