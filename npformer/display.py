"""How results are displayed: rows as HTML, arrays as small pictures, shares as bars.

The picture of an array shows its first image, averaged over channels, from dark for the smallest
number to bright for the largest. Attention maps are averaged over heads: a row is a token, and a
column a token that it attends to. Tokens are laid out on the square grid that they came from.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from math import isnan, isqrt

import numpy as np

from .layers import Array

MAX_SIDE = 64
"""The most pixels along the side of a picture; larger maps are subsampled."""

_STYLE = (
    "<style>.npformer td, .npformer th {text-align: left; padding: 0.15em 0.8em} "
    ".npformer td.number, .npformer th.number {text-align: right; "
    "font-variant-numeric: tabular-nums} "
    ".npformer img {height: 2.6em; max-width: none; display: block; "
    "image-rendering: pixelated}</style>"
)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int] = ()) -> str:
    """Write rows as an HTML table.

    Parameters
    ----------
    head : sequence of str
    rows : iterable of sequence of str
        Text, which is escaped, or pictures made by `picture`.
    numbers : iterable of int
        Which columns are right-aligned.

    Returns
    -------
    str
    """
    right = set(numbers)

    def row(cells: Sequence[str], tag: str) -> str:
        written = (
            f"<{tag} class='{'number' if i in right else 'text'}'>"
            f"{cell if cell.startswith('<img ') else escape(cell)}</{tag}>"
            for i, cell in enumerate(cells)
        )
        return f"<tr>{''.join(written)}</tr>"

    body = "\n".join(row(cells, "td") for cells in rows)
    return (
        f"{_STYLE}\n<table class='npformer'>\n<thead>{row(head, 'th')}</thead>\n"
        f"<tbody>\n{body}\n</tbody></table>"
    )


def picture(path: str, array: Array) -> str:
    """Return a small gray picture of an array as an HTML image, or "" if `as_plane` has none."""
    plane = as_plane(path, array)
    if plane is None:
        return ""
    step = -(-max(plane.shape) // MAX_SIDE)
    plane = np.nan_to_num(plane[::step, ::step].astype(np.float64))
    low, spread = plane.min(), np.ptp(plane)
    gray = (plane - low) / (spread or 1)  # a constant is black
    return image(gray)


def as_plane(path: str, array: Array) -> Array | None:
    """Reduce an array to the rows and columns of its first image; None if it is not an image."""
    if array.ndim == 4:  # (B, heads, N, N) or (B, H, W, C)
        return array[0].mean(0 if path.endswith("attn") else -1)
    if array.ndim == 3 and isqrt(array.shape[1]) ** 2 == array.shape[1]:  # (B, N, C)
        side = isqrt(array.shape[1])
        return array[0].mean(-1).reshape(side, side)
    return None


def image(pixels: Array, alt: str = "") -> str:
    """Return an ``<img>`` that carries its PNG.

    Parameters
    ----------
    pixels : ndarray of float, shape (H, W), (H, W, 3) or (H, W, 4)
        From 0 to 1: gray, color, or color and opacity.
    alt : str
        Text for readers who cannot see the picture.

    Returns
    -------
    str
    """
    from PIL import Image  # a table without pictures does not need it

    file = io.BytesIO()
    Image.fromarray((255 * pixels).astype(np.uint8)).save(file, "png", optimize=True)
    return f"<img alt='{escape(alt)}' src='data:image/png;base64,{encoded(file.getvalue())}'>"


def encoded(data: bytes) -> str:
    """Encode bytes in base 64."""
    return base64.b64encode(data).decode()


def bar(share: float, length: int = 20) -> str:
    """Draw a number from [0, 1] as a bar, to an eighth of a character; of NaN there is none."""
    if isnan(share):
        return ""
    share = min(max(share, 0.0), 1.0)
    eighths = round(share * length * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()
