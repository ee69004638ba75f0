"""What the objects in a PyTorch checkpoint are read as: descriptions, never the objects themselves.

A tensor becomes a `TensorRef`, its numbers a `StorageRef`, a dict a dict. Everything that is not
needed to read weights becomes an `Inert`, and what it was to be made from is thrown away. Source:
``torch/_utils.py`` and ``torch/serialization.py`` of PyTorch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .dtypes import OTHER_STORAGES, STORAGES


@dataclass(frozen=True)
class StorageRef:
    """Numbers without a shape: a record of an archive, or a part of an older file."""

    dtype: np.dtype[Any]
    key: str
    numel: int
    view: tuple[int, int] | None = None
    """which of these numbers are meant, the first and how many; PyTorch wrote this before 0.4"""


class Length(NamedTuple):
    """How much a pickle says there is of a storage, whether its numbers can be read or not."""

    itemsize: int
    """in bytes"""
    numel: int


@dataclass(frozen=True)
class TensorRef:
    """A tensor as the pickle describes it: a view of a storage, measured in numbers, not bytes."""

    storage: StorageRef
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Inert:
    """Stands for an object that is not needed, such as the arguments of a training run."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


class OtherTensor(Inert):
    """Stands for a tensor that is no plain array of a number format that can be read."""


@dataclass(frozen=True)
class Mark:
    """Stands for a global: its name and nothing else."""

    name: str


_TENSOR = "torch._utils._rebuild_tensor_v2"
_OLD_TENSOR = "torch._utils._rebuild_tensor"
_PARAMETERS = ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state")
_WITH_ATTRIBUTES = "torch._tensor._rebuild_from_type_v2"
_PLAIN_TYPES = ("torch.Tensor", "torch.nn.parameter.Parameter")
_DICTS = ("collections.OrderedDict", "collections.defaultdict")
_NAMESPACE = "argparse.Namespace"

HARMLESS = {
    _TENSOR, _OLD_TENSOR, *_PARAMETERS, _WITH_ATTRIBUTES, *_PLAIN_TYPES, *_DICTS, _NAMESPACE,
    *(f"torch.{name}" for name in STORAGES), "collections.Counter", "torch.Size", "torch.device",
    "_codecs.encode", *(f"{module}.{name}" for module in ("builtins", "__builtin__")
                        for name in ("set", "frozenset", "bytearray", "complex")),
}  # fmt: skip
"""Globals of ordinary checkpoints, which a message about a file without weights need not name."""


def made(name: str, arguments: tuple[Any, ...]) -> Any:
    """Return what stands for the result of a call.

    Parameters
    ----------
    name : str
        Of the global that is called.
    arguments : tuple

    Raises
    ------
    ValueError, LookupError, TypeError
        If PyTorch would not have written this call.
    """
    if name == _TENSOR:
        return _tensor(*arguments)
    if name == _OLD_TENSOR:
        storage, offset, shape, strides = arguments
        return _tensor(storage, offset, shape, strides, None, None)
    if name in _PARAMETERS and isinstance(arguments[0], (TensorRef, OtherTensor)):
        return arguments[0]
    if name == _WITH_ATTRIBUTES:
        function, kind, inner, _ = arguments
        plain = isinstance(kind, Mark) and kind.name in _PLAIN_TYPES
        if plain and function in (Mark(_TENSOR), *map(Mark, _PARAMETERS)):
            return made(function.name, inner)
    if name in ("collections.defaultdict", _NAMESPACE, _DICTS[0]):
        if arguments and name != "collections.defaultdict":
            raise ValueError(f"it calls {name} wrongly")
        return Inert(name) if name == _NAMESPACE else {}
    if name in _PARAMETERS or name.removeprefix("torch.") in STORAGES:
        raise ValueError(f"it calls {name} wrongly")
    if name == "torch._utils._rebuild_tensor_v3":
        dtype = arguments[6]
        return OtherTensor(dtype.name if isinstance(dtype, Mark) else name)
    if name.startswith(("torch._utils._rebuild_", "torch._tensor._rebuild_")):
        return OtherTensor(name)
    return Inert(name)


def stored(identifier: tuple[Any, ...]) -> tuple[StorageRef | OtherTensor, str, Length]:
    """Return the storage that a persistent identifier names, its key, and its length.

    Raises
    ------
    ValueError
        If it names anything else.
    """
    kind, mark, key, _, numel, *view = identifier
    if kind != "storage" or not isinstance(mark, Mark) or not isinstance(key, str):
        raise ValueError("a persistent identifier does not name a storage")
    if not _is_count(numel):
        raise ValueError("the length of a storage is not a whole number")
    name = mark.name.rpartition(".")[2]
    if not mark.name.startswith("torch.") or name not in {**STORAGES, **OTHER_STORAGES}:
        raise ValueError(f"{mark.name} is no storage")
    if name in OTHER_STORAGES:
        return OtherTensor(mark.name), key, Length(OTHER_STORAGES[name], numel)
    part = None
    if view not in ([], [None]):
        _, first, count = view[0]
        if not (_is_count(first) and _is_count(count) and first + count <= numel):
            raise ValueError("a view of a storage does not lie in it")
        part = (first, count)
    dtype = STORAGES[name]
    return StorageRef(dtype, key, numel, part), key, Length(dtype.itemsize, numel)


def _tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, _grad: Any, _hooks: Any, flags: Any = None
) -> TensorRef | OtherTensor:
    """Describe a tensor as ``torch._utils._rebuild_tensor_v2`` would make it."""
    if isinstance(storage, OtherTensor):
        return storage
    if flags:
        return OtherTensor("a conjugated or negated view")
    sizes = (shape, strides)
    if not isinstance(storage, StorageRef) or not all(isinstance(s, tuple) for s in sizes):
        raise ValueError("a tensor lacks a storage, shape or strides")
    if not all(map(_is_count, (offset, *shape, *strides))):
        raise ValueError("a tensor's offset, shape or stride is not a whole number from 0")
    return TensorRef(storage, offset, shape, strides)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63
