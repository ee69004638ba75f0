"""How often a network is right about photographs of known classes, and how far to trust its scores.

The answers are those of `npformer.classify`: the class with the highest score, and among equal
scores the one with the lowest index. An answer whose scores are not numbers is wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from os import PathLike
from typing import NamedTuple

import numpy as np

from ..checkpoints import read
from ..engine import make_forward
from ..images.processor import EfficientFormerImageProcessor
from ..layers import Array
from ..layers.losses import log_softmax
from ..network import Logits
from ..network.heads import ranked
from .class_folders import Photographs, find_photographs
from .data import Unreadable, evaluation_batches


class ClassScore(NamedTuple):
    """How a network does on the photographs of one class."""

    label: str
    images: int
    """number of photographs"""
    top1: float
    """share of them that was named correctly, in [0, 1]"""


class Confusion(NamedTuple):
    """A class that was taken for another."""

    label: str
    """the class of the photographs"""
    answer: str
    """the class that was answered"""
    images: int
    """number of photographs"""


class Reliability(NamedTuple):
    """How often answers with about the same score were right.

    If scores can be trusted, `top1` is about `score` (Guo et al., "On Calibration of Modern Neural
    Networks", 2017).
    """

    low: float
    high: float
    """scores in [low, high); the last row includes 1"""
    images: int
    """number of photographs whose first answer had such a score"""
    score: float
    """mean of these scores"""
    top1: float
    """share of these answers that were right, in [0, 1]"""


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
    confusions: tuple[Confusion, ...]
    """what was taken for what, the most frequent first"""
    reliability: tuple[Reliability, ...]
    """tenths of the range of scores in which there were answers, the lowest first"""
    unreadable: tuple[str, ...]
    """a message for each file that was left out"""


def evaluate(
    folder: str | PathLike[str],
    model: str | PathLike[str] = "tiny",
    *,
    batch_size: int = 32,
    engine: str = "auto",
    entry: str | None = None,
    unreadable: Unreadable = "refuse",
    callback: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Classify a folder of photographs and compare the answers with the names of its sub-folders.

    Parameters
    ----------
    folder : str or path
        With one sub-folder for each class: some of the classes of the model, or all, under their
        labels or WordNet ids. See `find_photographs`.
    model : str or path
        As in `npformer.load`.
    batch_size : int
        Limits the memory; the answers do not depend on it.
    engine : {"auto", "numba", "numpy"}
    entry : str, optional
        Which weights to read from a PyTorch file that has several, such as ``"model_ema"``.
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
    found = read(model, entry=entry)
    labels = [found.config.id2label[i] for i in range(found.config.num_labels)]
    photos = find_photographs(folder, labels)
    processor = found.image_processor()
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
    K, total, done = len(photos.classes), len(photos.paths), 0
    rows: list[Array] = []
    messages: list[str] = []
    for batch in evaluation_batches(
        photos, processor, batch_size=batch_size, unreadable=unreadable
    ):
        messages += batch.unreadable
        if len(batch.x):
            rows.append(answers(forward(batch.x).logits, batch.labels))
        done += len(batch.x) + len(batch.unreadable)
        if callback:
            callback(done, total)
    table = np.concatenate(rows) if rows else np.zeros(0, ANSWER)
    right = table["rank"] == 0
    n = max(len(table), 1)  # nothing could be read: everything is 0
    return Evaluation(
        images=len(table),
        loss=float(table["loss"].sum()) / n,
        top1=int(right.sum()) / n,
        top5=int((table["rank"] < 5).sum()) / n,
        classes=tuple(
            ClassScore(photos.classes[k], int(of.sum()), float(right[of].mean()))
            for k in range(K)
            if (of := table["label"] == k).any()
        ),
        confusions=confusions(table[~right], photos.classes),
        reliability=reliability(table["score"], right),
        unreadable=tuple(messages),
    )


ANSWER = np.dtype(
    [("label", int), ("answer", int), ("rank", int), ("score", float), ("loss", float)]
)
"""About one photograph: its class; the class that was answered, or −1 without numbers, and its
score; how many classes come before the right one; −log of the probability of the right one."""


def answers(logits: Array, labels: Array) -> Array:
    """Compare answers with the right ones.

    Parameters
    ----------
    logits : ndarray, shape (B, K)
    labels : ndarray of int, shape (B,)

    Returns
    -------
    ndarray of `ANSWER`, shape (B,)
    """
    log_p = log_softmax(logits.astype(np.float64))  # (B, K)
    scores, order = ranked(logits)  # both (B, K)
    table = np.empty(len(labels), ANSWER)
    table["label"], table["answer"] = labels, order[:, 0]
    table["rank"] = (order == labels[:, None]).argmax(1)
    table["score"] = np.take_along_axis(scores, order[:, :1], axis=1)[:, 0]
    table["loss"] = -np.take_along_axis(log_p, labels[:, None], axis=1)[:, 0]
    no_numbers = np.isnan(scores).any(1)
    table["answer"][no_numbers], table["score"][no_numbers] = -1, np.nan
    table["rank"][no_numbers] = np.iinfo(int).max  # never among the first, however few classes
    return table


def confusions(wrong: Array, classes: Sequence[str]) -> tuple[Confusion, ...]:
    """Count what was taken for what, the most frequent first, then by index."""
    pairs = Counter((int(row["label"]), int(row["answer"])) for row in wrong if row["answer"] != -1)
    return tuple(
        Confusion(classes[label], classes[answer], count)
        for (label, answer), count in sorted(pairs.items(), key=lambda item: (-item[1], item[0]))
    )


def reliability(scores: Array, right: Array, bins: int = 10) -> tuple[Reliability, ...]:
    """Compare the scores of first answers with how often these are right.

    Parameters
    ----------
    scores : ndarray, shape (n,)
        In [0, 1]; those that are not numbers are left out.
    right : ndarray of bool, shape (n,)
    bins : int
        Into how many equal parts the range of scores is divided.

    Returns
    -------
    tuple of Reliability
        Without empty parts.
    """
    scores, right = scores[~np.isnan(scores)], right[~np.isnan(scores)]
    which = np.minimum((scores * bins).astype(int), bins - 1)  # a score of 1 is in the last
    return tuple(
        Reliability(
            i / bins, (i + 1) / bins, int(of.sum()), float(scores[of].mean()),
            float(right[of].mean()),
        )
        for i in range(bins)
        if (of := which == i).any()
    )  # fmt: skip
