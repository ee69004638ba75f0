"""From any image to ``pixel_values``, as transformers' ``EfficientFormerImageProcessor`` does it.

    x = (crop(resize(image)) · rescale_factor − image_mean) / image_std

The steps are in `npformer.images.settings`. The results are those of transformers 4.40.2 to the
last bit, with the same Pillow.

Differences from the reference, each where it fails or answers wrongly:

* Images of any kind (paths, gray, alpha, CMYK, 16 bits, bool, …) become upright RGB as in
  `npformer.images`. The reference refuses most, and leaves EXIF and the color space aside.
* Each image of a list has its own layout; the reference takes the first one's for all. A
  ``PIL.Image`` is never taken for (C, H, W), as there if its height is 1 or 3; an array that could
  be both is refused. An array of four dimensions is a batch.
* Floats of which none exceeds 1 are of unit range: they are not rescaled once more (the reference
  warns, and does), and zeros and ones are not taken for nearly black. Other floats need not be
  whole numbers to be resized. Numbers out of range and NaN are refused.
* A crop that is larger than the image by an odd number of pixels has its full size all the same;
  the reference (until 4.41) returns one pixel too few.
* A whole ``rescale_factor`` does not overflow 8 bits.
* A strip of 1×5000 pixels does not take a gigabyte on its way to a shorter edge of 256: it is
  resized only where the crop will be, to within 2 of 255; without a crop it is refused.
* ``data_format=None`` and ``input_data_format="none"`` do what is documented.
* Impossible settings, such as an ``image_std`` of 0, are refused; unknown arguments give a warning.

Wrong in the reference's documentation: ``resample`` is BICUBIC by default, mean and deviation are
IMAGENET_DEFAULT's, ``longest_edge`` means nothing beside ``shortest_edge`` and is refused alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..checks import require
from ..errors import ConfigError, ImageError, MissingWeights
from ..files.atomic import json_text, write_json
from ..files.names import PROCESSOR_NAME
from ..files.strict_json import read_object
from ..layers.arrays import Array
from .layout import channels_first
from .settings import IMAGENET_MEAN, IMAGENET_STD, Settings, process, together

_PUBLISHED = {"tiny": (128, 128)} | {
    name: (256, 224)
    for variant in ("l1", "l3", "l7")
    for name in (variant, f"snap-research/efficientformer-{variant}-300")
}
"""Shorter edge and crop of the named networks."""
_NO_SETTINGS = {"_valid_processor_keys", "image_processor_type", "feature_extractor_type"}
"""Keys that transformers writes and that say nothing."""


class BatchFeature(dict[str, Any]):
    """A dictionary whose keys are attributes too."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no {name!r} here; there is {', '.join(self)}") from None


