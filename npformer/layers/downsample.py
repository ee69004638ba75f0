"""Downsampling between stages (EfficientFormer, section 4.1: the embedding).

    downsample(x) = BN(conv(x))             3×3, stride 2: half the resolution, the next width

There is no activation. References: ``EfficientFormerPatchEmbeddings`` of transformers,
``Downsample`` of timm.
"""

from __future__ import annotations

from typing import NamedTuple

from .arrays import Array
from .batch_norm import BatchNorm, batch_norm, batch_norm_backward
from .conv2d import Conv2d, conv2d, conv2d_backward
from .run import EVALUATION, NO_TAPE, Run, Trace


class Downsample(NamedTuple):
    """Parameters of the step to half the resolution."""

    conv: Conv2d
    norm: BatchNorm


def downsample(
    x: Array,
    p: Downsample,
    stride: int = 2,
    padding: int = 1,
    eps: float = 1e-5,
    run: Run = EVALUATION,
) -> Array:
    """Convolve to half the resolution and the next width, then batch norm.

    Parameters
    ----------
    x : ndarray, shape (B, H, W, C)
    p : Downsample
    stride, padding : int
        Of the convolution, in pixels.
    eps : float
        ε of the batch norm.
    run : Run
        Records ``conv`` and ``norm``; in training also ``norm.*``.

    Returns
    -------
    ndarray, shape (B, ⌈H/2⌉, ⌈W/2⌉, C')

    Raises
    ------
    ValueError
        If the kernel is larger than the padded image, or it would not step forward.
    """
    x = run("conv", conv2d(x, p.conv, stride, padding))
    return run("norm", batch_norm(x, p.norm, eps, run.within("norm")))


def downsample_backward(
    dy: Array,
    x: Array,
    p: Downsample,
    stride: int = 2,
    padding: int = 1,
    eps: float = 1e-5,
    tape: Trace = NO_TAPE,
) -> tuple[Array, Downsample]:
    """Gradient of `downsample`: its steps in reverse, each with the input that it had.

    Parameters
    ----------
    dy : ndarray, shape (B, ⌈H/2⌉, ⌈W/2⌉, C')
    x : ndarray, shape (B, H, W, C)
    p : Downsample
    stride, padding : int
    eps : float
    tape : Trace
        What forward recorded.

    Returns
    -------
    dx : ndarray of the shape of `x`
    dp : Downsample

    Raises
    ------
    KeyError
        If forward recorded nothing.
    """
    dy, dnorm = batch_norm_backward(dy, tape["conv"], p.norm, eps, tape.within("norm"))
    dx, dconv = conv2d_backward(dy, x, p.conv, stride, padding)
    return dx, Downsample(dconv, dnorm)
