"""Recognize a file that is not what it should be, by its first bytes."""

from __future__ import annotations

LENGTH = 262
"""How many bytes `what_is` looks at."""

PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""How pickles begin; the second byte is their protocol."""

_KINDS = (
    ((b"<",), "a web page (HTML or XML); the download link was wrong or needs a login"),
    ((b"version https://git-lfs",),
     "a Git LFS pointer, not the file itself; fetch the file with `git lfs pull`"),
    ((b"\x1f\x8b", b"bzh", b"\xfd7zxz", b"(\xb5/\xfd"), "a compressed file; unpack it"),
    ((b"pk\x03\x04", b"pk\x05\x06"), "a zip archive"),
    ((b"\x89hdf",), "an HDF5 file, such as TensorFlow's weights"),
    ((b"%!ps", b"\xc5\xd0\xd3\xc6"), "a PostScript program, which is not run"),
    ((b"%pdf",), "a PDF document"),
)  # fmt: skip


def what_is(data: bytes) -> str | None:
    """Say what a file is.

    Parameters
    ----------
    data : bytes
        The file, or its beginning.

    Returns
    -------
    str or None
        What comes after "this is", with advice where it is the same for all readers; None if the
        kind is unknown.
    """
    if not data:
        return "empty (0 bytes)"
    if data[257:262] == b"ustar":
        return "a tar archive, as PyTorch wrote before 0.1.10; save it again with a newer PyTorch"
    if data[4:8] == b"ftyp":
        return "an ISO media file, such as HEIC, AVIF or MP4"
    # A byte order mark and blanks may come before text.
    start = data[:LENGTH].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((kind for starts, kind in _KINDS if start.startswith(starts)), None)
