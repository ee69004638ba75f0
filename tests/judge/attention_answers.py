"""Answers to the exercises on attention."""

# fmt: off  (one line for each answer)
from __future__ import annotations

import numpy as np

from npformer.layers import (
    Attention,
    Linear,
    head_sizes,
    linear,
    linear_backward,
    relative_position_bias,
    relative_position_bias_backward,
    softmax,
    softmax_backward,
)

from .students import right, wrong

# flat

wrong(
    "flat",
    "columns before rows",
    "transpos|order|column",
    lambda x: x.swapaxes(1, 2).reshape(len(x), -1, x.shape[-1]),
)
wrong(
    "flat",
    "channels first",
    "channel|shape|transpos|ax",
    lambda x: x.reshape(len(x), -1, x.shape[-1]).swapaxes(1, 2),
)
wrong(
    "flat",
    "reshaped as if channels came first",
    "order|reshape|channel|transpos",
    lambda x: x.reshape(len(x), x.shape[-1], -1).swapaxes(1, 2),
)
wrong("flat", "batch flattened too", "batch|shape", lambda x: x.reshape(-1, x.shape[-1]))
wrong(
    "flat",
    "pixels in reverse",
    "order|revers|flip",
    lambda x: x.reshape(len(x), -1, x.shape[-1])[:, ::-1],
)
wrong("flat", "everything of an image in one row", "shape", lambda x: x.reshape(len(x), -1))
wrong("flat", "nothing done", "shape", lambda x: x)
wrong(
    "flat",
    "channels and columns mixed",
    "order|shape|transpos|reshape",
    lambda x: x.transpose(0, 1, 3, 2).reshape(len(x), -1, x.shape[-1]),
)
right("flat", "rows put after each other", lambda x: np.concatenate(list(x.swapaxes(0, 1)), axis=1))

# relative_position_bias


def table(b, dy=abs, dx=abs, swap=False, order="row"):
    heads, rows, columns = b.shape[:3]
    out = np.zeros((heads, rows * columns, rows * columns), b.dtype)
    for i in range(rows * columns):
        for j in range(rows * columns):
            a, c = (
                (divmod(i, columns), divmod(j, columns))
                if order == "row"
                else (divmod(i, rows)[::-1], divmod(j, rows)[::-1])
            )
            u, v = dy(a[0] - c[0]), dx(a[1] - c[1])
            if swap:
                u, v = v % rows, u % columns
            out[:, i, j] = b[:, u, v]
    return out


def both(f):
    return lambda b: b.reshape(len(b), b.shape[1] * b.shape[2], -1) if b.ndim == 5 else f(b)


wrong(
    "relative_position_bias",
    "differences without their absolute value",
    "abs",
    both(lambda b: table(b, int, int)),
)
wrong("relative_position_bias", "rows without absolute value", "abs", both(lambda b: table(b, int)))
wrong(
    "relative_position_bias",
    "rows and columns exchanged",
    "row|column|exchang|order|down|across",
    both(lambda b: table(b, swap=True)),
)
wrong(
    "relative_position_bias",
    "tokens run by column",
    "column|row|order",
    both(lambda b: table(b, order="column")),
)
wrong(
    "relative_position_bias",
    "the same bias for all pairs",
    "distance|0|down|across|same",
    both(
        lambda b: np.broadcast_to(
            b[:, :1, :1], (len(b), b.shape[1] * b.shape[2], b.shape[1] * b.shape[2])
        ).copy()
    ),
)
wrong(
    "relative_position_bias",
    "the bias of the key's place",
    "key|position|distance|row|y|x",
    both(lambda b: np.repeat(b.reshape(len(b), 1, -1), b.shape[1] * b.shape[2], axis=1)),
)
wrong("relative_position_bias", "sign turned", "sign|negat", both(lambda b: -table(b)))
wrong(
    "relative_position_bias",
    "only distances along the row",
    "row|y|down|0|column",
    both(lambda b: table(b, lambda d: 0)),
)
wrong(
    "relative_position_bias",
    "the square of the distance",
    "square|distance|exception|index|bounds",
    both(lambda b: table(b, lambda d: d * d)),
)
right("relative_position_bias", "a loop over pairs", both(table))

# attention


