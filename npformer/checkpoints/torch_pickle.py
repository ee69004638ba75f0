"""Read the pickle of a PyTorch checkpoint without running it.

A pickle is a program for a stack machine, and Python's machine lets it import any module and call
anything in it: unpickling a stranger's file means running a stranger's program. This is another
machine for the same language, and it is safe because of what it lacks:

* It imports nothing and calls nothing that the pickle names. A global is looked up in a table of
  a dozen markers; a name that is not in the table is an error, and the message contains it.
* The markers are not the things that they are named after. "Calling" one (REDUCE) selects one of
  four branches below, which make a dict, an inert object, or a description of a tensor.
* Setting the state of an object (BUILD) discards the state.
* Opcodes that PyTorch does not write are refused, including those for extensions and other classes.
* Every opcode takes one step and bounded memory, and the number of opcodes is bounded by the length
  of the pickle, which is limited. Values are shared; they are never copied, traversed, compared or
  hashed (keys of dicts are text or whole numbers), so a small pickle cannot expand to a large
  structure.

The results are dicts, lists, tuples, text, numbers and `TensorRef`. ``pickletools`` of the standard
library splits the bytes into opcodes, without interpreting any. Sources: ``pickletools.py`` of
Python; ``torch/_utils.py`` and ``torch/serialization.py`` of PyTorch.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import UnsafeCheckpointError, WeightsError
from .dtypes import STORAGES

MAX_PICKLE = 4_000_000
"""Limit in bytes, far above the 0.5 million of L7 with the state of its optimizer."""


@dataclass(frozen=True)
class StorageRef:
    """A record of the archive: numbers without a shape."""

    dtype: np.dtype[Any]
    key: str
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


@dataclass(frozen=True)
class Mark:
    """Stands for a global: its name and nothing else."""

    name: str


_ORDERED_DICT = Mark("collections.OrderedDict")
_TENSOR = Mark("torch._utils._rebuild_tensor_v2")
_PARAMETER = Mark("torch._utils._rebuild_parameter")
_NAMESPACE = Mark("argparse.Namespace")

GLOBALS = {mark.name: mark for mark in (_ORDERED_DICT, _TENSOR, _PARAMETER, _NAMESPACE)} | {
    f"torch.{name}": Mark(name) for name in STORAGES
}
"""Everything that a pickle may name."""


def interpret(pickle: bytes, source: str) -> Any:
    """Return the value that a pickle describes.

    Parameters
    ----------
    pickle : bytes
    source : str
        What error messages call the file.

    Returns
    -------
    dict, list, tuple, str, int, float, bool, None, TensorRef or Inert

    Raises
    ------
    UnsafeCheckpointError
        If the pickle names a global that is not in `GLOBALS`, or uses an opcode that PyTorch does
        not write.
    WeightsError
        If the pickle is damaged or too long.
    """
    if len(pickle) > MAX_PICKLE:
        raise WeightsError(
            f"{source}: its pickle has {len(pickle)} bytes; expected at most {MAX_PICKLE}, which "
            "is more than any EfficientFormer needs"
        )
    machine = _Machine(source)
    try:
        for opcode, argument, _ in pickletools.genops(pickle):
            if opcode.name == "STOP":
                return machine.result()
            machine.step(opcode.name, argument)
    except WeightsError:
        raise
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise WeightsError(f"{source}: its pickle is damaged ({error}); download it again") from (
            error
        )
    raise WeightsError(f"{source}: its pickle does not end")  # pragma: no cover - genops says so


class _Machine:
    """A stack, a memo, and the opcodes that PyTorch writes."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        """the stacks below each open MARK"""
        self.memo: dict[int, Any] = {}

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def step(self, name: str, argument: Any) -> None:
        """Execute one opcode."""
        if name in _CONSTANTS:
            self.push(argument)
        elif name in _OPCODES:
            _OPCODES[name](self, argument)
        else:
            raise UnsafeCheckpointError(
                f"{self.source}: its pickle uses the opcode {name}, which PyTorch does not write; "
                "it will not be run"
            )

    def result(self) -> Any:
        """Return the only value that is left."""
        if len(self.stack) != 1 or self.below:
            raise ValueError("it does not leave exactly one value")
        return self.stack[0]

    def since_mark(self) -> list[Any]:
        """Close the last MARK and return what is above it."""
        items = self.stack
        self.stack = self.below.pop()
        return items

    def remember(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def look_up(self, name: str) -> None:
        """Push the marker of a global."""
        if name not in GLOBALS:
            raise UnsafeCheckpointError(
                f"{self.source}: wants {name}, which would run code. Only tensors are read: where "
                "the file was made, save only model.state_dict(), preferably as safetensors"
            )
        self.push(GLOBALS[name])

    def look_up_from_stack(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise ValueError("the name of a global is not text")
        self.look_up(f"{module}.{name}")

    def call(self) -> None:
        """Do what the call of a global stands for."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(arguments, tuple):
            raise ValueError("arguments are not a tuple")
        if function == _ORDERED_DICT and not arguments:
            self.push({})
        elif function == _NAMESPACE and not arguments:
            self.push(Inert())
        elif function == _TENSOR:
            self.push(_tensor(*arguments))
        elif function == _PARAMETER and isinstance(arguments[0], TensorRef):
            self.push(arguments[0])
        else:
            raise ValueError(
                f"it calls {getattr(function, 'name', 'something that is not a function')} wrongly"
            )

    def refer_to_storage(self) -> None:
        """Push the storage that a persistent identifier names."""
        kind, mark, key, _, numel = self.stack.pop()
        if kind != "storage" or not isinstance(mark, Mark) or not isinstance(key, str):
            raise ValueError("a persistent identifier does not name a storage")
        if not _is_count(numel):
            raise ValueError("the length of a storage is not a whole number")
        self.push(StorageRef(STORAGES[mark.name], key, numel))

    def set_items(self, pairs: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict) or len(pairs) % 2:
            raise ValueError("it sets items of something that is not a dict")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if type(key) not in (str, int):
                raise ValueError("the key of a dict is neither text nor a whole number")
            target[key] = value

    def append(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise ValueError("it appends to something that is not a list")
        self.stack[-1].extend(items)

    def discard_state(self) -> None:
        self.stack.pop()
        if not isinstance(self.stack[-1], (dict, Inert)):
            raise ValueError("it sets the state of something without a state")

    def make_tuple(self, length: int) -> None:
        start = len(self.stack) - length
        if start < 0:
            raise ValueError("its stack is empty")
        self.stack[start:] = [tuple(self.stack[start:])]

    def open_mark(self) -> None:
        self.below.append(self.stack)
        self.stack = []


def _tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, _grad: Any, _hooks: Any, flags: Any = None
) -> TensorRef:
    """Describe a tensor as ``torch._utils._rebuild_tensor_v2`` would make it."""
    if flags:
        raise ValueError("a tensor is stored conjugated or negated")
    sizes = (shape, strides)
    if not isinstance(storage, StorageRef) or not all(isinstance(s, tuple) for s in sizes):
        raise ValueError("a tensor lacks a storage, shape or strides")
    if not all(map(_is_count, (offset, *shape, *strides))):
        raise ValueError("a tensor's offset, shape or stride is not a whole number from 0")
    return TensorRef(storage, offset, shape, strides)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


