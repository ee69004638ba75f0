"""Answers of imagined students: wrong ones with their cause in words, and right ones in other words.

They were written before the search for mistakes was, and without a look at the list of known ones.
A hash of the cause puts each wrong answer into the half that the search was tuned with or into the
half that was kept back. ``python tests/judge_rate.py`` prints both rates.
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

    @property
    def digest(self) -> int:
        """A number that depends on the words alone."""
        words = f"{self.layer}: {self.cause}"
        return int.from_bytes(hashlib.sha256(words.encode()).digest()[:1], "big")

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


def right(layer: str, unusual: str, function: Callable[..., Any] | None = None) -> Any:
    """Add a right answer; without a function, as a decorator."""

    def add(f: Callable[..., Any]) -> Callable[..., Any]:
        RIGHT.append(Answer(layer, unusual, "", f))
        return f

    return add(function) if function else add
