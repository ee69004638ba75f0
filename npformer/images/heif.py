"""HEIC, as telephones store photographs, by the optional package pillow-heif.

Pillow itself does not read it. The package is used without registering anything with Pillow, which
would change what a user's own calls of Pillow do.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import IO

from PIL import Image, UnidentifiedImageError

SUFFIXES = frozenset((".heic", ".heif", ".hif"))
REMEDY = 'pillow-heif is needed: pip install "npformer[heif]"'
_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


@cache
def installed() -> bool:
    """Whether HEIC can be read."""
    return find_spec("pillow_heif") is not None


def is_heif(head: bytes) -> bool:
    """Whether a file that begins like this is HEIC."""
    return head[4:8] == b"ftyp" and head[8:12] in _BRANDS


def open_heif(file: IO[bytes]) -> Image.Image:
    """Open a file as ``Image.open`` does; the picture is upright already.

    Raises
    ------
    PIL.UnidentifiedImageError
        If it is damaged.
    """
    from pillow_heif import HeifImageFile

    try:
        opened: Image.Image = HeifImageFile(file)
    except Exception as error:  # decoders may raise anything
        raise UnidentifiedImageError(str(error)) from error
    return opened
