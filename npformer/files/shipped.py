"""Where the files are that come with npformer, installed or in its repository."""

from __future__ import annotations

from pathlib import Path


def shipped(name: str) -> Path:
    """Return the path of a file or folder of ``weights``: ``"tiny"``, ``"manifest.json"``."""
    package = Path(__file__).parents[1]
    installed = package / "weights" / name
    return installed if installed.exists() else package.parent / "weights" / name
