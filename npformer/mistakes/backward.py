"""Typical mistakes in gradients."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..layers import (
    Activation,
    Array,
    Attention,
    AttentionBlock,
    BatchNorm,
    Conv2d,
    ConvMlp,
    Downsample,
    LayerNorm,
    LayerScale,
    Linear,
    Mlp,
    Mode,
    PoolingBlock,
    Stem,
    Trace,
    activation_backward,
    attention,
    attention_backward,
    attention_block,
    attention_block_backward,
    batch_norm,
    batch_norm_backward,
    bias_table_backward,
    conv2d,
    conv2d_backward,
    conv_mlp,
    conv_mlp_backward,
    cross_entropy_backward,
    downsample,
    downsample_backward,
    gelu,
    gelu_new,
    head_sizes,
    layer_norm_backward,
    layer_scale_backward,
    linear,
    linear_backward,
    mlp,
    mlp_backward,
    patches,
    patches_backward,
    pooling_backward,
    pooling_block,
    pooling_block_backward,
    relu,
    softmax,
    softmax_backward,
    stem,
    stem_backward,
)
from ..layers.attention import distances, merge_heads, split_heads
from ..layers.pooling import window_area, window_sum
from ..tree import transform
from .exercise import Draw, Table, without_bias

BACKWARD = Table()


def _like(d: Draw, y: Array) -> Array:
    """Draw a gradient of the shape of an output."""
    return d.array(*y.shape)


def _but(f: Callable[..., Any], change: Callable[..., Any]) -> Callable[..., Any]:
    """Return a backward function with its ``dp`` changed; `change` takes dp and all arguments."""

    def g(*args: Any) -> Any:
        dx, dp = f(*args)
        return dx, change(dp, *args)

    return g


def _mean_over_batch(f: Callable[..., Any]) -> Callable[..., Any]:
    """Gradients of the parameters divided by the number of images."""
    return _but(f, lambda dp, dy, *_: transform(lambda leaf: leaf / len(dy), dp))


_SUM = (
    "mean instead of sum",
    "Every image used the same parameters, so their gradient is the sum over the batch. (If the "
    "loss is a mean, dy is already small.)",
)

# --- linear and convolution -------------------------------------------------------------------


def _draw_linear(d: Draw) -> tuple[Any, ...]:
    C_in, C_out = d.size(2), d.size(2)
    shape = d.choice((2, C_in), (d.size(), d.size(), C_in), (d.size(), d.size(), d.size(), C_in))
    x, p = d.array(*shape), d.linear(C_in, C_out)
    return _like(d, linear(x, p)), x, p


def _weight_gradient(dy: Array, x: Array) -> Array:
    return np.asarray(x.reshape(-1, x.shape[-1]).T @ dy.reshape(-1, dy.shape[-1]))


BACKWARD.add(
    "linear_backward",
    linear_backward,
    _draw_linear,
    (
        "transposed weight",
        "Back through y = x W the gradient goes by the transpose: dx = dy Wᵀ.",
        lambda dy, x, p: (dy @ p.weight, linear_backward(dy, x, p)[1]),
    ),
    (
        "transposed gradient",
        "dW has the shape of W, (C_in, C_out): it is xᵀ dy, not dyᵀ x.",
        lambda dy, x, p: (
            dy @ p.weight.T,
            Linear(_weight_gradient(x, dy), dy.reshape(-1, dy.shape[-1]).sum(0)),
        ),
    ),
    (*_SUM, _mean_over_batch(linear_backward)),
    (
        "mean instead of sum",
        "db is the sum of dy over the batch and all positions, not the mean.",
        lambda dy, x, p: (
            dy @ p.weight.T,
            Linear(_weight_gradient(dy, x), dy.reshape(-1, dy.shape[-1]).mean(0)),
        ),
    ),
    (
        "missing sum over positions",
        "b was added at every position: db sums over all axes but the last.",
        lambda dy, x, p: (dy @ p.weight.T, Linear(_weight_gradient(dy, x), dy.sum(0))),
    ),
)


def _draw_conv(d: Draw) -> tuple[Any, ...]:
    C_in, C_out = d.size(), d.size()
    kh, kw = d.choice((2, 2), (3, 3), (1, 1), (2, 3))
    x, p = d.images(C_in, least=3), d.conv2d(C_in, C_out, kh, kw)
    how = (d.choice(1, 2), d.choice(0, 1)) if d.level else ()
    return _like(d, conv2d(x, p, *how)), x, p, *how


def _overwriting(
    dy: Array, shape: tuple[int, ...], kh: int, kw: int, stride: int = 1, padding: int = 0
) -> Array:
    """Windows that overwrite each other where they overlap."""
    B, H, W, C = shape
    rows, columns = dy.shape[1:3]
    dy = dy.reshape(B, rows, columns, kh, kw, C)
    dx = np.zeros((B, H + 2 * padding, W + 2 * padding, C), dy.dtype)
    for i in range(rows):
        for j in range(columns):
            dx[:, stride * i : stride * i + kh, stride * j : stride * j + kw] = dy[:, i, j]
    return dx[:, padding : padding + H, padding : padding + W]


def _uncropped(
    dy: Array, shape: tuple[int, ...], kh: int, kw: int, stride: int = 1, padding: int = 0
) -> Array:
    B, H, W, C = shape
    whole = (B, H + 2 * padding, W + 2 * padding, C)
    return patches_backward(dy, whole, kh, kw, stride)


def _conv_with(
    scatter: Callable[..., Array],
) -> Callable[..., tuple[Array, Conv2d]]:
    """conv2d_backward with another way back from windows to pixels."""

    def f(
        dy: Array, x: Array, p: Conv2d, stride: int = 1, padding: int = 0
    ) -> tuple[Array, Conv2d]:
        kh, kw, _, C_out = p.weight.shape
        dwindows = dy @ p.weight.reshape(-1, C_out).T
        dp = conv2d_backward(dy, x, p, stride, padding)[1]
        return scatter(dwindows, x.shape, kh, kw, stride, padding), dp

    return f


_SCATTER = (
    (
        "overlaps lost",
        "Where windows overlap, a pixel receives the sum of what all of them send back: += instead "
        "of =.",
        _overwriting,
    ),
    (
        "padding not cut off",
        "The zeros around the image take part in forward, but they are no pixels: cut their "
        "gradient off.",
        _uncropped,
    ),
)

BACKWARD.add(
    "conv2d_backward",
    conv2d_backward,
    _draw_conv,
    *((kind, hint, _conv_with(f)) for kind, hint, f in _SCATTER),
    (
        "flipped kernel",
        "Each tap of dW belongs to the tap of W at the same place; yours is turned around.",
        _but(conv2d_backward, lambda dp, *_: dp._replace(weight=dp.weight[::-1, ::-1])),
    ),
    (*_SUM, _mean_over_batch(conv2d_backward)),
    (
        "missing bias gradient",
        "db is the sum of dy over the batch, the rows and the columns.",
        _but(conv2d_backward, lambda dp, *_: without_bias(dp)),
    ),
)


def _draw_patches(d: Draw) -> tuple[Any, ...]:
    kh, kw = d.choice((2, 2), (3, 3), (1, 1), (2, 3))
    x = d.images(least=3)
    how = (d.choice(1, 2), d.choice(0, 1)) if d.level else ()
    return _like(d, patches(x, kh, kw, *how)), x.shape, kh, kw, *how


BACKWARD.add("patches_backward", patches_backward, _draw_patches, *_SCATTER)

# --- norms and layer scale --------------------------------------------------------------------


def _draw_batch_norm(d: Draw) -> tuple[Any, ...]:
    C = d.size(2)
    x, p = d.images(C), d.batch_norm(C)
    dy = _like(d, x)
    if not d.level:
        return dy, x, p
    eps, tape = d.choice(1e-5, 1e-2, 0.5), Trace()
    batch_norm(x, p, eps, Mode(batch_statistics=d.choice(False, True)), tape)
    return dy, x, p, eps, tape


def _batch_norm_through(
    dy: Array,
    x: Array,
    p: BatchNorm,
    eps: float = 1e-5,
    tape: Any = (),
    mean: int = 1,
    var: int = 1,
) -> tuple[Array, BatchNorm]:
    """batch_norm_backward, with the paths through mean and variance on or off."""
    dx, dp = batch_norm_backward(dy, x, p, eps, tape)
    if "mean" in tape:
        axes = tuple(range(x.ndim - 1))
        sigma = np.sqrt(tape["var"] + eps)
        x_hat = (x - tape["mean"]) / sigma
        g = dy * p.weight
        dx = (g - mean * g.mean(axes) - var * x_hat * (g * x_hat).mean(axes)) / sigma
    return dx, dp


_PATH = "and that depends on x too"

BACKWARD.add(
    "batch_norm_backward",
    batch_norm_backward,
    _draw_batch_norm,
    (
        "statistics taken for constants",
        "In training the mean and the variance of the batch depend on x: two more terms.",
        lambda dy, x, p, eps=1e-5, tape=(): _batch_norm_through(dy, x, p, eps, tape, 0, 0),
    ),
    (
        "path through the mean missing",
        f"x enters the mean of the batch, {_PATH}: − mean(g).",
        lambda dy, x, p, eps=1e-5, tape=(): _batch_norm_through(dy, x, p, eps, tape, 0, 1),
    ),
    (
        "path through the variance missing",
        f"x enters the variance of the batch, {_PATH}: − x̂ · mean(g · x̂).",
        lambda dy, x, p, eps=1e-5, tape=(): _batch_norm_through(dy, x, p, eps, tape, 1, 0),
    ),
    (
        "tape ignored",
        "If forward used the statistics of the batch, they are on the tape: use them.",
        lambda dy, x, p, eps=1e-5, tape=(): batch_norm_backward(dy, x, p, eps),
    ),
    (
        "missing weight",
        "y = x̂ · weight + bias: the gradient of x̂ is dy · weight.",
        lambda dy, x, p, eps=1e-5, tape=(): (
            batch_norm_backward(dy, x, p._replace(weight=np.ones_like(p.weight)), eps, tape)[0],
            batch_norm_backward(dy, x, p, eps, tape)[1],
        ),
    ),
    (
        "not normalised",
        "The weight multiplies x̂, the normalised x: its gradient is Σ dy · x̂, not Σ dy · x.",
        _but(
            batch_norm_backward,
            lambda dp, dy, x, *_: dp._replace(weight=(dy * x).sum((0, 1, 2))),
        ),
    ),
    (
        "eps ignored",
        "Use the ε that the function is given.",
        lambda dy, x, p, eps=1e-5, tape=(): batch_norm_backward(dy, x, p, 1e-5, tape),
    ),
)


def _draw_layer_norm(d: Draw) -> tuple[Any, ...]:
    C = d.size(3)
    x, p = d.tokens(C) + 0.5, d.layer_norm(C)
    x[..., 0] += 3  # no token of equal numbers, where the gradient is infinite
    x = x.astype(d.dtype)
    return (_like(d, x), x, p, d.choice(1e-12, 1e-2)) if d.level else (_like(d, x), x, p)


def _layer_norm_through(
    dy: Array, x: Array, p: LayerNorm, eps: float = 1e-12, mean: int = 1, var: int = 1
) -> tuple[Array, LayerNorm]:
    """layer_norm_backward, with the paths through mean and variance on or off."""
    centred = x - x.mean(-1, keepdims=True)
    sigma = np.sqrt(np.square(centred).mean(-1, keepdims=True) + eps)
    x_hat = centred / sigma
    g = dy * p.weight
    through_mean = mean * g.mean(-1, keepdims=True)
    through_variance = var * x_hat * (g * x_hat).mean(-1, keepdims=True)
    return (g - through_mean - through_variance) / sigma, layer_norm_backward(dy, x, p, eps)[1]


def _summed_over_batch_only(dp: LayerNorm, dy: Array, x: Array, p: Any, *eps: Any) -> LayerNorm:
    x_hat = (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)
    return LayerNorm((dy * x_hat).sum(0), dy.sum(0))


BACKWARD.add(
    "layer_norm_backward",
    layer_norm_backward,
    _draw_layer_norm,
    (
        "statistics taken for constants",
        "The mean and the variance of a token depend on x: two more terms.",
        partial(_layer_norm_through, mean=0, var=0),
    ),
    (
        "path through the mean missing",
        f"x enters the mean of its token, {_PATH}: − mean(g).",
        partial(_layer_norm_through, mean=0),
    ),
    (
        "path through the variance missing",
        f"x enters the variance of its token, {_PATH}: − x̂ · mean(g · x̂).",
        partial(_layer_norm_through, var=0),
    ),
    (
        "missing weight",
        "y = x̂ · weight + bias: the gradient of x̂ is dy · weight.",
        lambda dy, x, p, *eps: (
            layer_norm_backward(dy, x, p._replace(weight=np.ones_like(p.weight)), *eps)[0],
            layer_norm_backward(dy, x, p, *eps)[1],
        ),
    ),
    (
        "not normalised",
        "The weight multiplies x̂, the normalised x: its gradient is Σ dy · x̂, not Σ dy · x.",
        _but(layer_norm_backward, lambda dp, dy, x, *_: dp._replace(weight=(dy * x).sum((0, 1)))),
    ),
    (
        "missing sum over positions",
        "Every token used the same weight and bias: sum over the batch and the tokens.",
        _but(layer_norm_backward, _summed_over_batch_only),
    ),
    (*_SUM, _mean_over_batch(layer_norm_backward)),
    (
        "eps ignored",
        "Use the ε that the function is given.",
        lambda dy, x, p, *eps: layer_norm_backward(dy, x, p),
    ),
)


def _draw_layer_scale(d: Draw) -> tuple[Any, ...]:
    x = d.images()
    return _like(d, x), x, d.choice(d.layer_scale(x.shape[-1]), None)


def _scale_with(dx: Callable[..., Array], dgamma: Callable[..., Array]) -> Callable[..., Any]:
    def f(dy: Array, x: Array, p: LayerScale | None) -> tuple[Array, LayerScale | None]:
        return (dy, None) if p is None else (dx(dy, p), LayerScale(dgamma(dy, x)))

    return f


BACKWARD.add(
    "layer_scale_backward",
    layer_scale_backward,
    _draw_layer_scale,
    (
        "missing layer scale",
        "y = γ x, so dx = γ dy.",
        _scale_with(lambda dy, p: dy, lambda dy, x: (dy * x).sum((0, 1, 2))),
    ),
    (
        "missing factor x",
        "dγ = Σ dy · x: how much γ matters depends on what it multiplies.",
        _scale_with(lambda dy, p: dy * p.gamma, lambda dy, x: dy.sum((0, 1, 2))),
    ),
    (
        "missing sum over positions",
        "γ has one number for each channel: sum over the batch and all pixels.",
        _scale_with(lambda dy, p: dy * p.gamma, lambda dy, x: dy * x),
    ),
    (
        "mean instead of sum",
        "dγ is a sum over the batch and all pixels, not a mean.",
        _scale_with(lambda dy, p: dy * p.gamma, lambda dy, x: (dy * x).mean((0, 1, 2))),
    ),
)

# --- elementwise, softmax, pooling ------------------------------------------------------------


def gelu_backward(dy: Array, x: Array) -> Array:
    """Gradient of `gelu`."""
    return activation_backward(dy, x, gelu)


def relu_backward(dy: Array, x: Array) -> Array:
    """Gradient of `relu`."""
    return activation_backward(dy, x, relu)


def _draw_elementwise(d: Draw) -> tuple[Any, ...]:
    x = d.images()
    return _like(d, x), x


_ROOT = float(np.sqrt(2 * np.pi))


def _density(x: Array) -> Array:
    return np.asarray(np.exp(-0.5 * x * x) / _ROOT)


_CHAIN = ("missing chain rule", "dx = dy · f'(x): multiply by what comes from above.")

BACKWARD.add(
    "gelu_backward",
    gelu_backward,
    _draw_elementwise,
    (*_CHAIN, lambda dy, x: gelu_backward(np.ones_like(dy), x)),
    (
        "product rule",
        "GELU is x times Φ(x): the derivative of the second factor, x φ(x), is missing.",
        lambda dy, x: dy * (gelu_backward(np.ones_like(x), x) - x * _density(x)),
    ),
    (
        "wrong density",
        "The density is exp(−x²/2) / √(2π).",
        lambda dy, x: dy * (gelu_backward(np.ones_like(x), x) + x * _density(x) * (_ROOT - 1)),
    ),
    (
        "tanh GELU",
        "That is the gradient of the approximation; use the exact one.",
        lambda dy, x: activation_backward(dy, x, gelu_new),
    ),
    (
        "forward again",
        "That is gelu(x) · dy; the derivative is wanted.",
        lambda dy, x: dy * gelu(x),
    ),
)

BACKWARD.add(
    "relu_backward",
    relu_backward,
    _draw_elementwise,
    (*_CHAIN, lambda dy, x: (x > 0).astype(x.dtype)),
    (
        "wrong condition",
        "The gradient passes where x was positive, not where dy is.",
        lambda dy, x: relu(dy),
    ),
    (
        "forward again",
        "That is relu(x) · dy; the derivative is wanted.",
        lambda dy, x: dy * relu(x),
    ),
    (
        "kink",
        "At x = 0 the gradient is 0, as in PyTorch.",
        lambda dy, x: dy * (x >= 0),
    ),
)


def _draw_softmax(d: Draw) -> tuple[Any, ...]:
    y = softmax(d.tokens(C=d.size(3)))
    return _like(d, y), y


BACKWARD.add(
    "softmax_backward",
    softmax_backward,
    _draw_softmax,
    (
        "diagonal only",
        "Every output depends on every input of its row: − yᵢ Σⱼ dyⱼ yⱼ is missing.",
        lambda dy, y: dy * y * (1 - y),
    ),
    (
        "missing row term",
        "More of one weight is less of the others: − yᵢ Σⱼ dyⱼ yⱼ is missing.",
        lambda dy, y: dy * y,
    ),
    (
        "wrong axis",
        "The sum runs over the last axis.",
        lambda dy, y: y * (dy - (dy * y).sum(1, keepdims=True)),
    ),
    (
        "mean instead of sum",
        "Σⱼ dyⱼ yⱼ is a sum.",
        lambda dy, y: y * (dy - (dy * y).mean(-1, keepdims=True)),
    ),
    (
        "softmax applied again",
        "The second argument is the output of softmax already.",
        lambda dy, y: softmax_backward(dy, softmax(y)),
    ),
)


def _draw_logits(d: Draw) -> tuple[Any, ...]:
    logits = d.array(d.size(), d.size(2))
    return logits, d.rng.integers(0, logits.shape[1], len(logits))


BACKWARD.add(
    "cross_entropy_backward",
    cross_entropy_backward,
    _draw_logits,
    (
        "mean forgotten",
        "The loss is the mean over the batch: divide by the number of images.",
        lambda x, y: cross_entropy_backward(x, y) * len(x),
    ),
    (
        "mean over all numbers",
        "The mean runs over the images only, not over the classes.",
        lambda x, y: cross_entropy_backward(x, y) / x.shape[1],
    ),
    (
        "wrong sign",
        "It is what the network says minus what it should say: softmax(x) − t.",
        lambda x, y: -cross_entropy_backward(x, y),
    ),
    (
        "missing target",
        "Subtract 1 at the right class.",
        lambda x, y: softmax(x) / len(x),
    ),
    (
        "missing softmax",
        "The gradient is softmax(x) − t, not x − t.",
        lambda x, y: (x - np.eye(x.shape[1], dtype=x.dtype)[y]) / len(x),
    ),
)


def _draw_pooling(d: Draw) -> tuple[Any, ...]:
    return (d.images(), d.choice(3, 5, 1)) if d.level else (d.images(),)


BACKWARD.add(
    "pooling_backward",
    pooling_backward,
    _draw_pooling,
    (
        "input not subtracted",
        "pooling(x) is the average minus x: − dy is missing.",
        lambda dy, size=3: pooling_backward(dy, size) + dy,
    ),
    (
        "division after the sum",
        "Each output was divided by its own count: divide dy first, then sum over the window.",
        lambda dy, size=3: window_sum(dy, size) / window_area(dy, size) - dy,
    ),
    (
        "border counted",
        "An output at the border was divided by fewer than size² pixels.",
        lambda dy, size=3: window_sum(dy, size) / size**2 - dy,
    ),
    (
        "division forgotten",
        "Divide dy by the number of pixels that the average was taken over.",
        lambda dy, size=3: window_sum(dy, size) - dy,
    ),
    (
        "size ignored",
        "Use the window size that the function is given, not always 3.",
        lambda dy, size=3: pooling_backward(dy, 3),
    ),
)

# --- attention --------------------------------------------------------------------------------


def _draw_bias_table(d: Draw) -> tuple[Any, ...]:
    biases = d.array(d.size(), d.size(2), d.size(2))
    N = biases[0].size
    return d.array(len(biases), N, N), biases


def _last_wins(dtable: Array, biases: Array) -> Array:
    down, across = distances(*biases.shape[1:])
    dbiases = np.zeros_like(biases)
    dbiases[:, down, across] = dtable
    return dbiases


def _averaged(dtable: Array, biases: Array) -> Array:
    used = bias_table_backward(np.ones_like(dtable), biases)
    return bias_table_backward(dtable, biases) / used


BACKWARD.add(
    "bias_table_backward",
    bias_table_backward,
    _draw_bias_table,
    (
        "overlaps lost",
        "Many pairs share a bias, and it receives the sum over all of them. With an index that "
        "occurs several times, `a[i] += b` adds only once: use np.add.at.",
        _last_wins,
    ),
    (
        "mean instead of sum",
        "A bias receives the sum over all pairs that used it, not the mean.",
        _averaged,
    ),
)


def _kept(f: Callable[..., Array], *args: Any) -> tuple[Array, Trace]:
    """Run forward with a tape."""
    tape = Trace()
    return f(*args, keep=tape), tape


def _draw_attention(d: Draw) -> tuple[Any, ...]:
    C = d.size(2)
    p = d.attention(C)
    x = d.tokens(C, N=p.attention_biases[0].size)
    y, tape = _kept(attention, x, p)
    return _like(d, y), x, p, tape


def _attention_backward(
    dy: Array,
    x: Array,
    p: Attention,
    tape: Trace,
    q_scale: float = -0.5,
    k_scale: float = -0.5,
    through: Callable[[Array, Array], Array] = softmax_backward,
    swap: bool = False,
) -> tuple[Array, Attention]:
    """attention_backward with exchangeable parts."""
    (K, V), (heads, *_) = head_sizes(p), p.attention_biases.shape
    q, k, v = split_heads(tape["qkv"], p)
    attn = tape["attn"]
    dy, dproj = linear_backward(dy, merge_heads(attn @ v), p.proj)
    dy = dy.reshape(*x.shape[:2], heads, V).swapaxes(1, 2)
    dv = (attn if swap else attn.swapaxes(2, 3)) @ dy
    dscores = through(dy @ v.swapaxes(2, 3), attn)
    dq, dk = dscores @ k * K**q_scale, dscores.swapaxes(2, 3) @ q * K**k_scale
    if swap:
        dk = dscores @ q * K**k_scale
    dx, dqkv = linear_backward(merge_heads(np.concatenate([dq, dk, dv], -1)), x, p.qkv)
    return dx, Attention(dqkv, dproj, bias_table_backward(dscores.sum(0), p.attention_biases))


BACKWARD.add(
    "attention_backward",
    attention_backward,
    _draw_attention,
    (
        "missing scale",
        "The scores were q kᵀ / √K: both dq and dk are divided by √K.",
        partial(_attention_backward, q_scale=0, k_scale=0),
    ),
    (
        "missing scale",
        "The scores were q kᵀ / √K: dq is divided by √K.",
        partial(_attention_backward, q_scale=0),
    ),
    (
        "missing scale",
        "The scores were q kᵀ / √K: dk is divided by √K.",
        partial(_attention_backward, k_scale=0),
    ),
    (
        "softmax skipped",
        "The gradient of the weights goes back through the softmax to the scores.",
        partial(_attention_backward, through=lambda dattn, attn: dattn),
    ),
    (
        "diagonal only",
        "Every weight depends on every score of its row; yours treats softmax as elementwise.",
        partial(_attention_backward, through=lambda dattn, attn: dattn * attn * (1 - attn)),
    ),
    (
        "missing transpose",
        "dv = attnᵀ dy and dk = dscoresᵀ q / √K: what query i took from key j goes back to key j.",
        partial(_attention_backward, swap=True),
    ),
    (
        "mean instead of sum",
        "The bias table served all images: its gradient is the sum over the batch.",
        _but(
            attention_backward,
            lambda dp, dy, *_: dp._replace(attention_biases=dp.attention_biases / len(dy)),
        ),
    ),
)

# --- MLPs and blocks --------------------------------------------------------------------------


def _draw_mlp(d: Draw) -> tuple[Any, ...]:
    C = d.size()
    x, p = d.tokens(C), d.mlp(C)
    y, tape = _kept(mlp, x, p)
    return _like(d, y), x, p, gelu, tape


def _mlp_backward(
    dy: Array, x: Array, p: Mlp, activation: Activation, tape: Trace, at: str = "fc1"
) -> tuple[Array, Mlp]:
    """mlp_backward with the derivative taken at another place, or not at all."""
    dhidden, dfc2 = linear_backward(dy, tape["act"], p.fc2)
    if at:
        dhidden = activation_backward(dhidden, tape[at], activation)
    dx, dfc1 = linear_backward(dhidden, x, p.fc1)
    return dx, Mlp(dfc1, dfc2)


_PLACES = (
    (
        "missing activation",
        "Between the two layers the gradient passes the activation: multiply by its derivative.",
        "",
    ),
    (
        "derivative at the output",
        "The derivative of the activation is taken at its input, not at its output.",
        "act",
    ),
)

BACKWARD.add(
    "mlp_backward",
    mlp_backward,
    _draw_mlp,
    *((kind, hint, partial(_mlp_backward, at=at)) for kind, hint, at in _PLACES),
    (
        "tanh GELU",
        "Use the derivative of the exact GELU.",
        lambda dy, x, p, _, tape: mlp_backward(dy, x, p, gelu_new, tape),
    ),
    (
        "wrong input",
        "fc2 saw what the activation returned, not what it was given: dW₂ = actᵀ dy.",
        _but(
            mlp_backward,
            lambda dp, dy, x, p, _, tape: dp._replace(
                fc2=linear_backward(dy, tape["fc1"], p.fc2)[1]
            ),
        ),
    ),
)


def _draw_conv_mlp(d: Draw) -> tuple[Any, ...]:
    C = d.size()
    x, p = d.images(C), d.conv_mlp(C)
    y, tape = _kept(conv_mlp, x, p)
    return _like(d, y), x, p, gelu, 1e-5, tape


def _conv_mlp_backward(
    dy: Array,
    x: Array,
    p: ConvMlp,
    activation: Activation,
    eps: float,
    tape: Trace,
    at: str = "norm1",
) -> tuple[Array, ConvMlp]:
    """conv_mlp_backward with the derivative taken at another place, or not at all."""
    dy, dnorm2 = batch_norm_backward(dy, tape["fc2"], p.norm2, eps)
    dhidden, dfc2 = conv2d_backward(dy, tape["act"], p.fc2)
    if at:
        dhidden = activation_backward(dhidden, tape[at], activation)
    dhidden, dnorm1 = batch_norm_backward(dhidden, tape["fc1"], p.norm1, eps)
    dx, dfc1 = conv2d_backward(dhidden, x, p.fc1)
    return dx, ConvMlp(dfc1, dnorm1, dfc2, dnorm2)


BACKWARD.add(
    "conv_mlp_backward",
    conv_mlp_backward,
    _draw_conv_mlp,
    *((kind, hint, partial(_conv_mlp_backward, at=at)) for kind, hint, at in _PLACES),
    (
        "derivative at the wrong place",
        "The activation saw what the batch norm returned: take its derivative there, not at the "
        "output of the convolution.",
        partial(_conv_mlp_backward, at="fc1"),
    ),
    (
        "tanh GELU",
        "Use the derivative of the exact GELU.",
        lambda dy, x, p, _, eps, tape: conv_mlp_backward(dy, x, p, gelu_new, eps, tape),
    ),
)


def _ones(p: LayerScale) -> LayerScale:
    return LayerScale(np.ones_like(p.gamma))


def _draw_pooling_block(d: Draw) -> tuple[Any, ...]:
    C = d.size()
    x, p = d.images(C), d.pooling_block(C)
    y, tape = _kept(pooling_block, x, p)
    return _like(d, y), x, p, 3, gelu, 1e-5, tape


def _pooling_block_backward(
    dy: Array,
    x: Array,
    p: PoolingBlock,
    pool_size: int,
    activation: Activation,
    eps: float,
    tape: Trace,
    past: tuple[int, int] = (1, 1),
    add_branch: int = 1,
    middle: int = 1,
) -> tuple[Array, PoolingBlock]:
    """pooling_block_backward with paths on or off."""
    inner = x + middle * tape["ls1"]
    branch, dls2 = layer_scale_backward(dy, tape["mlp"], p.ls2)
    branch, dmlp = conv_mlp_backward(branch, inner, p.mlp, activation, eps, tape.within("mlp"))
    dy = past[1] * dy + add_branch * branch
    branch, dls1 = layer_scale_backward(dy, tape["token_mixer"], p.ls1)
    dx = past[0] * dy + pooling_backward(branch, pool_size)
    return dx, PoolingBlock(dls1, dmlp, dls2)


_PATHS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (
        "missing residual",
        "The gradient also flows past each branch unchanged: dy + f_backward(dy). Both residuals "
        "are missing.",
        {"past": (0, 0)},
    ),
    (
        "missing residual",
        "The gradient also flows past the second branch: dy + branch.",
        {"past": (1, 0)},
    ),
    (
        "missing residual",
        "The gradient also flows past the first branch: dy + branch.",
        {"past": (0, 1)},
    ),
    (
        "branch not added",
        "What comes out of the second branch belongs to the gradient that the first one is given.",
        {"add_branch": 0},
    ),
    (
        "wrong input",
        "The second branch saw x plus the first branch, not x.",
        {"middle": 0},
    ),
)

BACKWARD.add(
    "pooling_block_backward",
    pooling_block_backward,
    _draw_pooling_block,
    *((k, hint, partial(_pooling_block_backward, **ways)) for k, hint, ways in _PATHS),
    (
        "missing layer scale",
        "Each branch was multiplied by γ, so its gradient is too.",
        lambda dy, x, p, *rest: pooling_block_backward(
            dy, x, p._replace(ls1=_ones(p.ls1), ls2=_ones(p.ls2)), *rest
        ),
    ),
)


def _draw_attention_block(d: Draw) -> tuple[Any, ...]:
    C = d.size(3)
    p = d.attention_block(C)
    x = d.tokens(C, N=p.token_mixer.attention_biases[0].size)
    x[..., 0] += 3  # no token of equal numbers, where the gradient is infinite
    y, tape = _kept(attention_block, x, p, gelu, 1e-5)
    return _like(d, y), x, p, gelu, 1e-5, tape


def _attention_block_backward(
    dy: Array,
    x: Array,
    p: AttentionBlock,
    activation: Activation,
    eps: float,
    tape: Trace,
    past: tuple[int, int] = (1, 1),
    add_branch: int = 1,
    middle: int = 1,
) -> tuple[Array, AttentionBlock]:
    """attention_block_backward with paths on or off."""
    inner = x + middle * tape["ls1"]
    branch, dls2 = layer_scale_backward(dy, tape["mlp"], p.ls2)
    branch, dmlp = mlp_backward(branch, tape["norm2"], p.mlp, activation, tape.within("mlp"))
    branch, dnorm2 = layer_norm_backward(branch, inner, p.norm2, eps)
    dy = past[1] * dy + add_branch * branch
    branch, dls1 = layer_scale_backward(dy, tape["token_mixer"], p.ls1)
    mixer = tape.within("token_mixer")
    branch, dmixer = attention_backward(branch, tape["norm1"], p.token_mixer, mixer)
    branch, dnorm1 = layer_norm_backward(branch, x, p.norm1, eps)
    return past[0] * dy + branch, AttentionBlock(dnorm1, dmixer, dls1, dnorm2, dmlp, dls2)


BACKWARD.add(
    "attention_block_backward",
    attention_block_backward,
    _draw_attention_block,
    *((k, hint, partial(_attention_block_backward, **ways)) for k, hint, ways in _PATHS),
)


def _draw_stem(d: Draw) -> tuple[Any, ...]:
    C0, C1, C2 = d.size(), d.size(), d.size()
    x = d.images(C0, least=4)
    p = Stem(d.conv2d(C0, C1, 3, 3), d.batch_norm(C1), d.conv2d(C1, C2, 3, 3), d.batch_norm(C2))
    y, tape = _kept(stem, x, p)
    return _like(d, y), x, p, 1e-5, tape


def _stem_backward(
    dy: Array, x: Array, p: Stem, eps: float, tape: Trace, bent: tuple[int, int] = (1, 1)
) -> tuple[Array, Stem]:
    """stem_backward with the activations on or off."""
    if bent[1]:
        dy = activation_backward(dy, tape["norm2"], relu)
    dy, dnorm2 = batch_norm_backward(dy, tape["conv2"], p.norm2, eps)
    dy, dconv2 = conv2d_backward(dy, tape["act1"], p.conv2, 2, 1)
    if bent[0]:
        dy = activation_backward(dy, tape["norm1"], relu)
    dy, dnorm1 = batch_norm_backward(dy, tape["conv1"], p.norm1, eps)
    dx, dconv1 = conv2d_backward(dy, x, p.conv1, 2, 1)
    return dx, Stem(dconv1, dnorm1, dconv2, dnorm2)


_RELU = "ReLU lets the gradient pass only where it was given something positive"

BACKWARD.add(
    "stem_backward",
    stem_backward,
    _draw_stem,
    ("missing activation", f"{_RELU}; both are missing.", partial(_stem_backward, bent=(0, 0))),
    ("missing activation", f"{_RELU}: the first.", partial(_stem_backward, bent=(0, 1))),
    ("missing activation", f"{_RELU}: the second.", partial(_stem_backward, bent=(1, 0))),
    (
        "wrong input",
        "conv2 saw what the first ReLU returned, not what it was given.",
        _but(
            stem_backward,
            lambda dp, dy, x, p, eps, tape: dp._replace(
                conv2=conv2d_backward(
                    batch_norm_backward(
                        activation_backward(dy, tape["norm2"], relu), tape["conv2"], p.norm2, eps
                    )[0],
                    tape["norm1"],
                    p.conv2,
                    2,
                    1,
                )[1]
            ),
        ),
    ),
)


def _draw_downsample(d: Draw) -> tuple[Any, ...]:
    C_in, C_out = d.size(), d.size()
    x = d.images(C_in, least=3)
    p = Downsample(d.conv2d(C_in, C_out, 3, 3), d.batch_norm(C_out))
    y, tape = _kept(downsample, x, p)
    return _like(d, y), x, p, 2, 1, 1e-5, tape


BACKWARD.add(
    "downsample_backward",
    downsample_backward,
    _draw_downsample,
    (
        "missing batch norm",
        "The gradient passes the batch norm before it reaches the convolution.",
        lambda dy, x, p, stride, padding, eps, tape: (
            conv2d_backward(dy, x, p.conv, stride, padding)[0],
            downsample_backward(dy, x, p, stride, padding, eps, tape)[1],
        ),
    ),
    (
        "missing batch norm",
        "The gradient passes the batch norm before it reaches the convolution, its kernel too.",
        lambda dy, x, p, stride, padding, eps, tape: (
            conv2d_backward(dy, x, p.conv, stride, padding)[0],
            Downsample(
                conv2d_backward(dy, x, p.conv, stride, padding)[1],
                batch_norm_backward(dy, tape["conv"], p.norm, eps)[1],
            ),
        ),
    ),
)