_CONSTANTS = {
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE",
}  # fmt: skip
"""Opcodes that push their argument."""

_OPCODES: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda machine, _: None,
    "FRAME": lambda machine, _: None,
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "MARK": lambda machine, _: machine.open_mark(),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.since_mark())),
    "TUPLE1": lambda machine, _: machine.make_tuple(1),
    "TUPLE2": lambda machine, _: machine.make_tuple(2),
    "TUPLE3": lambda machine, _: machine.make_tuple(3),
    "SETITEM": lambda machine, _: machine.set_items([machine.stack.pop(-2), machine.stack.pop()]),
    "SETITEMS": lambda machine, _: machine.set_items(machine.since_mark()),
    "APPEND": lambda machine, _: machine.append([machine.stack.pop()]),
    "APPENDS": lambda machine, _: machine.append(machine.since_mark()),
    "BINPUT": lambda machine, index: machine.remember(index),
    "LONG_BINPUT": lambda machine, index: machine.remember(index),
    "MEMOIZE": lambda machine, _: machine.remember(len(machine.memo)),
    "BINGET": lambda machine, index: machine.push(machine.memo[index]),
    "LONG_BINGET": lambda machine, index: machine.push(machine.memo[index]),
    "GLOBAL": lambda machine, name: machine.look_up(name.replace(" ", ".", 1)),
    "STACK_GLOBAL": lambda machine, _: machine.look_up_from_stack(),
    "REDUCE": lambda machine, _: machine.call(),
    "NEWOBJ": lambda machine, _: machine.call(),
    "BUILD": lambda machine, _: machine.discard_state(),
    "BINPERSID": lambda machine, _: machine.refer_to_storage(),
}
