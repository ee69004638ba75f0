"""Ports of the network by imagined people, each with the right answer to "what is wrong with it?".

Most were written before `npformer.compare` was, by somebody who has not seen it. A hash of the name
puts each of these into the half that the diagnosis may be tuned with or into the half that is kept
back. Others came later, as a whole. ``python tests/ports_rate.py`` prints how many answers are
right.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from npformer.layers import Array

from .shop import Reference, Shop


class Made(NamedTuple):
    """A port as its author hands it in."""

    other: Any
    """a file, a folder, or a module"""
    image: Path | None = None
    """the photograph that went in, if its author says which"""
    heard: Mapping[str, Array] | None = None
    """what the file holds, by timm's paths, channels last"""
    paths: tuple[str, ...] = ()
    """timm's paths of what can be seen from outside, where there is no `heard`; (): all"""


Maker = Callable[[Shop, Reference, Path], Made]
"""From the workshop, the reference, and where files may be written (a path without a suffix)."""


class Port(NamedTuple):
    """A port and the right answer about it."""

    name: str
    network: str
    """key of `shop.NETWORKS`"""
    make: Maker
    first: str | None = None
    """timm's path of the first layer that is wrong; None if all are right"""
    causes: tuple[str | None, ...] = (None,)
    """words of which any is right; None among them: to name no cause is right too"""
    also: tuple[str, ...] = ()
    """other paths that are right, where "first" has more than one meaning"""

    @property
    def kept_back(self) -> bool:
        """Whether the diagnosis is to be tuned without this port."""
        return hashlib.sha256(self.name.encode()).digest()[0] % 2 == 1


WRONG: list[Port] = []
RIGHT: list[Port] = []
FINE: list[Port] = []
"""Ports of which one parameter is off by one part in 10⁵."""
FRESH: list[Port] = []
"""Wrong and right ones, written for one blind look after the diagnosis had been tuned."""
LAST: list[Port] = []
"""As many others, which were kept until the diagnosis was done."""
SETS = {"wrong": WRONG, "right": RIGHT, "fine": FINE, "fresh": FRESH, "last": LAST}
HALVED = ("wrong", "right", "fine")
"""Sets of which a half is kept back; of the others, the diagnosis is tuned with nothing."""


def wrong(
    name: str,
    network: str,
    first: str,
    cause: str | tuple[str | None, ...] | None,
    make: Maker,
    also: tuple[str, ...] = (),
    into: list[Port] | None = None,
) -> None:
    """Add a wrong port to a set, `WRONG` by default."""
    causes = cause if isinstance(cause, tuple) else (cause,)
    (WRONG if into is None else into).append(Port(name, network, make, first, causes, also))


def right(name: str, network: str, make: Maker, into: list[Port] | None = None) -> None:
    """Add a right port to a set, `RIGHT` by default."""
    (RIGHT if into is None else into).append(Port(name, network, make))


class Verdict(NamedTuple):
    """What an answer about a port is worth."""

    place: str
    """``exact``; ``near``: as near as the recorded arrays tell; ``wrong``; ``missed``"""
    cause: str
    """``right``; ``none``: not named; ``wrong``"""


def judge(port: Port, made: Made, order: list[str], found: bool, path: Any, cause: Any) -> Verdict:
    """Judge an answer.

    Parameters
    ----------
    port : Port
        A wrong one.
    made : Made
    order : list of str
        All paths in the order of computation.
    found : bool
        Whether the answer is that something is wrong.
    path, cause
        The answer.
    """
    words = "right" if cause in port.causes else "none" if cause is None else "wrong"
    if not found:
        return Verdict("missed", words)
    place = "wrong"
    if last_of(path, order) in {last_of(right, order) for right in (port.first, *port.also)}:
        place = "exact"
    elif within(last_of(path, order), accepted(port, made, order)):
        place = "near"
    return Verdict(place, words)


def last_of(path: Any, order: list[str]) -> Any:
    """Return the path of the array that a module returns: ``stem`` -> ``stem.act2``."""
    if not isinstance(path, str) or path.rpartition(".")[0].endswith(".blocks"):
        return path  # what a block returns has no other path: it ends in a sum
    for last in ("act2", "norm", "proj", "norm2", "fc2"):
        if f"{path}.{last}" in order:
            return f"{path}.{last}"
    blocks = [other for other in order if other.rpartition(".")[0] == f"{path}.blocks"]
    return blocks[-1] if blocks else path


def accepted(port: Port, made: Made, order: list[str]) -> list[str]:
    """Return the paths that nobody can tell apart: nothing between them was recorded.

    From behind the last recorded array that is right to the first that is wrong.
    """
    arrays = [path for path in order if last_of(path, order) == path]
    heard = {last_of(path, order) for path in made.heard or made.paths or order}
    at = arrays.index(last_of(port.first, order))
    start = max((i + 1 for i in range(at) if arrays[i] in heard), default=0)
    stop = next((i + 1 for i in range(at, len(arrays)) if arrays[i] in heard), len(arrays))
    return [*arrays[start:stop], *port.also]


def within(path: Any, paths: list[str]) -> bool:
    """Whether a path is among others, or a step of the same module that timm does not name."""
    if not isinstance(path, str):
        return False
    module, _, step = path.rpartition(".")
    modules = {*paths, *(other.rpartition(".")[0] for other in paths)}
    return path in paths or (module in modules and step not in _TIMM)


_TIMM = {
    "conv1", "norm1", "act1", "conv2", "norm2", "act2", "conv", "norm", "token_mixer", "qkv",
    "attn", "proj", "ls1", "ls2", "mlp", "fc1", "act", "fc2", "head", "head_dist", "stem", "pooled",
}  # fmt: skip
"""Last parts of the paths of modules of timm's."""
