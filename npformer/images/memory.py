"""The pixels of a Pillow image where they lie, four bytes each, without a copy where possible.

Pillow 11.3 and later hand out their memory by Arrow's C data interface, if an image lies in one
block; larger ones lie in several, by default of 16 MB each (``PILLOW_BLOCK_SIZE``). Of what does
not lie in one block, parts are copied that fit into a processor's cache. Where many photographs are
decoded, `reused` asks Pillow for one block each, and to keep it for the next.

Sources: https://arrow.apache.org/docs/format/CDataInterface.html,
https://pillow.readthedocs.io/en/stable/reference/block_allocator.html
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, _imaging

PART = 2**18
"""How many bytes are copied at a time, about."""
BLOCK = 2**29
"""The largest block in bytes: every photograph that is read lies in one, of its own size."""
BLOCKS = 64
"""How many are kept at most: two for each thread, of a photograph as it is decoded and as RGB."""

_users = 0
_before = 0, 0
_lock = threading.Lock()


@contextmanager
def reused() -> Iterator[None]:
    """Let Pillow use the memory of one photograph for the next, as long as this lasts.

    By default it returns the memory of each to the system, which clears it anew, page by page, when
    the next one is decoded: of a photograph of 12 megapixels 48 MB.
    """
    global _users, _before
    with _lock:
        if _users == 0:
            _before = _imaging.get_block_size(), _imaging.get_blocks_max()
            _imaging.set_block_size(max(BLOCK, _before[0]))
            _imaging.set_blocks_max(max(BLOCKS, _before[1]))
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _imaging.set_block_size(_before[0])
                _imaging.set_blocks_max(_before[1])


class _ArrowArray(ctypes.Structure):
    """``struct ArrowArray``."""


_ArrowArray._fields_ = [
    *((name, ctypes.c_int64) for name in ("length", "nulls", "offset", "n_buffers", "n_children")),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(_ArrowArray))),
    *((name, ctypes.c_void_p) for name in ("dictionary", "release", "private")),
]


class Pixels(NamedTuple):
    """A part of an image: some of its rows, or of its columns."""

    data: NDArray[np.uint8]
    """flat, read-only"""
    at: int
    """where the first pixel of the whole image would lie"""
    step: int
    """bytes from one row to the next"""
    first: int
    """the first row, or column, of this part"""
    last: int
    """the one after its last"""


def view(image: Any) -> NDArray[np.uint8] | None:
    """Return the memory of an RGB image, (4 H W,); None if it has no single block to show.

    The array keeps the memory alive. It is read-only, though whoever has the image can change it.

    Parameters
    ----------
    image : PIL.Image.Image
    """
    try:
        if _imaging.get_alignment() != 1:  # then there may be gaps between rows
            return None
        _, capsule = image.__arrow_c_array__()  # since Pillow 11.3
    except (AttributeError, ValueError):
        return None
    pointer = _pointer(capsule, b"arrow_array")
    pixels = ctypes.cast(pointer, ctypes.POINTER(_ArrowArray)).contents
    size = 4 * image.width * image.height
    if pixels.n_children != 1 or pixels.children[0].contents.length != size:
        return None
    address = pixels.children[0].contents.buffers[1]
    memory: Any = (ctypes.c_uint8 * size).from_address(address)
    memory.owner = capsule  # lives as long as the array
    array = np.frombuffer(memory, np.uint8)
    array.flags.writeable = False
    return array


_pointer: Any = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]


def parts(
    image: Image.Image, rows: tuple[int, int], columns: tuple[int, int], by_rows: bool
) -> Iterator[Pixels]:
    """Yield the pixels of a section of an RGB image: all of them, or copies of parts.

    Parameters
    ----------
    image : PIL.Image.Image
    rows, columns : (int, int)
        Where the section begins and ends; at least four of either.
    by_rows : bool
        Whether a part has some of the rows, and else of the columns; at least four of them.

    Yields
    ------
    Pixels
    """
    (begin, end), across = (rows, columns) if by_rows else (columns, rows)
    if (whole := view(image)) is not None:
        yield Pixels(whole, 0, 4 * image.width, begin, end)
        return
    most = max(4, PART // (4 * (across[1] - across[0])))
    for start in range(begin, end, most):
        first, last = min(start, end - 4), min(start + most, end)
        top, bottom = (first, last) if by_rows else across
        left, right = across if by_rows else (first, last)
        part = image.crop((left, top, right, bottom))
        data = view(part)
        if data is None:
            data = np.frombuffer(part.tobytes("raw", "RGBX"), np.uint8)
        step = 4 * (right - left)
        yield Pixels(data, -(top * step + 4 * left), step, first, last)
