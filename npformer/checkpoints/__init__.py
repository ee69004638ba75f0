"""Bytes on disk and on the hub ⇄ the tree of parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .assemble import assemble, state_dict
from .folder import Checkpoint, read, write
from .infer import infer_config
from .naming import NAMINGS, Naming, detect, names
from .precision import read_any

if TYPE_CHECKING:
    from .conversion import Conversion, convert

__all__ = [
    "NAMINGS",
    "Checkpoint",
    "Conversion",
    "Naming",
    "assemble",
    "convert",
    "detect",
    "infer_config",
    "names",
    "read",
    "read_any",
    "state_dict",
    "write",
]


def __getattr__(name: str) -> Any:
    # Classifying a photograph must not wait for what only converting needs.
    if name not in ("Conversion", "convert"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import conversion

    return getattr(conversion, name)
