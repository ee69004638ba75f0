"""What the image processor does to one image: its settings, checked, and the steps in order.

    read -> resize -> center_crop -> rescale -> normalize

Channels are last from beginning to end. The steps themselves are in `npformer.images.transforms`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ..checks import is_real, is_whole, require
from ..errors import ImageError
from ..files.optional import optional
from ..layers.arrays import Array
from .arrays import DataFormat, as_array, as_picture, layout_of, view_channels_last, white_of
from .open import Stored, open_image, open_stored
from .reduced import averages, needed, resize_reduced
from .transforms import (
    MAX_RESIZED,
    center_crop,
    crop_start,
    normalize,
    rescale,
    resize,
    resized_size,
)

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Mean of the red, green and blue values of ImageNet's photographs; white is 1."""
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Their standard deviation."""
MAX_NUMBER = 1e30
"""Larger numbers are refused; float32 ends at 3.4e38."""


class Settings(NamedTuple):
    """The arguments of `EfficientFormerImageProcessor`."""

    do_resize: Any
    size: Any
    resample: Any
    do_center_crop: Any
    do_rescale: Any
    rescale_factor: Any
    crop_size: Any
    do_normalize: Any
    image_mean: Any
    image_std: Any
    crop_rounding: Any

    def overridden(self, **changes: Any) -> Settings:
        """Return the settings with those changes that are not None."""
        return self._replace(
            **{name: value for name, value in changes.items() if value is not None}
        )

    def wants_rgb(self) -> bool:
        """Whether mean or deviation have a number for each of three colors."""
        return self.do_normalize and any(
            isinstance(v, list) and len(v) == 3 for v in (self.image_mean, self.image_std)
        )

    def scaled(self, x: Array, unit: bool = False) -> Array:
        """Rescale and normalize, (H, W, C); `unit` says that 1 is white in x."""
        if self.do_rescale:
            x = rescale(x, 255 * self.rescale_factor if unit else self.rescale_factor)
        return normalize(x, self.image_mean, self.image_std) if self.do_normalize else x

    def checked(self) -> Settings:
        """Return the settings in their standard form.

        Raises
        ------
        ConfigError
            If a value is impossible; the message names the field.
        """
        for name in ("do_resize", "do_center_crop", "do_rescale", "do_normalize"):
            require(isinstance(getattr(self, name), bool), name, getattr(self, name), "a bool")
        filters = {f.value: f.name for f in sorted(Image.Resampling)}
        resample, factor = self.resample, self.rescale_factor
        known = is_real(resample, numpy=True) and resample in filters
        require(known, "resample", resample, f"one of {filters}")
        small = is_real(factor, numpy=True) and abs(factor) <= MAX_NUMBER
        require(small, "rescale_factor", factor, f"a number of at most {MAX_NUMBER:g}")
        rounding = ("floor", "torchvision")
        require(self.crop_rounding in rounding, "crop_rounding", self.crop_rounding, rounding)
        return self._replace(
            size=_size("size", self.size, {"shortest_edge"}, {"shortest_edge", "longest_edge"}),
            resample=Image.Resampling(resample),
            rescale_factor=float(factor),
            crop_size=_size("crop_size", self.crop_size),
            image_mean=_per_color("image_mean", self.image_mean, -1e30),
            image_std=_per_color("image_std", self.image_std, 1e-30),
        )


DECODE = ("exact", "fast")
"""How JPEGs are decoded: in full, or only as large as the resized image needs (`.reduced`)."""


def process(
    image: Any,
    settings: Settings,
    input_data_format: str | None = None,
    decode: str = "exact",
    kernels: bool = False,
) -> tuple[Array, DataFormat]:
    """Process one image.

    Parameters
    ----------
    image : any
        Whatever `open_image` reads.
    settings : Settings
        Checked.
    input_data_format : {None, "channels_first", "channels_last", "none"}
        Layout of an array, as in `open_image`.
    decode : {"exact", "fast"}
        See `DECODE`. An array or a ``PIL.Image`` is decoded already.
    kernels : bool
        Whether the engine's compiled kernels resize, where they can, to the same bits. They have to
        be available. Arrays are left to Pillow.

    Returns
    -------
    x : ndarray, shape (H, W, C)
    layout : {"channels_first", "channels_last", "none"}
        The layout that the image had.

    Raises
    ------
    ImageError, OSError, TypeError
        As `open_image`; ImageError also if the image would become too large (see `resize`).
    ConfigError
        If `decode` is another word.
    """
    require(decode in DECODE, "decode", decode, f"one of {DECODE}")
    s = settings
    height, width = s.crop_size["height"], s.crop_size["width"]
    layout: DataFormat = "channels_last"
    unit = resized = False
    if isinstance(image, Image.Image) or not hasattr(image, "__array__"):
        reduce = decode == "fast" and s.do_resize
        stored = open_stored(image, at_least=needed(s.size) if reduce else None)
        if kernels and (found := _on_kernels(stored, s)) is not None:
            return found, layout
        resized = stored.part is not None
        picture: Image.Image | Array = (
            resize_reduced(stored, s.size, s.resample) if resized else stored.upright()
        )
    else:
        picture, layout, unit = _read(image, input_data_format, s.wants_rgb())
    if s.do_resize and not resized:
        flat = as_picture(picture) if isinstance(picture, np.ndarray) else picture
        crop = (height, width) if s.do_center_crop else None
        picture = resize(flat, s.size, s.resample, crop, s.crop_rounding)
    x = np.asarray(picture)
    x = x if x.ndim == 3 else x[:, :, None]  # gray, (H, W) -> (H, W, 1)
    if unit and x.dtype == np.uint8:
        x = rescale(x, 1 / 255)
    if s.do_center_crop:
        x = center_crop(x, height, width, s.crop_rounding)
    return s.scaled(x, unit), layout


def _on_kernels(stored: Stored, s: Settings) -> Array | None:
    """Do all steps from resizing on by the compiled kernels; None where they cannot."""
    from . import compiled  # here, since it loads the engine

    reduced, turned = stored.part is not None, stored.turn is not None
    if not s.do_resize or not (s.do_rescale or s.do_normalize) or (reduced and turned):
        return None
    axes = (0, 1) if stored.on_its_side else (1, 0)  # of (width, height), for height and width
    high = stored.part or stored.size
    new = resized_size(stored.size[axes[0]], stored.size[axes[1]], s.size)
    kept = (s.crop_size["height"], s.crop_size["width"]) if s.do_center_crop else new
    if new[0] * new[1] > MAX_RESIZED or kept[0] > new[0] or kept[1] > new[1]:
        return None
    if stored.part is not None and averages(stored.part, new[::-1]):
        return None
    down, across = (
        compiled.Side(stored.rgb.size[axis], n, high[axis], crop_start(n, k, s.crop_rounding), k)
        for axis, n, k in zip(axes, new, kept, strict=True)
    )
    levels = np.arange(256, dtype=np.uint8)[:, None, None].repeat(3, axis=2)  # (256, 1, 3)
    numbers = np.ascontiguousarray(s.scaled(levels)[:, 0].T)  # (3, 256)
    return compiled.resize(stored.rgb, stored.turn, across, down, s.resample, numbers)


def _read(
    image: Any, data_format: str | None, rgb: bool
) -> tuple[Image.Image | Array, DataFormat, bool]:
    """Return the image in an array, the layout that it had, and whether white is 1.

    An image of floats, without transparency, stays an array, (H, W, C).
    """
    array = as_array(image)
    layout = layout_of(array, data_format)
    x = view_channels_last(array, layout)
    rgb = rgb or array.ndim == 2 or x.shape[2] != 1
    if x.dtype.kind != "f":
        picture = as_picture(x)
        return (open_image(picture) if rgb else picture), layout, False
    unit = white_of(x) == 1
    if x.shape[2] == 4:  # transparency
        return open_image(as_picture(x)), layout, unit
    return (np.repeat(x, 3, axis=2) if rgb and x.shape[2] == 1 else x), layout, unit


def together(results: list[Array], return_tensors: str | None) -> Any:
    """Stack the results into one array or tensor, if `return_tensors` asks for it.

    Raises
    ------
    ImageError
        If there are no results, or they differ in shape.
    MissingPackage
        If a tensor is wanted and PyTorch is not installed.
    """
    if not results:
        raise ImageError("no images; expected one or more")
    if return_tensors is None:
        return results
    if len(shapes := {x.shape for x in results}) > 1:
        raise ImageError(
            f"images of the shapes {sorted(shapes)} do not make one array; resize or crop them "
            "to one size, or take a list (return_tensors=None)"
        )
    batch = np.stack(results)
    if return_tensors == "np":
        return batch
    with optional("torch", "return_tensors='pt'", "torch"):
        import torch
    return torch.from_numpy(batch)


def _size(name: str, value: Any, *others: set[str]) -> dict[str, int]:
    """Read a size: a dictionary with one of some sets of keys, a square's side, or a pair."""
    if isinstance(value, Mapping):
        size = dict(value)
    elif isinstance(value, (list, tuple)) and len(value) == 2:
        size = {"height": value[0], "width": value[1]}
    else:
        size = {"height": value, "width": value}
    keys = [{"height", "width"}, *others]
    positive = all(is_whole(side, numpy=True) and side >= 1 for side in size.values())
    sides = [side for key, side in size.items() if key != "longest_edge"]
    ok = set(size) in keys and positive and sides[0] * sides[-1] <= MAX_RESIZED
    require(ok, name, value, f"whole numbers from 1, product at most {MAX_RESIZED:,}, "
             f"with the keys {' or '.join(str(sorted(k)) for k in keys)}")  # fmt: skip
    return {key: int(side) for key, side in size.items()}


def _per_color(name: str, value: Any, low: float) -> float | list[float]:
    """Read a number that float32 can hold, or one for each color."""
    many = isinstance(value, (list, tuple, np.ndarray))
    values = list(value) if many else [value]
    fit = all(is_real(v, numpy=True) and low <= v <= MAX_NUMBER for v in values)
    require(
        fit and len(values) in (1, 3),
        name,
        value,
        f"one number or three, from {low:g} to {MAX_NUMBER:g}",
    )
    return [float(v) for v in values] if many else float(value)
