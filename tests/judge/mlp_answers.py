"""Answers to the exercises on multilayer perceptrons."""

# fmt: off  (one line for each answer)
from __future__ import annotations

import numpy as np

from npformer.layers import (
    ConvMlp,
    Mlp,
    activation_backward,
    batch_norm,
    batch_norm_backward,
    batch_statistics,
    conv2d,
    conv2d_backward,
    gelu,
    linear,
    linear_backward,
    relu,
    silu,
)

from .students import right, wrong

# mlp

wrong(
    "mlp",
    "no activation",
    "activation",
    lambda x, p, activation=gelu: linear(linear(x, p.fc1), p.fc2),
)
wrong(
    "mlp",
    "activation at the end too",
    "activation|second|twice",
    lambda x, p, activation=gelu: activation(linear(activation(linear(x, p.fc1)), p.fc2)),
)
wrong(
    "mlp",
    "activation at the end instead",
    "activation|order",
    lambda x, p, activation=gelu: activation(linear(linear(x, p.fc1), p.fc2)),
)
wrong(
    "mlp",
    "activation first",
    "activation|order|before",
    lambda x, p, activation=gelu: linear(linear(activation(x), p.fc1), p.fc2),
)
wrong(
    "mlp",
    "relu whatever is asked",
    "relu|activation",
    lambda x, p, activation=gelu: linear(relu(linear(x, p.fc1)), p.fc2),
)
wrong(
    "mlp",
    "gelu whatever is asked",
    "gelu|activation",
    lambda x, p, activation=gelu: linear(gelu(linear(x, p.fc1)), p.fc2),
)
wrong(
    "mlp",
    "x added",
    "x|residual",
    lambda x, p, activation=gelu: x + linear(activation(linear(x, p.fc1)), p.fc2),
)
wrong(
    "mlp",
    "first bias missing",
    "bias|fc1",
    lambda x, p, activation=gelu: linear(activation(x @ p.fc1.weight), p.fc2),
)
wrong(
    "mlp",
    "second bias missing",
    "bias|fc2",
    lambda x, p, activation=gelu: activation(linear(x, p.fc1)) @ p.fc2.weight,
)
wrong(
    "mlp",
    "first bias after the activation",
    "bias|fc1|order|preced",
    lambda x, p, activation=gelu: linear(activation(x @ p.fc1.weight) + p.fc1.bias, p.fc2),
)
wrong(
    "mlp",
    "activation twice",
    "activation|twice",
    lambda x, p, activation=gelu: linear(activation(activation(linear(x, p.fc1))), p.fc2),
)
right(
    "mlp",
    "matrices",
    lambda x, p, activation=gelu: (
        activation(x @ p.fc1.weight + p.fc1.bias) @ p.fc2.weight + p.fc2.bias
    ),
)

# mlp_backward


@wrong("mlp_backward", "activation's gradient missing", "activation")
def _(dy, x, p, activation=gelu, tape=None):
    dh, dfc2 = linear_backward(dy, tape["act"], p.fc2)
    dx, dfc1 = linear_backward(dh, x, p.fc1)
    return dx, Mlp(dfc1, dfc2)


@wrong("mlp_backward", "activation's gradient at its output", "act|fc1|output")
def _(dy, x, p, activation=gelu, tape=None):
    dh, dfc2 = linear_backward(dy, tape["act"], p.fc2)
    dx, dfc1 = linear_backward(activation_backward(dh, tape["act"], activation), x, p.fc1)
    return dx, Mlp(dfc1, dfc2)


@wrong("mlp_backward", "fc2's gradient from before the activation", "fc1|act|before")
def _(dy, x, p, activation=gelu, tape=None):
    dh, dfc2 = linear_backward(dy, tape["fc1"], p.fc2)
    dx, dfc1 = linear_backward(activation_backward(dh, tape["fc1"], activation), x, p.fc1)
    return dx, Mlp(dfc1, dfc2)


@wrong("mlp_backward", "parameters in the other order", "exchang|order|fc1.*fc2|fc2.*fc1")
def _(dy, x, p, activation=gelu, tape=None):
    dh, dfc2 = linear_backward(dy, tape["act"], p.fc2)
    dx, dfc1 = linear_backward(activation_backward(dh, tape["fc1"], activation), x, p.fc1)
    return dx, Mlp(dfc2, dfc1)


@wrong("mlp_backward", "always gelu's derivative", "gelu|activation")
def _(dy, x, p, activation=gelu, tape=None):
    dh, dfc2 = linear_backward(dy, tape["act"], p.fc2)
    dx, dfc1 = linear_backward(activation_backward(dh, tape["fc1"], gelu), x, p.fc1)
    return dx, Mlp(dfc1, dfc2)


