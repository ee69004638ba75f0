"""Say what a file is that is not what it should be."""

from __future__ import annotations

_STARTS = (
    ((b"<!doctype", b"<html", b"<head", b"<?xml"),
     "this is an HTML page, not weights: the download link was wrong or needs a login"),
    ((b"version https://git-lfs",),
     "this is a Git LFS pointer, not the file itself: fetch it with `git lfs pull`"),
    ((b"\x89hdf",), "this is an HDF5 file (TensorFlow): take the weights for PyTorch"),
    ((b"pk\x03\x04", b"pk\x05\x06"), "this is a zip archive"),
    ((b"\x1f\x8b", b"bzh", b"\xfd7zxz", b"(\xb5/\xfd"), "this file is compressed: unpack it"),
)  # fmt: skip


def what_is(data: bytes) -> str | None:
    """Recognize a file by its first bytes, or return None."""
    if not data:
        return "the file is empty"
    start = data[:200].lstrip().lower()
    return next((said for starts, said in _STARTS if start.startswith(starts)), None)
