"""Pooling block, the paper's MB4D: a MetaFormer block on images (EfficientFormer, equation 4).

    x ← x + γ₁ · (pool(x) − x)              mix neighbouring pixels
    x ← x + γ₂ · conv_mlp(x)                work on each pixel

No norm stands before the pooling: the batch norm that ends the previous block serves.
References: ``EfficientFormerMeta4D`` of transformers, ``MetaBlock2d`` of timm.
"""

from __future__ import annotations

from typing import NamedTuple

from .activations import Activation, gelu
from .arrays import Array
from .conv_mlp import ConvMlp, conv_mlp
from .layer_scale import LayerScale, layer_scale
from .pooling import pooling
from .trace import FORGET, Keep


class PoolingBlock(NamedTuple):
    """Parameters of a pooling block. Its token mixer has none."""

    ls1: LayerScale | None
    mlp: ConvMlp
    ls2: LayerScale | None


def pooling_block(
    x: Array,
    p: PoolingBlock,
    pool_size: int = 3,
    activation: Activation = gelu,
    eps: float = 1e-5,
    keep: Keep = FORGET,
) -> Array:
    """Mix neighbouring pixels, then work on each pixel.

    Parameters
    ----------
    x : ndarray, shape (B, H, W, C)
    p : PoolingBlock
    pool_size : int
        Side of the pooling window, in pixels; odd.
    activation : callable
    eps : float
        ε of the batch norms.
    keep : Keep
        Sees ``token_mixer``, ``ls1``, ``mlp.*``, ``mlp`` and ``ls2``.

    Returns
    -------
    ndarray, shape (B, H, W, C)
    """
    y = keep("token_mixer", pooling(x, pool_size))
    x = x + keep("ls1", layer_scale(y, p.ls1))
    y = keep("mlp", conv_mlp(x, p.mlp, activation, eps, keep.within("mlp")))
    return x + keep("ls2", layer_scale(y, p.ls2))
