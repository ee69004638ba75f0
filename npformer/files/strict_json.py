"""Read a JSON object strictly: anything doubtful is refused, and the error says where it is.

Python's ``json`` keeps the last of two equal keys, and accepts ``NaN``. In a configuration both are
mistakes.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

from ..checks import shortened
from ..errors import ConfigError


def read_object(path: str | Path) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Parameters
    ----------
    path : str or path
        A file in UTF-8, without a byte order mark.

    Returns
    -------
    dict

    Raises
    ------
    ConfigError
        If the file is not that; the message names the path and, if possible, the line.
    OSError
        If the file cannot be read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8; save it as UTF-8") from error
    return parse_object(text, str(path))


def parse_object(text: str, place: str) -> dict[str, Any]:
    """Parse the text of one JSON object.

    Parameters
    ----------
    text : str
    place : str
        What error messages call the text.

    Returns
    -------
    dict

    Raises
    ------
    ConfigError
        If the text is not one JSON object, or has two equal keys in one object, NaN, or infinity.
    """

    def refuse_constant(name: str) -> NoReturn:
        raise ConfigError(f"{place}, {_lines(text, name)}: {name} is not a JSON number")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) < len(pairs):
            (key, count), *_ = Counter(key for key, _ in pairs).most_common(1)
            found = _lines(text, re.escape(json.dumps(key, ensure_ascii=False)) + r"\s*:")
            raise ConfigError(f"{place}, {found}: the key {shortened(key)} appears {count} times")
        return values

    if text.startswith("\ufeff"):
        raise ConfigError(
            f"{place}, line 1: begins with a byte order mark; save it as UTF-8 without one"
        )
    try:
        values = json.loads(text, object_pairs_hook=unique, parse_constant=refuse_constant)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{place}, line {error.lineno}, column {error.colno}: not JSON ({error.msg})"
        ) from error
    except RecursionError as error:
        raise ConfigError(f"{place}: nested too deep for a configuration") from error
    except ConfigError:
        raise
    except ValueError as error:  # a whole number of thousands of digits
        raise ConfigError(f"{place}: holds a number that is too long ({error})") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{place}: holds a JSON {type(values).__name__}; expected an object")
    return values


def _lines(text: str, pattern: str) -> str:
    """Name the first two lines where `pattern` occurs."""
    numbers: list[int] = []
    end = 0
    for found in islice(re.finditer(pattern, text), 2):
        numbers.append((numbers or [1])[-1] + text.count("\n", end, found.start()))
        end = found.start()
    return f"line {' and '.join(map(str, numbers))}" if numbers else "line unknown"
