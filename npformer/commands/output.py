"""What commands write: answers to standard output, the rest to standard error."""

from __future__ import annotations

import codecs
import io
import json
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

from ..files.describing import describe
from ..files.finite import finite

PLAIN = str.maketrans(
    {
        **dict.fromkeys("█▉▊▋▌", "#"), **dict.fromkeys("▍▎▏", ""), "─": "-", "–": "-", "−": "-",
        "×": "x", "…": "...", "α": "alpha", "λ": "lambda", "ε": "epsilon", "µ": "u", "→": "->",
        "≤": "<=", "≥": ">=", "±": "+-", "·": "*", "“": '"', "”": '"', "‘": "'", "’": "'",
    }
)  # fmt: skip
"""What is written where an encoding lacks a character of ours."""


def settle_streams() -> None:
    """Make standard output and error take every text, and be there.

    A character that the encoding lacks (`PLAIN`), or half of one from a file name that is not
    UTF-8, is written in plain characters, and any other as an escape.
    """
    codecs.register_error("npformer", _plain)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # it was closed when this process was started
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - until the end
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="npformer")


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found = error.object[error.start : error.end]
    return found.translate(PLAIN).encode("ascii", "backslashreplace").decode(), error.end


def print_json(values: Any) -> None:
    """Print JSON on one line; numbers that JSON does not have, NaN and infinity, are null."""
    print(json.dumps(finite(values), allow_nan=False))


def complain(message: object) -> None:
    """Write a line to standard error in the name of the program."""
    text = describe(message) if isinstance(message, OSError) else message
    print(f"npformer: {text}", file=sys.stderr)


def complain_about_unreadable(messages: Iterable[str]) -> None:
    """Name the files that were left out."""
    for message in messages:
        complain(f"left out: {message}")


def warning_lines() -> Callable[..., None]:
    """Return what shows warnings, for `warnings.showwarning`: one line each, and each text once."""
    shown: set[str] = set()

    def show(message: Warning | str, *where: Any, **more: Any) -> None:
        text = str(message)
        if text not in shown:
            shown.add(text)
            complain(f"warning: {text}")

    return show
