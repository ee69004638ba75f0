"""Batches of photographs, from the files that `find_photographs` has listed.

They are read in worker threads, a limited number ahead of use. Everything random is drawn from a
generator for one purpose, epoch and photograph (see `generator`): the same seed gives the same
batches, whichever thread reads first and wherever training resumes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from PIL import Image

from ..checks import require
from ..errors import ConfigError, ImageError
from ..images.layout import stacks
from ..images.memory import reused
from ..images.open import open_image
from ..images.processor import EfficientFormerImageProcessor
from ..layers import Array
from ..layers.arrays import Rng
from .augment import Augmentation, color_jitter, random_erasing, random_resized_crop
from .class_folders import Photographs
from .parallel import map_in_order

Unreadable: TypeAlias = Literal["refuse", "skip"]

PURPOSES = ("order", "sample", "mixup", "noise", "heads")
"""What random numbers are drawn for; each purpose has its own."""


class Batch(NamedTuple):
    """Photographs in memory."""

    x: Array
    """(B, H, W, 3), float32: input of the network"""
    labels: Array
    """(B,), int"""
    unreadable: tuple[str, ...]
    """a message for each file that was left out"""


def generator(seed: int, purpose: str, *numbers: int) -> Rng:
    """Return the random generator of one purpose: ``generator(seed, "sample", epoch, index)``.

    Raises
    ------
    ValueError
        If `purpose` is not one of `PURPOSES`.
    """
    return np.random.default_rng([seed, PURPOSES.index(purpose), *numbers])


def training_pixels(
    image: Image.Image,
    processor: EfficientFormerImageProcessor,
    augmentation: Augmentation,
    rng: Rng,
) -> Array:
    """Turn a photograph into an augmented input of the network.

    Parameters
    ----------
    image : PIL.Image.Image
    processor : EfficientFormerImageProcessor
        Gives the size and the normalization.
    augmentation : Augmentation
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, shape (H, W, 3), float32

    Raises
    ------
    ConfigError
        If the processor makes images of different sizes.
    """
    size = input_size(processor)
    image = random_resized_crop(image, size, augmentation, rng, processor.resample)
    x = np.asarray(image, np.float32) / 255  # (H, W, 3)
    if rng.random() < augmentation.flip:
        x = x[:, ::-1]
    if augmentation.jitter:
        x = color_jitter(x, augmentation.jitter, rng)
    x = x * np.float32(255 * processor.rescale_factor if processor.do_rescale else 255)
    if processor.do_normalize:
        mean, std = np.float32(processor.image_mean), np.float32(processor.image_std)
        x = (x - mean) / std
    if rng.random() < augmentation.erase:
        x = random_erasing(x, rng)
    return x


def input_size(processor: EfficientFormerImageProcessor) -> tuple[int, int]:
    """Return the height and width that a processor gives to every image.

    Raises
    ------
    ConfigError
        If it makes images of different sizes.
    """
    size = processor.crop_size if processor.do_center_crop else processor.size
    if "height" not in size or not (processor.do_center_crop or processor.do_resize):
        raise ConfigError(
            "the image processor makes images of different sizes; to train, set do_center_crop and "
            "crop_size, or do_resize and size with a height and a width"
        )
    return size["height"], size["width"]


def epoch_order(photos: Photographs, seed: int, epoch: int) -> Array:
    """Return the order, (n,), of the photographs in an epoch."""
    return generator(seed, "order", epoch).permutation(len(photos.paths))


def training_batches(
    photos: Photographs,
    processor: EfficientFormerImageProcessor,
    augmentation: Augmentation,
    *,
    seed: int,
    epoch: int,
    batch_size: int,
    first: int = 0,
    unreadable: Unreadable = "refuse",
    workers: int | None = None,
) -> Iterator[Batch]:
    """Read the batches of an epoch.

    Parameters
    ----------
    photos : Photographs
    processor : EfficientFormerImageProcessor
        Gives the size and the normalization.
    augmentation : Augmentation
    seed, epoch : int
        Decide everything random.
    batch_size : int
        An incomplete batch at the end of an epoch is dropped; the next epoch has another order.
    first : int
        Index of the batch to begin with.
    unreadable : {"refuse", "skip"}
        What to do with a file that cannot be read.
    workers : int, optional
        Number of threads; by default one for each core, at most 8.

    Yields
    ------
    Batch

    Raises
    ------
    ImageError
        If a file cannot be read and `unreadable` is ``"refuse"``.
    ConfigError
        If the processor makes images of different sizes.
    """
    order = epoch_order(photos, seed, epoch)
    steps = steps_per_epoch(photos, batch_size)
    wanted = order[: steps * batch_size][first * batch_size :]

    def read(index: int) -> Array:
        image = open_image(photos.paths[index])
        rng = generator(seed, "sample", epoch, int(index))
        return training_pixels(image, processor, augmentation, rng)

    yield from _batches(photos, wanted, read, batch_size, unreadable, workers)


def evaluation_batches(
    photos: Photographs,
    processor: EfficientFormerImageProcessor,
    *,
    batch_size: int = 32,
    unreadable: Unreadable = "refuse",
    workers: int | None = None,
) -> Iterator[Batch]:
    """Read all photographs in order, without augmentation.

    Parameters
    ----------
    photos, processor, unreadable, workers
        As in `training_batches`.
    batch_size : int
        The last batch may be smaller, and so are batches where images of another size begin.

    Yields
    ------
    Batch

    Raises
    ------
    ImageError
        If a file cannot be read and `unreadable` is ``"refuse"``.
    """

    def read(index: int) -> Array:
        return processor.pixels(photos.paths[index])

    everything = np.arange(len(photos.paths))
    yield from _batches(photos, everything, read, batch_size, unreadable, workers)


def steps_per_epoch(photos: Photographs, batch_size: int) -> int:
    """Return the number of batches of an epoch."""
    return max(1, len(photos.paths) // batch_size)


def _batches(
    photos: Photographs,
    order: Array,
    read: Callable[[int], Array],
    batch_size: int,
    unreadable: Unreadable,
    workers: int | None,
) -> Iterator[Batch]:
    require(unreadable in ("refuse", "skip"), "unreadable", unreadable, "'refuse' or 'skip'")

    def attempt(index: int) -> Array | str:
        try:
            return read(index)
        except (ImageError, OSError) as error:
            path, message = str(photos.paths[index]), str(error)
            if isinstance(error, OSError) and error.strerror:
                message = f"{path}: {error.strerror}"
            elif path not in message:
                message = f"{path}: {message}"
            if unreadable == "skip":
                return message
            raise ImageError(
                f"{message}; or leave such files out with unreadable='skip' (--skip-unreadable)"
            ) from error

    photographs = map_in_order(attempt, order, workers, ahead=2 * batch_size)
    with reused(), closing(photographs) as results:
        for start in range(0, len(order), batch_size):
            images, labels, messages = [], [], []
            for index in order[start : start + batch_size]:
                result = next(results)
                if isinstance(result, str):
                    messages.append(result)
                else:
                    images.append(result)
                    labels.append(photos.labels[index])
            unread = tuple(messages)
            if not images:
                yield Batch(np.zeros((0, 1, 1, 3), np.float32), np.array([], int), unread)
            for x in stacks(images):
                of_x, labels = labels[: len(x)], labels[len(x) :]
                yield Batch(x, np.array(of_x, int), unread)
                unread = ()
