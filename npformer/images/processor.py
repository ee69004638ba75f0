"""From any image to ``pixel_values``, as transformers' ``EfficientFormerImageProcessor`` does it.

    x = (crop(resize(image)) · rescale_factor − image_mean) / image_std

The steps are in `npformer.images.settings`. With the same Pillow, the results are equal to those
of transformers 4.40.2 to the last bit.

Where the reference fails or gives wrong results, this processor differs: see the section "Images"
of ``docs/differences.md``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import numpy as np
from PIL import Image

from ..checks import require
from ..errors import ImageError
from ..layers.arrays import Array
from .layout import channels_first
from .pretrained_processor import PretrainedProcessor, warn_of_unused
from .settings import IMAGENET_MEAN, IMAGENET_STD, Settings, process, together

_NO_SETTINGS = {"_valid_processor_keys", "image_processor_type", "feature_extractor_type"}
"""Keys that transformers writes and that are not settings."""


class BatchFeature(dict[str, Any]):
    """A dictionary whose keys can be read as attributes."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no key {name!r}; there is {', '.join(self)}") from None


class EfficientFormerImageProcessor(PretrainedProcessor):
    """Resize, crop, rescale and normalize images.

    Parameters
    ----------
    do_resize : bool
    size : dict, int or (height, width)
        ``{"height": h, "width": w}`` stretches the image to these sides; ``{"shortest_edge": s}``
        keeps its proportions. An int is the side of a square. 224 by default.
    resample : PIL.Image.Resampling or int
    do_center_crop, do_rescale : bool
    rescale_factor : float
    crop_size : dict, int or (height, width)
        224 by default.
    do_normalize : bool
    image_mean, image_std : float or list of float
        One number, or one for each of three colors; by default ImageNet's.
    crop_rounding : {"floor", "torchvision"}
        How to round the start of a crop that cuts off an odd number of pixels: "torchvision"
        rounds half to even, as when the published networks were trained. Not in the reference.
    **extra
        Other keys of a file, which are kept as they are.

    Raises
    ------
    ConfigError
        If a value is impossible; the message names the field.

    Notes
    -----
    Calls change nothing, so threads may share a processor. An array of shape (H, W, 1) stays gray
    if mean and deviation are single numbers or not used; any other gray image becomes RGB.
    """

    model_input_names = ("pixel_values",)

    def __init__(
        self,
        /,  # a file may have a key of that name
        do_resize: bool = True,
        size: Any = None,
        resample: int = Image.Resampling.BICUBIC,
        do_center_crop: bool = True,
        do_rescale: bool = True,
        rescale_factor: float = 1 / 255,
        crop_size: Any = None,
        do_normalize: bool = True,
        image_mean: Any = None,
        image_std: Any = None,
        *,
        crop_rounding: str = "floor",
        **extra: Any,
    ) -> None:
        (
            self.do_resize, self.size, self.resample, self.do_center_crop, self.do_rescale,
            self.rescale_factor, self.crop_size, self.do_normalize, self.image_mean,
            self.image_std, self.crop_rounding,
        ) = Settings(
            do_resize=do_resize, size=224 if size is None else size, resample=resample,
            do_center_crop=do_center_crop, do_rescale=do_rescale, rescale_factor=rescale_factor,
            crop_size=224 if crop_size is None else crop_size, do_normalize=do_normalize,
            image_mean=IMAGENET_MEAN if image_mean is None else image_mean,
            image_std=IMAGENET_STD if image_std is None else image_std,
            crop_rounding=crop_rounding,
        ).checked()  # fmt: skip
        for name in extra:
            for meant in get_close_matches(name, Settings._fields, n=1, cutoff=0.8):
                warnings.warn(
                    f"unknown key {name!r} is kept but not used; did you mean {meant!r}?",
                    stacklevel=2,
                )
        self.extra = {name: extra[name] for name in extra if name not in _NO_SETTINGS}

    def __call__(self, images: Any, **kwargs: Any) -> BatchFeature:
        """Process images; arguments, result and errors are those of `preprocess`."""
        return self.preprocess(images, **kwargs)

    def preprocess(
        self,
        images: Any,
        do_resize: bool | None = None,
        size: Any = None,
        resample: int | None = None,
        do_center_crop: bool | None = None,
        crop_size: Any = None,
        do_rescale: bool | None = None,
        rescale_factor: float | None = None,
        do_normalize: bool | None = None,
        image_mean: Any = None,
        image_std: Any = None,
        return_tensors: str | None = None,
        data_format: str | None = "channels_first",
        input_data_format: str | None = None,
        **unknown: Any,
    ) -> BatchFeature:
        """Process an image or a list of images.

        Parameters
        ----------
        images : image, list of images, or array of four dimensions
            An image is anything that `npformer.images.open_image` reads.
        do_resize, size, resample, do_center_crop, crop_size : optional
        do_rescale, rescale_factor, do_normalize, image_mean, image_std : optional
            Settings for this call alone.
        return_tensors : {None, "np", "pt"}
            None returns a list of arrays, "np" one array, "pt" one PyTorch tensor.
        data_format : {"channels_first", "channels_last", None}
            Layout of the results; None for that of each image.
        input_data_format : {None, "channels_first", "channels_last", "none"}
            Layout of images that are arrays, as in `npformer.images.open_image`.

        Returns
        -------
        BatchFeature
            ``pixel_values``: (3, H, W) for each image, or (B, 3, H, W); float32 if anything was
            rescaled or normalized.

        Raises
        ------
        ImageError
            If an image is not usable, there are no images, or their results differ in shape and
            are to be one array.
        ConfigError
            If a setting is impossible.
        FileNotFoundError, IsADirectoryError, PermissionError, TypeError
            As in `npformer.images.open_image`.
        MissingPackage
            If "pt" is asked for and PyTorch is not installed.
        """
        settings = self.settings.overridden(
            do_resize=do_resize, size=size, resample=resample, do_center_crop=do_center_crop,
            crop_size=crop_size, do_rescale=do_rescale, rescale_factor=rescale_factor,
            do_normalize=do_normalize, image_mean=image_mean, image_std=image_std,
        ).checked()  # fmt: skip
        layouts = (None, "channels_first", "channels_last")
        require(data_format in layouts, "data_format", data_format, f"one of {layouts}")
        layouts_in = (*layouts, "none")
        require(input_data_format in layouts_in, "input_data_format", input_data_format,
                 f"one of {layouts_in}")  # fmt: skip
        require(return_tensors in (None, "np", "pt"), "return_tensors", return_tensors,
                 "None, 'np' or 'pt'")  # fmt: skip
        warn_of_unused(unknown)

        many = isinstance(images, (list, tuple)) or getattr(images, "ndim", 0) == 4
        results = []
        for i, image in enumerate(images if many else [images]):
            with _saying_which(i if many else None):
                x, layout = process(image, settings, input_data_format)
            first = (data_format or layout) == "channels_first"
            results.append(np.ascontiguousarray(channels_first(x) if first else x))
        return BatchFeature(pixel_values=together(results, return_tensors))

    def pixels(
        self, image: Any, index: int | None = None, decode: str = "exact", kernels: bool = False
    ) -> Array:
        """Process one image for the layers of this package.

        Parameters
        ----------
        image : any
            Whatever `npformer.images.open_image` reads.
        index : int, optional
            Of the image in a list; errors then say it.
        decode : {"exact", "fast"}
            "fast" decodes a large JPEG only as finely as the resized image needs, which is faster
            and moves pixels a little (`npformer.images.reduced`). Not in the reference.
        kernels : bool
            Whether the engine's compiled kernels, which have to work here, resize the image where
            they can, to the same bits (`npformer.images.compiled`).

        Returns
        -------
        ndarray, shape (H, W, C)
            The image in ``pixel_values``, with its channels last.

        Raises
        ------
        ImageError, ConfigError
            As in `preprocess`.
        FileNotFoundError, IsADirectoryError, PermissionError, TypeError
            As in `npformer.images.open_image`.
        """
        with _saying_which(index):
            x, _ = process(image, self.settings, decode=decode, kernels=kernels)
        return np.ascontiguousarray(x)


@contextmanager
def _saying_which(index: int | None) -> Iterator[None]:
    """Begin what an error says about an image of a list with its index; None for a lone image."""
    try:
        yield
    except (ImageError, TypeError) as error:
        if index is None:
            raise
        raise type(error)(f"image {index}: {error}") from error
