"""Read the pickle of a PyTorch checkpoint without running it.

A pickle is a program for a stack machine, and Python's machine lets it import any module and call
anything in it: unpickling a stranger's file means running a stranger's program. This is another
machine for the same language, and it is safe because of what it lacks:

* It imports nothing and calls nothing that the pickle names. A global becomes a `Mark`: its name.
* "Calling" a mark makes a dict, a description of a tensor, or, for every name that is not needed to
  read weights, an `Inert`: a note that something was to be made here, and of what kind. What it was
  to be made from is thrown away. So whatever training programs save beside the weights (states of
  random generators, NumPy's numbers, objects of their own) neither runs nor is in the way.
* Setting the state of an object (BUILD) discards the state.
* Opcodes that PyTorch does not write are refused, including those for extensions and other classes.
* Every opcode takes one step and bounded memory, and there is a limit to their number. Values are
  shared; they are never copied, traversed, compared or hashed (a key of a dict that is neither text
  nor a whole number becomes an `Inert`), so a small pickle cannot expand to a large structure.

The results are dicts, lists, tuples, text, bytes, numbers, `TensorRef` and `Inert`.
``pickletools`` of the standard library splits the bytes into opcodes, without interpreting any.
Sources: ``pickletools.py`` of Python; ``torch/_utils.py``, ``torch/serialization.py`` and
``torch/_weights_only_unpickler.py`` of PyTorch.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..errors import UnsafeCheckpointError, WeightsError
from .dtypes import STORAGES

MAX_PICKLE = 64_000_000
"""Limit in bytes, far above the 0.5 million of L7 with the state of its optimizer."""

MAX_OPCODES = 4_000_000
"""Limit of the time and memory that a pickle takes: some seconds, some hundred MB."""


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

    def __init__(self, kind: str) -> None:
        self.kind = kind


class OtherTensor(Inert):
    """Stands for a tensor that is no plain array of a number format that can be read."""


@dataclass(frozen=True)
class Mark:
    """Stands for a global: its name and nothing else."""

    name: str


_TENSOR = "torch._utils._rebuild_tensor_v2"
_PARAMETERS = ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state")
_WITH_ATTRIBUTES = "torch._tensor._rebuild_from_type_v2"
_PLAIN_TYPES = ("torch.Tensor", "torch.nn.parameter.Parameter")
_DICTS = ("collections.OrderedDict", "collections.defaultdict")
_NAMESPACE = "argparse.Namespace"

_HARMLESS = {
    _TENSOR, *_PARAMETERS, _WITH_ATTRIBUTES, *_PLAIN_TYPES, *_DICTS, _NAMESPACE,
    *(f"torch.{name}" for name in STORAGES), "collections.Counter", "torch.Size", "torch.device",
    "_codecs.encode", *(f"{module}.{name}" for module in ("builtins", "__builtin__")
                        for name in ("set", "frozenset", "bytearray", "complex")),
}  # fmt: skip
"""Globals of ordinary checkpoints, which a message about a file without weights need not name."""


class Interpreted(NamedTuple):
    """What a pickle describes."""

    value: Any
    """dict, list, tuple, str, bytes, int, float, bool, None, TensorRef or Inert"""
    strangers: tuple[str, ...]
    """the first globals it names that Python's own machine would have to import, and might run"""


def interpret(pickle: bytes, source: str) -> Interpreted:
    """Return the value that a pickle describes.

    Parameters
    ----------
    pickle : bytes
    source : str
        What error messages call the file.

    Returns
    -------
    Interpreted

    Raises
    ------
    UnsafeCheckpointError
        If the pickle uses an opcode that PyTorch does not write.
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
        for count, (opcode, argument, _) in enumerate(pickletools.genops(pickle)):
            if opcode.name == "STOP":
                return Interpreted(machine.result(), tuple(machine.strangers))
            if count == MAX_OPCODES:
                raise WeightsError(
                    f"{source}: its pickle has more than {MAX_OPCODES} steps; where the file was "
                    "made, save only model.state_dict()"
                )
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
        self.strangers: list[str] = []

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
        if name not in _HARMLESS and len(self.strangers) < 5:
            self.strangers.append(name)
        self.push(Mark(name))

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
        if isinstance(function, Mark):
            self.push(_made(function.name, arguments))
        elif isinstance(function, Inert):
            self.push(Inert(function.kind))
        else:
            raise ValueError("it calls something that is not a function")

    def call_with_keywords(self) -> None:
        self.stack.pop()
        self.call()

    def refer_to_storage(self) -> None:
        """Push the storage that a persistent identifier names."""
        kind, mark, key, _, numel = self.stack.pop()
        if kind != "storage" or not isinstance(mark, Mark) or not isinstance(key, str):
            raise ValueError("a persistent identifier does not name a storage")
        if not _is_count(numel):
            raise ValueError("the length of a storage is not a whole number")
        name = mark.name.removeprefix("torch.")
        if name in STORAGES:
            self.push(StorageRef(STORAGES[name], key, numel))
        elif mark.name.startswith("torch.") and name.endswith("Storage"):
            self.push(OtherTensor(mark.name))
        else:
            raise ValueError(f"{mark.name} is no storage")

    def set_items(self, pairs: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, (dict, Inert)) or len(pairs) % 2:
            raise ValueError("it sets items of something that is not a dict")
        if isinstance(target, dict):
            for key, value in zip(pairs[::2], pairs[1::2], strict=True):
                # Only text can name weights, and the hash of a tuple may take forever.
                target[key if type(key) in (str, int) else Inert(type(key).__name__)] = value

    def append(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], (list, Inert)):
            raise ValueError("it appends to something that is not a list")
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(items)

    def add(self, _items: list[Any]) -> None:
        if not isinstance(self.stack[-1], Inert):
            raise ValueError("it adds to something that is not a set")

    def make_set(self, _items: list[Any]) -> None:
        self.push(Inert("frozenset"))

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


def _made(name: str, arguments: tuple[Any, ...]) -> Any:
    """Return what stands for the result of a call."""
    if name == _TENSOR:
        return _tensor(*arguments)
    if name in _PARAMETERS and isinstance(arguments[0], (TensorRef, OtherTensor)):
        return arguments[0]
    if name == _WITH_ATTRIBUTES:
        function, kind, inner, _ = arguments
        plain = isinstance(kind, Mark) and kind.name in _PLAIN_TYPES
        if plain and function in (Mark(_TENSOR), *map(Mark, _PARAMETERS)):
            return _made(function.name, inner)
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


_CONSTANTS = {
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE",
    "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
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
    "EMPTY_SET": lambda machine, _: machine.push(Inert("set")),
    "ADDITEMS": lambda machine, _: machine.add(machine.since_mark()),
    "FROZENSET": lambda machine, _: machine.make_set(machine.since_mark()),
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
    "NEWOBJ_EX": lambda machine, _: machine.call_with_keywords(),
    "BUILD": lambda machine, _: machine.discard_state(),
    "BINPERSID": lambda machine, _: machine.refer_to_storage(),
}
