"""How a network runs and what is recorded: the last argument of every layer.

    evaluation    batch norm uses its running statistics; no noise
    training      batch norm uses the statistics of the batch; dropout; drop path

A layer passes each intermediate array through its run: ``x = run("fc1", linear(x, p.fc1))`` returns
the array unchanged. `EVALUATION`, the default, records nothing. A `Trace` remembers the array under
its module path, named as in timm (``stages.3.blocks.4.token_mixer.attn``): it shows a reader what
happens inside, compares with PyTorch's hooks key by key, and is the tape of the backward pass.

Source: ``torch.nn.Module.train`` and ``eval``, ``register_forward_hook``, as an explicit argument
instead of hidden state.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from .arrays import Array, Rng
from .dropout import drop_path_mask, dropout_mask

if TYPE_CHECKING:
    from typing import Self


class Mode(NamedTuple):
    """What differs between evaluation, the default, and training."""

    batch_statistics: bool = False
    """whether batch norm normalizes by the batch instead of the running averages"""
    dropout: float = 0.0
    """probability that a number inside an MLP is set to zero"""
    drop_path: float = 0.0
    """probability that a residual branch is skipped for an image; in a network, the last block's"""
    rng: Rng | None = None
    """where dropout and drop path draw from; needed if one of them is above 0"""

    def at(self, block: int, blocks: int) -> Mode:
        """Return the mode of block number `block` of `blocks`: drop path grows with depth.

            rate(i) = rate · i / (blocks − 1)        Huang et al. 2016, section 3; the paper's code

        transformers 4.40.2 omits the division, so that its rates exceed 1.
        """
        return self._replace(drop_path=self.drop_path * block / max(blocks - 1, 1))


_EVALUATION = Mode()


def training(rng: Rng, dropout: float = 0.0, drop_path: float = 0.0) -> Mode:
    """Return the mode for training with these rates of noise."""
    return Mode(True, dropout, drop_path, rng)


class Run:
    """A pass through the network that records nothing.

    Parameters
    ----------
    mode : Mode
        Evaluation by default; ``Run(training(rng))`` for training.
    """

    def __init__(self, mode: Mode = _EVALUATION) -> None:
        self.mode = mode

    def __call__(self, name: str, value: Array, /) -> Array:
        """Return `value`, the result of the module `name`."""
        return value

    def within(self, name: str, /) -> Self:
        """Return the run of the child module `name`."""
        return self

    def wants(self, name: str, /) -> bool:
        """Whether a value passed under `name` would be recorded."""
        return False

    def at(self, block: int, blocks: int) -> Self:
        """Return the run of block number `block` of `blocks`; see `Mode.at`."""
        other = copy.copy(self)
        other.mode = self.mode.at(block, blocks)
        return other

    def dropout(self, name: str, x: Array) -> Array:
        """Apply `npformer.layers.dropout` at the rate of the mode; record ``name.mask``."""
        if self.mode.dropout == 0:
            return x
        mask = dropout_mask(x, self.mode.dropout, self.mode.rng)
        return x * self.within(name)("mask", mask)

    def drop_path(self, name: str, x: Array) -> Array:
        """Apply `npformer.layers.drop_path` at the rate of the mode; record ``name.mask``."""
        if self.mode.drop_path == 0:
            return x
        mask = drop_path_mask(x, self.mode.drop_path, self.mode.rng)
        return x * self.within(name)("mask", mask)


EVALUATION = Run()


class Trace(Run, Mapping[str, Array]):
    """A run that remembers every array by module path, in the order of computation.

    Parameters
    ----------
    *only : str, default "*"
        Shell-style patterns; other paths are not recorded. ``Trace("*.attn")`` holds the attention
        maps alone.
    mode : Mode
        Evaluation by default; ``Trace(mode=training(rng))`` for training.

    Examples
    --------
    >>> import numpy as np
    >>> from npformer.layers import Linear, Mlp, Trace, mlp
    >>> p = Mlp(Linear(np.ones((2, 8)), np.zeros(8)), Linear(np.ones((8, 2)), np.zeros(2)))
    >>> trace = Trace()
    >>> y = mlp(np.ones((1, 3, 2)), p, run=trace)
    >>> {name: array.shape for name, array in trace.items()}
    {'fc1': (1, 3, 8), 'act': (1, 3, 8), 'fc2': (1, 3, 2)}
    """

    def __init__(self, *only: str, mode: Mode = _EVALUATION) -> None:
        super().__init__(mode)
        self.only = only or ("*",)
        self._prefix = ""
        self._arrays: dict[str, Array] = {}

    def __call__(self, name: str, value: Array, /) -> Array:
        """Record `value` under `name`, if it is wanted, and return it."""
        if self.wants(name):
            self._arrays[self._prefix + name] = value
        return value

    def within(self, name: str, /) -> Self:
        """Return a view of this trace that puts ``name.`` before every name."""
        child = copy.copy(self)
        child._prefix = f"{self._prefix}{name}."
        return child

    def wants(self, name: str, /) -> bool:
        """Whether the path matches one of the patterns."""
        return any(fnmatchcase(self._prefix + name, pattern) for pattern in self.only)

    def __getitem__(self, path: str, /) -> Array:
        try:
            return self._arrays[self._prefix + path]
        except KeyError:
            message = f"{self._prefix}{path} was not recorded; run forward with run=Trace()"
            raise KeyError(message) from None

    def __iter__(self) -> Iterator[str]:
        start = len(self._prefix)
        return (path[start:] for path in self._arrays if path.startswith(self._prefix))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        rows = [f"{path:<48} {array.shape}" for path, array in self.items()]
        return "\n".join([f"Trace of {len(rows)} arrays", *rows])


NO_TAPE = Trace("")  # matches no name
"""What a backward function reads if forward recorded nothing, which is enough for some."""
