"""Attention block, the paper's MB3D: a MetaFormer block on tokens (EfficientFormer, equation 5).

    x ← x + γ₁ · attention(LN(x))           let all tokens exchange
    x ← x + γ₂ · mlp(LN(x))                 work on each token

It reads like the pooling block with a layer norm before each branch. `Flat` is the one step between
the two worlds. References: ``EfficientFormerMeta3D`` and ``EfficientFormerFlat`` of transformers,
``MetaBlock1d`` and ``Flat`` of timm.
"""

from __future__ import annotations

from typing import NamedTuple

from .activations import Activation, gelu
from .arrays import Array
from .attention import Attention, attention
from .layer_norm import LayerNorm, layer_norm
from .layer_scale import LayerScale, layer_scale
from .mlp import Mlp, mlp
from .trace import FORGET, Keep


class AttentionBlock(NamedTuple):
    """Parameters of an attention block."""

    norm1: LayerNorm
    token_mixer: Attention
    ls1: LayerScale | None
    norm2: LayerNorm
    mlp: Mlp
    ls2: LayerScale | None


class Flat(NamedTuple):
    """The step from images to tokens. It has no parameters, but a place in the list of blocks."""


def attention_block(
    x: Array,
    p: AttentionBlock,
    activation: Activation = gelu,
    eps: float = 1e-12,
    keep: Keep = FORGET,
) -> Array:
    """Let all tokens exchange, then work on each token.

    Parameters
    ----------
    x : ndarray, shape (B, N, C)
    p : AttentionBlock
    activation : callable
    eps : float
        ε of the layer norms.
    keep : Keep
        Sees ``norm1``, ``token_mixer.*``, ``token_mixer``, ``ls1``, ``norm2``, ``mlp.*``, ``mlp``
        and ``ls2``.

    Returns
    -------
    ndarray, shape (B, N, C)
    """
    y = keep("norm1", layer_norm(x, p.norm1, eps))
    y = keep("token_mixer", attention(y, p.token_mixer, keep.within("token_mixer")))
    x = x + keep("ls1", layer_scale(y, p.ls1))
    y = keep("norm2", layer_norm(x, p.norm2, eps))
    y = keep("mlp", mlp(y, p.mlp, activation, keep.within("mlp")))
    return x + keep("ls2", layer_scale(y, p.ls2))


def flat(x: Array) -> Array:
    """Read an image row by row as a sequence of tokens.

    Parameters
    ----------
    x : ndarray, shape (B, H, W, C)

    Returns
    -------
    ndarray, shape (B, H·W, C)
        A view: with channels last, pixels already lie in memory as tokens do.
    """
    B, H, W, C = x.shape
    return x.reshape(B, H * W, C)  # (B, H, W, C) -> (B, N, C)
