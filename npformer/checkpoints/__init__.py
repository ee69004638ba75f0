"""Bytes on disk and on the hub ⇄ the tree of parameters."""

from .assemble import assemble, state_dict
from .convert import Conversion, convert
from .folder import Checkpoint, read, write
from .infer import infer_config
from .spellings import SPELLINGS, Spelling, detect, names

__all__ = [
    "SPELLINGS",
    "Checkpoint",
    "Conversion",
    "Spelling",
    "assemble",
    "convert",
    "detect",
    "infer_config",
    "names",
    "read",
    "state_dict",
    "write",
]