def mix(
    x,
    p,
    scale=None,
    axis=-1,
    transpose=True,
    layout="head",
    bias=1.0,
    merge=True,
    mask=None,
    split="qkv",
    post=lambda a: a,
    heads_first=True,
):
    """Attention with many ways to be wrong."""
    B, N, _ = x.shape
    heads = len(p.attention_biases)
    K, V = head_sizes(p)
    qkv = x @ p.qkv.weight + p.qkv.bias
    if layout == "head":
        parts = qkv.reshape(B, N, heads, -1).transpose(0, 2, 1, 3)
        widths = {"q": K, "k": K, "v": V}
        cut, start = {}, 0
        for letter in split:
            cut[letter] = parts[..., start : start + widths[letter]]
            start += widths[letter]
        q, k, v = cut["q"], cut["k"], cut["v"]
    elif layout == "all":
        q, k, v = (
            a.reshape(B, N, heads, -1).transpose(0, 2, 1, 3)
            for a in np.split(qkv, [heads * K, 2 * heads * K], axis=-1)
        )
    else:
        parts = qkv.reshape(B, heads, N, -1)
        q, k, v = np.split(parts, [K, 2 * K], axis=-1)
    scale = K**-0.5 if scale is None else scale(K, V, x.shape[-1])
    scores = q @ k.swapaxes(-1, -2)
    table = relative_position_bias(p.attention_biases)
    if bias == "scaled":
        scores = (scores + table) * scale
    else:
        scores = scores * scale + bias * table
    if mask is not None:
        scores = np.where(mask(N), scores, -np.inf)
    e = np.exp(scores - scores.max(axis, keepdims=True))
    attn = post(e / e.sum(axis, keepdims=True))
    y = attn @ v
    y = y.transpose(0, 2, 1, 3).reshape(B, N, -1) if merge else y.reshape(B, N, -1)
    return y


def out(y, p):
    return y @ p.proj.weight + p.proj.bias


wrong("attention", "no scale", "scale|√|sqrt|K", lambda x, p: out(mix(x, p, lambda K, V, C: 1), p))
wrong(
    "attention",
    "scaled by 1/K",
    "scale|√|sqrt|K",
    lambda x, p: out(mix(x, p, lambda K, V, C: 1 / K), p),
)
wrong(
    "attention",
    "scale of the values' width",
    "V|scale",
    lambda x, p: out(mix(x, p, lambda K, V, C: V**-0.5), p),
)
wrong(
    "attention",
    "scale of the model's width",
    "C|scale|width",
    lambda x, p: out(mix(x, p, lambda K, V, C: C**-0.5), p),
)
wrong(
    "attention",
    "multiplied by the root",
    "scale|√|K|multipl",
    lambda x, p: out(mix(x, p, lambda K, V, C: K**0.5), p),
)
wrong("attention", "softmax over queries", "ax|quer", lambda x, p: out(mix(x, p, axis=-2), p))
wrong("attention", "softmax over heads", "ax|head", lambda x, p: out(mix(x, p, axis=1), p))
wrong("attention", "no position bias", "bias", lambda x, p: out(mix(x, p, bias=0.0), p))
wrong(
    "attention",
    "position bias scaled too",
    "bias|scale",
    lambda x, p: out(mix(x, p, bias="scaled"), p),
)
wrong(
    "attention", "position bias subtracted", "bias|sign", lambda x, p: out(mix(x, p, bias=-1.0), p)
)
wrong(
    "attention",
    "all queries before all keys",
    "head|layout|split|order|quer",
    lambda x, p: out(mix(x, p, layout="all"), p),
)
wrong(
    "attention",
    "heads reshaped without a transposition",
    "head|reshape|transpos|order|swap",
    lambda x, p: out(mix(x, p, layout="bad"), p),
)
wrong("attention", "keys before queries", "q|k|order", lambda x, p: out(mix(x, p, split="kqv"), p))
wrong("attention", "values first", "v|order", lambda x, p: out(mix(x, p, split="vqk"), p))
wrong(
    "attention",
    "causal mask",
    "causal|mask|triang|tril",
    lambda x, p: out(mix(x, p, mask=lambda N: np.tri(N, dtype=bool)), p),
)
wrong(
    "attention",
    "no token looks at itself",
    "mask|itself|diagonal|not finite",
    lambda x, p: out(mix(x, p, mask=lambda N: ~np.eye(N, dtype=bool)), p),
)
wrong(
    "attention",
    "heads merged without a transposition",
    "head|merge|reshape|transpos|order|swap",
    lambda x, p: out(mix(x, p, merge=False), p),
)
wrong("attention", "no projection bias", "proj.*bias|bias", lambda x, p: mix(x, p) @ p.proj.weight)
wrong(
    "attention",
    "attention transposed",
    "transpos|attn|swap",
    lambda x, p: out(mix(x, p, post=lambda a: a.swapaxes(-1, -2)), p),
)
wrong(
    "attention",
    "uniform attention",
    "uniform|mean|attn|softmax|same",
    lambda x, p: out(mix(x, p, post=lambda a: a * 0 + 1 / a.shape[-1]), p),
)
wrong("attention", "residual added", "x|residual|add", lambda x, p: x + out(mix(x, p), p))
wrong(
    "attention",
    "softmax not normalized twice over",
    "softmax|twice",
    lambda x, p: out(mix(x, p, post=softmax), p),
)


