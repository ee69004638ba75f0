"""Arrays as images: which axis holds the colors, which value is white, 8 bits per color.

The shape and type of an array decide what it means. A shape that could mean two things is refused;
only `white_of` looks at values.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import ImageError

DataFormat = Literal["channels_first", "channels_last", "none"]
"""The layout of an array: (C, H, W), (H, W, C) or (H, W)."""


def as_array(source: Any) -> NDArray[Any]:
    """Return anything with ``__array__`` as an array.

    Raises
    ------
    TypeError
        If it cannot be one, such as a tensor that requires a gradient.
    """
    try:
        return np.asarray(source)
    except Exception as error:  # each library raises its own
        raise TypeError(
            f"this {type(source).__name__} cannot be read as an array ({error}); "
            "pass an array, such as tensor.detach().cpu().numpy()"
        ) from error


def layout_of(array: NDArray[Any], data_format: str | None = None) -> DataFormat:
    """Determine or check the layout of an array.

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
        If no image has that shape, or it could be both (C, H, W) and (H, W, C).
    """
    shape, ndim = array.shape, array.ndim
    if ndim not in (2, 3) or 0 in shape:
        raise ImageError(
            f"an array of shape {shape} is not an image; expected (H, W), (H, W, C) or (C, H, W)"
            + ("; pass the images of a batch one by one, or as a list" if ndim == 4 else "")
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
            "data_format (for a processor, input_data_format) 'channels_first' or 'channels_last'"
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
    """Return the value that means white in an array.

    For bool, uint8 and uint16 it is the largest value of the type, and for other integers 255. For
    floats it is 1 if no value exceeds 1 (an image of ones is white), else 255.

    Raises
    ------
    ImageError
        If a value is NaN, infinite, negative or more than 255.
    TypeError
        If the type is not bool, an integer type or a float type.
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


def eight_bit(pixels: NDArray[Any], white: float | None = None) -> NDArray[np.uint8]:
    """Scale an array so that white is 255; errors as in `white_of`, which by default finds white.

    Floats up to 1 are multiplied by 255, rounded to float32 and then truncated, as in transformers
    (k/255 gives k). Floats up to 255 are rounded.
    """
    white = white_of(pixels) if white is None else white
    if white == 65535:
        return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if pixels.dtype.kind != "f":
        return pixels.astype(np.uint8) * np.uint8(255 // white)
    scaled = (pixels * 255).astype(np.float32) if white == 1 else np.rint(pixels)
    return scaled.astype(np.uint8)


def as_picture(pixels: NDArray[Any], white: float | None = None) -> Image.Image:
    """Return an array of shape (H, W, C) as a Pillow image: L, RGB or, for C = 4, RGBA.

    Errors are those of `white_of`, which by default finds white.
    """
    x = eight_bit(pixels, white)
    return Image.fromarray(x[:, :, 0] if x.shape[2] == 1 else x)
