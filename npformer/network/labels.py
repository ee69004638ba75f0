"""The names of classes: by index, and those of the thousand of ImageNet-1k.

The published checkpoints call their classes only ``LABEL_0`` to ``LABEL_999``; these are the
names that belong there. Each class is a synset (a set of synonyms) of WordNet 3.0, and the order
is that of the synsets' identifiers, as in the ILSVRC 2012 challenge (Russakovsky et al., 2015).
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from ..errors import ConfigError

KINDS = (
    "animals", "plants and fungi", "food and drink", "people", "clothes", "places", "vehicles",
    "things", "other",
)  # fmt: skip
"""What a class is. Clothes are whatever people wear, places are also buildings and structures;
other is what no class of ImageNet-1k has the name of."""


class ImageNetClass(NamedTuple):
    """A class of ImageNet-1k."""

    wordnet_id: str
    """such as ``"n02123045"``"""
    name: str
    kind: str
    """one of `KINDS`"""


@cache
def _table() -> tuple[ImageNetClass, ...]:
    """Return each class by index."""
    text = (files("npformer.network") / "data" / "imagenet1k.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines()[1:])  # the first line is the heading
    return tuple(ImageNetClass(*row) for _, *row in rows)


@cache
def imagenet1k_by_name() -> dict[str, ImageNetClass]:
    """Return the 1000 classes by name."""
    return {found.name: found for found in _table()}


def imagenet1k() -> tuple[str, ...]:
    """Return the names of the 1000 classes by index, all distinct: 281 is ``"tabby"``."""
    return tuple(found.name for found in _table())


def imagenet1k_wordnet_ids() -> tuple[str, ...]:
    """Return the WordNet identifiers of the 1000 classes by index: 0 is ``"n01440764"``."""
    return tuple(found.wordnet_id for found in _table())


def by_kind(labels: Iterable[str]) -> dict[str, list[str]]:
    """Sort classes by kind.

    Parameters
    ----------
    labels : iterable of str
        Names of classes; those of ImageNet-1k have a kind.

    Returns
    -------
    dict of str to list of str
        Names by kind, in alphabetical order; kinds in the order of `KINDS`, without empty ones.
    """
    known = imagenet1k_by_name()
    groups: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for label in sorted(labels, key=str.casefold):
        groups[known[label].kind if label in known else "other"].append(label)
    return {kind: names for kind, names in groups.items() if names}


def with_imagenet_names(id2label: Mapping[int, str]) -> dict[int, str]:
    """Name 1000 unnamed classes after ImageNet-1k.

    Parameters
    ----------
    id2label : mapping of int to str
        Class names by index. A class is unnamed if it is called ``LABEL_<index>``, which is what a
        configuration without names makes of it.

    Returns
    -------
    dict of int to str
        The names of ImageNet-1k if there are 1000 classes and all are unnamed; otherwise `id2label`
        unchanged.
    """
    if any(label != f"LABEL_{index}" for index, label in id2label.items()):
        return dict(id2label)
    names = imagenet1k()
    return dict(enumerate(names)) if len(id2label) == len(names) else dict(id2label)


def by_index(name: str, pairs: Iterable[tuple[Any, Any]]) -> dict[int, str]:
    """Return the names of classes by index, in order.

    Parameters
    ----------
    name : str
        What the user calls the labels: ``"id2label"``.
    pairs : iterable of (index, label)
        An index may be text, as in JSON.

    Returns
    -------
    dict of int to str

    Raises
    ------
    ConfigError
        If an index is not a whole number, or has two labels, as ``"0"`` and ``"00"`` may.
    """
    pairs = list(pairs)
    try:
        named = {
            int(index) if isinstance(index, str) else operator.index(index): str(label)
            for index, label in pairs
        }
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} has a key that is not an index: {error}") from error
    if len(named) < len(pairs):
        raise ConfigError(
            f"{name} has {len(pairs)} names for {len(named)} indices; expected an index for each"
        )
    return dict(sorted(named.items()))
