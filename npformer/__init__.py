"""EfficientFormer in plain NumPy: read it, step through it, use it.

>>> import npformer
>>> npformer.classify("coffee.png")  # doctest: +SKIP

The layers are in `npformer.layers`, one concept a file, and the whole network is in
`npformer.network`. Every name is imported on first use, so ``import npformer`` takes only
milliseconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import __version__

_NAMES = {
    "classification": ("Classifier", "Prediction", "Predictions", "classify", "load"),
    "engine": ("get_num_threads", "set_num_threads"),
    "errors": (
        "ConfigError",
        "ImageError",
        "MissingPackage",
        "MissingWeights",
        "NpformerError",
        "OfflineError",
        "RecordingError",
        "UnsafeCheckpointError",
        "WeightsError",
    ),
    "explorer.page": ("Exploration", "explore"),
    "hf.auto": (
        "AutoConfig",
        "AutoImageProcessor",
        "AutoModel",
        "AutoModelForImageClassification",
        "pipeline",
    ),
    "hf.backbone": ("EfficientFormerBackbone",),
    "hf.modeling": (
        "EfficientFormerForImageClassification",
        "EfficientFormerForImageClassificationWithTeacher",
        "EfficientFormerModel",
    ),
    "hf.pretrained": ("EfficientFormerPreTrainedModel",),
    "images.open": ("open_image",),
    "images.processor": ("EfficientFormerImageProcessor",),
    "network.configuration": ("EfficientFormerConfig",),
    "network.trace": ("Trace",),
    "quantization": ("quantize",),
    "teach.checking": ("check",),
    "teach.explaining": ("explain",),
    "teach.explanation": ("Explanation",),
    "testing.compare.comparing": ("compare",),
    "testing.compare.comparison": ("Comparison",),
}
"""Functions and classes that are imported from here, by the module that defines them."""

_HOME = {name: module for module, names in _NAMES.items() for name in names}

_MODULES = {
    "bench": "bench",
    "checkpoints": "checkpoints",
    "data": "data",
    "engine": "engine",
    "errors": "errors",
    "explorer": "explorer",
    "hf": "hf",
    "images": "images",
    "kernels": "kernels",
    "layers": "layers",
    "learn": "learn",
    "network": "network",
    "scale": "scale",
    "plots": "teach.plots",
    "testing": "testing",
    "teach": "teach",
}
"""Modules that are attributes without an import of their own, and where they are."""

__all__ = ["__version__", *_HOME]

if TYPE_CHECKING:
    from . import bench as bench
    from . import checkpoints as checkpoints
    from . import data as data
    from . import engine as engine
    from . import errors as errors
    from . import explorer as explorer
    from . import hf as hf
    from . import images as images
    from . import kernels as kernels
    from . import layers as layers
    from . import learn as learn
    from . import network as network
    from . import scale as scale
    from . import teach as teach
    from . import testing as testing
    from .classification import Classifier as Classifier
    from .classification import Prediction as Prediction
    from .classification import Predictions as Predictions
    from .classification import classify as classify
    from .classification import load as load
    from .engine import get_num_threads as get_num_threads
    from .engine import set_num_threads as set_num_threads
    from .errors import ConfigError as ConfigError
    from .errors import ImageError as ImageError
    from .errors import MissingPackage as MissingPackage
    from .errors import MissingWeights as MissingWeights
    from .errors import NpformerError as NpformerError
    from .errors import OfflineError as OfflineError
    from .errors import RecordingError as RecordingError
    from .errors import UnsafeCheckpointError as UnsafeCheckpointError
    from .errors import WeightsError as WeightsError
    from .explorer.page import Exploration as Exploration
    from .explorer.page import explore as explore
    from .hf.auto import AutoConfig as AutoConfig
    from .hf.auto import AutoImageProcessor as AutoImageProcessor
    from .hf.auto import AutoModel as AutoModel
    from .hf.auto import AutoModelForImageClassification as AutoModelForImageClassification
    from .hf.auto import pipeline as pipeline
    from .hf.backbone import EfficientFormerBackbone as EfficientFormerBackbone
    from .hf.modeling import (
        EfficientFormerForImageClassification as EfficientFormerForImageClassification,
    )
    from .hf.modeling import (
        EfficientFormerForImageClassificationWithTeacher as EfficientFormerForImageClassificationWithTeacher,  # noqa: E501
    )
    from .hf.modeling import EfficientFormerModel as EfficientFormerModel
    from .hf.pretrained import EfficientFormerPreTrainedModel as EfficientFormerPreTrainedModel
    from .images.open import open_image as open_image
    from .images.processor import EfficientFormerImageProcessor as EfficientFormerImageProcessor
    from .network.configuration import EfficientFormerConfig as EfficientFormerConfig
    from .network.trace import Trace as Trace
    from .quantization import quantize as quantize
    from .teach import plots as plots
    from .teach.checking import check as check
    from .teach.explaining import explain as explain
    from .teach.explanation import Explanation as Explanation
    from .testing.compare.comparing import compare as compare
    from .testing.compare.comparison import Comparison as Comparison

else:  # type checkers would take a module with __getattr__ to have any name

    def __getattr__(name: str) -> Any:
        if name in _HOME:
            value = getattr(import_module(f".{_HOME[name]}", __name__), name)
        elif name in _MODULES:
            value = import_module(f".{_MODULES[name]}", __name__)
        else:
            from .network.hf_methods import LIBRARY

            words = f"; instead: {LIBRARY[name]}" if name in LIBRARY else ""
            raise AttributeError(f"module 'npformer' has no attribute {name!r}{words}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES])
