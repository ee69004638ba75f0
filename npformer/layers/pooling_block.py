"""Pooling block, the paper's MB4D: a MetaFormer block on images (EfficientFormer, equation 4).

    x ← x + γ₁ · (pool(x) − x)              mix neighboring pixels
    x ← x + γ₂ · conv_mlp(x)                work on each pixel

No norm stands before the pooling: the batch norm that ends the previous block serves.
References: ``EfficientFormerMeta4D`` of transformers, ``MetaBlock2d`` of timm.
"""

from __future__ import annotations

from typing import NamedTuple

from .activations import Activation, gelu
from .arrays import Array
from .conv_mlp import ConvMlp, conv_mlp, conv_mlp_backward
from .dropout import apply_mask
from .layer_scale import LayerScale, layer_scale, layer_scale_backward
from .pooling import pooling, pooling_backward
from .run import EVALUATION, NO_TAPE, Run, Trace


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
    run: Run = EVALUATION,
) -> Array:
    """Mix neighboring pixels, then work on each pixel.

    Parameters
    ----------
    x : ndarray, shape (B, H, W, C)
    p : PoolingBlock
    pool_size : int
        Side of the pooling window, in pixels; odd.
    activation : callable
    eps : float
        ε of the batch norms.
    run : Run
        Records ``token_mixer``, ``ls1``, ``mlp.*``, ``mlp`` and ``ls2``; with drop path, which may
        skip each branch in training, also ``drop_path1.mask`` and ``drop_path2.mask``.

    Returns
    -------
    ndarray, shape (B, H, W, C)

    Raises
    ------
    ValueError
        If the pool size is even or not positive.
    """
    y = run("token_mixer", pooling(x, pool_size))
    x = x + run.drop_path("drop_path1", run("ls1", layer_scale(y, p.ls1)))
    y = run("mlp", conv_mlp(x, p.mlp, activation, eps, run.within("mlp")))
    return x + run.drop_path("drop_path2", run("ls2", layer_scale(y, p.ls2)))


def pooling_block_backward(
    dy: Array,
    x: Array,
    p: PoolingBlock,
    pool_size: int = 3,
    activation: Activation = gelu,
    eps: float = 1e-5,
    tape: Trace = NO_TAPE,
) -> tuple[Array, PoolingBlock]:
    """Gradient of `pooling_block`.

    The gradient of ``x + f(x)`` is ``dy + f_backward(dy)``: dy flows past each branch unchanged,
    and what comes out of the branch is added.

    Parameters
    ----------
    dy, x : ndarray, shape (B, H, W, C)
    p : PoolingBlock
    pool_size, activation, eps
        As in `pooling_block`.
    tape : Trace
        What forward recorded.

    Returns
    -------
    dx : ndarray, shape (B, H, W, C)
    dp : PoolingBlock

    Raises
    ------
    KeyError
        If forward recorded nothing.
    """
    middle = x + apply_mask(tape["ls1"], tape.within("drop_path1"))  # what the MLP saw
    branch = apply_mask(dy, tape.within("drop_path2"))
    branch, dls2 = layer_scale_backward(branch, tape["mlp"], p.ls2)
    branch, dmlp = conv_mlp_backward(branch, middle, p.mlp, activation, eps, tape.within("mlp"))
    dy = dy + branch
    branch = apply_mask(dy, tape.within("drop_path1"))
    branch, dls1 = layer_scale_backward(branch, tape["token_mixer"], p.ls1)
    return dy + pooling_backward(branch, pool_size), PoolingBlock(dls1, dmlp, dls2)
