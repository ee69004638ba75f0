"""Find the file of weights, or the files over which they are distributed, and read the tensors."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ..checks import shortened
from ..errors import ConfigError, MissingWeights, WeightsError
from ..files.names import INDEX_SUFFIX, SUFFIXES, TORCH_SUFFIXES, WEIGHTS_NAMES, WEIGHTS_OR_LISTS
from ..files.presence import is_file
from ..files.sniff import PICKLES
from ..files.strict_json import read_object
from . import safetensors_file
from .dtypes import Tensors
from .naming import enumerate_names
from .prefixes import unwrap


class Weights(NamedTuple):
    """The tensors of a checkpoint as they are on disk, and where they are."""

    tensors: Tensors
    source: str
    """path of the file, or of the list of files"""
    prefix: str = ""
    """what stands before the names in the file, and was removed"""
    entry: str | None = None
    """under which key the weights are in a PyTorch file"""
    others: tuple[str, ...] = ()
    """keys of other weights in the same file"""

    def note_of_others(self) -> str:
        """Say in one line that there are other weights, and how to take them."""
        from .entries import how_to_choose  # imported late, as torch_file is below

        read = "the weights beside them" if self.entry is None else repr(self.entry)
        choice = next((other for other in self.others if "ema" in other.lower()), self.others[0])
        return (
            f"{self.source}: read {read}; it also holds {', '.join(map(repr, self.others[:5]))} "
            f"(an average, EMA, is usually the better). Choose by {how_to_choose(choice)}"
        )


def weights_file(place: Path) -> Path:
    """Return the file of weights at a path, which is that file or a folder.

    Raises
    ------
    MissingWeights
        If the folder holds no file of weights, or several under other names than the usual ones, or
        a broken link in the place of one.
    """
    if not place.is_dir():
        return place
    for path in map(place.joinpath, WEIGHTS_OR_LISTS):
        if is_file(path, MissingWeights):
            return path
    others = sorted(path for path in place.iterdir() if path.suffix in SUFFIXES)
    if len(others) == 1:
        return others[0]
    found = enumerate_names([path.name for path in others]).replace("'", "") or "none of them"
    raise MissingWeights(
        f"{place}: the folder holds {found}; expected {' or '.join(WEIGHTS_NAMES)}, the "
        f"{INDEX_SUFFIX} of one of them, or one file of another name that ends in "
        f"{', '.join(SUFFIXES)}"
    )


def read_weights(file: Path, entry: str | None = None) -> Weights:
    """Read the tensors of a file or of several, and remove what wrappers put before their names.

    Parameters
    ----------
    file : Path
        A file of weights, recognized by its first bytes; or a list of files, which transformers
        calls ``model.safetensors.index.json``.
    entry : str, optional
        Which set of weights to read from a PyTorch file that has several.

    Returns
    -------
    Weights

    Raises
    ------
    MissingWeights, IsADirectoryError
        If there is no such file, or one of the list is missing.
    WeightsError
        If a file is damaged, or has no such entry, or does not hold what the list says.
    UnsafeCheckpointError
        If reading a file would mean running code.
    """
    if file.name.endswith(INDEX_SUFFIX):
        found = Weights(_read_shards(file, entry), str(file))
    else:
        found = _read_one(file, entry)
    tensors, prefix = unwrap(found.tensors, str(file))
    return found._replace(tensors=tensors, prefix=prefix)


def _read_one(file: Path, entry: str | None) -> Weights:
    """Read one file of weights."""
    try:
        with file.open("rb") as stream:
            start = stream.read(9)
    except FileNotFoundError:
        raise MissingWeights(f"{file}: no such file") from None
    of_torch = start.startswith((b"PK", *PICKLES)) or file.suffix in TORCH_SUFFIXES
    if of_torch and start[8:] != b"{":
        from . import torch_file  # imported late: most models are safetensors files

        found = torch_file.read(file, entry)
        return Weights(found.tensors, str(file), entry=found.entry, others=found.others)
    if entry is not None:
        raise WeightsError(
            f"{file}: a safetensors file has no entry {shortened(entry)}, only one set of weights"
        )
    return Weights(safetensors_file.read(file)[0], str(file))


def _read_shards(index: Path, entry: str | None) -> Tensors:
    """Read the files of a list; each must hold exactly the tensors that the list expects of it."""
    expected = shards(index)
    if entry is not None:
        raise WeightsError(
            f"{index}: distributed weights have no entry {shortened(entry)}, only one set"
        )
    tensors: Tensors = {}
    for name, names in expected.items():
        shard = index.parent / name
        if not is_file(shard, MissingWeights):
            raise MissingWeights(f"{shard}: no such file; {index.name} lists it: fetch it too")
        found = _read_one(shard, None).tensors
        for kind, wrong in (
            ("lacks", sorted(names - found.keys())),
            ("also holds", sorted(found.keys() - names)),
        ):
            if wrong:
                raise WeightsError(
                    f"{shard}: {kind} {enumerate_names(wrong)}, otherwise than {index.name} says; "
                    "the files are not of one checkpoint, or one is damaged: fetch them again"
                )
        tensors |= found
    return tensors


def shards(index: Path) -> dict[str, set[str]]:
    """Return the names of the tensors that each file of a list must hold.

    Raises
    ------
    MissingWeights
        If there is no list.
    WeightsError
        If it is damaged, or names anything but files of weights beside it.
    """
    if not is_file(index, MissingWeights):
        raise MissingWeights(f"{index}: no such file")
    try:
        mapping = read_object(index).get("weight_map")
    except ConfigError as error:
        raise WeightsError(str(error)) from error
    if not isinstance(mapping, dict) or not mapping:
        raise WeightsError(
            f"{index}: weight_map is {shortened(mapping)}; expected an object with the file of "
            "each tensor"
        )
    files: dict[str, set[str]] = {}
    for tensor, name in mapping.items():
        plain = isinstance(name, str) and Path(name).name == name and "\\" not in name
        if not plain or Path(name).suffix not in SUFFIXES:
            raise WeightsError(
                f"{index}: tensor {shortened(tensor)} is in {shortened(name)}; expected the name "
                f"of a file beside it that ends in {', '.join(SUFFIXES)}"
            )
        files.setdefault(name, set()).add(tensor)
    return files
