"""Wrong ports whose network is right, and whose photograph was prepared otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from npformer.layers import Array

from .answers import Made, Maker, right, wrong
from .port import Port, run
from .recordings import BLOCKS, Arrays, Dress, everything, first, last, numbered, without, written
from .shop import PROCESSOR, Reference, Shop

MEAN, STD = (np.array(PROCESSOR[key]) for key in ("image_mean", "image_std"))
BARE = without("pixel_values")  # the picture is not among what is recorded


def photographed(
    prepare: Callable[[Shop, Reference], Array],
    dress: Dress = first,
    keep: Callable[[Arrays], Arrays] = everything,
    kind: str = "npz",
) -> Maker:
    """Return the maker of a recording of a photograph, prepared by a function."""

    def make(shop: Shop, reference: Reference, path: Path) -> Made:
        pixels = np.ascontiguousarray(prepare(shop, reference), np.float32)
        heard = run(Port(reference), pixels)
        return written(heard, dress, keep, kind, path, shop.photo)

    return make


def settings(**changes: object) -> Callable[[Shop, Reference], Array]:
    """Return a preparation with other settings."""
    return lambda shop, reference: shop.photo_pixels(reference, **changes)


def changed(change: Callable[[Array], Array], **others: object) -> Callable[..., Array]:
    """Return a preparation whose result is changed, (B, H, W, C)."""
    return lambda shop, reference: change(shop.photo_pixels(reference, **others))


def larger_crop(shop: Shop, reference: Reference) -> Array:
    """Resize to the side of the crop, so that nothing at the edges is lost."""
    side = min(reference.config.image_shape)
    return shop.photo_pixels(reference, size={"shortest_edge": side})


def raw(x: Array) -> Array:
    """Return what was normalized, from 0 to 1."""
    return x * STD + MEAN


def normal(x: Array) -> Array:
    return (x - MEAN) / STD


def cut(row: float, column: float) -> Callable[[Shop, Reference], Array]:
    """Return a preparation that crops elsewhere, from 0 and 0, the upper left, to 1 and 1."""

    def prepare(shop: Shop, reference: Reference) -> Array:
        height, width = reference.config.image_shape
        whole = shop.photo_pixels(reference, do_center_crop=False)
        top = round(row * (whole.shape[1] - height))
        left = round(column * (whole.shape[2] - width))
        return whole[:, top : top + height, left : left + width]

    return prepare


def squashed(shop: Shop, reference: Reference) -> Array:
    """Give the whole photograph the sides of the input."""
    height, width = reference.config.image_shape
    return shop.photo_pixels(reference, size={"height": height, "width": width})


def tensor_resize(shop: Shop, reference: Reference) -> Array:
    """Resize without a filter, as many do to tensors: pixels between are not looked at."""
    height, width = reference.config.image_shape
    side = min(height, width) * 8 // 7
    with Image.open(shop.photo) as image:
        pixels = np.asarray(image.convert("RGB"), np.float64)
    H, W, _ = pixels.shape
    short = min(H, W)
    rows, columns = side * H // short, side * W // short

    def sample(x: Array, length: int, axis: int) -> Array:
        place = np.clip((np.arange(length) + 0.5) * x.shape[axis] / length - 0.5, 0, None)
        low = np.floor(place).astype(int)
        high = np.minimum(low + 1, x.shape[axis] - 1)
        part = (place - low).reshape([-1 if i == axis else 1 for i in range(3)])
        return x.take(low, axis) * (1 - part) + x.take(high, axis) * part

    small = np.round(sample(sample(pixels, rows, 0), columns, 1))
    top, left = (rows - height) // 2, (columns - width) // 2
    crop = small[top : top + height, left : left + width]
    return ((crop / 255 - MEAN) / STD)[None]


def shifted(shop: Shop, reference: Reference) -> Array:
    """Crop one pixel further to the right."""
    height, width = reference.config.image_shape
    whole = shop.photo_pixels(reference, do_center_crop=False)
    top, left = (whole.shape[1] - height) // 2, (whole.shape[2] - width) // 2 + 1
    return whole[:, top : top + height, left : left + width]


HALF = [0.5, 0.5, 0.5]
IN = "pixel_values"

wrong("photo: mean and deviation of one half", "small", IN, "mean_std",
      photographed(settings(image_mean=HALF, image_std=HALF)))  # fmt: skip
wrong("photo: mean and deviation of one half, picture not recorded", "tiny", IN, "mean_std",
      photographed(settings(image_mean=HALF, image_std=HALF), last, BARE))  # fmt: skip
wrong("photo: neither mean nor deviation", "deep", IN, "mean_std",
      photographed(settings(do_normalize=False), numbered))  # fmt: skip
wrong("photo: deviation forgotten", "small", IN, "mean_std",
      photographed(settings(image_std=[1.0, 1.0, 1.0]), last))  # fmt: skip
wrong("photo: BGR", "small", IN, "bgr",
      photographed(changed(lambda x: x[..., ::-1] * STD[::-1] / STD + (MEAN[::-1] - MEAN) / STD),
                   last))  # fmt: skip
wrong("photo: BGR after the normalization, picture not recorded", "deep", IN, "bgr",
      photographed(changed(lambda x: x[..., ::-1]), numbered, BARE))  # fmt: skip
wrong("photo: bilinear resize", "small", IN, "resize",
      photographed(settings(resample=2), last))  # fmt: skip
wrong("photo: bilinear resize, picture not recorded", "tiny", IN, "resize",
      photographed(settings(resample=2), last, BARE))  # fmt: skip
wrong("photo: resize without a filter", "deep", IN, "resize",
      photographed(tensor_resize))  # fmt: skip
wrong("photo: squashed", "tiny", IN, ("resize", "crop"),
      photographed(squashed, first, BLOCKS))  # fmt: skip
wrong("photo: resized to the side of the crop", "small", IN, ("crop", "resize"),
      photographed(larger_crop))  # fmt: skip
wrong("photo: upper left corner", "small", IN, "crop",
      photographed(cut(0, 0), numbered))  # fmt: skip
wrong("photo: crop shifted by a pixel", "deep", IN, "crop",
      photographed(shifted, last))  # fmt: skip
wrong("photo: pixels from 0 to 255", "small", IN, "rescale",
      photographed(settings(do_rescale=False), last))  # fmt: skip
wrong("photo: rescaled twice, picture not recorded", "tiny", IN, "rescale",
      photographed(settings(rescale_factor=1 / 255**2), first, BARE))  # fmt: skip
wrong("photo: divided by 256", "deep", IN, "rescale",
      photographed(settings(rescale_factor=1 / 256)))  # fmt: skip
wrong("photo: channels last taken for first", "small", IN, "channels_last",
      photographed(changed(lambda x: x.reshape(x.shape[0], 3, *x.shape[1:3]).transpose(
          0, 2, 3, 1))))  # fmt: skip

right("photo: as it should be", "small", photographed(settings()))
right("photo: as it should be, channels last, no picture", "tiny",
      photographed(settings(), last, BARE))  # fmt: skip
right("photo: as it should be, blocks recorded", "deep",
      photographed(settings(), numbered, BLOCKS))  # fmt: skip
