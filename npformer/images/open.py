"""Any photograph, from anywhere, as an upright RGB image of 8 bits per color.

=================== =============================================================================
input               result
=================== =============================================================================
EXIF orientation    the image is turned upright, also if a ``PIL.Image`` still carries it
gray, 1 bit         three equal colors; a bit becomes 0 or 255
palette             looked up
transparency        composited over white, so that hidden pixels stay hidden
CMYK, YCCK          Pillow's plain conversion (Adobe's inverted inks included); no ICC profile
YCbCr, HSV, LAB     converted
16 bits, gray       ``round(v / 257)``; Pillow cuts 16 bits in color to 8
32-bit integers     unchanged if no value exceeds 255, else as 16 bits
float               white is 1 if no value exceeds 1, else 255: see `white_of`
animation           the first frame, with a warning
HEIC                read where pillow-heif is installed, which turns it upright itself
=================== =============================================================================

An allow-list admits only formats that contain nothing but pixels; PostScript, for example, is a
program. Whatever Pillow's decoders raise becomes an `ImageError`.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import warnings
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from ..errors import ImageError
from ..files.paths import as_path
from ..files.sniff import LENGTH, what_is
from . import heif
from .arrays import as_array, as_picture, view_channels_last, white_of

MAX_PIXELS = 1024**3 // 12
"""Larger images are refused. The limit is Pillow's own: a quarter of a GB of pixels. Pillow holds
four bytes for each, once as RGB and, unless the file is RGB, once as decoded: 0.7 GB."""
STRIP = 2**20
"""How many pixels are converted at a time."""
MAX_STREAM = 2**28
"""The most bytes that are read from a source that cannot be rewound."""
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "TIFF", "JPEG2000", "WEBP", "AVIF")
"""Pillow's names for the formats that are read; those that a Pillow may lack come last."""

_T = Image.Transpose
_TURNS = {
    2: _T.FLIP_LEFT_RIGHT, 3: _T.ROTATE_180, 4: _T.FLIP_TOP_BOTTOM, 5: _T.TRANSPOSE,
    6: _T.ROTATE_270, 7: _T.TRANSVERSE, 8: _T.ROTATE_90,
}  # fmt: skip
_ON_ITS_SIDE = (_T.TRANSPOSE, _T.ROTATE_270, _T.TRANSVERSE, _T.ROTATE_90)


class Stored(NamedTuple):
    """A decoded picture as it lies in its file, and what to do to see it upright."""

    rgb: Image.Image
    """without metadata"""
    turn: Image.Transpose | None
    size: tuple[int, int]
    """width and height in the file"""
    part: tuple[float, float] | None = None
    """width and height in `rgb` that the picture takes up, if it was decoded at a smaller scale"""

    @property
    def on_its_side(self) -> bool:
        """Whether width and height change places when it is turned upright."""
        return self.turn in _ON_ITS_SIDE

    def upright(self) -> Image.Image:
        """Return the picture turned upright, without a copy if it is so already."""
        return self.rgb if self.turn is None else self.rgb.transpose(self.turn)


