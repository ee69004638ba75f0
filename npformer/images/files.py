"""Photographs on disk: which files are taken for one, and where they are."""

from __future__ import annotations

import os
import warnings
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

    Names that begin with a dot are skipped: macOS leaves ``._1.jpg``, which is not an image, beside
    ``1.jpg``. A folder is never a photograph, whatever its name. Links to folders are not followed,
    and a folder that cannot be read is left out with a warning.
    """
    found: list[Path] = []
    for place, folders, files in os.walk(folder, onerror=_warn):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in files if is_photograph(name)]
    return sorted(found)


def is_photograph(name: str) -> bool:
    """Whether a file is taken for a photograph, by its name."""
    suffix = os.path.splitext(name)[1]
    return suffix.lower() in photograph_suffixes() and not name.startswith(".")


def _warn(error: OSError) -> None:
    warnings.warn(f"{error.filename}: left out: {error.strerror}", stacklevel=3)
