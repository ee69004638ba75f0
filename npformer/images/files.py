"""Photographs on disk: which files are taken for one, and where they are."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from PIL import Image

from .open import FORMATS


@cache
def photograph_suffixes() -> frozenset[str]:
    """Return the suffixes, such as ``.jpg``, of the formats that `open_image` reads."""
    suffixes = Image.registered_extensions()
    return frozenset(suffix for suffix, kind in suffixes.items() if kind in FORMATS)


def photographs_below(folder: Path) -> list[Path]:
    """List the photographs of a folder and its sub-folders by their suffixes, sorted.

    Files whose names begin with a dot are skipped: macOS leaves ``._1.jpg``, which is not an image,
    beside ``1.jpg``.
    """
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in photograph_suffixes() and not path.name.startswith(".")
    )
