"""How often a network is right about photographs of known classes."""

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
    """number of photographs"""
    top1: float
    """share of them that was named correctly, in [0, 1]"""


class Evaluation(NamedTuple):
    """How a network does on a folder of photographs."""

    images: int
    """number of photographs that could be read"""
    loss: float
    """mean of −log of the probability of the correct class"""
    top1: float
    """share of photographs whose class came first, in [0, 1]"""
    top5: float
    """share of photographs whose class was among the first five, in [0, 1]"""
    classes: tuple[ClassScore, ...]
    """classes that have photographs, by index"""
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
    """Classify a folder of photographs and compare the answers with the names of its sub-folders.

    Parameters
    ----------
    folder : str or path
        With one sub-folder for each class, which must be a class of the model. See
        `find_photographs`.
    model : str or path
        As in `npformer.load`.
    batch_size : int
        Limits the memory; the answers do not depend on it.
    engine : {"auto", "numba", "numpy"}
    unreadable : {"refuse", "skip"}
        What to do with a file that cannot be read.
    callback : callable, optional
        Called after each batch with the number of photographs done, and of all.

    Returns
    -------
    Evaluation

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If the folder does not exist.
    DataError
        If the folder has no classes, a class has no photographs or is not a class of the model.
    WeightsError, ConfigError, OfflineError, MissingPackage
        If the model cannot be read, as in `npformer.load`.
    ImageError, OSError
        If a file cannot be read and `unreadable` is ``"refuse"``.
    """
    found = read(model)
    labels = [found.config.id2label[i] for i in range(found.config.num_labels)]
    photos = find_photographs(folder, labels)
    processor = EfficientFormerImageProcessor.from_dict(found.processor)
    forward = make_forward(found.params, found.config, engine)
    return evaluate_network(forward, photos, processor, batch_size, unreadable, callback)


def evaluate_network(
    forward: Callable[..., Logits],
    photos: Photographs,
    processor: EfficientFormerImageProcessor,
    batch_size: int = 32,
    unreadable: Unreadable = "refuse",
    callback: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Evaluate a network that is in memory.

    Parameters
    ----------
    forward : callable
        From images, (B, H, W, 3), to `Logits`.
    photos : Photographs
        Its classes are the network's.
    processor : EfficientFormerImageProcessor
    batch_size, unreadable, callback
        As in `evaluate`.

    Returns
    -------
    Evaluation

    Raises
    ------
    ImageError, OSError
        If a file cannot be read and `unreadable` is ``"refuse"``.
    """
    K, total = len(photos.classes), len(photos.paths)
    counts, correct = np.zeros(K, int), np.zeros(K, int)
    loss, among_five, done = 0.0, 0, 0
    messages: list[str] = []
    for batch in evaluation_batches(
        photos, processor, batch_size=batch_size, unreadable=unreadable
    ):
        messages += batch.unreadable
        if len(batch.x):
            log_p = log_softmax(forward(batch.x).logits.astype(np.float64))  # (B, K)
            of_correct = np.take_along_axis(log_p, batch.labels[:, None], axis=1)  # (B, 1)
            rank = (log_p > of_correct).sum(1)  # (B,): how many classes are likelier
            loss -= float(of_correct.sum())
            among_five += int((rank < 5).sum())
            np.add.at(counts, batch.labels, 1)
            np.add.at(correct, batch.labels, rank == 0)
        done += len(batch.x) + len(batch.unreadable)
        if callback:
            callback(done, total)
    n = int(counts.sum())
    scores = (
        ClassScore(name, int(count), hits / count)
        for name, count, hits in zip(photos.classes, counts, correct, strict=True)
        if count
    )
    share = max(n, 1)  # nothing could be read: everything is 0
    return Evaluation(
        n, loss / share, int(correct.sum()) / share, among_five / share, tuple(scores),
        tuple(messages),
    )  # fmt: skip