@wrong("mlp_backward", "activation applied instead of its derivative", "activation")
def _(dy, x, p, activation=gelu, tape=None):
    dh, dfc2 = linear_backward(dy, tape["act"], p.fc2)
    dx, dfc1 = linear_backward(activation(dh), x, p.fc1)
    return dx, Mlp(dfc1, dfc2)


@wrong("mlp_backward", "residual's gradient added", "dy|residual|add")
def _(dy, x, p, activation=gelu, tape=None):
    dh, dfc2 = linear_backward(dy, tape["act"], p.fc2)
    dx, dfc1 = linear_backward(activation_backward(dh, tape["fc1"], activation), x, p.fc1)
    return dx + dy, Mlp(dfc1, dfc2)


@wrong("mlp_backward", "gradient halves", "factor|0\\.5|half|dx")
def _(dy, x, p, activation=gelu, tape=None):
    dh, dfc2 = linear_backward(dy, tape["act"], p.fc2)
    dx, dfc1 = linear_backward(activation_backward(dh, tape["fc1"], activation), x, p.fc1)
    return dx / 2, Mlp(dfc1, dfc2)


@right("mlp_backward", "hidden computed again")
def _(dy, x, p, activation=gelu, tape=None):
    before = linear(x, p.fc1)
    dh, dfc2 = linear_backward(dy, activation(before), p.fc2)
    dx, dfc1 = linear_backward(activation_backward(dh, before, activation), x, p.fc1)
    return dx, Mlp(dfc1, dfc2)


# conv_mlp


def bn(x, p, eps):
    return batch_norm(x, p, eps)


wrong(
    "conv_mlp",
    "first norm missing",
    "norm1",
    lambda x, p, activation=gelu, eps=1e-5: bn(
        conv2d(activation(conv2d(x, p.fc1)), p.fc2), p.norm2, eps
    ),
)
wrong(
    "conv_mlp",
    "second norm missing",
    "norm2",
    lambda x, p, activation=gelu, eps=1e-5: conv2d(
        activation(bn(conv2d(x, p.fc1), p.norm1, eps)), p.fc2
    ),
)
wrong(
    "conv_mlp",
    "activation before the norm",
    "activation|norm1|order",
    lambda x, p, activation=gelu, eps=1e-5: bn(
        conv2d(bn(activation(conv2d(x, p.fc1)), p.norm1, eps), p.fc2), p.norm2, eps
    ),
)
wrong(
    "conv_mlp",
    "second activation",
    "activation|second",
    lambda x, p, activation=gelu, eps=1e-5: activation(
        bn(conv2d(activation(bn(conv2d(x, p.fc1), p.norm1, eps)), p.fc2), p.norm2, eps)
    ),
)
wrong(
    "conv_mlp",
    "no activation",
    "activation",
    lambda x, p, activation=gelu, eps=1e-5: bn(
        conv2d(bn(conv2d(x, p.fc1), p.norm1, eps), p.fc2), p.norm2, eps
    ),
)
wrong(
    "conv_mlp",
    "x added",
    "x|residual",
    lambda x, p, activation=gelu, eps=1e-5: (
        x + bn(conv2d(activation(bn(conv2d(x, p.fc1), p.norm1, eps)), p.fc2), p.norm2, eps)
    ),
)
wrong(
    "conv_mlp",
    "epsilon not passed on",
    "eps|ε",
    lambda x, p, activation=gelu, eps=1e-5: batch_norm(
        conv2d(activation(batch_norm(conv2d(x, p.fc1), p.norm1)), p.fc2), p.norm2
    ),
)
wrong(
    "conv_mlp",
    "always gelu",
    "gelu|activation",
    lambda x, p, activation=gelu, eps=1e-5: bn(
        conv2d(gelu(bn(conv2d(x, p.fc1), p.norm1, eps)), p.fc2), p.norm2, eps
    ),
)
wrong(
    "conv_mlp",
    "no biases in the convolutions",
    "bias",
    lambda x, p, activation=gelu, eps=1e-5: bn(
        activation(bn(x @ p.fc1.weight[0, 0], p.norm1, eps)) @ p.fc2.weight[0, 0], p.norm2, eps
    ),
)
wrong(
    "conv_mlp",
    "silu",
    "silu|activation|sigmoid",
    lambda x, p, activation=gelu, eps=1e-5: bn(
        conv2d(silu(bn(conv2d(x, p.fc1), p.norm1, eps)), p.fc2), p.norm2, eps
    ),
)
right(
    "conv_mlp",
    "matrices",
    lambda x, p, activation=gelu, eps=1e-5: bn(
        activation(bn(x @ p.fc1.weight[0, 0] + p.fc1.bias, p.norm1, eps)) @ p.fc2.weight[0, 0]
        + p.fc2.bias,
        p.norm2,
        eps,
    ),
)


