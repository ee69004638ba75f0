"""Photographs to learn from: a folder with one sub-folder a class.

    photos/tabby/1.jpg    photos/tabby/2.jpg    photos/lion/1.jpg    …

They are read in worker threads, a bounded number ahead of what is used. Everything random is drawn
from a generator that belongs to one purpose, epoch and photograph, `generator`: the same seed gives
the same batches, whichever thread reads first and wherever training is taken up again.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from os import PathLike
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, TypeVar

import numpy as np
from PIL import Image

from ..errors import ConfigError, ImageError, NpformerError
from ..images.open import FORMATS, open_image
from ..images.processor import EfficientFormerImageProcessor
from ..layers import Array
from ..layers.arrays import Rng
from .augment import Augmentation, color_jitter, random_erasing, random_resized_crop

Item = TypeVar("Item")
Made = TypeVar("Made")
Unreadable: TypeAlias = Literal["refuse", "skip"]

PURPOSES = ("order", "sample", "mixup", "noise", "heads")
"""What random numbers are drawn for; each has its own."""


class DataError(NpformerError, ValueError):
    """A folder that nothing can be learned from."""


class Photographs(NamedTuple):
    """Files and their classes."""

    root: Path
    classes: tuple[str, ...]
    """names of the classes"""
    paths: tuple[Path, ...]
    labels: Array
    """(n,), int: the class of each file"""


class Batch(NamedTuple):
    """Photographs, read."""

    x: Array
    """(B, H, W, 3), float32: as the network sees them"""
    labels: Array
    """(B,), int"""
    unreadable: tuple[str, ...]
    """a message for each file that was left out"""


def generator(seed: int, purpose: str, *numbers: int) -> Rng:
    """Return the generator of one purpose, such as ``generator(seed, "sample", epoch, index)``."""
    return np.random.default_rng([seed, PURPOSES.index(purpose), *numbers])


def find_photographs(
    folder: str | PathLike[str], classes: Sequence[str] | None = None
) -> Photographs:
    """List the photographs of a folder with one sub-folder a class.

    Parameters
    ----------
    folder : str or path
        Sub-folders are searched to the bottom; names that begin with a dot are passed over.
    classes : sequence of str, optional
        The classes that there are, by index; by default the names of the sub-folders, sorted. A
        name also fits a class from which it differs in capitals, or in ``_`` for a blank.

    Returns
    -------
    Photographs

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If there is no such folder.
    DataError
        If it has no sub-folders, one of them holds no photograph, or is none of `classes`.
    """
    root = Path(folder)
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not folders:
        raise DataError(f"{root}: no sub-folders; expected one for each class, with photographs")
    names = [p.name for p in folders] if classes is None else list(classes)
    indices = {plain(name): i for i, name in enumerate(names)}
    indices |= {name: i for i, name in enumerate(names)}  # as it is written goes first
    suffixes = {end for end, kind in Image.registered_extensions().items() if kind in FORMATS}
    paths: list[Path] = []
    labels: list[int] = []
    for place in folders:
        index = indices.get(place.name, indices.get(plain(place.name)))
        if index is None:
            raise DataError(
                f"{place}: {place.name!r} is none of the {len(names)} classes of the model, such "
                f"as {', '.join(map(repr, names[:3]))}; rename the folder, or take another model"
            )
        found = sorted(
            p for p in place.rglob("*") if p.suffix.lower() in suffixes and p.name[0] != "."
        )
        if not found:
            raise DataError(f"{place}: no photographs; add some, or remove the folder")
        paths += found
        labels += [index] * len(found)
    return Photographs(root, tuple(names), tuple(paths), np.array(labels))


def plain(name: str) -> str:
    """Return the name of a class without what file systems change."""
    return name.replace("_", " ").casefold()


def for_training(
    image: Image.Image,
    processor: EfficientFormerImageProcessor,
    augmentation: Augmentation,
    rng: Rng,
) -> Array:
    """Turn a photograph into a random variant of it, normalized: (H, W, 3), float32."""
    size = size_for(processor)
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


def size_for(processor: EfficientFormerImageProcessor) -> tuple[int, int]:
    """Return the height and width of what a processor makes of every image."""
    size = processor.crop_size if processor.do_center_crop else processor.size
    if "height" not in size or not (processor.do_center_crop or processor.do_resize):
        raise ConfigError(
            "the image processor makes images of different sizes; to train, set do_center_crop and "
            "crop_size, or do_resize and size with a height and a width"
        )
    return size["height"], size["width"]


def for_evaluation(image: Image.Image, processor: EfficientFormerImageProcessor) -> Array:
    """Turn a photograph into what the network sees of it: (H, W, 3), float32."""
    pixels: Array = processor(image, return_tensors="np", data_format="channels_last")[
        "pixel_values"
    ]
    return pixels[0]


def epoch_order(photos: Photographs, seed: int, epoch: int) -> Array:
    """Return the order, (n,), in which an epoch sees the photographs."""
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
        Says the size and the normalization.
    augmentation : Augmentation
    seed, epoch : int
        They decide all that is random.
    batch_size : int
        What is left over at the end of an epoch is not used; the next epoch has another order.
    first : int
        The batch to begin with.
    unreadable : {"refuse", "skip"}
        What to do with a file that cannot be read.
    workers : int, optional
        Number of threads; by default one a core, at most 8.

    Yields
    ------
    Batch

    Raises
    ------
    ImageError, OSError
        If a file cannot be read and is to be refused.
    """
    order = epoch_order(photos, seed, epoch)
    steps = steps_of(photos, batch_size)
    wanted = order[: steps * batch_size][first * batch_size :]

    def read(index: int) -> Array:
        image = open_image(photos.paths[index])
        rng = generator(seed, "sample", epoch, int(index))
        return for_training(image, processor, augmentation, rng)

    yield from _batches(photos, wanted, read, batch_size, unreadable, workers)


def evaluation_batches(
    photos: Photographs,
    processor: EfficientFormerImageProcessor,
    *,
    batch_size: int = 32,
    unreadable: Unreadable = "refuse",
    workers: int | None = None,
) -> Iterator[Batch]:
    """Read all photographs in order; arguments as in `training_batches`."""

    def read(index: int) -> Array:
        return for_evaluation(open_image(photos.paths[index]), processor)

    everything = np.arange(len(photos.paths))
    yield from _batches(photos, everything, read, batch_size, unreadable, workers)


def steps_of(photos: Photographs, batch_size: int) -> int:
    """Return how many batches an epoch has."""
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

    with closing(in_order(attempt, order, workers, ahead=2 * batch_size)) as results:
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


def in_order(
    function: Callable[[Item], Made], items: Iterable[Item], workers: int | None, ahead: int
) -> Generator[Made, None, None]:
    """Call a function in threads and yield the results in order, at most `ahead` before use."""
    waiting: deque[Future[Made]] = deque()
    pool = ThreadPoolExecutor(workers or min(os.cpu_count() or 1, 8))
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:  # also when nobody wants the rest
        pool.shutdown(wait=True, cancel_futures=True)
