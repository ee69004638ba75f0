"""Choose the weights among all that a training program has saved in one file.

Such a file is a dict: the weights under a key such as ``"model"``, often their average under
another, and beside them the states of optimizer, scheduler and random generators. Or the file
holds nothing but the weights. Nobody has settled the keys; so a set of weights is recognized by
the names of its tensors, and the usual keys only decide which of several sets is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote
from typing import Any, NamedTuple

from ..checks import shortened
from ..errors import UnsafeCheckpointError, WeightsError
from .prefixes import is_recognized
from .torch_objects import OtherTensor, TensorRef
from .torch_pickle import Interpreted

ENTRIES = (
    "model", "state_dict", "model_state_dict", "model_state", "net", "network", "weights",
    "model_ema", "state_dict_ema", "ema", "ema_state_dict", "model_ema_state_dict",
)  # fmt: skip
"""Keys under which training programs store weights; the first that exists is read."""

MAX_DEPTH = 3
MAX_DICTS = 1000
"""How far to look for weights: dicts in dicts, and how many of them."""


class Entry(NamedTuple):
    """A set of weights in a file, not yet read."""

    name: str | None
    """its key, with dots between the keys of dicts in dicts; None if the file is nothing else"""
    tensors: dict[str, TensorRef]
    others: tuple[str, ...]
    """keys of the other sets of weights in the file"""


def choose(file: Interpreted, entry: str | None, source: str) -> Entry:
    """Return the set of weights that is wanted.

    Parameters
    ----------
    file : Interpreted
        What is in the file.
    entry : str, optional
        The key of the wanted set; by default the only one that belongs to an EfficientFormer, or
        the first of `ENTRIES`.
    source : str
        What error messages call the file.

    Returns
    -------
    Entry

    Raises
    ------
    WeightsError
        If there are no weights, several under unusual keys, or something else among them.
    UnsafeCheckpointError
        If there are no weights, and whatever else there is would have to be run.
    """
    sets = dict(_sets(file.value))
    known = [name for name, tensors in sets.items() if is_recognized(_texts(tensors))]
    ranks = {name: rank for name in known or sets if (rank := _rank(name)) is not None}
    usual = sorted(ranks, key=ranks.__getitem__)
    if entry is not None:
        name: str | None = entry
        if entry not in sets:
            raise _without_weights(file, shortened(entry), source)
    elif len(known) == 1 or usual:
        name = known[0] if len(known) == 1 else usual[0]
    elif known:
        raise WeightsError(
            f"{source}: it holds several sets of weights: {_listed(known)}. Choose by "
            f"{how_to_choose(known[0])}"
        )
    else:
        raise _without_weights(file, f"any of {', '.join(ENTRIES)}", source)
    others = tuple(other for other in known if other is not None and other != name)
    return Entry(name, _only_tensors(sets[name], name in known, source), others)


def how_to_choose(entry: str | None) -> str:
    """Say which argument, and which option of a command, takes a set of weights."""
    return f"entry={entry!r}, or --entry {quote(str(entry))} in a command"


def _sets(value: Any) -> Iterator[tuple[str | None, dict[Any, Any]]]:
    """Yield the dicts that contain tensors, by their keys; None for the whole file."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), value)]
    for keys, found in waiting:
        if not isinstance(found, dict):
            continue
        if any(map(_is_tensor, found.values())):
            yield ".".join(keys) if keys else None, found
        for key, inner in found.items():
            if isinstance(key, str) and isinstance(inner, dict) and len(keys) < MAX_DEPTH:
                waiting.extend([((*keys, key), inner)] if len(waiting) < MAX_DICTS else [])


def _rank(name: str | None) -> tuple[int, int] | None:
    """Return the order among usual keys: those of outer dicts first, then as in `ENTRIES`."""
    if name is None:
        return (0, len(ENTRIES))
    *outer, last = name.split(".")
    return (len(outer), ENTRIES.index(last)) if last in ENTRIES else None


def _only_tensors(found: dict[Any, Any], known: bool, source: str) -> dict[str, TensorRef]:
    """Return the tensors of a set; refuse anything else that has the name of a parameter.

    Every parameter of an EfficientFormer has a dot in its name. A number, a text or a dict without
    one stands beside the weights.
    """
    tensors = {}
    for name, value in found.items():
        beside = isinstance(name, str) and "." not in name and not _is_tensor(value)
        if isinstance(name, str) and isinstance(value, TensorRef):
            tensors[name] = value
        elif isinstance(value, OtherTensor):
            raise WeightsError(
                f"{source}: tensor {_shown(name)} is {value.kind}, which npformer does not read. "
                "Where the file was made, save the weights as plain numbers: "
                "{name: tensor.float() for name, tensor in model.state_dict().items()}"
            )
        elif not (known and beside):
            raise WeightsError(
                f"{source}: {_shown(name)} is a {type(value).__name__} among tensors; expected "
                "what model.state_dict() returns"
            )
    return tensors


def _without_weights(file: Interpreted, wanted: str, source: str) -> WeightsError:
    value = file.value
    found = _listed(list(value)) if isinstance(value, dict) else "no dict"
    text = f"{source}: it holds no weights under {wanted}: {found or 'nothing'}"
    if not file.strangers:
        return WeightsError(f"{text}; expected what torch.save writes")
    return UnsafeCheckpointError(
        f"{text}. It wants {', '.join(file.strangers)}, which would run code. Only tensors are "
        "read: where the file was made, save only model.state_dict(), preferably as safetensors"
    )


def _is_tensor(value: Any) -> bool:
    return isinstance(value, (TensorRef, OtherTensor))


def _texts(tensors: dict[Any, Any]) -> list[str]:
    return [name for name in tensors if isinstance(name, str)]


def _listed(keys: list[Any]) -> str:
    return ", ".join(map(_shown, keys[:5])) + (", …" if len(keys) > 5 else "")


def _shown(key: Any) -> str:
    """Return a key as a message shows it."""
    if key is None:
        return "the file itself"
    return shortened(key) if isinstance(key, (str, int)) else f"a key that is a {key.kind}"
