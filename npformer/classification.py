"""Name what is on a photograph: from a file to labels with scores."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from os import PathLike, fspath
from typing import IO, Any, NamedTuple, TypeAlias, cast, overload

from .checkpoints import read_any
from .checks import at_least_one
from .display import bar
from .engine.fold import FoldedNetwork
from .engine.quantize import quantize
from .errors import ConfigError
from .hf.modeling import model_class
from .hf.pretrained import EfficientFormerPreTrainedModel
from .images.layout import channels_first, channels_last_pixels, stacks
from .images.memory import reused
from .images.processor import EfficientFormerImageProcessor
from .layers import EVALUATION, Array, Run
from .network import EfficientFormer, Logits
from .network.configuration import EfficientFormerConfig
from .network.heads import ranked
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
    """probability of the class, in [0, 1]"""
    index: int  # type: ignore[assignment]  # hides the method of a tuple
    """index of the class"""


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
    """A network, and all that it takes to name photographs with it. Made by `load`.

    It never changes, so threads may share it.

    Parameters
    ----------
    model : EfficientFormerPreTrainedModel
        Usually with one head or two. A model without a head has no scores, but a `trace`.
    processor : EfficientFormerImageProcessor
        The preprocessing that the model was trained with.

    Attributes
    ----------
    model : EfficientFormerPreTrainedModel
    processor : EfficientFormerImageProcessor
    labels : tuple of str
        Class names by index.
    config : EfficientFormerConfig
        The model's.
    params : EfficientFormer or FoldedNetwork
        The model's parameter tree, folded if it is in eight bits; its arrays are read-only.
    """

    def __init__(
        self, model: EfficientFormerPreTrainedModel, processor: EfficientFormerImageProcessor
    ) -> None:
        self.model = model
        self.processor = processor
        self.labels = tuple(self.config.id2label[i] for i in range(self.config.num_labels))

    @property
    def config(self) -> EfficientFormerConfig:
        """The model's configuration."""
        return self.model.config

    @property
    def params(self) -> EfficientFormer:
        """The model's parameters; a `FoldedNetwork` if they are in eight bits."""
        return self.model.params

    def __repr__(self) -> str:
        return (
            f"<npformer.Classifier: depths {tuple(self.config.depths)}, "
            f"widths {tuple(self.config.hidden_sizes)}, {len(self.labels)} classes>"
        )

    def preprocess(self, image: Image, decode: str = "exact") -> Array:
        """Turn one image into what the network sees.

        Parameters
        ----------
        image : path, bytes, file, PIL.Image or ndarray
        decode : {"exact", "fast"}
            "fast" decodes large JPEGs only as finely as is needed, which is faster and moves the
            pixels a little; see the page "Classify a million photographs".

        Returns
        -------
        ndarray of float32, shape (3, H, W)
            A view of an array of shape (H, W, 3), so `forward` and `predict` copy nothing.

        Raises
        ------
        ImageError
            If the image is not usable.
        FileNotFoundError, IsADirectoryError, PermissionError
            If there is no such file, or it cannot be read.
        TypeError
            If it is not one of these kinds of image.
        ConfigError
            If `decode` is another word.
        """
        return channels_first(self._pixels(image, decode=decode))

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

        Raises
        ------
        ImageError
            If `pixel_values` have another shape.
        TypeError
            If they are not floating point numbers, as if they had not been preprocessed.
        ConfigError
            If the network cannot take images of this size.
        """
        return self.model.network(channels_last_pixels(pixel_values, self.config.num_channels), run)

    def trace(self, image: Image, *only: str) -> Trace:
        """Run the network on one image and return every intermediate array by module path.

        Parameters
        ----------
        image : path, bytes, file, PIL.Image or ndarray
        *only : str
            Patterns of the paths to record, such as ``"*.attn"``; all by default.

        Returns
        -------
        Trace

        Raises
        ------
        ImageError, FileNotFoundError, IsADirectoryError, PermissionError, TypeError
            As in `preprocess`.
        """
        trace = Trace(*only)
        self.model.network(self._pixels(image)[None], trace)
        return trace

    def features(self, pixel_values: Array) -> Array:
        """Run the network on preprocessed images, and return what its heads see.

        That is the mean over the tokens after the last layer norm: one vector for each image, to
        compare photographs, to search among them, or to teach a small classifier.

        Parameters
        ----------
        pixel_values : ndarray of float, shape (B, 3, H, W)

        Returns
        -------
        ndarray, shape (B, C)

        Raises
        ------
        ConfigError
            If the network cannot take images of this shape.
        """
        trace = Trace("pooled")
        self.forward(pixel_values, trace)
        return trace["pooled"]

    @overload
    def classify(
        self, images: list[Any], top: int = ..., batch_size: int = ..., decode: str = ...
    ) -> list[Predictions]: ...
    @overload
    def classify(
        self, images: Image, top: int = ..., batch_size: int = ..., decode: str = ...
    ) -> Predictions: ...
    def classify(
        self, images: Image | list[Image], top: int = 5, batch_size: int = 8, decode: str = "exact"
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
        decode : {"exact", "fast"}
            As in `preprocess`.

        Returns
        -------
        Predictions, or a list of them

        Raises
        ------
        ImageError, FileNotFoundError, IsADirectoryError, PermissionError, TypeError
            As in `preprocess`.
        ValueError
            If `top` or `batch_size` is not a whole number, 1 or more.
        ConfigError
            If `decode` is neither word.
        """
        if isinstance(images, (list, tuple)) or getattr(images, "ndim", 0) == 4:
            return list(self.stream(cast(Iterable[Image], images), top, batch_size, decode))
        top, _ = at_least_one("top", top), at_least_one("batch_size", batch_size)
        x = self._pixels(images, decode=decode)[None]
        return self._answers(self.model.network(x), top)[0]

    def stream(
        self, images: Iterable[Image], top: int = 5, batch_size: int = 8, decode: str = "exact"
    ) -> Iterator[Predictions]:
        """Name what is on each image of a stream of any length, a batch at a time.

        Parameters
        ----------
        images : iterable of images
            Read no further ahead than one batch.
        top, batch_size, decode
            As in `classify`.

        Yields
        ------
        Predictions

        Raises
        ------
        ImageError, FileNotFoundError, IsADirectoryError, PermissionError, TypeError, ValueError
        ConfigError
            As in `classify`.
        """
        top, batch_size = at_least_one("top", top), at_least_one("batch_size", batch_size)
        remaining, pixels = enumerate(images), self._pixels
        with reused():
            while batch := [pixels(image, i, decode) for i, image in islice(remaining, batch_size)]:
                for x in stacks(batch):
                    yield from self._answers(self.model.network(x), top)

    def predict(self, pixel_values: Array, top: int = 5) -> list[Predictions]:
        """Name what is on preprocessed images.

        Parameters
        ----------
        pixel_values : ndarray of float, shape (B, 3, H, W)
        top : int
            How many answers to give for each image.

        Returns
        -------
        list of Predictions

        Raises
        ------
        ImageError, TypeError, ConfigError
            As in `forward`.
        ValueError
            If `top` is not a whole number, 1 or more.
        """
        top = at_least_one("top", top)
        return self._answers(self.forward(pixel_values), top)

    def _pixels(self, image: Image, index: int | None = None, decode: str = "exact") -> Array:
        """Preprocess an image, on the compiled kernels if the network runs on them, (H, W, 3)."""
        kernels = getattr(self.model.network, "fast", None) is not None
        return self.processor.pixels(image, index, decode, kernels)

    def _answers(self, outputs: Logits, top: int) -> list[Predictions]:
        """Return the `top` best classes of each image."""
        scores, order = ranked(outputs.logits)  # both (B, num_labels)
        return [
            Predictions(Prediction(self.labels[i], float(row[i]), int(i)) for i in best)
            for row, best in zip(scores, order[:, :top], strict=True)
        ]

    def save(self, folder: str | PathLike[str]) -> None:
        """Write a folder that `load` reads, with all that it takes to classify.

        Parameters
        ----------
        folder : str or path
            Created if it does not exist.

        Raises
        ------
        WeightsError
            If the attention biases were resized by ``method="original"``, which no folder holds.
        OSError
            If a file cannot be written.
        """
        self.model.save_pretrained(folder, processor=self.processor.to_dict())

    def summary(self) -> Summary:
        """Return the table of layers, shapes, parameters and multiply-adds."""
        return summarize(self.config, distilled=self.params.head_dist is not None)


