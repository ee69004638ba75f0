"""The network: its sizes, its parameters, and `forward` and `backward` as loops over blocks."""

from .configuration import EfficientFormerConfig
from .model import (
    EfficientFormer,
    Gradients,
    Logits,
    Loss,
    Stage,
    backward,
    features,
    forward,
    gradients,
    heads,
    heads_backward,
    stage,
    stage_backward,
    stage_sizes,
    update_statistics,
)
from .params import blueprint, initialize
from .resizing import resize
from .summary import Summary, summarize
from .trace import Trace

__all__ = [
    "EfficientFormer",
    "EfficientFormerConfig",
    "Gradients",
    "Logits",
    "Loss",
    "Stage",
    "Summary",
    "Trace",
    "backward",
    "blueprint",
    "features",
    "forward",
    "gradients",
    "heads",
    "heads_backward",
    "initialize",
    "resize",
    "stage",
    "stage_backward",
    "stage_sizes",
    "summarize",
    "update_statistics",
]
