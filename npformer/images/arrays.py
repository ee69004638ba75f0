"""Arrays as images: where the colors are, which value is white, 8 bits per color.

What an array means is decided by its shape and type, never by guessing: a shape that could be read
in two ways is refused, and the one rule that looks at values (see `white_of`) is stated.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import ImageError

DataFormat = Literal["channels_first", "channels_last", "none"]
"""Where the colors of an array are: (C, H, W), (H, W, C) or (H, W)."""


def as_array(source: Any) -> NDArray[Any]:
    """Return anything with ``__array__`` as an array; TypeError if it cannot be one."""
    try:
        return np.asarray(source)
    except Exception as error:  # each library has its own
        raise TypeError(
            f"this {type(source).__name__} does not become an array ({error}); "
            "pass a plain one, as from tensor.detach().cpu().numpy()"
        ) from error


def layout_of(array: NDArray[Any], data_format: str | None = None) -> DataFormat:
    """Find out, or check, where the colors of an array are.

    Parameters
    ----------
    array : ndarray, shape (H, W), (H, W, C) or (C, H, W)
    data_format : {None, "channels_first", "channels_last", "none"}

    Returns
    -------
    {"channels_first", "channels_last", "none"}

    Raises
    ------
    ImageError
        If no image has that shape, or it could be both.
    """
    shape, ndim = array.shape, array.ndim
    if ndim not in (2, 3) or 0 in shape:
        raise ImageError(
            f"an array of shape {shape} is not an image; expected (H, W), (H, W, C) or (C, H, W)"
            + ("; pass the images of a batch one by one or as a list" if ndim == 4 else "")
        )
    if ndim == 2:
        fits: list[DataFormat] = ["none"]
    else:
        axes: dict[DataFormat, int] = {"channels_first": 0, "channels_last": 2}
        fits = [name for name, axis in axes.items() if shape[axis] in (1, 3, 4)]
    for name in fits:
        if name == data_format or (data_format is None and len(fits) == 1):
            return name
    if data_format is None and fits:
        raise ImageError(
            f"an array of shape {shape} may have its colors first or last; say which: "
            "data_format (input_data_format of the processor) 'channels_first' or 'channels_last'"
        )
    raise ImageError(
        f"an array of shape {shape} is not an image with 1, 3 or 4 colors"
        + (f" in the format {data_format!r}" if data_format is not None else "")
        + f"; {f'it can be {fits[0]!r}' if fits else 'select or add colors'}"
    )


def view_channels_last(array: NDArray[Any], data_format: str | None = None) -> NDArray[Any]:
    """Return a view of shape (H, W, C); arguments and errors as in `layout_of`."""
    layout = layout_of(array, data_format)
    if layout == "none":
        return array[:, :, None]
    return np.moveaxis(array, 0, -1) if layout == "channels_first" else array


def white_of(pixels: NDArray[Any]) -> float:
    """Return which value is white in an array.

    Whole types say it themselves. Floats are of unit range if no value exceeds 1 (so an image of
    ones is white) and go to 255 otherwise.

    Raises
    ------
    ImageError
        If values are outside of that range, NaN or infinite.
    TypeError
        If the type is not bool, a whole type or float.
    """
    kind, size = pixels.dtype.kind, pixels.dtype.itemsize
    if kind not in "buif":
        raise TypeError(f"an image cannot be of type {pixels.dtype}; expected uint8 or float32")
    if kind == "b":
        return 1
    if kind == "u" and size <= 2:
        return 255 if size == 1 else 65535
    if kind == "f" and not (finite := np.isfinite(pixels)).all():
        nan = np.isnan(pixels).sum()
        raise ImageError(
            f"of {pixels.size} values {nan} are NaN and {(~finite).sum() - nan} infinite; "
            "expected numbers from 0 to 1 or 0 to 255"
        )
    low, high = pixels.min(), pixels.max()
    if low < 0 or high > 255:
        expected = "0 to 1 or 0 to 255" if kind == "f" else "0 to 255 (uint16: to 65535)"
        raise ImageError(f"the values go from {low} to {high}; expected {expected}; rescale them")
    return 1 if kind == "f" and high <= 1 else 255


def eight_bit(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return an array with its white (see `white_of`) at 255.

    Floats of unit range are cut after ``v·255`` is rounded to float32, as transformers does (k/255
    gives k); floats up to 255 are rounded.
    """
    white = white_of(pixels)
    if white == 65535:
        return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if pixels.dtype.kind != "f":
        return pixels.astype(np.uint8) * np.uint8(255 // white)
    scaled = (pixels * 255).astype(np.float32) if white == 1 else np.rint(pixels)
    return scaled.astype(np.uint8)


def as_picture(pixels: NDArray[Any]) -> Image.Image:
    """Return an array of shape (H, W, C) as a Pillow image: L, RGB or, with 4 colors, RGBA."""
    x = eight_bit(pixels)
    return Image.fromarray(x[:, :, 0] if x.shape[2] == 1 else x)
