"""Photographs on disk: a folder with one sub-folder for each class.

    photos/tabby/1.jpg    photos/tabby/2.jpg    photos/lion/1.jpg    …

What is easily put in a wrong place is refused or told: a training among the classes, the parts of a
data set taken for classes, photographs without a class.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import ConfigError, NpformerError
from ..files.names import WEIGHTS_NAMES
from ..files.paths import as_path
from ..images.files import is_photograph, photographs_below
from ..layers import Array
from ..network.labels import imagenet1k_by_name
from . import state

VALIDATION = frozenset(("val", "valid", "validation", "dev", "eval"))
"""What people call the photographs to evaluate on; only ``val`` is taken without being named."""
PARTS = VALIDATION | {"train", "training", "test", "testing"}
"""Names of the parts of a data set."""
NETWORKS = (state.NAME, *WEIGHTS_NAMES)
"""A sub-folder with one of these files holds a network and is no class."""


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

    def few(self, most: int = 8) -> Photographs:
        """Return the first photographs, as a sample."""
        return self._replace(paths=self.paths[:most], labels=self.labels[:most])


def find_photographs(
    folder: str | PathLike[str],
    classes: Sequence[str] | None = None,
    *,
    leave_out: str | PathLike[str] | None = None,
) -> Photographs:
    """List the photographs of a folder with one sub-folder for each class.

    Parameters
    ----------
    folder : str or path
        Sub-folders are searched recursively; names that begin with a dot are skipped, and so are
        sub-folders that hold a network.
    classes : sequence of str, optional
        The known classes by index; by default the names of the sub-folders, sorted. A sub-folder
        also matches a class whose name differs only in capitals, or in spaces for ``_``, and its
        WordNet id if the class has the name of one of ImageNet-1k: ``n02123045`` is ``tabby``.
    leave_out : str or path, optional
        A sub-folder that is no class, if it is there: the one for results.

    Returns
    -------
    Photographs

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If there is no such folder.
    DataError
        If it has no sub-folders, or one of them holds no photograph or is not one of `classes`.
        Without `classes` also if there is only one, or sub-folders are parts of a data set. If the
        folder is an address.

    Warns
    -----
    UserWarning
        About sub-folders that hold a network, photographs beside the sub-folders, and classes
        without photographs of their own, which have sub-folders instead.
    """
    root = as_path(folder, "the folder of photographs", DataError)
    folders = _class_folders(root, None if leave_out is None else Path(leave_out))
    if classes is None:
        _check_classes(root, folders)
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
                f"{place}: {place.name!r} is not one of the {len(names)} classes known, such as "
                f"{_shown(names)}; rename the folder (npformer info MODEL --classes lists them "
                f"all), move it elsewhere, or take another model{_or_below(place)}"
            )
        found = photographs_below(place)
        if not found:
            raise DataError(f"{place}: no photographs; add some, or move the folder elsewhere")
        paths += found
        labels += [index] * len(found)
    if classes is None and len({p.parent for p in paths} & set(folders)) == 0:
        warnings.warn(
            f"{root}: the classes are {_shown(p.name for p in folders)}, but all photographs are "
            f"further below, such as {paths[0]}; if {paths[0].parent.name!r} is a class, give the "
            "folder above it",
            stacklevel=2,
        )
    return Photographs(root, tuple(names), tuple(paths), np.array(labels))


def split(folder: Path, val: Path | None) -> tuple[Path, Path | None]:
    """Return the folder to learn from and the folder to evaluate on, if there is one.

    Parameters
    ----------
    folder : Path
        With the classes; or with folders ``train`` and ``val`` that have the classes.
    val : Path or None
        The folder to evaluate on, if the user names one.

    Warns
    -----
    UserWarning
        If there is ``train`` and beside it not ``val`` but, say, ``valid``, which is not used.
    """
    if not (folder / "train").is_dir() or not sub_folders(folder / "train"):
        return folder, val
    if val is None and (folder / "val").is_dir():
        val = folder / "val"
    if val is None:
        for other in sub_folders(folder):
            if other.name.casefold() in VALIDATION:
                warnings.warn(
                    f"{other}: not used; to evaluate on it after each epoch, rename it to val, or "
                    f"name it with val= (--val {other})",
                    stacklevel=2,
                )
    return folder / "train", val


def check_place(out: Path, roots: Iterable[Path]) -> None:
    """Refuse a folder for results inside a class: its pictures would become photographs.

    Parameters
    ----------
    out : Path
        The folder for results.
    roots : iterable of Path
        Folders with the classes.

    Raises
    ------
    ConfigError
        If `out` is inside a sub-folder of one of them.
    """
    place = out.resolve()
    for root in map(Path.resolve, roots):
        if root in place.parents and place.parent != root:
            among = root / place.relative_to(root).parts[0]
            raise ConfigError(
                f"out is {out}, inside of {among}, which is a class; expected a folder elsewhere, "
                "since the pictures in it would be taken for photographs of that class"
            )


def sub_folders(folder: Path) -> list[Path]:
    """Return the sub-folders of a folder, sorted, without those whose names begin with a dot.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If there is no such folder.
    """
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def normalized(name: str) -> str:
    """Return the name of a class without differences that file systems may introduce."""
    return name.replace("_", " ").casefold()


def _class_folders(root: Path, leave_out: Path | None) -> list[Path]:
    """Return the sub-folders that are classes, and say what else is there."""
    folders = []
    for place in sub_folders(root):
        if leave_out is not None and place.resolve() == leave_out.resolve():
            continue
        if any((place / name).is_file() for name in NETWORKS):
            warnings.warn(f"{place}: holds a network and is no class; left out", stacklevel=3)
            continue
        folders.append(place)
    alone = [p for p in root.iterdir() if is_photograph(p.name) and not p.is_dir()]
    if not folders:
        hint = f" but {len(alone)} photographs; is {root.resolve().parent} meant?" if alone else ""
        raise DataError(
            f"{root}: no sub-folders{hint}; expected one for each class, with photographs"
        )
    if alone:
        warnings.warn(
            f"{root}: {len(alone)} photographs beside the sub-folders, such as {alone[0].name}, "
            "belong to no class; left out",
            stacklevel=3,
        )
    return folders


def _check_classes(root: Path, folders: list[Path]) -> None:
    """Refuse classes that cannot be meant, or that teach nothing."""
    parts = [place for place in folders if place.name.casefold() in PARTS]
    wrong = [place for place in parts if len(parts) == len(folders) > 1 or sub_folders(place)]
    if wrong:
        raise DataError(
            f"{root}: {_shown(place.name for place in wrong)} would be learned as a class, but "
            "looks like a part of a data set; put the classes to learn into "
            f"{root / 'train'} and those to evaluate on into {root / 'val'}, or name the folders "
            "with DIR and --val"
        )
    if len(folders) == 1:
        raise DataError(
            f"{root}: {folders[0].name!r} is the only class; expected sub-folders for two or more"
            f"{_or_below(folders[0])}"
        )


def _or_below(place: Path) -> str:
    """Ask whether a folder of which the sub-folders may be classes was meant."""
    below = sub_folders(place)
    return f"; or is {place} meant, with {_shown(p.name for p in below)}?" if below else ""


def _shown(names: Iterable[str]) -> str:
    """Return the first three names in quotes."""
    return ", ".join(map(repr, list(names)[:3]))
