"""Photographs to learn from: a folder with one sub-folder for each class.

    photos/tabby/1.jpg    photos/tabby/2.jpg    photos/lion/1.jpg    …

They are read in worker threads, a limited number ahead of use. Everything random is drawn from a
generator for one purpose, epoch and photograph (see `generator`): the same seed gives the same
batches, whichever thread reads first and wherever training resumes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from os import PathLike
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from PIL import Image

from ..errors import ConfigError, ImageError, NpformerError
from ..images.files import photographs_below
from ..images.open import open_image
from ..images.processor import EfficientFormerImageProcessor
from ..layers import Array
from ..layers.arrays import Rng
from ..network.labels import imagenet1k_by_name
from .augment import Augmentation, color_jitter, random_erasing, random_resized_crop
from .parallel import map_in_order

Unreadable: TypeAlias = Literal["refuse", "skip"]

PURPOSES = ("order", "sample", "mixup", "noise", "heads")
"""What random numbers are drawn for; each purpose has its own."""


class DataError(NpformerError, ValueError):
    """A folder from which nothing can be learned."""


class Photographs(NamedTuple):
    """Files and their classes."""

    root: Path
    """the folder"""
    classes: tuple[str, ...]
    """names of the classes"""
    paths: tuple[Path, ...]
    labels: Array
    """(n,), int: the class of each file"""


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


def find_photographs(
    folder: str | PathLike[str], classes: Sequence[str] | None = None
) -> Photographs:
    """List the photographs of a folder with one sub-folder for each class.

    Parameters
    ----------
    folder : str or path
        Sub-folders are searched recursively; names that begin with a dot are skipped.
    classes : sequence of str, optional
        The known classes by index; by default the names of the sub-folders, sorted. A sub-folder
        also matches a class whose name differs only in capitals, or in spaces for ``_``, and its
        WordNet id if the class has the name of one of ImageNet-1k: ``n02123045`` is ``tabby``.

    Returns
    -------
    Photographs

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If there is no such folder.
    DataError
        If it has no sub-folders, or one of them holds no photograph or is not one of `classes`.
    """
    root = Path(folder)
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not folders:
        raise DataError(f"{root}: no sub-folders; expected one for each class, with photographs")
    names = [p.name for p in folders] if classes is None else list(classes)
    known = imagenet1k_by_name()
    indices = {known[name].wordnet_id: i for i, name in enumerate(names) if name in known}
    indices |= {normalized(name): i for i, name in enumerate(names)}
    indices |= {name: i for i, name in enumerate(names)}  # an exact match comes first
    paths: list[Path] = []
    labels: list[int] = []
    for place in folders:
        index = indices.get(place.name, indices.get(normalized(place.name)))
        if index is None:
            raise DataError(
                f"{place}: {place.name!r} is not one of the {len(names)} classes of the model, "
                f"such as {', '.join(map(repr, names[:3]))}; rename the folder "
                "(npformer info MODEL --classes lists them all), or take another model"
            )
        found = photographs_below(place)
        if not found:
            raise DataError(f"{place}: no photographs; add some, or remove the folder")
        paths += found
        labels += [index] * len(found)
    return Photographs(root, tuple(names), tuple(paths), np.array(labels))


def normalized(name: str) -> str:
    """Return the name of a class without differences that file systems may introduce."""
    return name.replace("_", " ").casefold()


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
    ImageError, OSError
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
        The last batch may be smaller.

    Yields
    ------
    Batch

    Raises
    ------
    ImageError, OSError
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
    def attempt(index: int) -> Array | str:
        try:
            return read(index)
        except (ImageError, OSError) as error:
            if unreadable == "refuse":
                raise
            path = str(photos.paths[index])
            return str(error) if path in str(error) else f"{path}: {error}"

    with closing(map_in_order(attempt, order, workers, ahead=2 * batch_size)) as results:
        for start in range(0, len(order), batch_size):
            images, labels, messages = [], [], []
            for index in order[start : start + batch_size]:
                result = next(results)
                if isinstance(result, str):
                    messages.append(result)
                else:
                    images.append(result)
                    labels.append(photos.labels[index])
            x = np.stack(images) if images else np.zeros((0, 1, 1, 3), np.float32)
            yield Batch(x, np.array(labels, int), tuple(messages))
