"""Write a file so that other programs see it whole or not at all."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from time import time
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
        If the directory does not exist or cannot be written to, or no space is left; it names
        `path`, not the temporary file.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
    except OSError as error:
        raise _about(path, error) from error
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.filename in (None, str(temporary), temporary):
            raise _about(path, error) from error
        raise


def _about(path: Path, error: OSError) -> OSError:
    """Return the error as one that names the file which was to be written."""
    if error.errno is None:
        return OSError(f"{path}: {error}")
    if error.errno == errno.ENOENT:
        return FileNotFoundError(error.errno, "There is no such folder", str(path.parent))
    return OSError(error.errno, error.strerror, str(path))


def remove_left_over(path: Path, older_than: float = 0.0) -> None:
    """Delete temporary files that `replacing` left because its process was killed.

    Parameters
    ----------
    path : Path
        The file that they were to replace.
    older_than : float
        In seconds; younger files may belong to a process that is still writing.
    """
    pattern = f".{escape(path.name)}.{16 * '[0-9a-f]'}"
    for left_over in path.parent.glob(pattern):
        with suppress(OSError):  # another process has deleted it, or it is not ours
            if time() - left_over.stat().st_mtime >= older_than:
                left_over.unlink()


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