def checked(f):
    def g(x, p):
        if x.shape[1] != p.attention_biases.shape[1] * p.attention_biases.shape[2]:
            raise ValueError("grid")
        return f(x, p)

    return g


right("attention", "by hand", checked(lambda x, p: out(mix(x, p), p)))


@right("attention", "one head after the other, einsum")
@checked
def _(x, p):
    heads, (K, V) = len(p.attention_biases), head_sizes(p)
    qkv, table = linear(x, p.qkv), relative_position_bias(p.attention_biases)
    found = []
    for h in range(heads):
        part = qkv[:, :, h * (2 * K + V) : (h + 1) * (2 * K + V)]
        q, k, v = part[..., :K], part[..., K : 2 * K], part[..., 2 * K :]
        found.append(
            np.einsum(
                "bij,bjv->biv",
                softmax(np.einsum("bik,bjk->bij", q / np.sqrt(q.dtype.type(K)), k) + table[h]),
                v,
            )
        )
    return linear(np.concatenate(found, -1), p.proj)


# relative_position_bias_backward


def back(d, b, how="add", dy=abs, factor=1.0):
    if b.ndim == 5:
        return d.reshape(b.shape)
    heads, rows, columns = b.shape
    out = np.zeros_like(b)
    for i in range(rows * columns):
        for j in range(rows * columns):
            (a, c), (e, f) = divmod(i, columns), divmod(j, columns)
            u, v = dy(a - e), abs(c - f)
            out[:, u, v] = out[:, u, v] + d[:, i, j] if how == "add" else d[:, i, j]
    return out * factor


wrong(
    "relative_position_bias_backward",
    "later pairs overwrite",
    "overwrit|last|add|assign",
    lambda d, b: back(d, b, "set"),
)
wrong(
    "relative_position_bias_backward",
    "plain indexing adds each distance once",
    "add|once|last|repeat|duplicate",
    lambda d, b: d.reshape(b.shape) if b.ndim == 5 else buffered(d, b),
)
wrong(
    "relative_position_bias_backward", "no absolute value", "abs", lambda d, b: back(d, b, dy=int)
)
wrong(
    "relative_position_bias_backward",
    "mean instead of sum",
    "mean|divi|count|average",
    lambda d, b: averaged(d, b),
)
wrong(
    "relative_position_bias_backward",
    "pairs in one direction only",
    "half|direction|triang|pair|factor",
    lambda d, b: d.reshape(b.shape) if b.ndim == 5 else back(np.triu(d), b),
)
wrong("relative_position_bias_backward", "halved", "factor|half|0\\.5", lambda d, b: back(d, b) / 2)
wrong("relative_position_bias_backward", "wrong sign", "sign|negat", lambda d, b: -back(d, b))
wrong(
    "relative_position_bias_backward",
    "zero distances only",
    "diagonal|0|distance",
    lambda d, b: d.reshape(b.shape) if b.ndim == 5 else back(d * np.eye(d.shape[-1]), b),
)


def buffered(d, b):
    heads, rows, columns = b.shape
    y, x = np.divmod(np.arange(rows * columns), columns)
    out = np.zeros_like(b)
    out[:, abs(y[:, None] - y), abs(x[:, None] - x)] += d
    return out


def averaged(d, b):
    return d.reshape(b.shape) if b.ndim == 5 else back(d, b) / back(np.ones_like(d), b)


right("relative_position_bias_backward", "a loop over pairs", back)

# attention_backward


def pieces(
    dy, x, p, tape, scale=True, jacobian=True, sum_bias=np.sum, dk=lambda a: a.swapaxes(2, 3)
):
    K, V = head_sizes(p)
    B, heads, N, _ = tape["attn"].shape
    attn = tape["attn"]
    parts = tape["qkv"].reshape(B, N, heads, -1).swapaxes(1, 2)
    q, k, v = parts[..., :K], parts[..., K : 2 * K], parts[..., 2 * K :]
    y = (attn @ v).swapaxes(1, 2).reshape(B, N, -1)
    dout, dproj = linear_backward(dy, y, p.proj)
    dout = dout.reshape(B, N, heads, -1).swapaxes(1, 2)
    dv = attn.swapaxes(2, 3) @ dout
    dattn = dout @ v.swapaxes(2, 3)
    dscores = softmax_backward(dattn, attn) if jacobian else dattn
    s = K**-0.5 if scale else 1
    dq, dkeys = dscores @ k * s, dk(dscores) @ q * s
    return dq, dkeys, dv, dscores, dproj


