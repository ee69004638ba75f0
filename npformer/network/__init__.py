"""The network: its configuration, its parameters, and `forward` and `backward` over its blocks."""

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
from .params import ParamSpec, initialize, param_specs
from .resizing import resize
from .summary import Summary, summarize
from .trace import Trace

__all__ = [
    "EfficientFormer",
    "EfficientFormerConfig",
    "Gradients",
    "Logits",
    "Loss",
    "ParamSpec",
    "Stage",
    "Summary",
    "Trace",
    "backward",
    "features",
    "forward",
    "gradients",
    "heads",
    "heads_backward",
    "initialize",
    "param_specs",
    "resize",
    "stage",
    "stage_backward",
    "stage_sizes",
    "summarize",
    "update_statistics",
]