@wrong("conv_mlp", "batch statistics in the first norm", "batch|statistics")
def _(x, p, activation=gelu, eps=1e-5):
    x = conv2d(x, p.fc1)
    mean, var = batch_statistics(x)
    x = (x - mean) / np.sqrt(var + eps) * p.norm1.weight + p.norm1.bias
    return bn(conv2d(activation(x), p.fc2), p.norm2, eps)


# conv_mlp_backward


def conv_mlp_gradient(
    dy,
    x,
    p,
    activation,
    eps,
    tape,
    act="act",
    pre="norm1",
    act_grad=True,
    norm=True,
    within=True,
    fc1="fc1",
    scale2="fc2",
):
    t2 = tape.within("norm2") if within else ()
    t1 = tape.within("norm1") if within else ()
    dn2 = None
    if norm:
        dy, dn2 = batch_norm_backward(dy, tape[scale2], p.norm2, eps, t2)
    dh, d2 = conv2d_backward(dy, tape[act], p.fc2)
    if act_grad:
        dh = activation_backward(dh, tape[pre], activation)
    dh, dn1 = batch_norm_backward(dh, tape[fc1], p.norm1, eps, t1)
    dx, d1 = conv2d_backward(dh, x, p.fc1)
    return dx, ConvMlp(d1, dn1, d2, dn2 if dn2 is not None else p.norm2)


wrong(
    "conv_mlp_backward",
    "activation forgotten",
    "activation",
    lambda dy, x, p, activation=gelu, eps=1e-5, tape=None: conv_mlp_gradient(
        dy, x, p, activation, eps, tape, act_grad=False
    ),
)
wrong(
    "conv_mlp_backward",
    "activation's input from before the norm",
    "fc1|norm1",
    lambda dy, x, p, activation=gelu, eps=1e-5, tape=None: conv_mlp_gradient(
        dy, x, p, activation, eps, tape, pre="fc1"
    ),
)
wrong(
    "conv_mlp_backward",
    "fc2's input from before the activation",
    "norm1|act",
    lambda dy, x, p, activation=gelu, eps=1e-5, tape=None: conv_mlp_gradient(
        dy, x, p, activation, eps, tape, act="norm1"
    ),
)
wrong(
    "conv_mlp_backward",
    "norm's input after the norm",
    "norm1|fc1",
    lambda dy, x, p, activation=gelu, eps=1e-5, tape=None: conv_mlp_gradient(
        dy, x, p, activation, eps, tape, fc1="norm1"
    ),
)
wrong(
    "conv_mlp_backward",
    "second norm's input after the norm",
    "norm2|fc2",
    lambda dy, x, p, activation=gelu, eps=1e-5, tape=None: conv_mlp_gradient(
        dy, x, p, activation, eps, tape, scale2="norm2"
    ),
)
wrong(
    "conv_mlp_backward",
    "tape not passed to the norms",
    "tape|running|statistics|norm",
    lambda dy, x, p, activation=gelu, eps=1e-5, tape=None: conv_mlp_gradient(
        dy, x, p, activation, eps, tape, within=False
    ),
)
wrong(
    "conv_mlp_backward",
    "epsilon forgotten",
    "eps|ε",
    lambda dy, x, p, activation=gelu, eps=1e-5, tape=None: conv_mlp_gradient(
        dy, x, p, activation, 1e-5, tape
    ),
)
wrong(
    "conv_mlp_backward",
    "gelu fixed",
    "gelu|activation",
    lambda dy, x, p, activation=gelu, eps=1e-5, tape=None: conv_mlp_gradient(
        dy, x, p, gelu, eps, tape
    ),
)


@wrong(
    "conv_mlp_backward", "norms exchanged in the result", "norm1.*norm2|norm2.*norm1|exchang|shape"
)
def _(dy, x, p, activation=gelu, eps=1e-5, tape=None):
    dx, d = conv_mlp_gradient(dy, x, p, activation, eps, tape)
    return dx, ConvMlp(d.fc1, d.norm2, d.fc2, d.norm1)


right(
    "conv_mlp_backward",
    "a helper",
    lambda dy, x, p, activation=gelu, eps=1e-5, tape=None: conv_mlp_gradient(
        dy, x, p, activation, eps, tape
    ),
)
