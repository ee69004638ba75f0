"""The network: its configuration, its parameters, and `forward` and `backward` over its blocks."""

from .configuration import EfficientFormerConfig
from .heads import Logits, average_heads, average_heads_backward, heads, heads_backward
from .model import (
    EfficientFormer,
    Gradients,
    Loss,
    backward,
    check_input,
    features,
    forward,
    gradients,
    update_statistics,
)
from .params import ParamSpec, initialize, param_specs
from .resizing import resize
from .stage import Stage, block, block_backward, stage, stage_backward, stage_sizes
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
    "average_heads",
    "average_heads_backward",
    "backward",
    "block",
    "block_backward",
    "check_input",
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
