"""What commands write to standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable


def complain(message: object) -> None:
    """Write a line to standard error in the name of the program."""
    print(f"npformer: {message}", file=sys.stderr)


def complain_about_unreadable(messages: Iterable[str]) -> None:
    """Name the files that were left out."""
    for message in messages:
        complain(f"left out: {message}")
