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
from .mode import EVALUATION, Mode
from .trace import FORGET, Keep, Trace


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
    keep: Keep = FORGET,
    mode: Mode = EVALUATION,
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
    keep : Keep
        Sees ``conv`` and ``norm``.
    mode : Mode

    Returns
    -------
    ndarray, shape (B, ⌈H/2⌉, ⌈W/2⌉, C')
    """
    x = keep("conv", conv2d(x, p.conv, stride, padding))
    return keep("norm", batch_norm(x, p.norm, eps, mode, keep.within("norm")))


def downsample_backward(
    dy: Array, x: Array, p: Downsample, stride: int, padding: int, eps: float, tape: Trace
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
        What forward kept.

    Returns
    -------
    dx : ndarray of the shape of `x`
    dp : Downsample
    """
    dy, dnorm = batch_norm_backward(dy, tape["conv"], p.norm, eps, tape.within("norm"))
    dx, dconv = conv2d_backward(dy, x, p.conv, stride, padding)
    return dx, Downsample(dconv, dnorm)
