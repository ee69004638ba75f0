"""Photographs on disk: which files are taken for one, and where they are."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from PIL import Image

from . import heif
from .open import FORMATS

MOST_KINDS = 8
"""How many kinds of files that are left out are named."""


@cache
def photograph_suffixes() -> frozenset[str]:
    """Return the suffixes, such as ``.jpg``, of the formats that `open_image` reads."""
    suffixes = Image.registered_extensions()
    found = frozenset(suffix for suffix, kind in suffixes.items() if kind in FORMATS)
    return found | heif.SUFFIXES if heif.installed() else found


def walk(folder: str, left_out: Counter[str] | None = None) -> Iterator[str]:
    """Yield the paths of the photographs of a folder and its sub-folders, by their suffixes.

    They come sorted, name by name of their paths. Names that begin with a dot are skipped: macOS
    leaves ``._1.jpg``, which is not an image, beside ``1.jpg``. A folder is never a photograph,
    whatever its name. Links to folders are not followed, and a folder that cannot be read is left
    out with a warning.

    Parameters
    ----------
    folder : str
    left_out : Counter, optional
        Counts the files that are not taken for photographs, by suffix.

    Yields
    ------
    str
    """
    try:
        with os.scandir(folder) as entries:
            found = sorted((entry.name, _is_folder(entry), entry.is_symlink()) for entry in entries)
    except OSError as error:
        warnings.warn(f"{error.filename}: left out: {error.strerror}", stacklevel=2)
        return
    for name, is_folder, is_link in found:
        if name.startswith("."):
            continue
        path = os.path.join(folder, name)
        if is_folder:
            if not is_link:
                yield from walk(path, left_out)
        elif is_photograph(name):
            yield path
        elif left_out is not None:
            left_out[os.path.splitext(name)[1]] += 1


def photographs_below(folder: Path) -> list[Path]:
    """List the photographs of a folder and its sub-folders, as `walk` finds them."""
    return [Path(path) for path in walk(str(folder))]


def is_photograph(name: str) -> bool:
    """Whether a file is taken for a photograph, by its name."""
    suffix = os.path.splitext(name)[1]
    return suffix.lower() in photograph_suffixes() and not name.startswith(".")


def words_about(left_out: Counter[str]) -> str:
    """Say how many files of which kinds were left out, the most frequent first."""
    number = sum(left_out.values())
    kinds = [suffix or "without a suffix" for suffix, _ in left_out.most_common(MOST_KINDS)]
    more = ", …" if len(left_out) > MOST_KINDS else ""
    files = "file" if number == 1 else "files"
    text = f"left out: {number} {files} of kinds not read ({', '.join(kinds)}{more})"
    missing = any(s.lower() in heif.SUFFIXES for s in left_out) and not heif.installed()
    return f"{text}; for HEIC, {heif.REMEDY}" if missing else text


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # of a link that cannot be followed
        return False