def load(
    model: str | PathLike[str] = "tiny",
    *,
    dtype: str | None = None,
    engine: str = "auto",
    image_size: int | Sequence[int] | None = None,
    entry: str | None = None,
) -> Classifier:
    """Load a network to classify images with.

    Parameters
    ----------
    model : str or path
        * ``"tiny"``: comes with npformer; 200 classes, images of 128×128 pixels.
        * ``"l1"``, ``"l3"`` or ``"l7"``: the published networks; 1000 classes, 224×224 pixels.
          Downloaded from the Hugging Face Hub when first used.
        * ``"owner/name"``: a repository on the Hub, such as
          ``"snap-research/efficientformer-l1-300"``.
        * A folder with ``config.json`` and weights, as npformer, transformers or timm save it.
        * A file of weights: ``.safetensors``, or ``.bin``, ``.pt`` or ``.pth`` by PyTorch. The
          configuration is then inferred from the shapes of the tensors.
    dtype : {"float32", "float64", "float16", "int8"}, optional
        Type of the weights, and of all results. ``"int8"`` rounds each weight to the nearest of 255
        steps, at once; `npformer.quantize` takes longer and is nearer to float32. By default what
        the weights were quantized to, or float32.
    engine : {"auto", "numba", "numpy"}
        What computes: the compiled kernels ("numba") or the plain NumPy layers ("numpy"). "auto"
        takes the kernels where they work.
    image_size : int or (height, width), optional
        In pixels, to use images of another size than the weights were trained for. The attention
        biases are interpolated to the new grid (`npformer.network.resizing`).
    entry : str, optional
        Which weights to read from a PyTorch file that has several, such as ``"model_ema"``.

    Returns
    -------
    Classifier

    Raises
    ------
    MissingWeights
        If there is no such model.
    WeightsError
        If the weights are damaged or belong to another network.
    UnsafeCheckpointError
        If the file would have to run code to be read.
    OfflineError
        If the weights must be downloaded and cannot be.
    ConfigError
        If the configuration, `engine` or `image_size` is impossible.
    """
    found = read_any(model, dtype=None if dtype == "int8" else dtype, entry=entry)
    if found.processor_is_guessed:
        warnings.warn(found.note_of_processor(), stacklevel=2)
    config, params = found.config, found.params
    processor = found.image_processor()
    if image_size is not None:
        if isinstance(params, FoldedNetwork):
            raise ConfigError(
                f"{model}: image_size is {image_size} and the weights are in eight bits, for "
                "images of one size; resize what they were made from, and quantize that"
            )
        params, config = resize(params, config, image_size)
        processor = processor.for_size(*config.image_shape)
    if dtype == "int8" and not isinstance(params, FoldedNetwork):
        params = quantize(params, config)
    return Classifier(model_class(params)(config, params, engine=engine), processor)


