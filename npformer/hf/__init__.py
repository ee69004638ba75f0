"""The classes of transformers' EfficientFormer, without PyTorch."""

from .backbone import EfficientFormerBackbone
from .modeling import (
    EfficientFormerForImageClassification,
    EfficientFormerForImageClassificationWithTeacher,
    EfficientFormerModel,
    EfficientFormerPreTrainedModel,
)

__all__ = [
    "EfficientFormerBackbone",
    "EfficientFormerForImageClassification",
    "EfficientFormerForImageClassificationWithTeacher",
    "EfficientFormerModel",
    "EfficientFormerPreTrainedModel",
]
