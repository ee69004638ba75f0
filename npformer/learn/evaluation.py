"""How often a network is right about photographs whose class is known."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import NamedTuple

import numpy as np

from ..checkpoints import read
from ..engine import make_forward
from ..images.processor import EfficientFormerImageProcessor
from ..layers.losses import log_softmax
from ..network import Logits
from .data import Photographs, Unreadable, evaluation_batches, find_photographs


class ClassScore(NamedTuple):
    """How a network does on the photographs of one class."""

    label: str
    images: int
    top1: float


class Evaluation(NamedTuple):
    """How a network does on a folder of photographs."""

    images: int
    loss: float
    """mean of −log of the probability of the right class"""
    top1: float
    """share of photographs whose class came first, in [0, 1]"""
    top5: float
    """share of photographs whose class was among the first five"""
    classes: tuple[ClassScore, ...]
    """those that have photographs, by index"""
    unreadable: tuple[str, ...]
    """a message for each file that was left out"""


def evaluate(
    folder: str | PathLike[str],
    model: str | PathLike[str] = "tiny",
    *,
    batch_size: int = 32,
    engine: str = "auto",
    unreadable: Unreadable = "refuse",
    callback: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Classify a folder of photographs and compare with the names of its sub-folders.

    Parameters
    ----------
    folder : str or path
        With one sub-folder a class; each must be a class of the model. See `find_photographs`.
    model : str or path
        As in `npformer.load`.
    batch_size : int
        Bounds the memory, does not change the answers.
    engine : {"auto", "numba", "numpy"}
    unreadable : {"refuse", "skip"}
        What to do with a file that cannot be read.
    callback : callable, optional
        Called after each batch with how many photographs are done, of how many.

    Returns
    -------
    Evaluation

    Raises
    ------
    DataError
        If the folder has no classes, or others than the model.
    ImageError
        If a file is not a usable image and is to be refused.
    """
    found = read(model)
    labels = [found.config.id2label[i] for i in range(found.config.num_labels)]
    photos = find_photographs(folder, labels)
    processor = EfficientFormerImageProcessor.from_dict(found.processor)
    forward = make_forward(found.params, found.config, engine)
    return measure(forward, photos, processor, batch_size, unreadable, callback)


def measure(
    forward: Callable[..., Logits],
    photos: Photographs,
    processor: EfficientFormerImageProcessor,
    batch_size: int = 32,
    unreadable: Unreadable = "refuse",
    callback: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Do what `evaluate` does, for a network that is at hand."""
    K, total = len(photos.classes), len(photos.paths)
    counts, right = np.zeros(K, int), np.zeros(K, int)
    loss, among_five, done = 0.0, 0, 0
    messages: list[str] = []
    for batch in evaluation_batches(
        photos, processor, batch_size=batch_size, unreadable=unreadable
    ):
        messages += batch.unreadable
        if len(batch.x):
            log_p = log_softmax(forward(batch.x).logits.astype(np.float64))  # (B, K)
            of_right = np.take_along_axis(log_p, batch.labels[:, None], axis=1)  # (B, 1)
            rank = (log_p > of_right).sum(1)  # (B,): how many classes are likelier
            loss -= float(of_right.sum())
            among_five += int((rank < 5).sum())
            np.add.at(counts, batch.labels, 1)
            np.add.at(right, batch.labels, rank == 0)
        done += len(batch.x) + len(batch.unreadable)
        if callback:
            callback(done, total)
    n = int(counts.sum())
    scores = (
        ClassScore(name, int(count), hits / count)
        for name, count, hits in zip(photos.classes, counts, right, strict=True)
        if count
    )
    share = max(n, 1)  # nothing readable: all is 0
    return Evaluation(
        n, loss / share, int(right.sum()) / share, among_five / share, tuple(scores),
        tuple(messages),
    )  # fmt: skip
