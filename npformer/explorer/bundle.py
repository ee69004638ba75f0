"""Lay JavaScript modules behind each other, so that one page holds them all.

A page that is opened from disk may not load modules from beside it. The modules of the explorer
therefore keep to two forms, ``import { a, b } from "./file.js";`` and ``export`` before a function,
class or constant, and a bundle is their text without these words, each after those that it imports.
"""

from __future__ import annotations

import re
from pathlib import Path

_IMPORT = re.compile(r'^import \{[^}]*\} from "(\.{1,2}/[\w./-]+\.js)";\n', re.M)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const)\b)", re.M)
_NAME = re.compile(r"^(?:async )?(?:function\*?|class|const|let) (\w+)", re.M)


def bundle(entry: Path) -> str:
    """Return one script of a module and all that it imports.

    Parameters
    ----------
    entry : Path

    Returns
    -------
    str
        A script whose names are its own: they are inside of a function.

    Raises
    ------
    ValueError
        If a module imports or exports in another form, or two give the same name to two things.
    """
    done: dict[Path, str] = {}
    _collect(entry.resolve(), done, ())
    owners: dict[str, Path] = {}
    for file, text in done.items():
        for name in _NAME.findall(text):
            if name in owners:
                raise ValueError(f"{file.name} and {owners[name].name} both define {name}")
            owners[name] = file
    body = "\n".join(f"// ---- {file.name}\n{text}" for file, text in done.items())
    return f'(() => {{\n"use strict";\n{body}}})();\n'


def _collect(file: Path, done: dict[Path, str], above: tuple[Path, ...]) -> None:
    """Add a module to `done`, after those that it imports."""
    if file in above:
        raise ValueError(f"{file.name} imports itself, through {above[-1].name}")
    if file in done:
        return
    text = file.read_text("utf-8")
    for address in _IMPORT.findall(text):
        _collect((file.parent / address).resolve(), done, (*above, file))
    text = _EXPORT.sub("", _IMPORT.sub("", text))
    if odd := re.search(r"^(import|export)\b.*", text, re.M):
        raise ValueError(f'{file.name}: "{odd[0]}" is not a form that a bundle can take')
    done[file] = text
