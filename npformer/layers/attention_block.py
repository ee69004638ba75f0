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
from .attention import Attention, attention, attention_backward
from .dropout import apply_mask
from .layer_norm import LayerNorm, layer_norm, layer_norm_backward
from .layer_scale import LayerScale, layer_scale, layer_scale_backward
from .mlp import Mlp, mlp, mlp_backward
from .run import EVALUATION, NO_TAPE, Run, Trace


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
    run: Run = EVALUATION,
) -> Array:
    """Let all tokens exchange, then work on each token.

    Parameters
    ----------
    x : ndarray, shape (B, N, C)
    p : AttentionBlock
    activation : callable
    eps : float
        ε of the layer norms.
    run : Run
        Records ``norm1``, ``token_mixer.*``, ``token_mixer``, ``ls1``, ``norm2``, ``mlp.*``,
        ``mlp`` and ``ls2``; with drop path, which may skip each branch in training, also
        ``drop_path1.mask`` and ``drop_path2.mask``.

    Returns
    -------
    ndarray, shape (B, N, C)

    Raises
    ------
    ValueError
        If N is not the number of grid points that the attention biases were learned for.
    """
    y = run("norm1", layer_norm(x, p.norm1, eps))
    y = run("token_mixer", attention(y, p.token_mixer, run.within("token_mixer")))
    x = x + run.drop_path("drop_path1", run("ls1", layer_scale(y, p.ls1)))
    y = run("norm2", layer_norm(x, p.norm2, eps))
    y = run("mlp", mlp(y, p.mlp, activation, run.within("mlp")))
    return x + run.drop_path("drop_path2", run("ls2", layer_scale(y, p.ls2)))


def attention_block_backward(
    dy: Array,
    x: Array,
    p: AttentionBlock,
    activation: Activation = gelu,
    eps: float = 1e-12,
    tape: Trace = NO_TAPE,
) -> tuple[Array, AttentionBlock]:
    """Gradient of `attention_block`: past each branch unchanged, plus what comes out of it.

    Parameters
    ----------
    dy, x : ndarray, shape (B, N, C)
    p : AttentionBlock
    activation, eps
        As in `attention_block`.
    tape : Trace
        What forward recorded.

    Returns
    -------
    dx : ndarray, shape (B, N, C)
    dp : AttentionBlock

    Raises
    ------
    KeyError
        If forward recorded nothing.
    """
    middle = x + apply_mask(tape["ls1"], tape.within("drop_path1"))  # what the second norm saw
    branch = apply_mask(dy, tape.within("drop_path2"))
    branch, dls2 = layer_scale_backward(branch, tape["mlp"], p.ls2)
    branch, dmlp = mlp_backward(branch, tape["norm2"], p.mlp, activation, tape.within("mlp"))
    branch, dnorm2 = layer_norm_backward(branch, middle, p.norm2, eps)
    dy = dy + branch
    branch = apply_mask(dy, tape.within("drop_path1"))
    branch, dls1 = layer_scale_backward(branch, tape["token_mixer"], p.ls1)
    branch, dmixer = attention_backward(
        branch, tape["norm1"], p.token_mixer, tape.within("token_mixer")
    )
    branch, dnorm1 = layer_norm_backward(branch, x, p.norm1, eps)
    return dy + branch, AttentionBlock(dnorm1, dmixer, dls1, dnorm2, dmlp, dls2)


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
