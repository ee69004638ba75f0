"""What can go wrong, by kind.

Every message says where, what was found, what was expected and what to do.
"""


class NpformerError(Exception):
    """Root of all errors that npformer raises on purpose."""


class ConfigError(NpformerError, ValueError):
    """A configuration that no EfficientFormer can have."""


class ImageError(NpformerError, ValueError):
    """A file or array that is not a usable image."""


class WeightsError(NpformerError, ValueError):
    """Tensors that are damaged, missing, unexpected or of the wrong shape."""


class UnsafeCheckpointError(WeightsError):
    """A checkpoint that would have to run code, or lies about its contents."""


class MissingWeights(WeightsError, FileNotFoundError):  # noqa: N818 - reads as what it says
    """No weights are where they were looked for."""

    def __str__(self) -> str:
        # FileNotFoundError would print its arguments as (errno, text).
        return str(self.args[0]) if self.args else ""


class OfflineError(NpformerError, OSError):
    """Weights would have to be downloaded, and that was impossible or forbidden."""


class MissingPackage(NpformerError, ModuleNotFoundError):  # noqa: N818 - reads as what it says
    """A package that this one function needs is not installed."""