@overload
def classify(
    image: list[Any], model: str | PathLike[str] = ..., top: int = ..., *, entry: str | None = ...
) -> list[Predictions]: ...
@overload
def classify(
    image: Image, model: str | PathLike[str] = ..., top: int = ..., *, entry: str | None = ...
) -> Predictions: ...
def classify(
    image: Image | Sequence[Image],
    model: str | PathLike[str] = "tiny",
    top: int = 5,
    *,
    entry: str | None = None,
) -> Predictions | list[Predictions]:
    """Name what is on a photograph, or on each of several.

    Parameters
    ----------
    image : path, bytes, file, PIL.Image or ndarray, or a list of them
    model : str or path
        As in `load`; the network is kept for the next call.
    top : int
        How many answers to give.
    entry : str, optional
        As in `load`.

    Returns
    -------
    Predictions, or a list of them
        The likeliest first, each with ``label``, ``score`` and ``index``.

    Raises
    ------
    ImageError, FileNotFoundError, IsADirectoryError, PermissionError, TypeError, ValueError
        As in `Classifier.classify`.
    MissingWeights, WeightsError, UnsafeCheckpointError, OfflineError, ConfigError
        As in `load`.

    Examples
    --------
    >>> npformer.classify("notebooks/images/coffee.png", top=1)[0].label  # doctest: +SKIP
    'espresso'
    """
    return _kept(fspath(model), entry).classify(image, top)


@lru_cache(maxsize=2)
def _kept(model: str, entry: str | None) -> Classifier:
    return load(model, entry=entry)
