"""Checks of values that users set: whatever fails is a `ConfigError` that names the value."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .errors import ConfigError

MAX_SHOWN = 200
"""How many characters of a wrong value an error message shows."""


def require(ok: bool, name: str, found: object, expected: object) -> None:
    """Refuse a value unless it is `ok`.

    Parameters
    ----------
    ok : bool
        Whether the value is usable.
    name : str
        What the user calls the value: a key or an argument.
    found, expected : object
        The value itself, and a description of what would be usable.

    Raises
    ------
    ConfigError
        If not `ok`: ``"pool_size is 4; expected an odd number"``.
    """
    if not ok:
        raise ConfigError(f"{name} is {shortened(found)}; expected {expected}")


def require_whole(name: str, value: object, low: int, high: int) -> None:
    """Refuse a value that is not an integer from `low` to `high`.

    Raises
    ------
    ConfigError
        Naming the value and the range.
    """
    ok = isinstance(value, int) and is_whole(value) and low <= value <= high
    require(ok, name, value, f"a whole number from {low} to {high}")


def whole_number(name: str, value: object, low: int, high: int) -> int:
    """Return an integer from `low` to `high` as Python's, also if it is one of NumPy's.

    Raises
    ------
    ConfigError
        If it is anything else, naming the value and the range.
    """
    if isinstance(value, np.integer):
        value = int(value)
    require_whole(name, value, low, high)
    return int(value)  # type: ignore[call-overload]


def at_least_one(name: str, value: object) -> int:
    """Return an integer from 1 as Python's, also if it is one of NumPy's.

    Raises
    ------
    ConfigError
        If it is anything else, naming the value.
    """
    ok = is_whole(value, numpy=True) and value >= 1  # type: ignore[operator]
    require(ok, name, value, "a whole number, 1 or more")
    return int(value)  # type: ignore[call-overload]


def real_number(name: str, value: object, low: float, high: float, *, below: bool = False) -> float:
    """Return a finite real number from `low` to `high` as Python's, also if it is one of NumPy's.

    Parameters
    ----------
    name : str
        What the user calls the value.
    value : object
    low, high : float
    below : bool
        Whether `high` itself is too much.

    Returns
    -------
    float

    Raises
    ------
    ConfigError
        If it is anything else, naming the value and the range.
    """
    ok = is_real(value, numpy=True)
    ok = ok and low <= value <= high and not (below and value == high)  # type: ignore[operator]
    limit = f"a number from {low:g} to {'below ' if below else ''}{high:g}"
    require(ok, name, value, limit)
    return float(value)  # type: ignore[arg-type]


def is_whole(value: object, *, numpy: bool = False) -> bool:
    """Whether a value is an integer, or with `numpy` one of NumPy's; True and False are not."""
    kinds = (int, np.integer) if numpy else (int,)
    return isinstance(value, kinds) and not isinstance(value, bool)


def is_real(value: object, *, numpy: bool = False) -> bool:
    """Whether a value is a finite real number, or with `numpy` one of NumPy's; True is not."""
    kinds = (float, np.floating) if numpy else (float,)
    return is_whole(value, numpy=numpy) or (isinstance(value, kinds) and math.isfinite(value))


def as_python(value: Any) -> Any:
    """Return NumPy's numbers and arrays as Python's, also inside lists, tuples and mappings."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if type(value) in (list, tuple):
        return type(value)(map(as_python, value))
    if type(value) is dict:
        return {as_python(key): as_python(item) for key, item in value.items()}
    return value


def shortened(value: object) -> str:
    """Return a value as an error message shows it: its beginning, if it is long."""
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
