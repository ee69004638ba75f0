"""Errors of the operating system in words: what they are about, and what to do."""

from __future__ import annotations

import errno
import os

REMEDIES = {
    errno.ENOSPC: "free space on the disk, or name another place",
    errno.EDQUOT: "free space within your quota, or name another place",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f), or name another place",
    errno.EACCES: "change the permissions, or name another place",
    errno.EPERM: "change the permissions, or name another place",
    errno.EROFS: "name another place, which can be written to",
    errno.ENAMETOOLONG: "choose a shorter name",
}
"""What to do about errors, whether a file was read or written."""


def describe(error: OSError) -> str:
    """Say what an error of the operating system is about, and what to do.

    Parameters
    ----------
    error : OSError
        If its text says already what to do, that is not repeated.

    Returns
    -------
    str
    """
    if error.strerror is None or error.errno is None:
        return str(error)
    if error.filename is None:
        return error.strerror
    text = f"{os.fsdecode(error.filename)}: {error.strerror}"
    remedy = REMEDIES.get(error.errno)
    return text if remedy is None or remedy in error.strerror else f"{text}; {remedy}"
