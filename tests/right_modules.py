"""PyTorch's, timm's and transformers' own layers; needs all three."""

from __future__ import annotations

from timm.models import efficientformer as timm
from torch import nn
from transformers import EfficientFormerConfig
from transformers.models.efficientformer import modeling_efficientformer as hf

CONFIG = EfficientFormerConfig(
    hidden_sizes=[4, 6, 6, 8], dim=8, key_dim=3, num_attention_heads=2, attention_ratio=2,
    resolution=2, mlp_expansion_ratio=2, hidden_act="gelu", use_layer_scale=True,
)  # fmt: skip


def original_mlp():
    """The names of the original are timm's here; those of its stem are numbers."""
    return nn.Sequential(
        nn.Conv2d(3, 2, 3, 2, 1), nn.BatchNorm2d(2), nn.ReLU(),
        nn.Conv2d(2, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU(),
    )  # fmt: skip


RIGHT = {
    "linear": lambda: nn.Linear(3, 5),
    "gelu": nn.GELU,
    "softmax": lambda: nn.Softmax(-1),
    "average_pool": lambda: nn.AvgPool2d(3, 1, 1, count_include_pad=False),
    "batch_norm": lambda: nn.BatchNorm2d(3),
    "stem by the original": original_mlp,
    "stem by timm": lambda: timm.Stem4(3, 4),
    "pooling by timm": timm.Pooling,
    "attention by timm": lambda: timm.Attention(8, 3, 2, 2, (2, 3)),
    "mlp by timm": lambda: timm.Mlp(4, 8),
    "conv_mlp by timm": lambda: timm.ConvMlpWithNorm(4, 8),
    "pooling_block by timm": lambda: timm.MetaBlock2d(4, mlp_ratio=2.0),
    "downsample by timm": lambda: timm.Downsample(4, 6),
    "pooling by transformers": lambda: hf.EfficientFormerPooling(3),
    "attention by transformers": lambda: hf.EfficientFormerSelfAttention(8, 3, 2, 2, 2),
    "mlp by transformers": lambda: hf.EfficientFormerDenseMlp(CONFIG, 4, 8),
    "conv_mlp by transformers": lambda: hf.EfficientFormerConvMlp(CONFIG, 4, 8),
    "pooling_block by transformers": lambda: hf.EfficientFormerMeta4D(CONFIG, 4),
    "attention_block by transformers": lambda: hf.EfficientFormerMeta3D(CONFIG, 8),
    "stem by transformers": lambda: hf.EfficientFormerConvStem(CONFIG, 4),
    "downsample by transformers": lambda: hf.EfficientFormerPatchEmbeddings(CONFIG, 4, 6),
}
"""Name of a layer, and whose it is, to a function that makes the module."""
