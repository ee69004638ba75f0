"""Fast decoding: of a JPEG, only as many pixels as the resized image needs.

A JPEG stores blocks of 8×8 pixels as their cosine transforms. From the lowest frequencies alone,
its decoder computes the picture at a half, a quarter or an eighth of its sides, in less time than
in full. The smallest scale is taken that still has twice the sides of the resized image, which the
usual filter then makes. Pictures that are not so large are decoded as ever, to the same bits.

How far pixels and answers move is measured in ``docs/howto/many_photographs.md``.
"""

from __future__ import annotations

from collections.abc import Mapping

from PIL import Image

from .open import Stored
from .transforms import resized_size

FINER = 2
"""How many times larger than the resized image the decoded one is at least, along each side."""
REDUCING_GAP = 2.0
"""Pictures beyond the smallest scale are first averaged down, to this multiple at least."""


def needed(size: Mapping[str, int]) -> tuple[int, int]:
    """Return the height and width from which an image may be resized to `size`."""
    height, width = (size.get(key, size.get("shortest_edge", 0)) for key in ("height", "width"))
    return FINER * height, FINER * width


def resize_reduced(stored: Stored, size: Mapping[str, int], resample: int) -> Image.Image:
    """Resize an image that was decoded at a smaller scale, and turn it upright.

    Parameters
    ----------
    stored : Stored
        Its `part` is not None. It was decoded with the sides that are `needed`, so the result
        cannot be large.
    size : mapping
        As in `npformer.images.transforms.resized_size`.
    resample : PIL.Image.Resampling

    Returns
    -------
    PIL.Image.Image
        Upright.
    """
    assert stored.part is not None
    sides = stored.size if stored.on_its_side else stored.size[::-1]  # height, width if upright
    new = resized_size(*sides, size)
    lying = new if stored.on_its_side else new[::-1]  # width, height as in the file
    # The few pixels of the small picture are turned, not the many that were decoded.
    small = stored.rgb.resize(lying, resample, box=(0, 0, *stored.part), reducing_gap=REDUCING_GAP)
    return small if stored.turn is None else small.transpose(stored.turn)


def averages(part: tuple[float, float], new: tuple[int, int]) -> bool:
    """Whether the pixels of a `Stored.part` are averaged before they are resized; new is its size.

    Both are a width and a height.
    """
    return any(int(old / side / REDUCING_GAP) > 1 for old, side in zip(part, new, strict=True))
