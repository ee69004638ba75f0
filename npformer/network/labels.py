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
from typing import Any

from ..errors import ConfigError


@cache
def _table() -> tuple[tuple[str, str], ...]:
    """Return (WordNet identifier, name) of each class."""
    text = (files("npformer.network") / "data" / "imagenet1k.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines()[1:])  # the first line is the heading
    return tuple((wordnet_id, name) for _, wordnet_id, name in rows)


def imagenet1k() -> tuple[str, ...]:
    """Return the names of the 1000 classes by index, all distinct: 281 is ``"tabby"``."""
    return tuple(name for _, name in _table())


def imagenet1k_wordnet_ids() -> tuple[str, ...]:
    """Return the WordNet identifiers of the 1000 classes by index: 0 is ``"n01440764"``."""
    return tuple(wordnet_id for wordnet_id, _ in _table())


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
