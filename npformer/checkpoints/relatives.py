"""Recognize the checkpoints of other networks, which share some names with an EfficientFormer.

Sources: the state dicts of timm, transformers, torchvision and the authors' code.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple


class Relative(NamedTuple):
    """Another network, and the tensor that tells."""

    tensor: str
    network: str
    """what comes after "belongs to"; with advice, if there is some"""


_PARTS = (
    (r"backbone\.", "a detector or a checkpoint of OpenMMLab (mmpretrain, mmdetection, EasyCV)"),
    (r".*attention_biases_seg|norm[024]\.",
     "a backbone for detection or segmentation, with different attention biases"),
)  # fmt: skip
"""EfficientFormers as parts of something else."""

_NETWORKS = (
    (r".*\.talking_head[12]\.|.*token_mixer\.(stride_conv|v_local)\."
     r"|.*mlp\.mid(_norm)?\.",
     "EfficientFormerV2, another network of the same authors, which npformer does not have"),
    (r"levit\.|(stem|embedding)\.conv1\.linear\.|patch_embed\.0\.c\.|.*embedding_layer_1\.",
     "LeViT or one of its relatives"),
    (r"poolformer\.|.*\.(layer|res)_scale[12]\.scale$"
     r"|encoder\.patch_embeddings\.\d", "PoolFormer or another MetaFormer"),
    (r"swiftformer\.|.*\.local_representation\.|patch_embed\.patch_embedding\.", "SwiftFormer"),
    (r"mobilenet_v\d\.|conv_stem\.|features\.0\.0\.|efficientnet\.",
     "MobileNet, EfficientNet or one of their relatives"),
    (r"mobilevit(v2)?\.|stages\.\d\.\d\.(transformer|conv1_1x1)\.", "MobileViT"),
    (r"stem\.(0\.)?conv_(kxk|scale)", "FastViT or MobileOne"),
    (r"stem\.conv1\.c\.", "RepViT"),
    (r"stem\.in_conv\.|.*\.ffn1\.m\.", "EfficientViT"),
    (r"pvt(_v2)?\.|.*\.mlp\.dwconv\.", "a Pyramid Vision Transformer (PVT)"),
    (r"convnext(v2)?\.|.*\.blocks\.\d+\.conv_dw\.|stages\.\d\.\d+\.dwconv\.(weight|bias)$",
     "ConvNeXt or one of its relatives"),
    (r"swin(v2)?\.|.*relative_position_bias_table$", "a Swin Transformer"),
    (r"(.*\.)?cls_token$", "a vision transformer (ViT, DeiT)"),
    (r"patch_embed\.proj\.", "a vision transformer, or PoolFormer of its authors"),
    (r"resnet\.|layer[1-4]\.\d+\.conv1\.", "ResNet or one of its relatives"),
)  # fmt: skip
"""The nearest relatives, and those networks that are most often mistaken for one."""


def relative(names: Sequence[str]) -> Relative | None:
    """Return the other network that tensors belong to, or None.

    Parameters
    ----------
    names : sequence of str
        The names of the tensors, without Hugging Face's prefix.

    Returns
    -------
    Relative or None
    """
    for pattern, network in (*_PARTS, *_NETWORKS):
        match = re.compile(pattern).match
        found = next((name for name in names if match(name)), None)
        if found is not None:
            return Relative(found, network)
    return None
