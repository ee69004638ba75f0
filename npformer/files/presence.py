"""Is there a file, or only its name?"""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import NpformerError


def is_file(path: Path, error: type[NpformerError]) -> bool:
    """Whether there is a file at a path; refuse a name behind which there is none.

    `Path.is_file` says the same of a file that is not there and of a broken link, as a copied cache
    of the hub may contain. But whoever sees a name expects that it is read.

    Parameters
    ----------
    path : Path
    error : type
        The error to raise, one of npformer's.

    Returns
    -------
    bool

    Raises
    ------
    NpformerError
        Of the given type, if `path` is a folder, a broken link or anything else but a file.
    """
    if path.is_file():
        return True
    if not os.path.lexists(path):
        return False
    found = "a folder" if path.is_dir() else "a broken link" if path.is_symlink() else "no file"
    raise error(
        f"{path}: is {found}; expected a file. Copy the file itself to this place (from the cache "
        "of the Hugging Face Hub, with what its links point to), or remove the name"
    )
