"""The picture that goes in: made here, or found among recorded arrays.

Whatever ran elsewhere had a picture, and without it nothing can be computed again. It is recognized
by its three channels, by its values where a photograph is given, and otherwise by what it leads to:
the first layers' results are among the recorded arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...checkpoints.processor import image_size
from ...data import photograph
from ...errors import RecordingError
from ...images.layout import channels_last_pixels
from ...images.processor import EfficientFormerImageProcessor
from ...layers import Array
from ...network.configuration import EfficientFormerConfig
from ...network.model import check_input
from .recorded import Recorded, words_of

NAMES = frozenset(map(words_of, (
    "pixel_values", "pixelvalues", "input", "image", "picture", "pixels", "x", "data", "img",
    "input_0", "input_1", "inp", "photo", "in",
)))  # fmt: skip
"""What people call the picture."""


@dataclass(frozen=True)
class Pictures:
    """How pictures are made for the reference."""

    config: EfficientFormerConfig
    params: Any
    processor: EfficientFormerImageProcessor
    image: Any = None
    """a photograph, or pixel values, (B, C, H, W); None: nobody said which"""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width that the network accepts, in pixels."""
        return image_size(self.config)

    def given(self) -> Array | None:
        """Return the pixel values of the given photograph, (B, H, W, C); None if there is none."""
        if self.image is None:
            return None
        if getattr(self.image, "ndim", 0) == 4 and np.asarray(self.image).dtype.kind == "f":
            return channels_last_pixels(self.image, self.config.num_channels)
        return self.processor.pixels(self.image)[None]

    def make(self, height: int, width: int) -> Array:
        """Return pixel values of a size: of the photograph given, or of one of npformer's own."""
        x = self.given()
        if x is not None and x.shape[1:3] == (height, width):
            return x
        if self.config.num_channels != 3:
            shape = (1, height, width, self.config.num_channels)
            return np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        image = photograph("coffee") if self.image is None or x is None else self.image
        sides = {"height": height, "width": width}
        made = self.processor.preprocess(
            image, size=sides, crop_size=sides, do_resize=True, do_center_crop=True
        )
        return np.moveaxis(made.pixel_values[0], 0, -1)[None]


class Picture(NamedTuple):
    """A recorded array, read as pixel values."""

    name: str
    pixels: Array
    """(B, H, W, C)"""


def pictures_in(recorded: Recorded, pictures: Pictures) -> list[Picture]:
    """List the arrays that may be the picture, those with telling names first."""
    found = [
        Picture(name, pixels)
        for name, array in recorded.arrays.items()
        for pixels in _readings(array, pictures)
    ]
    return sorted(found, key=lambda picture: words_of(picture.name) not in NAMES)


def _readings(array: Array, pictures: Pictures) -> Iterator[Array]:
    """Read an array as pixel values that the network accepts: channels first or last."""
    channels = pictures.config.num_channels
    if array.ndim not in (3, 4):
        return
    batch = array if array.ndim == 4 else array[None]
    for axis in (1, 3):
        if batch.shape[axis] != channels or min(batch.shape) < 1:
            continue
        upright = np.moveaxis(batch, axis, -1)
        for pixels in (upright, upright.swapaxes(1, 2)):
            if not _is_accepted(pixels, pictures):
                continue
            if array.dtype.kind == "f":
                yield pixels
            elif array.dtype == np.uint8:  # not preprocessed yet
                yield normalized(pixels / 255, pictures.processor)
            break  # only a picture that does not fit upright may lie on its side


def _is_accepted(pixels: Array, pictures: Pictures) -> bool:
    """Whether the network takes pictures of this size."""
    try:
        check_input(pixels.astype(np.float32), pictures.params, pictures.config)
    except ValueError:
        return False
    return True


def normalized(unit: Array, processor: EfficientFormerImageProcessor) -> Array:
    """Normalize colors from 0 to 1 as the reference does."""
    mean, std = mean_and_std(processor)
    return ((unit - mean) / std).astype(np.float32)


def mean_and_std(processor: EfficientFormerImageProcessor) -> tuple[Array, Array]:
    """Mean and deviation of each color that a processor uses; 0 and 1 if it does not normalize."""
    if not processor.do_normalize:
        return np.zeros(3), np.ones(3)
    mean, std = (
        np.broadcast_to(np.asarray(v, np.float64), 3)
        for v in (processor.image_mean, processor.image_std)
    )
    return mean, std


def no_picture(recorded: Recorded, pictures: Pictures) -> RecordingError:
    """Say that the picture is missing, and what is there instead."""
    height, width = pictures.size
    channels = pictures.config.num_channels
    return RecordingError(
        f"{recorded.source}: the picture that went in is not among the {len(recorded.arrays)} "
        f"arrays ({shapes_of(recorded)}), and none was given. Record it under any name, "
        f"{channels}×{height}×{width} preprocessed numbers, or name the photograph: --image PHOTO, "
        "image=…"
    )


def shapes_of(recorded: Recorded) -> str:
    """List some recorded arrays with their shapes."""
    shown = [
        f"{name} {'×'.join(map(str, array.shape)) or 'a number'}"
        for name, array in list(recorded.arrays.items())[:4]
    ]
    return ", ".join(shown) + (", …" if len(recorded.arrays) > 4 else "")


Choose = Callable[[Array], int]
"""How many of the first recorded arrays follow from pixel values."""


def choose(found: list[Picture], follows: Choose) -> Picture:
    """Return the picture from which most of the first arrays follow; else the first."""
    if len(found) == 1:
        return found[0]
    counts = [follows(picture.pixels) for picture in found[:12]]
    return found[int(np.argmax(counts))]
