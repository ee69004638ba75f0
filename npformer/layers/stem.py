"""Stem: from pixels to the first features (EfficientFormer, equation 3).

    x ← relu(BN₁(conv₁(x)))                 3×3, stride 2: half the resolution, C₁/2 channels
    x ← relu(BN₂(conv₂(x)))                 3×3, stride 2: a quarter, C₁ channels

Two small convolutions instead of one large kernel with a large stride, which phones run slowly (the
paper's first observation). The activation is ReLU whatever the configuration says, and there is one
after the second batch norm too. References: ``EfficientFormerConvStem`` of transformers, ``Stem4``
of timm.
"""

from __future__ import annotations

from typing import NamedTuple

from .activations import activation_backward, relu
from .arrays import Array
from .batch_norm import BatchNorm, batch_norm, batch_norm_backward
from .conv2d import Conv2d, conv2d, conv2d_backward
from .run import EVALUATION, NO_TAPE, Run, Trace


class Stem(NamedTuple):
    """Parameters of the stem: 3 -> C₁/2 -> C₁ channels."""

    conv1: Conv2d
    norm1: BatchNorm
    conv2: Conv2d
    norm2: BatchNorm


def stem(x: Array, p: Stem, eps: float = 1e-5, run: Run = EVALUATION) -> Array:
    """Embed patches: two convolutions of stride 2, each with batch norm and ReLU.

    Parameters
    ----------
    x : ndarray, shape (B, H, W, 3)
    p : Stem
    eps : float
        ε of the batch norms.
    run : Run
        Records ``conv1``, ``norm1``, ``act1``, ``conv2``, ``norm2`` and ``act2``; in training also
        ``norm1.*`` and ``norm2.*``.

    Returns
    -------
    ndarray, shape (B, ⌈H/4⌉, ⌈W/4⌉, C₁)
    """
    x = run("conv1", conv2d(x, p.conv1, stride=2, padding=1))  # -> (B, H/2, W/2, C₁/2)
    x = run("norm1", batch_norm(x, p.norm1, eps, run.within("norm1")))
    x = run("act1", relu(x))
    x = run("conv2", conv2d(x, p.conv2, stride=2, padding=1))  # -> (B, H/4, W/4, C₁)
    x = run("norm2", batch_norm(x, p.norm2, eps, run.within("norm2")))
    return run("act2", relu(x))


def stem_backward(
    dy: Array, x: Array, p: Stem, eps: float = 1e-5, tape: Trace = NO_TAPE
) -> tuple[Array, Stem]:
    """Gradient of `stem`: its steps in reverse, each with the input that it had.

    Parameters
    ----------
    dy : ndarray, shape (B, ⌈H/4⌉, ⌈W/4⌉, C₁)
    x : ndarray, shape (B, H, W, 3)
    p : Stem
    eps : float
    tape : Trace
        What forward recorded.

    Returns
    -------
    dx : ndarray of the shape of `x`
    dp : Stem

    Raises
    ------
    KeyError
        If forward recorded nothing.
    """
    dy = activation_backward(dy, tape["norm2"], relu)
    dy, dnorm2 = batch_norm_backward(dy, tape["conv2"], p.norm2, eps, tape.within("norm2"))
    dy, dconv2 = conv2d_backward(dy, tape["act1"], p.conv2, stride=2, padding=1)
    dy = activation_backward(dy, tape["norm1"], relu)
    dy, dnorm1 = batch_norm_backward(dy, tape["conv1"], p.norm1, eps, tape.within("norm1"))
    dx, dconv1 = conv2d_backward(dy, x, p.conv1, stride=2, padding=1)
    return dx, Stem(dconv1, dnorm1, dconv2, dnorm2)
