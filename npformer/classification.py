"""Name what is on a photograph: from a file to labels with scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from os import PathLike
from typing import IO, Any, NamedTuple, TypeAlias, cast, overload

import numpy as np

from .checkpoints import read
from .display import bar
from .engine import make_forward
from .images.processor import EfficientFormerImageProcessor
from .layers import EVALUATION, Array, Run, softmax
from .network import EfficientFormer, Logits
from .network.configuration import EfficientFormerConfig
from .network.resizing import resize
from .network.summary import Summary, summarize
from .network.trace import Trace

Image: TypeAlias = "str | PathLike[str] | bytes | IO[bytes] | Array | Any"
"""A path, the bytes of a file, an open file, a ``PIL.Image`` or an array."""


class Prediction(NamedTuple):
    """One answer."""

    label: str
    """name of the class"""
    score: float
    """probability that the network gives it, in [0, 1]"""
    index: int  # type: ignore[assignment]  # of the class, not the method of a tuple
    """number of the class"""


class Predictions(tuple[Prediction, ...]):
    """The answers for one image, the likeliest first. Prints as a table with bars."""

    __slots__ = ()

    def __repr__(self) -> str:
        width = max((len(p.label) for p in self), default=0)
        return "\n".join(f"{p.label:<{width}} {p.score:7.1%} {bar(p.score)}".rstrip() for p in self)

    def to_dicts(self) -> list[dict[str, str | float | int]]:
        """Return the answers as plain dictionaries, for JSON."""
        return [p._asdict() for p in self]


class Classifier:
    """A loaded network with all that it needs to name photographs.

    It never changes after loading, so threads may share it. Made by `load`.

    Attributes
    ----------
    config : EfficientFormerConfig
    params : EfficientFormer
        The parameter tree; its arrays are read-only.
    processor : EfficientFormerImageProcessor
    labels : tuple of str
        Class names by index.
    """

    def __init__(
        self,
        config: EfficientFormerConfig,
        params: EfficientFormer,
        processor: EfficientFormerImageProcessor,
        engine: str = "auto",
    ) -> None:
        self.config = config
        self.params = params
        self.processor = processor
        self.labels = tuple(config.id2label[i] for i in range(config.num_labels))
        self._forward: Callable[[Array, Run], Logits] = make_forward(params, config, engine)

    def __repr__(self) -> str:
        return (
            f"<npformer.Classifier: depths {tuple(self.config.depths)}, "
            f"widths {tuple(self.config.hidden_sizes)}, {len(self.labels)} classes>"
        )

    def preprocess(self, image: Image) -> Array:
        """Turn one image into what the network sees: float32, shape (3, H, W)."""
        pixels: Array = self.processor(image, return_tensors="np")["pixel_values"]
        return pixels[0]

    def forward(self, pixel_values: Array, run: Run = EVALUATION) -> Logits:
        """Run the network on preprocessed images.

        Parameters
        ----------
        pixel_values : ndarray of float, shape (B, 3, H, W)
        run : Run
            A `Trace` to look inside.

        Returns
        -------
        Logits
        """
        x = np.moveaxis(np.asarray(pixel_values), 1, -1)  # (B, 3, H, W) -> (B, H, W, 3)
        return self._forward(x, run)

    def trace(self, image: Image, *only: str) -> Trace:
        """Run the network on one image and return every intermediate array by module path.

        Parameters
        ----------
        image : path, bytes, file, PIL.Image or ndarray
        *only : str
            Patterns of the paths to keep, such as ``"*.attn"``; all by default.

        Returns
        -------
        Trace
        """
        trace = Trace(*only)
        self.forward(self.preprocess(image)[None], trace)
        return trace

    @overload
    def classify(
        self, images: list[Any], top: int = ..., batch_size: int = ...
    ) -> list[Predictions]: ...
    @overload
    def classify(self, images: Image, top: int = ..., batch_size: int = ...) -> Predictions: ...
    def classify(
        self, images: Image | list[Image], top: int = 5, batch_size: int = 8
    ) -> Predictions | list[Predictions]:
        """Name what is on an image, or on each of several.

        Parameters
        ----------
        images : path, bytes, file, PIL.Image or ndarray, or a list of them
            An array of four dimensions is a list of images.
        top : int
            How many answers to give for each image.
        batch_size : int
            How many images to run at a time; bounds the memory, does not change the answers.

        Returns
        -------
        Predictions, or a list of them

        Raises
        ------
        ImageError
            If a file or array is not a usable image.
        FileNotFoundError
            If there is no such file.
        """
        if isinstance(images, (list, tuple)) or getattr(images, "ndim", 0) == 4:
            return list(self.stream(cast(Iterable[Image], images), top, batch_size))
        return next(self.stream([images], top))

    def stream(
        self, images: Iterable[Image], top: int = 5, batch_size: int = 8
    ) -> Iterator[Predictions]:
        """Name what is on each image of an endless supply, a batch at a time.

        Parameters
        ----------
        images : iterable of images
            Read no further ahead than one batch.
        top, batch_size : int
            As in `classify`.

        Yields
        ------
        Predictions
        """
        for name, value in (("top", top), ("batch_size", batch_size)):
            if not isinstance(value, (int, np.integer)) or value < 1:
                raise ValueError(f"{name} is {value!r}; expected a whole number, 1 or more")
        supply = iter(images)
        while batch := [self.preprocess(image) for image in islice(supply, batch_size)]:
            yield from self.predict(np.stack(batch), top)

    def predict(self, pixel_values: Array, top: int = 5) -> list[Predictions]:
        """Name what is on preprocessed images, shape (B, 3, H, W): the `top` best for each."""
        scores = softmax(self.forward(pixel_values).logits)  # (B, n_labels)
        best = np.argsort(-scores, kind="stable")[:, :top]  # (B, top)
        return [
            Predictions(Prediction(self.labels[i], float(row[i]), int(i)) for i in order)
            for row, order in zip(scores, best, strict=True)
        ]

    def summary(self) -> Summary:
        """Return the table of layers, shapes, parameters and multiply-adds."""
        return summarize(self.config, distilled=self.params.head_dist is not None)


def load(
    model: str | PathLike[str] = "tiny",
    *,
    dtype: str = "float32",
    engine: str = "auto",
    image_size: int | Sequence[int] | None = None,
) -> Classifier:
    """Load a network.

    Parameters
    ----------
    model : str or path
        ``"tiny"`` (comes with npformer: 200 classes, 128 px), or a folder with ``config.json`` and
        weights.
    dtype : str
        ``"float32"``, or ``"float64"`` for proofs.
    engine : {"auto", "numba", "numpy"}
        Which floor computes: the kernels, or the plain functions; "auto" takes the faster one that
        works here.
    image_size : int or (height, width), optional
        In pixels: run on images of another size than the weights were trained for. The attention
        biases are interpolated to the new grid (`npformer.network.resizing`).

    Returns
    -------
    Classifier

    Raises
    ------
    MissingWeights
        If there are no weights at that place.
    WeightsError
        If they are damaged or belong to another network.
    """
    found = read(model, dtype=dtype)
    config, params = found.config, found.params
    processor = EfficientFormerImageProcessor.from_dict(found.processor)
    if image_size is not None:
        params, config = resize(params, config, image_size)
        processor = processor.for_size(*config.image_shape)
    return Classifier(config, params, processor, engine)


@overload
def classify(
    image: list[Any], model: str | PathLike[str] = ..., top: int = ...
) -> list[Predictions]: ...
@overload
def classify(image: Image, model: str | PathLike[str] = ..., top: int = ...) -> Predictions: ...
def classify(
    image: Image | Sequence[Image], model: str | PathLike[str] = "tiny", top: int = 5
) -> Predictions | list[Predictions]:
    """Name what is on a photograph, or on each of several.

    Parameters
    ----------
    image : path, bytes, file, PIL.Image or ndarray, or a list of them
    model : str or path
        As in `load`; the network is kept for the next call.
    top : int
        How many answers to give.

    Returns
    -------
    Predictions, or a list of them
        The likeliest first, each with ``label``, ``score`` and ``index``.

    Examples
    --------
    >>> npformer.classify("notebooks/images/coffee.png", top=1)[0].label  # doctest: +SKIP
    'espresso'
    """
    return _kept(str(model)).classify(image, top)


@lru_cache(maxsize=2)
def _kept(model: str) -> Classifier:
    return load(model)
