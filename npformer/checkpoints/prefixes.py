"""Remove what wrappers of a model put before the names of its tensors.

    module.         DataParallel, DistributedDataParallel, AveragedModel (with a tensor n_averaged)
    _orig_mod.      torch.compile
    model.          Lightning and other programs, for the model inside of their own
    backbone.       a model inside of another

in any nesting, such as ``module._orig_mod.``. What PyTorch's own wrappers add is removed wherever
it is; any other prefix only if all names have it and an EfficientFormer is left.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ..errors import WeightsError
from .dtypes import Tensors
from .naming import OPENINGS, PREFIX

WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""Attributes under which PyTorch's wrappers keep what they wrap."""

COUNTER = "n_averaged"
"""A tensor of AveragedModel, beside ``module``: how many models were averaged."""


class Unwrapped(NamedTuple):
    """Tensors under the names that a model by itself gives them."""

    tensors: Tensors
    prefix: str
    """what was removed, such as ``"module._orig_mod."``; several prefixes have commas between"""


def unwrap(tensors: Tensors, source: str) -> Unwrapped:
    """Remove what wrappers put before the names of tensors.

    Parameters
    ----------
    tensors : dict of str to ndarray
    source : str
        What error messages call the file.

    Returns
    -------
    Unwrapped

    Raises
    ------
    WeightsError
        If two tensors would have the same name.
    """
    names = _own_names(tensors)
    result: Tensors = {}
    removed = set()
    for name, own in names.items():
        if own in result:
            raise WeightsError(
                f"{source}: tensor {name!r} and another are both {own!r} without the prefixes of "
                "wrappers; expected one model"
            )
        result[own] = tensors[name]
        removed.add(name.removesuffix(own) if name.endswith(own) else _wrappers_in(name))
    return Unwrapped(result, ", ".join(sorted(removed - {""})))


def is_recognized(names: Iterable[str]) -> bool:
    """Whether names are those of an EfficientFormer, behind any prefix."""
    return _fits(_own_names(names).values())


def _own_names(names: Iterable[str]) -> dict[str, str]:
    """Return the name of each tensor in its own model, by its name in the file."""
    names = list(names)
    wrapped = any(_wrappers_in(name) for name in names)
    own = {
        name: ".".join(part for part in name.split(".") if part not in WRAPPERS)
        for name in names
        if not (wrapped and name.split(".")[-1] == COUNTER)
    }
    prefix = _common_prefix(own.values())
    return {name: rest.removeprefix(prefix) for name, rest in own.items()}


def _common_prefix(names: Iterable[str]) -> str:
    """Return what all names begin with, if an EfficientFormer is what is left."""
    rest, passed, prefix = list(names), "", ""
    while True:
        (first, *others) = {name.partition(".")[0] for name in rest} or {""}
        if others or first in ("", PREFIX.rstrip(".")) or first in rest:
            return prefix
        rest = [name.removeprefix(f"{first}.") for name in rest]
        passed += f"{first}."
        if _fits(rest):
            prefix = passed


def _wrappers_in(name: str) -> str:
    return "".join(f"{part}." for part in name.split(".") if part in WRAPPERS)


def _fits(names: Iterable[str]) -> bool:
    openings = tuple(opening for several in OPENINGS.values() for opening in several)
    return any(name.removeprefix(PREFIX).startswith(openings) for name in names)
