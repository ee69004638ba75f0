"""Packages that npformer does not install by itself, imported where they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import MissingPackage


@contextmanager
def optional(package: str, purpose: str, requirement: str) -> Iterator[None]:
    """Import an optional package inside this block, or say how to install it.

    Parameters
    ----------
    package : str
        What the package is called.
    purpose : str
        What needs it, the subject of the message.
    requirement : str
        What pip installs, such as ``"npformer[plot]"``.

    Raises
    ------
    MissingPackage
        If a module is not found.

    Examples
    --------
    >>> with optional("matplotlib", "drawing", "npformer[plot]"):  # doctest: +SKIP
    ...     from matplotlib.figure import Figure
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingPackage(
            f"{purpose} needs {package}, which is not installed ({error}). Install it: "
            f'pip install "{requirement}"'
        ) from error
