"""EfficientFormer in plain NumPy: read it, step through it, use it.

>>> import npformer
>>> npformer.classify("coffee.png")  # doctest: +SKIP

The network is in `npformer.layers` and `npformer.model`. Names below are imported on first use, so
that ``import npformer`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "check": "checking",
    "classify": "classification",
    "explain": "explaining",
    "get_num_threads": "engine",
    "load": "classification",
    "open_image": "images",
    "set_num_threads": "engine",
    "Classifier": "classification",
    "Prediction": "classification",
    "Predictions": "classification",
    "EfficientFormerBackbone": "backbone",
    "EfficientFormerConfig": "configuration",
    "EfficientFormerForImageClassification": "modeling",
    "EfficientFormerForImageClassificationWithTeacher": "modeling",
    "EfficientFormerImageProcessor": "image_processing",
    "EfficientFormerModel": "modeling",
    "Explanation": "explaining",
    "Trace": "tables",
}

__all__ = ["__version__", *_HOME]

if TYPE_CHECKING:
    from .backbone import EfficientFormerBackbone as EfficientFormerBackbone
    from .checking import check as check
    from .classification import Classifier as Classifier
    from .classification import Prediction as Prediction
    from .classification import Predictions as Predictions
    from .classification import classify as classify
    from .classification import load as load
    from .configuration import EfficientFormerConfig as EfficientFormerConfig
    from .engine import get_num_threads as get_num_threads
    from .engine import set_num_threads as set_num_threads
    from .explaining import Explanation as Explanation
    from .explaining import explain as explain
    from .image_processing import EfficientFormerImageProcessor as EfficientFormerImageProcessor
    from .images import open_image as open_image
    from .modeling import (
        EfficientFormerForImageClassification as EfficientFormerForImageClassification,
    )
    from .modeling import (
        EfficientFormerForImageClassificationWithTeacher as EfficientFormerForImageClassificationWithTeacher,  # noqa: E501
    )
    from .modeling import EfficientFormerModel as EfficientFormerModel
    from .tables import Trace as Trace


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        try:  # a sub-package that nobody has imported yet, as in npformer.layers.conv2d
            return importlib.import_module(f"{__name__}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
            raise AttributeError(f"module 'npformer' has no attribute {name!r}") from None
    value = getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
