"""Answers of a second imagined class to the exercises on blocks, attention and folding: all wrong."""

from __future__ import annotations

import numpy as np

from npformer.layers import (
    Attention,
    AttentionBlock,
    Conv2d,
    ConvMlp,
    Linear,
    Mlp,
    PoolingBlock,
    QuantizedLinear,
    activation_backward,
    attention,
    attention_backward,
    average_pool,
    batch_norm,
    batch_norm_backward,
    conv2d,
    conv2d_backward,
    conv_mlp,
    conv_mlp_backward,
    gelu,
    head_sizes,
    layer_norm,
    layer_norm_backward,
    layer_scale,
    layer_scale_backward,
    linear,
    linear_backward,
    mlp,
    mlp_backward,
    pooling,
    pooling_backward,
    relative_position_bias,
    relative_position_bias_backward,
    relu,
    softmax,
)

from .students import later

# attention


def att(x, p, scale=None, bias=lambda b: b, before=False, interleaved=False, merge=True, shift=0):
    heads = len(p.attention_biases)
    K, V = head_sizes(p)
    B, N, _ = x.shape
    qkv = linear(x, p.qkv)
    if interleaved:
        qkv = qkv.reshape(B, N, -1, heads).transpose(0, 3, 1, 2)
    else:
        qkv = qkv.reshape(B, N, heads, -1).transpose(0, 2, 1, 3)
    q, k, v = np.split(qkv, [K, 2 * K], -1)
    scale = K**-0.5 if scale is None else scale(K, V, heads)
    table = bias(relative_position_bias(p.attention_biases))
    scores = q @ k.swapaxes(2, 3)
    scores = (scores + table) * scale if before else scores * scale + table
    y = softmax(scores) @ v
    y = y.transpose(0, 2, 1, 3) if merge else y
    return linear(y.reshape(B, N, heads * V), p.proj)


