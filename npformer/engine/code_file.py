"""The file in which machine code is kept, in the user's cache directory.

``NPFORMER_CACHE_DIR`` names another directory. If it cannot be written to, every process compiles
the kernels again, with one warning. A damaged file is made again, and so is one that another user
may have written.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import warnings
from pathlib import Path

from ..files.atomic import remove_left_over, replacing


def cache_directory() -> Path:
    """Where machine code is kept."""
    if chosen := os.environ.get("NPFORMER_CACHE_DIR"):
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local")) / "npformer"
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/npformer"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "npformer"


def read(name: str) -> bytes | None:
    """Return machine code from the file; None if there is none, or none that may be run.

    Its hash tells whether the file is damaged, not who wrote it. So code that somebody else owns or
    may change is not run, with a warning: the directory may be shared.
    """
    try:
        with (cache_directory() / name).open("rb") as file:
            if stranger := who_else(os.fstat(file.fileno())):
                warnings.warn(
                    f"the compiled kernels in {file.name} {stranger}, and are not run; delete the "
                    "file, or set NPFORMER_CACHE_DIR to a directory of your own",
                    RuntimeWarning,
                    stacklevel=2,
                )
                return None
            data = file.read()
    except (OSError, RuntimeError):  # no file; no home directory
        return None
    digest, code = data[:32], data[32:]
    return code if hashlib.sha256(code).digest() == digest else None


def who_else(status: os.stat_result) -> str | None:
    """Say who beside this user and root may have written a file; None if nobody.

    Parameters
    ----------
    status : os.stat_result
        Of the file. Windows has neither the owners nor the modes, and its cache is the user's own.
    """
    if not hasattr(os, "getuid"):
        return None
    if status.st_uid not in (0, os.getuid()):
        return f"belong to another user ({status.st_uid})"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"may be changed by other users (mode {stat.S_IMODE(status.st_mode):o})"
    return None


def write(name: str, code: bytes) -> None:
    """Keep machine code in the file, which only this user can read; warn if that is impossible."""
    try:
        path = cache_directory() / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        remove_left_over(path, older_than=3600)
        with replacing(path, mode=0o600) as temporary:
            temporary.write_bytes(hashlib.sha256(code).digest() + code)
    except (OSError, RuntimeError) as error:
        warnings.warn(
            f"npformer cannot keep its compiled kernels ({error}) and will compile them in every "
            "process; set NPFORMER_CACHE_DIR to a directory that can be written to",
            RuntimeWarning,
            stacklevel=2,
        )
