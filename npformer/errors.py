"""The errors that npformer raises.

Each message says where the problem is, what was found, what was expected, and what to do.
"""

from __future__ import annotations

MAX_MESSAGE = 2000
"""How many characters a message has at most; what a file contains may be of any length."""


class NpformerError(Exception):
    """Base class of npformer's own errors."""

    def __str__(self) -> str:
        # FileNotFoundError would print its arguments as (errno, text).
        text = str(self.args[0]) if len(self.args) == 1 else super().__str__()
        if len(text) <= MAX_MESSAGE:
            return text
        half = MAX_MESSAGE // 2 - 2
        return f"{text[:half]} … {text[-half:]}"


class ConfigError(NpformerError, ValueError):
    """A configuration that no EfficientFormer can have."""


class ImageError(NpformerError, ValueError):
    """A file or array that cannot be used as an image."""


class WeightsError(NpformerError, ValueError):
    """Tensors that are damaged, missing, unexpected or of the wrong shape."""


class UnsafeCheckpointError(WeightsError):
    """A checkpoint that would have to run code, or that lies about its contents."""


class MissingWeights(WeightsError, FileNotFoundError):  # noqa: N818 - the name says it
    """There are no weights where npformer looked for them."""

    def __new__(cls, *args: object) -> MissingWeights:
        """Make one as an error of the system, which has more fields than that of a value."""
        return FileNotFoundError.__new__(cls, *args)


class RecordingError(NpformerError, ValueError):
    """Recorded arrays, or another implementation, that cannot be compared with a reference."""


class OfflineError(NpformerError, OSError):
    """Weights that have to be downloaded, when that is impossible or forbidden."""


class MissingPackage(NpformerError, ModuleNotFoundError):  # noqa: N818 - the name says it
    """An optional package that is not installed, but that a function needs."""
