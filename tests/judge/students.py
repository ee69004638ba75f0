"""Answers of imagined students: wrong ones with their cause in words, and right ones in other words.

They were written before the search for mistakes was, and without a look at the list of known ones.
A hash of the cause puts each wrong answer into the half that the search was tuned with or into the
half that was kept back. A third part was written later, by somebody else, who had read the search:
before the edits that came with it. ``python tests/judge_rate.py`` prints the rate of each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """What one student handed in."""

    layer: str
    cause: str
    """what is wrong, in words; for a right answer what is unusual"""
    says: str
    """pattern that a report must match which names this cause; empty for a right answer"""
    function: Callable[..., Any]
    later: bool = False
    """whether it was written after the search, and before the edits that it then lacked"""

    @property
    def digest(self) -> int:
        """A number that depends on the words alone."""
        words = f"{self.layer}: {self.cause}"
        return int.from_bytes(hashlib.sha256(words.encode()).digest()[:1], "big")

    @property
    def part(self) -> str:
        """``tuned``, ``kept`` or ``later``."""
        return "later" if self.later else "kept" if self.kept_back else "tuned"

    @property
    def kept_back(self) -> bool:
        """Whether the search was tuned without this answer."""
        return self.digest % 2 == 1


WRONG: list[Answer] = []
RIGHT: list[Answer] = []


def wrong(layer: str, cause: str, says: str, function: Callable[..., Any] | None = None) -> Any:
    """Add a wrong answer; without a function, as a decorator."""

    def add(f: Callable[..., Any]) -> Callable[..., Any]:
        WRONG.append(Answer(layer, cause, says, f))
        return f

    return add(function) if function else add


def later(layer: str, cause: str, says: str, function: Callable[..., Any]) -> None:
    """Add a wrong answer of the later part."""
    WRONG.append(Answer(layer, cause, says, function, later=True))


def right(layer: str, unusual: str, function: Callable[..., Any] | None = None) -> Any:
    """Add a right answer; without a function, as a decorator."""

    def add(f: Callable[..., Any]) -> Callable[..., Any]:
        RIGHT.append(Answer(layer, unusual, "", f))
        return f

    return add(function) if function else add
