"""The network to train, before its first step."""

from __future__ import annotations

from os import PathLike, fspath
from typing import Any, NamedTuple

from .. import checkpoints
from ..checkpoints.processor import default_processor
from ..network import EfficientFormer
from ..network.configuration import EfficientFormerConfig
from ..network.params import initialize
from ..network.variants import VARIANTS
from .data import generator
from .state import contiguous


class Student(NamedTuple):
    """A network to train: initial parameters, architecture and image processor."""

    params: EfficientFormer
    config: EfficientFormerConfig
    processor: dict[str, Any]
    """as in ``preprocessor_config.json``"""


def prepare_student(
    model: str | PathLike[str],
    classes: tuple[str, ...],
    seed: int = 0,
    scratch: bool = False,
    entry: str | None = None,
) -> Student:
    """Return a network for some classes, with the weights of a model as far as they fit.

    Parameters
    ----------
    model : str or path
        As in `npformer.load`.
    classes : tuple of str
        If the model has other classes, or another order of them, the heads get random weights.
    seed : int
        Decides the random weights.
    scratch : bool
        Take only the architecture of `model`, and random weights.
    entry : str, optional
        Which weights to read from a PyTorch file that has several.

    Returns
    -------
    Student

    Raises
    ------
    WeightsError, ConfigError, OfflineError, MissingPackage
        If the model cannot be read, as in `npformer.load`.
    """
    if scratch and entry is None and fspath(model) in VARIANTS:
        config, processor, distilled = EfficientFormerConfig.variant(fspath(model)), {}, True
        pretrained = None
    else:
        found = checkpoints.read(model, entry=entry)
        config, processor, pretrained = found.config, found.processor, found.params
        distilled = pretrained.head is None or pretrained.head_dist is not None
    same_classes = list(config.id2label.values()) == list(classes)
    config = EfficientFormerConfig.from_dict(config.to_dict(), id2label=dict(enumerate(classes)))
    drawn = int(generator(seed, "heads").integers(2**63))
    fresh = initialize(config, drawn, distilled)
    params = fresh if pretrained is None or scratch else pretrained
    if not same_classes:
        params = params._replace(head=fresh.head, head_dist=fresh.head_dist)
    return Student(contiguous(params), config, processor or default_processor(config, "hf"))
