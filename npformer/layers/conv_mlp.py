"""Multilayer perceptron of images (EfficientFormer, equation 4).

    conv_mlp(x) = BN₂(conv₂(act(BN₁(conv₁(x)))))

The same widening by 4 as in `mlp`, for each pixel: the two matrices are 1×1 convolutions, each with
a batch norm, which folds into its convolution at inference. There is an activation after the first
only.
References: ``EfficientFormerConvMlp`` of transformers, ``ConvMlpWithNorm`` of timm.
"""

from __future__ import annotations

from typing import NamedTuple

from .activations import Activation, activation_backward, gelu
from .arrays import Array
from .batch_norm import BatchNorm, batch_norm, batch_norm_backward
from .conv2d import Conv2d, conv2d, conv2d_backward
from .dropout import apply_mask
from .run import EVALUATION, NO_TAPE, Run, Trace


class ConvMlp(NamedTuple):
    """Parameters of an MLP of images, with 1×1 convolutions: C -> 4C -> C."""

    fc1: Conv2d
    norm1: BatchNorm
    fc2: Conv2d
    norm2: BatchNorm


def conv_mlp(
    x: Array,
    p: ConvMlp,
    activation: Activation = gelu,
    eps: float = 1e-5,
    run: Run = EVALUATION,
) -> Array:
    """Two 1×1 convolutions, each with its batch norm, with an activation between.

    Parameters
    ----------
    x : ndarray, shape (B, H, W, C)
    p : ConvMlp
    activation : callable
    eps : float
        ε of the batch norms.
    run : Run
        Records ``fc1``, ``norm1``, ``act``, ``fc2`` and ``norm2``; in training also ``norm1.*``,
        ``norm2.*`` and, with dropout after the activation and the second norm, ``drop1.mask`` and
        ``drop2.mask``.

    Returns
    -------
    ndarray, shape (B, H, W, C)
    """
    x = run("fc1", conv2d(x, p.fc1))  # (B, H, W, C) -> (B, H, W, 4C)
    x = run("norm1", batch_norm(x, p.norm1, eps, run.within("norm1")))
    x = run.dropout("drop1", run("act", activation(x)))
    x = run("fc2", conv2d(x, p.fc2))  # (B, H, W, 4C) -> (B, H, W, C)
    x = run("norm2", batch_norm(x, p.norm2, eps, run.within("norm2")))
    return run.dropout("drop2", x)


def conv_mlp_backward(
    dy: Array,
    x: Array,
    p: ConvMlp,
    activation: Activation = gelu,
    eps: float = 1e-5,
    tape: Trace = NO_TAPE,
) -> tuple[Array, ConvMlp]:
    """Gradient of `conv_mlp`: its steps in reverse, each with the input that it had.

    Parameters
    ----------
    dy, x : ndarray, shape (B, H, W, C)
    p : ConvMlp
    activation, eps
        As in `conv_mlp`.
    tape : Trace
        What forward recorded.

    Returns
    -------
    dx : ndarray, shape (B, H, W, C)
    dp : ConvMlp

    Raises
    ------
    KeyError
        If forward recorded nothing.
    """
    dy = apply_mask(dy, tape.within("drop2"))
    dy, dnorm2 = batch_norm_backward(dy, tape["fc2"], p.norm2, eps, tape.within("norm2"))
    hidden = apply_mask(tape["act"], tape.within("drop1"))  # (B, H, W, 4C), what fc2 saw
    dhidden, dfc2 = conv2d_backward(dy, hidden, p.fc2)
    dhidden = apply_mask(dhidden, tape.within("drop1"))
    dhidden = activation_backward(dhidden, tape["norm1"], activation)
    dhidden, dnorm1 = batch_norm_backward(dhidden, tape["fc1"], p.norm1, eps, tape.within("norm1"))
    dx, dfc1 = conv2d_backward(dhidden, x, p.fc1)
    return dx, ConvMlp(dfc1, dnorm1, dfc2, dnorm2)