def finish(dq, dk, dv, dscores, dproj, x, p, sum_bias=np.sum):
    B, heads, N, _ = dq.shape
    dqkv = np.concatenate([dq, dk, dv], -1).swapaxes(1, 2).reshape(B, N, -1)
    dx, dlinear = linear_backward(dqkv, x, p.qkv)
    dbias = relative_position_bias_backward(sum_bias(dscores, 0), p.attention_biases)
    return dx, Attention(dlinear, dproj, dbias)


wrong(
    "attention_backward",
    "scale forgotten",
    "scale|√|K",
    lambda dy, x, p, tape: finish(*pieces(dy, x, p, tape, scale=False), x, p),
)
wrong(
    "attention_backward",
    "softmax's gradient skipped",
    "softmax",
    lambda dy, x, p, tape: finish(*pieces(dy, x, p, tape, jacobian=False), x, p),
)
wrong(
    "attention_backward",
    "bias averaged over the batch",
    "mean|bias|batch",
    lambda dy, x, p, tape: finish(*pieces(dy, x, p, tape), x, p, np.mean),
)
wrong(
    "attention_backward",
    "dk not transposed",
    "transpos|dk|swap",
    lambda dy, x, p, tape: finish(*pieces(dy, x, p, tape, dk=lambda a: a), x, p),
)


@wrong("attention_backward", "dq and dk exchanged", "dq.*dk|dk.*dq|exchang|swap")
def _(dy, x, p, tape):
    dq, dk, dv, ds, dp = pieces(dy, x, p, tape)
    return finish(dk, dq, dv, ds, dp, x, p)


@wrong("attention_backward", "scale on the bias too", "scale|bias|√|K")
def _(dy, x, p, tape):
    dq, dk, dv, ds, dp = pieces(dy, x, p, tape)
    return finish(dq, dk, dv, ds * head_sizes(p)[0] ** -0.5, dp, x, p)


@wrong("attention_backward", "the scale for queries only", "scale|dk|√|K")
def _(dy, x, p, tape):
    dq, dk, dv, ds, dp = pieces(dy, x, p, tape)
    return finish(dq, dk * head_sizes(p)[0] ** 0.5, dv, ds, dp, x, p)


@wrong("attention_backward", "the bias of the first image", "first|image|batch|bias")
def _(dy, x, p, tape):
    return finish(*pieces(dy, x, p, tape), x, p, lambda a, axis: a[0])


@wrong(
    "attention_backward",
    "the gradient of the projection for its input forgotten to be split by heads",
    "head|reshape|transpos|order|swap",
)
def _(dy, x, p, tape):
    K, V = head_sizes(p)
    B, heads, N, _ = tape["attn"].shape
    attn, parts = tape["attn"], tape["qkv"].reshape(B, N, heads, -1).swapaxes(1, 2)
    q, k, v = parts[..., :K], parts[..., K : 2 * K], parts[..., 2 * K :]
    dout, dproj = linear_backward(dy, (attn @ v).swapaxes(1, 2).reshape(B, N, -1), p.proj)
    dout = dout.reshape(B, heads, N, -1)
    ds = softmax_backward(dout @ v.swapaxes(2, 3), attn)
    s = K**-0.5
    return finish(
        ds @ k * s, ds.swapaxes(2, 3) @ q * s, attn.swapaxes(2, 3) @ dout, ds, dproj, x, p
    )


@wrong(
    "attention_backward",
    "values' gradient without the attention's transposition",
    "transpos|dv|swap",
)
def _(dy, x, p, tape):
    K, V = head_sizes(p)
    B, heads, N, _ = tape["attn"].shape
    dq, dk, dv, ds, dp = pieces(dy, x, p, tape)
    dout = (
        linear_backward(dy, dy, Linear(p.proj.weight, p.proj.bias))[0]
        .reshape(B, N, heads, -1)
        .swapaxes(1, 2)
    )
    return finish(dq, dk, tape["attn"] @ dout, ds, dp, x, p)


right(
    "attention_backward",
    "step by step",
    lambda dy, x, p, tape: finish(*pieces(dy, x, p, tape), x, p),
)