later(
    "attention",
    "scaled by the number of heads",
    "scale|heads|K|another",
    lambda x, p: att(x, p, lambda K, V, heads: heads**-0.5),
)
later(
    "attention",
    "divided by K",
    "K|-0.5|-1|scale|constant",
    lambda x, p: att(x, p, lambda K, V, heads: 1 / K),
)
later(
    "attention",
    "divided by the root of the model's width",
    "scale|K",
    lambda x, p: att(x, p, lambda K, V, heads: x.shape[-1] ** -0.5),
)
later(
    "attention",
    "multiplied by the root of K",
    "0.5|scale",
    lambda x, p: att(x, p, lambda K, V, heads: K**0.5),
)
later(
    "attention", "the bias scaled too", "bias|brackets|scale", lambda x, p: att(x, p, before=True)
)
later(
    "attention",
    "heads interleaved",
    "order|heads|axes|reshape",
    lambda x, p: att(x, p, interleaved=True),
)
later(
    "attention",
    "heads not moved back",
    "transpos|swapaxes|missing",
    lambda x, p: att(x, p, merge=False),
)
later("attention", "the bias subtracted", "bias|sign", lambda x, p: att(x, p, bias=lambda b: -b))
later(
    "attention",
    "biases of the first head for all",
    "first|head|bias",
    lambda x, p: att(x, p, bias=lambda b: np.broadcast_to(b[:1], b.shape)),
)
later(
    "attention",
    "biases averaged over heads",
    "mean|average|bias",
    lambda x, p: att(x, p, bias=lambda b: np.broadcast_to(b.mean(0, keepdims=True), b.shape)),
)
later(
    "attention",
    "the input's tokens as values: no projection",
    "proj|missing|without",
    lambda x, p: att(
        x, p._replace(proj=Linear(np.eye(len(p.proj.weight)), np.zeros(len(p.proj.weight))))
    ),
)
later(
    "attention",
    "the bias of qkv forgotten",
    "qkv.bias|bias",
    lambda x, p: att(x, p._replace(qkv=p.qkv._replace(bias=0 * p.qkv.bias))),
)
later(
    "relative_position_bias",
    "the distances exchanged",
    "exchanged|down|across",
    lambda b: b.reshape(len(b), -1)[
        :,
        [
            [
                (
                    abs(i % b.shape[2] - j % b.shape[2]) * b.shape[1]
                    + abs(i // b.shape[2] - j // b.shape[2])
                )
                % (b.shape[1] * b.shape[2])
                for j in range(b.shape[1] * b.shape[2])
            ]
            for i in range(b.shape[1] * b.shape[2])
        ],
    ],
)
later(
    "relative_position_bias",
    "one head only",
    "head|first|index",
    lambda b: np.broadcast_to(relative_position_bias(b)[:1], relative_position_bias(b).shape),
)
later(
    "relative_position_bias_backward",
    "averaged over pairs",
    "mean|divid|count|size",
    lambda d, b: relative_position_bias_backward(d, b) / d[0].size,
)
later(
    "relative_position_bias_backward",
    "the table's diagonal left out",
    "diagonal|self|-",
    lambda d, b: relative_position_bias_backward(d * (1 - np.eye(d.shape[1])), b),
)
later(
    "attention_backward",
    "the value's gradient from the untransposed weights of attention",
    "transpos|swapaxes|missing",
    lambda dy, x, p, tape: attention_backward(
        dy, x, p, {**tape, "attn": tape["attn"].swapaxes(2, 3)}
    ),
)
later(
    "attention_backward",
    "biases' gradient averaged over the batch",
    "bias.*(mean|divid|first axis)",
    lambda dy, x, p, tape: (
        attention_backward(dy, x, p, tape)[0],
        attention_backward(dy, x, p, tape)[1]._replace(
            attention_biases=attention_backward(dy, x, p, tape)[1].attention_biases / len(x)
        ),
    ),
)
later(
    "attention_backward",
    "the residual added",
    "dy|added|residual",
    lambda dy, x, p, tape: (
        dy + attention_backward(dy, x, p, tape)[0],
        attention_backward(dy, x, p, tape)[1],
    ),
)
later(
    "attention_backward",
    "gradients of the two linear layers exchanged",
    "exchanged|order|proj|qkv",
    lambda dy, x, p, tape: (
        attention_backward(dy, x, p, tape)[0],
        Attention(
            attention_backward(dy, x, p, tape)[1].proj,
            attention_backward(dy, x, p, tape)[1].qkv,
            attention_backward(dy, x, p, tape)[1].attention_biases,
        ),
    ),
)

# mlp

later(
    "mlp",
    "the bias after the activation",
    "bias",
    lambda x, p, activation=gelu: linear(activation(x @ p.fc1.weight) + p.fc1.bias, p.fc2),
)
later(
    "mlp",
    "the first bias missing",
    "fc1.bias|bias",
    lambda x, p, activation=gelu: linear(activation(x @ p.fc1.weight), p.fc2),
)
later(
    "mlp",
    "the second bias missing",
    "fc2|bias",
    lambda x, p, activation=gelu: linear(activation(linear(x, p.fc1)), p.fc2) - p.fc2.bias,
)
later(
    "mlp",
    "the activation at the end only",
    "activation|order",
    lambda x, p, activation=gelu: activation(linear(linear(x, p.fc1), p.fc2)),
)
later(
    "mlp",
    "the activation first",
    "activation|order",
    lambda x, p, activation=gelu: linear(linear(activation(x), p.fc1), p.fc2),
)
later(
    "mlp",
    "hidden plus its activation",
    "added|residual|x",
    lambda x, p, activation=gelu: linear(linear(x, p.fc1) + activation(linear(x, p.fc1)), p.fc2),
)
later("mlp", "residual", "x|residual", lambda x, p, activation=gelu: x + mlp(x, p, activation))


def mlp_back(dy, x, p, activation, tape, hidden="act", at="fc1", images=None):
    """Gradients from other arrays of the tape; those of the parameters of the first images only."""
    dh, d2 = linear_backward(dy, tape[hidden], p.fc2)
    dx, d1 = linear_backward(activation_backward(dh, tape[at], activation), x, p.fc1)
    if images:
        dh, d2 = linear_backward(dy[:images], tape["act"][:images], p.fc2)
        dh = activation_backward(dh, tape["fc1"][:images], activation)
        d1 = linear_backward(dh, x[:images], p.fc1)[1]
    return dx, Mlp(d1, d2)


later(
    "mlp_backward",
    "derivative at the activation's output",
    "act",
    lambda dy, x, p, activation, tape: mlp_back(dy, x, p, activation, tape, at="act"),
)
later(
    "mlp_backward",
    "dW2 from before the activation",
    "fc1",
    lambda dy, x, p, activation, tape: mlp_back(dy, x, p, activation, tape, hidden="fc1"),
)
later(
    "mlp_backward",
    "dy through the first weight only",
    "missing|shape|matmul|without",
    lambda dy, x, p, activation, tape: (dy, mlp_backward(dy, x, p, activation, tape)[1]),
)
later(
    "mlp_backward",
    "gradients of the first image",
    "first|image",
    lambda dy, x, p, activation, tape: mlp_back(dy, x, p, activation, tape, images=1),
)
later(
    "mlp_backward",
    "gradients averaged over the batch",
    "mean|divid|first axis",
    lambda dy, x, p, activation, tape: (
        mlp_backward(dy, x, p, activation, tape)[0],
        Mlp(
            *(
                Linear(*(a / len(x) for a in layer))
                for layer in mlp_backward(dy, x, p, activation, tape)[1]
            )
        ),
    ),
)
later(
    "conv_mlp",
    "activation before the first norm",
    "order|before|activation",
    lambda x, p, activation=gelu, eps=1e-5: batch_norm(
        conv2d(batch_norm(activation(conv2d(x, p.fc1)), p.norm1, eps), p.fc2), p.norm2, eps
    ),
)
later(
    "conv_mlp",
    "the second norm missing",
    "norm2|missing|without",
    lambda x, p, activation=gelu, eps=1e-5: conv2d(
        activation(batch_norm(conv2d(x, p.fc1), p.norm1, eps)), p.fc2
    ),
)
later(
    "conv_mlp",
    "both norms missing",
    "norm",
    lambda x, p, activation=gelu, eps=1e-5: conv2d(activation(conv2d(x, p.fc1)), p.fc2),
)
later(
    "conv_mlp",
    "the second norm before the second convolution",
    "norm|order|shape|broadcast",
    lambda x, p, activation=gelu, eps=1e-5: conv2d(
        batch_norm(activation(batch_norm(conv2d(x, p.fc1), p.norm1, eps)), p.norm1, eps), p.fc2
    ),
)
later(
    "conv_mlp",
    "an activation at the end too",
    "activation",
    lambda x, p, activation=gelu, eps=1e-5: activation(conv_mlp(x, p, activation, eps)),
)
later(
    "conv_mlp_backward",
    "the norms' gradients exchanged",
    "norm|exchanged|order|shape",
    lambda dy, x, p, activation, eps, tape: (
        conv_mlp_backward(dy, x, p, activation, eps, tape)[0],
        (lambda d: ConvMlp(d.fc1, d.norm2, d.fc2, d.norm1))(
            conv_mlp_backward(dy, x, p, activation, eps, tape)[1]
        ),
    ),
)

# blocks


def block(x, p, activation, eps, first=0, second=0):
    """Residuals from the block's input (0), from what was normalized (1), or none (2)."""
    n = layer_norm(x, p.norm1, eps)
    y = layer_scale(attention(n, p.token_mixer), p.ls1)
    y = y + (x, n, 0)[first]
    n = layer_norm(y, p.norm2, eps)
    z = layer_scale(mlp(n, p.mlp, activation), p.ls2)
    return z + (y, n, 0, x)[second]


for words, what, first, second in (
    ("first residual from the normalized x", "norm|y|another|instead", 1, 0),
    ("second residual from the normalized x", "norm|y|another|instead", 0, 1),
    ("both residuals from the normalized x", "norm|y|another|instead", 1, 1),
    ("no first residual", "missing|without|residual", 2, 0),
    ("no second residual", "missing|without|residual", 0, 2),
    ("second residual from the block's input", "as given|x", 0, 3),
):
    later(
        "attention_block",
        words,
        what,
        lambda x, p, activation=gelu, eps=1e-12, first=first, second=second: block(
            x, p, activation, eps, first, second
        ),
    )
    del first, second

later(
    "attention_block",
    "gamma on the sum",
    "gamma|ls|layer_scale|scale",
    lambda x, p, activation=gelu, eps=1e-12: (
        lambda y: layer_scale(y + mlp(layer_norm(y, p.norm2, eps), p.mlp, activation), p.ls2)
    )(layer_scale(x + attention(layer_norm(x, p.norm1, eps), p.token_mixer), p.ls1)),
)
later(
    "attention_block",
    "norms exchanged",
    "norm1|norm2|exchanged",
    lambda x, p, activation=gelu, eps=1e-12: block(
        x, p._replace(norm1=p.norm2, norm2=p.norm1), activation, eps
    ),
)
later(
    "attention_block",
    "the first norm twice",
    "norm1|norm2",
    lambda x, p, activation=gelu, eps=1e-12: block(x, p._replace(norm2=p.norm1), activation, eps),
)
later(
    "attention_block",
    "no first norm",
    "norm|missing|without",
    lambda x, p, activation=gelu, eps=1e-12: (
        lambda y: y + layer_scale(mlp(layer_norm(y, p.norm2, eps), p.mlp, activation), p.ls2)
    )(x + layer_scale(attention(x, p.token_mixer), p.ls1)),
)
later(
    "attention_block",
    "epsilon of batch norms",
    "eps|1e-05",
    lambda x, p, activation=gelu, eps=1e-12: block(x, p, activation, 1e-5),
)
later(
    "attention_block",
    "always relu",
    "relu",
    lambda x, p, activation=gelu, eps=1e-12: block(x, p, relu, eps),
)
later(
    "attention_block",
    "branches in parallel",
    "as given|x|y|another",
    lambda x, p, activation=gelu, eps=1e-12: (
        x
        + layer_scale(attention(layer_norm(x, p.norm1, eps), p.token_mixer), p.ls1)
        + layer_scale(mlp(layer_norm(x, p.norm2, eps), p.mlp, activation), p.ls2)
    ),
)
later(
    "pooling_block",
    "gamma on the first sum",
    "gamma|ls|scale|outside",
    lambda x, p, pool_size=3, activation=gelu, eps=1e-5: (
        lambda y: y + layer_scale(conv_mlp(y, p.mlp, activation, eps), p.ls2)
    )(layer_scale(x + pooling(x, pool_size), p.ls1)),
)
later(
    "pooling_block",
    "parallel branches",
    "as given|x|y|another",
    lambda x, p, pool_size=3, activation=gelu, eps=1e-5: (
        x
        + layer_scale(pooling(x, pool_size), p.ls1)
        + layer_scale(conv_mlp(x, p.mlp, activation, eps), p.ls2)
    ),
)
later(
    "pooling_block",
    "the first branch subtracted",
    "sign|-",
    lambda x, p, pool_size=3, activation=gelu, eps=1e-5: (
        lambda y: y + layer_scale(conv_mlp(y, p.mlp, activation, eps), p.ls2)
    )(x - layer_scale(pooling(x, pool_size), p.ls1)),
)
later(
    "pooling_block",
    "average pooling and no residual around it",
    "missing|without|average",
    lambda x, p, pool_size=3, activation=gelu, eps=1e-5: (
        lambda y: y + layer_scale(conv_mlp(y, p.mlp, activation, eps), p.ls2)
    )(layer_scale(average_pool(x, pool_size), p.ls1)),
)
later(
    "pooling_block_backward",
    "the second residual's gradient missing",
    "dy|missing|without",
    lambda dy, x, p, size, activation, eps, tape: back(dy, x, p, size, activation, eps, tape, 0, 1),
)
later(
    "pooling_block_backward",
    "the first residual's gradient missing",
    "dy|missing|without",
    lambda dy, x, p, size, activation, eps, tape: back(dy, x, p, size, activation, eps, tape, 1, 0),
)
later(
    "pooling_block_backward",
    "the mlp's input taken for the block's",
    "x|middle",
    lambda dy, x, p, size, activation, eps, tape: back(
        dy, x, p, size, activation, eps, tape, 1, 1, True
    ),
)


def back(dy, x, p, size, activation, eps, tape, one, two, given=False):
    middle = x if given else x + tape["ls1"]
    b, dls2 = layer_scale_backward(dy, tape["mlp"], p.ls2)
    b, dmlp = conv_mlp_backward(b, middle, p.mlp, activation, eps, tape.within("mlp"))
    dy = two * dy + b
    b, dls1 = layer_scale_backward(dy, tape["token_mixer"], p.ls1)
    return one * dy + pooling_backward(b, size), PoolingBlock(dls1, dmlp, dls2)


def block_back(dy, x, p, activation, eps, tape, one=1, two=1, middle=None, skip=False):
    seen = x + tape["ls1"] if middle is None else middle(x, tape)
    b, dls2 = layer_scale_backward(dy, tape["mlp"], p.ls2)
    b, dmlp = mlp_backward(b, tape["norm2"], p.mlp, activation, tape.within("mlp"))
    b, dn2 = layer_norm_backward(b, seen, p.norm2, eps)
    dy = two * dy + b
    b, dls1 = layer_scale_backward(dy, tape["token_mixer"], p.ls1)
    b, dmix = attention_backward(b, tape["norm1"], p.token_mixer, tape.within("token_mixer"))
    c, dn1 = layer_norm_backward(b, x, p.norm1, eps)
    return one * dy + (b if skip else c), AttentionBlock(dn1, dmix, dls1, dn2, dmlp, dls2)


later(
    "attention_block_backward",
    "no first residual",
    "dy|missing|without",
    lambda dy, x, p, a, eps, tape: block_back(dy, x, p, a, eps, tape, one=0),
)
later(
    "attention_block_backward",
    "no second residual",
    "dy|missing|without",
    lambda dy, x, p, a, eps, tape: block_back(dy, x, p, a, eps, tape, two=0),
)
later(
    "attention_block_backward",
    "the second norm at the block's input",
    "middle|x",
    lambda dy, x, p, a, eps, tape: block_back(dy, x, p, a, eps, tape, middle=lambda x, t: x),
)
later(
    "attention_block_backward",
    "the second norm at its own output",
    "norm2|middle",
    lambda dy, x, p, a, eps, tape: block_back(
        dy, x, p, a, eps, tape, middle=lambda x, t: t["norm2"]
    ),
)
later(
    "attention_block_backward",
    "the first norm's gradient skipped",
    "norm1|skipped|missing",
    lambda dy, x, p, a, eps, tape: block_back(dy, x, p, a, eps, tape, skip=True),
)

# stem and downsample


def stemmed(x, p, eps, order=0, second=True, act=relu):
    x = conv2d(x, p.conv1, 2, 1)
    x = batch_norm(act(x), p.norm1, eps) if order else act(batch_norm(x, p.norm1, eps))
    x = batch_norm(conv2d(x, p.conv2, 2, 1), p.norm2, eps)
    return act(x) if second else x


later(
    "stem",
    "no second relu",
    "missing|without|relu",
    lambda x, p, eps=1e-5: stemmed(x, p, eps, second=False),
)
later(
    "stem",
    "relu before the first norm",
    "order|before|relu",
    lambda x, p, eps=1e-5: stemmed(x, p, eps, 1),
)
later(
    "stem",
    "silu",
    "silu",
    lambda x, p, eps=1e-5: stemmed(x, p, eps, act=lambda a: a / (1 + np.exp(-a))),
)
later(
    "downsample",
    "relu at the end",
    "relu",
    lambda x, p, stride=2, padding=1, eps=1e-5: relu(
        batch_norm(conv2d(x, p.conv, stride, padding), p.norm, eps)
    ),
)
later(
    "downsample",
    "stride and padding exchanged",
    "exchanged|stride|padding",
    lambda x, p, stride=2, padding=1, eps=1e-5: batch_norm(
        conv2d(x, p.conv, padding, stride), p.norm, eps
    ),
)
later(
    "downsample",
    "average pooling by subsampling first",
    "stride|slice|order|without",
    lambda x, p, stride=2, padding=1, eps=1e-5: batch_norm(
        conv2d(x, p.conv, 1, padding), p.norm, eps
    ),
)
later(
    "downsample_backward",
    "batch statistics ignored",
    "tape",
    lambda dy, x, p, stride, padding, eps, tape: (
        lambda d, n: (
            conv2d_backward(d, x, p.conv, stride, padding)[0],
            p._replace(conv=conv2d_backward(d, x, p.conv, stride, padding)[1], norm=n),
        )
    )(*batch_norm_backward(dy, tape["conv"], p.norm, eps)),
)
later(
    "stem_backward",
    "one relu's derivative skipped",
    "activation_backward|missing|without|norm2",
    lambda dy, x, p, eps, tape: stem_back(dy, x, p, eps, tape),
)


def stem_back(dy, x, p, eps, tape):
    dy, n2 = batch_norm_backward(dy, tape["conv2"], p.norm2, eps, tape.within("norm2"))
    dy, c2 = conv2d_backward(dy, tape["act1"], p.conv2, 2, 1)
    dy = activation_backward(dy, tape["norm1"], relu)
    dy, n1 = batch_norm_backward(dy, tape["conv1"], p.norm1, eps, tape.within("norm1"))
    dx, c1 = conv2d_backward(dy, x, p.conv1, 2, 1)
    return dx, type(p)(c1, n1, c2, n2)


# folding and eight bits


def scales(n, eps):
    return n.weight / np.sqrt(n.running_var + eps)


later(
    "fold_batch_norm",
    "no root",
    "sqrt|root",
    lambda conv, n, eps: Conv2d(
        conv.weight * n.weight / (n.running_var + eps),
        (conv.bias - n.running_mean) * n.weight / (n.running_var + eps) + n.bias,
    ),
)
later(
    "fold_batch_norm",
    "scale along the inputs",
    "axis|axes|shape|transpos",
    lambda conv, n, eps: Conv2d(
        conv.weight * scales(n, eps)[:, None],
        (conv.bias - n.running_mean) * scales(n, eps) + n.bias,
    ),
)
later(
    "fold_batch_norm",
    "the bias not scaled",
    "bias|missing|without",
    lambda conv, n, eps: Conv2d(conv.weight * scales(n, eps), conv.bias - n.running_mean + n.bias),
)
later(
    "fold_batch_norm",
    "the mean added",
    "sign|\\+",
    lambda conv, n, eps: Conv2d(
        conv.weight * scales(n, eps), (conv.bias + n.running_mean) * scales(n, eps) + n.bias
    ),
)
later(
    "fold_batch_norm",
    "the whole bias scaled",
    "brackets|bias",
    lambda conv, n, eps: Conv2d(
        conv.weight * scales(n, eps), (conv.bias - n.running_mean + n.bias) * scales(n, eps)
    ),
)
later(
    "fold_batch_norm",
    "without epsilon",
    "eps",
    lambda conv, n, eps: Conv2d(
        conv.weight * scales(n, 0), (conv.bias - n.running_mean) * scales(n, 0) + n.bias
    ),
)
later(
    "fold_layer_scale",
    "the bias not scaled",
    "bias",
    lambda p, s: p if s is None else Linear(p.weight * s.gamma, p.bias),
)
later(
    "fold_layer_scale",
    "along the inputs",
    "axis|shape|transpos|axes",
    lambda p, s: p if s is None else Linear(p.weight * s.gamma[:, None], p.bias * s.gamma),
)
later(
    "fold_layer_norm",
    "the weight along the outputs",
    "axis|shape|transpos|axes|without",
    lambda n, p: Linear(p.weight * n.weight, n.bias @ p.weight + p.bias),
)
later(
    "fold_layer_norm",
    "the bias not multiplied",
    "bias",
    lambda n, p: Linear(n.weight[:, None] * p.weight, p.bias),
)
later(
    "fold_layer_norm",
    "the bias through the folded matrix",
    "weight|bias|twice",
    lambda n, p: Linear(
        n.weight[:, None] * p.weight, n.bias @ (n.weight[:, None] * p.weight) + p.bias
    ),
)
later(
    "quantize_linear",
    "one step for the whole matrix",
    "axis|all|max",
    lambda p: (lambda s: QuantizedLinear(np.rint(p.weight / s).astype(np.int8), s, p.bias))(
        np.broadcast_to(abs(p.weight).max() / 127, p.bias.shape)
    ),
)
later(
    "quantize_linear",
    "cut, not rounded",
    "rint|round|cut|floor|trunc",
    lambda p: (lambda s: QuantizedLinear(np.trunc(p.weight / s).astype(np.int8), s, p.bias))(
        abs(p.weight).max(0) / 63
    ),
)