def open_image(
    source: Any, *, data_format: str | None = None, max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """Read an image, wherever it is; the table above shows the results.

    Parameters
    ----------
    source : str, path, bytes, binary file, PIL.Image.Image, ndarray or tensor
        A file is read from its beginning. An array has shape (H, W), (H, W, C) or (C, H, W), with
        C of 1 (gray), 3 (RGB) or 4 (RGB and alpha), in any memory layout. Its type is bool, uint8,
        uint16 (white is 65535), another integer type (0 to 255) or float (see `white_of`). A
        tensor is anything with ``__array__``.
    data_format : {None, "channels_first", "channels_last", "none"}
        Layout of an array; "none" for (H, W). By default the shape tells, and a shape that fits
        two layouts, such as (3, 224, 3), is refused.
    max_pixels : int
        Larger images are refused before they are decoded. Pillow itself refuses images of more
        than twice ``PIL.Image.MAX_IMAGE_PIXELS``.

    Returns
    -------
    PIL.Image.Image
        A new image of mode RGB, without metadata.

    Raises
    ------
    ImageError
        If it is not an image, is damaged or too large, or an array of unclear shape or range; or if
        the path is empty or an address.
    FileNotFoundError, IsADirectoryError, PermissionError
        If there is no such file, or it must not be read.
    TypeError
        If `source` is none of the above, a file is open as text, or an array has a type without a
        meaning, such as complex.
    """
    if isinstance(source, Image.Image) or not hasattr(source, "__array__"):
        return open_stored(source, max_pixels).upright()
    pixels = view_channels_last(as_array(source), data_format)
    _check_size(pixels.shape[1], pixels.shape[0], "this array", max_pixels)
    picture = as_picture(pixels)
    return picture if picture.mode == "RGB" else _rgb(picture)


def open_stored(
    source: Any, max_pixels: int = MAX_PIXELS, at_least: tuple[int, int] | None = None
) -> Stored:
    """Read an image from anything but an array, and leave it as it lies.

    Parameters
    ----------
    source : str, path, bytes, binary file or PIL.Image.Image
    max_pixels : int
        As in `open_image`.
    at_least : (height, width), optional
        Of the upright picture. A JPEG may be decoded at a half, a quarter or an eighth of its
        sides, if these are no smaller then.

    Returns
    -------
    Stored

    Raises
    ------
    ImageError, FileNotFoundError, IsADirectoryError, PermissionError, TypeError
        As `open_image`.
    """
    if isinstance(source, Image.Image):
        name = getattr(source, "filename", "") or f"this {type(source).__name__}"
        return _converted(source, name, max_pixels)
    if isinstance(source, (str, os.PathLike)):
        path = str(as_path(os.fsdecode(source), "the path of an image", ImageError))
        with _open_file(path) as file:
            return _decode(file, path, max_pixels, at_least)
    if isinstance(source, (bytes, bytearray, memoryview)):
        data = source.tobytes() if isinstance(source, memoryview) else source  # it may have steps
        return _decode(io.BytesIO(data), "these bytes", max_pixels, at_least)
    if hasattr(source, "read"):
        name = str(getattr(source, "name", type(source).__name__))
        return _decode(_rewindable(source, name), name, max_pixels, at_least)
    raise TypeError(
        f"an image cannot be a {type(source).__name__}; "
        "expected a path, bytes, a binary file, a PIL.Image or an array"
    )


def _open_file(path: str) -> IO[bytes]:
    try:
        kind = os.stat(path).st_mode
    except ValueError as error:  # it contains a null character
        raise ImageError(f"{path!r} is not a path: {error}") from error
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(errno.EISDIR, "Is a folder; expected an image file", path)
    if not stat.S_ISREG(kind):  # reading a pipe or device may never end
        raise ImageError(f"{path}: not a regular file; pass its contents as bytes")
    return open(path, "rb")


def _rewindable(source: Any, name: str) -> IO[bytes]:
    """Return the file, or its contents if it cannot be read twice."""
    try:
        if not isinstance(source.read(0), bytes):
            raise TypeError(f"{name} is open as text; open it with mode 'rb'")
        if hasattr(source, "seekable") and source.seekable():
            return source
        data = bytearray()
        while len(data) <= MAX_STREAM and (block := source.read(2**20)):
            data += block
    except (OSError, ValueError) as error:  # ValueError: it is closed
        raise ImageError(f"{name}: cannot be read: {error}") from error
    if len(data) > MAX_STREAM:
        raise ImageError(f"{name}: more than {MAX_STREAM:,} bytes; save it as a file")
    return io.BytesIO(data)


def _decode(
    file: IO[bytes], name: str, max_pixels: int, at_least: tuple[int, int] | None
) -> Stored:
    try:
        image = _open(file)
        # The other pictures of an MPO are previews and depth maps.
        frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    except (UnidentifiedImageError, KeyError):  # KeyError: this Pillow lacks a format
        raise ImageError(f"{name}: {_describe(file)}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{name}: {error}; make it smaller") from error
    except Exception as error:  # decoders may raise anything
        raise ImageError(f"{name}: damaged ({error}); get the file again") from error
    stored = _converted(image, name, max_pixels, at_least, ours=True)
    if frames > 1:
        warnings.warn(f"{name}: has {frames} frames; only the first is used", stacklevel=4)
    return stored


def _open(file: IO[bytes]) -> Image.Image:
    try:
        return Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        file.seek(0)
        if not heif.is_heif(file.read(LENGTH)) or not heif.installed():
            raise
        file.seek(0)
        return heif.open_heif(file)


def _describe(file: IO[bytes]) -> str:
    """Describe a file that is not an image."""
    file.seek(0)
    head = file.read(LENGTH)
    kind = what_is(head) or "damaged or not an image"
    if heif.is_heif(head):
        kind = "damaged HEIC" if heif.installed() else f"HEIC, for which {heif.REMEDY}"
    return f"this is {kind}; expected {', '.join(FORMATS)} (first bytes {head[:24]!r})"


def _check_size(width: int, height: int, name: str, max_pixels: int) -> None:
    if not 0 < width * height <= max_pixels:
        raise ImageError(
            f"{name}: {width}×{height} is {width * height:,} pixels; "
            f"expected 1 to {max_pixels:,} (max_pixels)"
        )


def _converted(
    image: Image.Image,
    name: str,
    max_pixels: int,
    at_least: tuple[int, int] | None = None,
    ours: bool = False,
) -> Stored:
    """Decode an image and convert it to RGB.

    An image is `ours` if nobody else has it; then its pixels need not be copied.
    """
    size = image.size
    _check_size(*size, name, max_pixels)
    turn = part = None
    reducible = at_least is not None and image.format in ("JPEG", "MPO")
    try:
        if at_least is not None and reducible:
            turn = _TURNS.get(_orientation(image, name))
            part = _draft(image, at_least if turn in _ON_ITS_SIDE else at_least[::-1])
        image.load()
        is_rgb = image.mode == "RGB" and not image.has_transparency_data
        rgb = _without_metadata(image) if ours and is_rgb else _rgb(image)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error
    except Exception as error:  # decoders may raise anything
        raise ImageError(
            f"{name}: truncated, damaged or of a mode ({image.mode}) without RGB ({error}); "
            "get the file again or convert it"
        ) from error
    if not reducible:  # a PNG may say it after its pixels
        turn = _TURNS.get(_orientation(image, name))
    return Stored(rgb, turn, size, part)


def _draft(image: Image.Image, at_least: tuple[int, int]) -> tuple[float, float] | None:
    """Let a JPEG be decoded at a smaller scale; `at_least` is a width and a height.

    Returns
    -------
    (float, float) or None
        What the picture takes up of the result: the last pixels may lie in part outside of it.
    """
    before = image.size
    found = image.draft(None, at_least)  # None: the mode stays
    return None if found is None or image.size == before else found[1][2:]


def _without_metadata(image: Image.Image) -> Image.Image:
    """Return an image that has the pixels of a decoded RGB file, without a copy."""
    plain = Image.new("RGB", image.size, None)  # memory that is never touched takes no room
    plain.im = image.im
    return plain


def _orientation(image: Image.Image, name: str) -> Any:
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception as error:  # so may the reader of EXIF
        warnings.warn(f"{name}: damaged EXIF is ignored ({error})", stacklevel=6)
        return None


def _rgb(image: Image.Image) -> Image.Image:
    """Convert a decoded image, a strip of rows at a time, since each step makes a copy.

    The result has no metadata, so that whoever opens it does not apply the orientation again.
    """
    white = _white(image)
    rgb = Image.new("RGB", image.size)
    for top, strip in _strips(image):
        if white is not None:
            strip = as_picture(np.asarray(strip)[:, :, None], white)
        if strip.mode in ("La", "RGBa"):  # alpha multiplied in already
            strip = strip.convert(strip.mode.upper())
        if strip.has_transparency_data:
            strip = strip.convert("RGBA")
            strip = Image.alpha_composite(Image.new("RGBA", strip.size, "white"), strip)
        rgb.paste(strip.convert("RGB"), (0, top))
    return rgb


def _white(image: Image.Image) -> float | None:
    """Return the value that means white in a whole image of modes I, I;16 or F; None for others."""
    if image.mode[0] not in "IF":  # I;16 in any byte order
        return None
    if image.mode == "I":
        low, high = image.getextrema()
        # Older Pillows give 16 bits as 32.
        if image.format in ("PNG", "PPM") or high > 255:  # type: ignore[operator]
            if not 0 <= low <= high <= 65535:  # type: ignore[operator]
                raise ImageError(f"the values go from {low} to {high}; rescale them")
            return 65535
    return max(white_of(np.asarray(strip)) for _, strip in _strips(image))


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Cut an image into strips of rows, each with the number of its first row."""
    width, height = image.size
    rows = max(STRIP // width, 1)
    for top in range(0, height, rows):
        yield top, image.crop((0, top, width, min(top + rows, height)))
