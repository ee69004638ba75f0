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

from .describing import REMEDIES


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
        If the file cannot be written: its directory does not exist or cannot be written to, or the
        disk is full. The message names `path`, whether an old file is still there, and a remedy.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
        try:
            yield temporary
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        # A full disk names no file; what the block read or wrote elsewhere is not about this one.
        if error.filename not in (None, str(temporary), temporary):
            raise
        if error.errno is None:  # said by Python code, such as "short of 3 bytes"
            raise OSError(f"{path}: {error}") from error
        raise _explained(error, path) from error


_REMEDIES = REMEDIES | {
    errno.EISDIR: "choose the name of a file; this is a folder",
    errno.ENOTDIR: "choose a folder that exists",
}
"""What to do if a file cannot be written."""


def _explained(error: OSError, path: Path) -> OSError:
    """Return an error of the same kind about `path`, not about the temporary file."""
    remedy = _REMEDIES.get(error.errno or 0, "try again, or name another place")
    if error.errno == errno.ENOENT:
        remedy = f"create the folder {path.parent} first, or choose another"
    # Unlike Path.is_file, this does not raise the error again.
    kept = "; the old file is as it was" if os.path.isfile(path) else ""
    return OSError(error.errno, f"{error.strerror}: not written{kept}. Remedy: {remedy}", str(path))


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
