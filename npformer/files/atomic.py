"""Write a file so that other programs see it whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path, mode: int = 0o666) -> Iterator[Path]:
    """Write a file under a temporary name, and rename it once everything has gone well.

    The temporary file is in the same directory, so that renaming it is one step. If the block
    raises, the temporary file is deleted and the old file, if there is one, stays as it was.

    Parameters
    ----------
    path : Path
        The file to write or replace.
    mode : int
        Permissions of the new file, from which the process's umask is subtracted.

    Yields
    ------
    Path
        The temporary file: empty, new, and nobody else's.

    Raises
    ------
    OSError
        If the directory does not exist or cannot be written to.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def json_text(values: dict[str, Any]) -> str:
    """Return a JSON object as transformers writes it: indented, its keys sorted."""
    return json.dumps(values, indent=2, sort_keys=True) + "\n"


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write a JSON object as transformers does; the file appears whole or not at all.

    Parameters
    ----------
    path : Path
    values : dict
        Keys and values that JSON can hold.

    Raises
    ------
    OSError
        If the file cannot be written.
    TypeError, ValueError
        If JSON cannot hold a value; nothing is written.
    """
    with replacing(path) as temporary:
        temporary.write_text(json_text(values), encoding="utf-8")
