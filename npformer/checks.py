"""Checks of values that users set: whatever fails is a `ConfigError` that names the value."""

from __future__ import annotations

import math

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


def is_whole(value: object, *, numpy: bool = False) -> bool:
    """Whether a value is an integer, or with `numpy` one of NumPy's; True and False are not."""
    kinds = (int, np.integer) if numpy else (int,)
    return isinstance(value, kinds) and not isinstance(value, bool)


def is_real(value: object, *, numpy: bool = False) -> bool:
    """Whether a value is a finite real number, or with `numpy` one of NumPy's; True is not."""
    kinds = (float, np.floating) if numpy else (float,)
    return is_whole(value, numpy=numpy) or (isinstance(value, kinds) and math.isfinite(value))


def shortened(value: object) -> str:
    """Return a value as an error message shows it: its beginning, if it is long."""
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
