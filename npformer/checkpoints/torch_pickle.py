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
import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import IO, Any, NamedTuple, cast

from ..errors import UnsafeCheckpointError, WeightsError
from .torch_objects import HARMLESS, Inert, Length, Mark, made, stored

MAX_PICKLE = 64_000_000
"""Limit in bytes, far above the 0.5 million of L7 with the state of its optimizer."""

MAX_OPCODES = 4_000_000
"""Limit of the time and memory that a pickle takes: some seconds, some hundred MB."""


class Pickled:
    """One pickle of several in an open file, of which no more is read than a limit."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.left = MAX_PICKLE

    def read(self, count: int) -> bytes:
        """Return the next bytes; fewer than wanted at the end and at the limit."""
        return self._passed(self.stream.read(min(count, self.left)))

    def readline(self) -> bytes:
        """Return the next bytes up to the end of a line."""
        return self._passed(self.stream.readline(self.left))

    def _passed(self, data: bytes) -> bytes:
        self.left -= len(data)
        return data


class Interpreted(NamedTuple):
    """What a pickle describes."""

    value: Any
    """dict, list, tuple, str, bytes, int, float, bool, None, TensorRef or Inert"""
    strangers: tuple[str, ...]
    """the first globals it names that Python's own machine would have to import, and might run"""
    storages: Mapping[str, set[Length]] = MappingProxyType({})
    """what it says about the length of each storage, by key"""


def interpret(pickle: bytes | Pickled, source: str) -> Interpreted:
    """Return the value that a pickle describes.

    Parameters
    ----------
    pickle : bytes or Pickled
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
    if isinstance(pickle, bytes) and len(pickle) > MAX_PICKLE:
        raise WeightsError(
            f"{source}: its pickle has {len(pickle)} bytes; expected at most {MAX_PICKLE}, which "
            "is more than any EfficientFormer needs"
        )
    machine = _Machine(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of a damaged name pickletools only warns
            for count, (opcode, argument, _) in enumerate(pickletools.genops(cast(Any, pickle))):
                if opcode.name == "STOP":
                    return machine.interpreted()
                if count == MAX_OPCODES:
                    raise WeightsError(
                        f"{source}: its pickle has more than {MAX_OPCODES} steps; where the file "
                        "was made, save only model.state_dict()"
                    )
                machine.step(opcode.name, argument)
    except WeightsError:
        raise
    except (ArithmeticError, LookupError, TypeError, ValueError, Warning) as error:
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
        self.storages: dict[str, set[Length]] = {}

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

    def interpreted(self) -> Interpreted:
        """Return the only value that is left, and what was noted on the way."""
        if len(self.stack) != 1 or self.below:
            raise ValueError("it does not leave exactly one value")
        return Interpreted(self.stack[0], tuple(self.strangers), self.storages)

    def since_mark(self) -> list[Any]:
        """Close the last MARK and return what is above it."""
        items = self.stack
        self.stack = self.below.pop()
        return items

    def remember(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def look_up(self, name: str) -> None:
        """Push the marker of a global."""
        if name not in HARMLESS and len(self.strangers) < 5:
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
            self.push(made(function.name, arguments))
        elif isinstance(function, Inert):
            self.push(Inert(function.kind))
        else:
            raise ValueError("it calls something that is not a function")

    def call_with_keywords(self) -> None:
        self.stack.pop()
        self.call()

    def refer_to_storage(self) -> None:
        """Push the storage that a persistent identifier names."""
        identifier = self.stack.pop()
        if identifier[:1] == ("module",):  # before PyTorch 1.6: a class, and its source code
            self.push(Inert("module"))
            return
        storage, key, length = stored(identifier)
        self.storages.setdefault(key, set()).add(length)
        self.push(storage)

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
    "SHORT_BINSTRING": lambda machine, text: machine.push(text.encode("latin-1").decode()),
    "BINPERSID": lambda machine, _: machine.refer_to_storage(),
}
