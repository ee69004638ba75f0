"""Where the files that come with npformer are, installed or in its repository."""

from __future__ import annotations

from pathlib import Path


def shipped(name: str, folder: str = "weights") -> Path:
    """Return the path of a file or folder that comes with npformer.

    Parameters
    ----------
    name : str
        Relative to the folder: ``"tiny"``, ``"manifest.json"``.
    folder : str
        Of the repository, which has the same path in the installed package.

    Returns
    -------
    Path
        In the installed package, or, where there is no such file, in the repository.
    """
    package = Path(__file__).parents[1]
    installed = package / folder / name
    return installed if installed.exists() else package.parent / folder / name