class EfficientFormerImageProcessor:
    """Resize, crop, rescale and normalize images.

    Parameters
    ----------
    do_resize : bool
    size : dict, int or (height, width)
        ``{"height": h, "width": w}`` squeezes to these sides; ``{"shortest_edge": s}`` keeps the
        proportions. An int is a square. 224 by default.
    resample : PIL.Image.Resampling or int
    do_center_crop, do_rescale : bool
    rescale_factor : float
    crop_size : dict, int or (height, width)
        224 by default.
    do_normalize : bool
    image_mean, image_std : float or list of float
        One number, or one for each of three colors; by default ImageNet's.
    crop_rounding : {"floor", "torchvision"}
        Where a crop begins that cuts off an odd number of pixels: "torchvision" rounds half to
        even, as when the published networks were trained. Not in the reference.
    **extra
        Further keys of a file, kept as they are.

    Raises
    ------
    ConfigError
        If a value is impossible; the message names the field.

    Notes
    -----
    Calls change nothing, so threads may share a processor. An array of shape (H, W, 1) stays gray
    where mean and deviation are single numbers or not used; every other gray image becomes RGB.
    """

    model_input_names = ("pixel_values",)

    def __init__(
        self,
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
                    f"unknown key {name!r} is kept, and means nothing; is it {meant!r}?",
                    stacklevel=2,
                )
        self.extra = {name: extra[name] for name in extra if name not in _NO_SETTINGS}

    def __call__(self, images: Any, **kwargs: Any) -> BatchFeature:
        """Do as `preprocess`."""
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
            Each whatever `npformer.images.open_image` reads.
        do_resize, size, resample, do_center_crop, crop_size : optional
        do_rescale, rescale_factor, do_normalize, image_mean, image_std : optional
            Other settings than the processor's, for this call.
        return_tensors : {None, "np", "pt"}
            None gives a list of arrays, "np" one array, "pt" one tensor of PyTorch.
        data_format : {"channels_first", "channels_last", None}
            Layout of the results; None for that of each input.
        input_data_format : {None, "channels_first", "channels_last", "none"}
            Layout of arrays, "none" for (H, W); None finds out. Other images have only one.

        Returns
        -------
        BatchFeature
            ``pixel_values``: (3, H, W) for each image, or (B, 3, H, W); float32 if anything was
            rescaled or normalized.

        Raises
        ------
        ImageError
            If an image is not usable, there is none, or they do not make one array.
        ConfigError
            If a setting is impossible.
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
        _warn_of_unused(unknown)

        many = isinstance(images, (list, tuple)) or getattr(images, "ndim", 0) == 4
        results = []
        for i, image in enumerate(images if many else [images]):
            try:
                x, layout = process(image, settings, input_data_format)
            except (ImageError, TypeError) as error:
                if not many:
                    raise
                raise type(error)(f"image {i}: {error}") from error
            first = (data_format or layout) == "channels_first"
            results.append(np.ascontiguousarray(channels_first(x) if first else x))
        return BatchFeature(pixel_values=together(results, return_tensors))

    def pixels(self, image: Any) -> Array:
        """Process one image for the layers of this package.

        Parameters
        ----------
        image : any
            Whatever `npformer.images.open_image` reads.

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
        return np.ascontiguousarray(process(image, self.settings)[0])

    @property
    def settings(self) -> Settings:
        """The settings as they are now, checked."""
        return Settings(*(getattr(self, name) for name in Settings._fields)).checked()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], **changes: Any) -> EfficientFormerImageProcessor:
        """Make a processor from the keys of a ``preprocessor_config.json``, with `changes`."""
        return cls(**{**values, **changes})

    @classmethod
    def from_json_file(cls, path: str | Path, **changes: Any) -> EfficientFormerImageProcessor:
        """Read a ``preprocessor_config.json``; errors name the path."""
        values = read_object(path)
        try:
            return cls.from_dict(values, **changes)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error

    @classmethod
    def from_pretrained(cls, source: str | Path, **changes: Any) -> EfficientFormerImageProcessor:
        """Read the processor of a folder, or make that of a published network.

        Parameters
        ----------
        source : str or path
            A folder with a ``preprocessor_config.json``, such a file, ``"tiny"``, ``"l1"``,
            ``"l3"``, ``"l7"``, or a repository as ``"snap-research/efficientformer-l1-300"``.
        **changes
            Other settings than the file's.

        Returns
        -------
        EfficientFormerImageProcessor

        Raises
        ------
        MissingWeights
            If there is no such file.
        ConfigError
            If the file is not usable.
        """
        _warn_of_unused(changes.keys() - set(Settings._fields))
        changes = {name: changes[name] for name in Settings._fields if name in changes}
        path = Path(source)
        file = path / PROCESSOR_NAME if path.is_dir() else path
        if file.is_file():
            return cls.from_json_file(file, **changes)
        if str(source) in _PUBLISHED:
            edge, side = _PUBLISHED[str(source)]
            return cls(**{"size": {"shortest_edge": edge}, "crop_size": side, **changes})
        raise MissingWeights(
            f"{source}: no such folder with a {PROCESSOR_NAME}, no such file, and no name of a "
            f"published network; names are {', '.join(_PUBLISHED)}"
        )

    def for_size(self, height: int, width: int) -> EfficientFormerImageProcessor:
        """Return a processor whose images are of another size and show as much of the photograph.

        Parameters
        ----------
        height, width : int
            In pixels. The shorter edge keeps its ratio to the longer side of the crop, so that a
            network trained on 224 pixels out of 256 sees 256 out of 293.
        """
        new = {"crop_size": {"height": height, "width": width}, "size": self.settings.size}
        if "shortest_edge" in new["size"]:
            ratio = max(height, width) / max(self.settings.crop_size.values())
            new["size"] = {"shortest_edge": round(new["size"]["shortest_edge"] * ratio)}
        else:
            new["size"] = new["crop_size"]
        return type(self).from_dict({**self.to_dict(), **new})

    def save_pretrained(self, folder: str | Path) -> list[str]:
        """Write ``preprocessor_config.json`` into a folder, made if need be; return its path."""
        path = Path(folder) / PROCESSOR_NAME
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, self.to_dict())
        return [str(path)]

    def to_dict(self) -> dict[str, Any]:
        """Return all keys and values that transformers has, and the others of the file."""
        values = {**self.extra, **self.settings._asdict()}
        if values["crop_rounding"] == "floor":  # the reference's
            del values["crop_rounding"]
        return {**values, "image_processor_type": type(self).__name__}

    def to_json_string(self) -> str:
        """Return the text of the file, with sorted keys."""
        return json_text(self.to_dict())

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string()}"


def _warn_of_unused(names: Iterable[str]) -> None:
    if unused := sorted(names):
        warnings.warn(f"unknown arguments, not used: {', '.join(unused)}", stacklevel=3)
