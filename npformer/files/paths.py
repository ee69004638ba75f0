"""Whether what a caller names can be a path."""

from __future__ import annotations

import os
import re
from os import PathLike
from pathlib import Path

from ..errors import ConfigError, NpformerError

# Path("https://a.org/b") has lost a slash. Drives of Windows, such as C:/, have one letter.
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://|(https?|ftp|s3|gs|hf|file):/[^/]", re.IGNORECASE)
_HUB = re.compile(r"https?:/{1,2}(?:huggingface\.co|hf\.co)/([^/?#]+/[^/?#]+)")


def is_address(text: str) -> bool:
    """Whether a text is the address of something elsewhere, such as ``https://…``."""
    return bool(_ADDRESS.match(text))


def as_path(
    place: str | PathLike[str], what: str, error: type[NpformerError], *, model: bool = False
) -> Path:
    """Return a path, with ``~`` replaced by the user's folder.

    Parameters
    ----------
    place : str or path
    what : str
        What error messages call it: the name of the argument.
    error : type
        The error to raise, one of npformer's.
    model : bool
        Whether the name of a model on the Hugging Face Hub will do, too.

    Returns
    -------
    Path

    Raises
    ------
    NpformerError
        Of the given type, if it is an empty text, which Python would take for the current folder,
        or an address.
    """
    text = os.fspath(place)
    if text == "":
        raise error(f'{what} is empty; expected a path, such as "." for the current folder')
    if is_address(text):
        remedy = "download it first, and give its path"
        if model:
            known = _HUB.match(text)
            named = f'"{known[1]}"' if known else '"owner/name"'
            remedy += f", or name the model on the Hugging Face Hub, {named}"
        raise error(f"{text}: is an address, which is not fetched here; {remedy}")
    path = Path(text)
    return path.expanduser() if path.parts and path.parts[0] == "~" else path


def as_html_path(place: str | PathLike[str]) -> Path:
    """Return the path of a page that is to be written.

    Parameters
    ----------
    place : str or path

    Returns
    -------
    Path

    Raises
    ------
    ConfigError
        As in `as_path`, or if it does not end in ``.html`` or ``.htm``.
    """
    path = as_path(place, "the path of the page", ConfigError)
    if path.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"{path}: expected a name that ends in .html, for the page is HTML")
    return path
