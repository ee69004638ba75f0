"""The recorder: a window into every layer, and the tape of the backward pass.

Every layer takes ``keep`` and passes each intermediate array through it:
``x = keep("fc1", linear(x, p.fc1))``. ``keep`` returns the array as it came. The default,
`FORGET`, does nothing else; a `Trace` remembers the array under its module path, spelled as in
timm (``stages.3.blocks.4.token_mixer.attn``), so that activations compare with PyTorch's hooks
key by key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from .arrays import Array

if TYPE_CHECKING:
    from typing import Self


class Keep(Protocol):
    """What a layer asks of a recorder."""

    def __call__(self, name: str, value: Array, /) -> Array:
        """Return `value`, remembered or not."""
        ...

    def within(self, name: str, /) -> Keep:
        """Return the recorder of the child module `name`."""
        ...

    def wants(self, name: str, /) -> bool:
        """Whether a value passed under `name` would be remembered."""
        ...


class Forget:
    """The recorder that keeps nothing."""

    def __call__(self, name: str, value: Array, /) -> Array:
        """Return `value`."""
        return value

    def within(self, name: str, /) -> Forget:
        """Return itself: there is nothing to tell apart."""
        return self

    def wants(self, name: str, /) -> bool:
        """Nothing."""
        return False


FORGET = Forget()

EMPTY: Mapping[str, Array] = MappingProxyType({})
"""The tape of a layer that kept nothing."""


class Trace(Mapping[str, Array]):
    """Every array that passed, by module path, in the order of computation.

    Parameters
    ----------
    *only : str, default "*"
        Shell-style patterns; paths that match none of them are not kept. ``Trace("*.attn")`` holds
        the attention maps and lets the rest go.

    Examples
    --------
    >>> import numpy as np
    >>> from npformer.layers import Linear, Mlp, Trace, mlp
    >>> p = Mlp(Linear(np.ones((2, 8)), np.zeros(8)), Linear(np.ones((8, 2)), np.zeros(2)))
    >>> trace = Trace()
    >>> y = mlp(np.ones((1, 3, 2)), p, keep=trace)
    >>> {name: array.shape for name, array in trace.items()}
    {'fc1': (1, 3, 8), 'act': (1, 3, 8), 'fc2': (1, 3, 2)}
    """

    def __init__(self, *only: str) -> None:
        self.only = only or ("*",)
        self._prefix = ""
        self._arrays: dict[str, Array] = {}

    def __call__(self, name: str, value: Array, /) -> Array:
        """Remember `value` under `name`, if wanted, and return it."""
        if self.wants(name):
            self._arrays[self._prefix + name] = value
        return value

    def within(self, name: str, /) -> Self:
        """Return a view of this trace that puts ``name.`` before every name."""
        child = type(self)(*self.only)
        child._prefix = f"{self._prefix}{name}."
        child._arrays = self._arrays
        return child

    def wants(self, name: str, /) -> bool:
        """Whether the path matches one of the patterns."""
        return any(fnmatchcase(self._prefix + name, pattern) for pattern in self.only)

    def __getitem__(self, path: str, /) -> Array:
        return self._arrays[self._prefix + path]

    def __iter__(self) -> Iterator[str]:
        start = len(self._prefix)
        return (path[start:] for path in self._arrays if path.startswith(self._prefix))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        rows = [f"{path:<48} {array.shape}" for path, array in self.items()]
        return "\n".join([f"Trace of {len(rows)} arrays", *rows])
