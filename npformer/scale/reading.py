"""Where photographs come from: files, standard input, and any store that fsspec knows."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, ImageError, MissingPackage
from ..files.optional import optional
from ..files.paths import is_address
from ..images.files import is_photograph, walk
from ..layers.arrays import Array

if TYPE_CHECKING:
    from ..classification import Classifier

STANDARD_INPUT = "-"


def expand(word: str, left_out: Counter[str]) -> Iterator[str]:
    """Yield the photographs that a word stands for: a file, a folder, a pattern, an address.

    Parameters
    ----------
    word : str
    left_out : Counter
        Counts the files in folders that are not taken for photographs, by suffix.

    Yields
    ------
    str

    Raises
    ------
    MissingPackage, ConfigError
        If it is an address, and fsspec, or its package for such stores, is not installed.
    OSError
        If a store does not list what it has.
    """
    if is_address(word):
        yield from _listed(word, left_out)
    elif Path(word).is_dir():
        yield from walk(word, left_out)
    elif has_magic(word) and not Path(word).exists():
        for match in sorted(glob(word, recursive=True)):
            yield from expand(match, left_out)
    else:
        yield word


def absolute(name: str) -> str:
    """Return the name of a file or an address that means the same in other processes."""
    return name if is_address(name) else os.path.abspath(name)


def filesystem(address: str) -> tuple[Any, str]:
    """Return fsspec's file system for an address, and what the address is called there.

    Raises
    ------
    MissingPackage
        If fsspec is not installed, or its package for this kind of store.
    ConfigError
        If there is no such kind of store.
    """
    with optional("fsspec", f"{address} is an address, which", "npformer[dask]"):
        import fsspec
    try:
        files, root = fsspec.url_to_fs(address)
    except ImportError as error:
        raise MissingPackage(f"{address}: {error}") from error
    except ValueError as error:
        raise ConfigError(
            f"{address}: {error}; expected a path, or an address such as s3://bucket/1.jpg"
        ) from error
    return files, str(root)


def read_image(model: Classifier, decode: str, image: str) -> Array:
    """Read a photograph, wherever it is, and preprocess it.

    Parameters
    ----------
    model : Classifier
    decode : {"exact", "fast"}
    image : str
        A path, an address, or ``"-"`` for standard input.

    Returns
    -------
    ndarray of float32, shape (3, H, W)

    Raises
    ------
    ImageError, OSError
        As `npformer.Classifier.preprocess`; also if a store does not answer.
    """
    if image == STANDARD_INPUT:
        return model.preprocess(_standard_input(), decode)
    if is_address(image):
        return model.preprocess(_fetched(image), decode)
    return model.preprocess(image, decode)


def _standard_input() -> bytes:
    if sys.stdin is None:
        raise ImageError("standard input is closed; expected a photograph from a file or a pipe")
    return sys.stdin.buffer.read()


def _listed(address: str, left_out: Counter[str]) -> Iterator[str]:
    """Yield the photographs of a folder (an address that ends in /), a pattern (*), or one."""
    files, root = filesystem(address)
    if "*" in address:
        found = files.glob(root)
    elif address.endswith("/"):
        found = files.find(root)
    else:
        yield address
        return
    for name in sorted(map(str, found)):
        if is_photograph(name.rsplit("/", 1)[-1]):
            yield str(files.unstrip_protocol(name))
        else:
            left_out[os.path.splitext(name)[1]] += 1


def _fetched(address: str) -> bytes:
    files, root = filesystem(address)
    try:
        return bytes(files.cat_file(root))
    except OSError:
        raise
    except Exception as error:  # each store raises its own
        raise ImageError(f"{address}: cannot be fetched: {error}") from error
