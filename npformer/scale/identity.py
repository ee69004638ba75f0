"""Which run an output belongs to, so that only the same run continues it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConfigError
from ..network.tree import leaves
from ..version import __version__
from .paths import Paths

if TYPE_CHECKING:
    from ..classification import Classifier

_ABOUT_THE_FILE = ("_name_or_path", "torch_dtype", "transformers_version")
"""Keys of a configuration that say nothing about the answers."""
_WORDS = {
    "npformer": "the version of npformer",
    "what": "what is written",
    "model": "the model (its weights, configuration or preprocessing)",
    "engine": "engine",
    "decode": "decode",
    "photographs": "the number of photographs",
    "names": "the list of photographs",
}


def identity(
    model: Classifier, images: Paths, *, what: str, engine: str, decode: str, **more: Any
) -> dict[str, Any]:
    """Return everything that decides the rows of an output.

    Parameters
    ----------
    model : Classifier
    images : Paths
        Their names count, not what is in the files.
    what : str
        ``"answers"`` or ``"features"``.
    engine, decode : str
    **more
        Further options.

    Returns
    -------
    dict
        Values that JSON keeps as they are.
    """
    return {
        "npformer": __version__,
        "what": what,
        "model": fingerprint(model),
        "engine": engine,
        "decode": decode,
        **more,
        "photographs": len(images),
        "names": images.digest(),
    }


def fingerprint(model: Classifier) -> str:
    """Return a hash of all that decides a model's answers, wherever its files are."""
    found = hashlib.sha256()
    settings = model.config.to_dict() | dict.fromkeys(_ABOUT_THE_FILE)
    for values in (settings, model.processor.to_dict()):
        found.update(json.dumps(values, sort_keys=True, default=str).encode())
    for name, array in leaves(model.params):
        found.update(f"{name} {array.dtype} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def check_same(output: str, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse to continue the output of another run.

    Parameters
    ----------
    output : str
    before, now : dict
        Of `identity`.

    Raises
    ------
    ConfigError
        If they differ; the message says in what.
    """
    different = [
        f"{_WORDS.get(key, key)}: {_short(before.get(key))} then, {_short(now.get(key))} now"
        for key in dict.fromkeys((*now, *before))
        if before.get(key) != now.get(key)
    ]
    if different:
        raise ConfigError(
            f"{output} was begun by another run. What differs: {'; '.join(different)}. Repeat the "
            "command as it was to continue it, delete the output, or choose another name"
        )


def _short(value: Any) -> str:
    text = str(value)
    return f"{text[:8]}…" if len(text) == 64 else text
