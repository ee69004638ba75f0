"""Answers to the exercises on blocks, stem and downsampling."""

# fmt: off  (one line for each answer)
from __future__ import annotations

from npformer.layers import (
    AttentionBlock,
    Downsample,
    PoolingBlock,
    Stem,
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
    layer_norm,
    layer_norm_backward,
    layer_scale,
    layer_scale_backward,
    mlp,
    mlp_backward,
    pooling,
    pooling_backward,
    relu,
)

from .students import right, wrong

# pooling_block


@wrong("pooling_block", "first residual missing", "x|residual")
def _(x, p, pool_size=3, activation=gelu, eps=1e-5):
    x = layer_scale(pooling(x, pool_size), p.ls1)
    return x + layer_scale(conv_mlp(x, p.mlp, activation, eps), p.ls2)


@wrong("pooling_block", "second residual missing", "x|residual")
def _(x, p, pool_size=3, activation=gelu, eps=1e-5):
    x = x + layer_scale(pooling(x, pool_size), p.ls1)
    return layer_scale(conv_mlp(x, p.mlp, activation, eps), p.ls2)


@wrong("pooling_block", "layer scales exchanged", "ls1|ls2|exchang")
def _(x, p, pool_size=3, activation=gelu, eps=1e-5):
    x = x + layer_scale(pooling(x, pool_size), p.ls2)
    return x + layer_scale(conv_mlp(x, p.mlp, activation, eps), p.ls1)


@wrong("pooling_block", "no layer scale", "layer_scale|scale|ls1|γ")
def _(x, p, pool_size=3, activation=gelu, eps=1e-5):
    x = x + pooling(x, pool_size)
    return x + conv_mlp(x, p.mlp, activation, eps)


@wrong("pooling_block", "plain average instead of pooling", "average|pool|x|subtract")
def _(x, p, pool_size=3, activation=gelu, eps=1e-5):
    x = x + layer_scale(average_pool(x, pool_size), p.ls1)
    return x + layer_scale(conv_mlp(x, p.mlp, activation, eps), p.ls2)


@wrong("pooling_block", "both branches see the input", "input|x|parallel")
def _(x, p, pool_size=3, activation=gelu, eps=1e-5):
    y = x + layer_scale(pooling(x, pool_size), p.ls1)
    return y + layer_scale(conv_mlp(x, p.mlp, activation, eps), p.ls2)


@wrong("pooling_block", "mlp before pooling", "order|first|before")
def _(x, p, pool_size=3, activation=gelu, eps=1e-5):
    x = x + layer_scale(conv_mlp(x, p.mlp, activation, eps), p.ls2)
    return x + layer_scale(pooling(x, pool_size), p.ls1)


@wrong("pooling_block", "pool size not passed", "size")
def _(x, p, pool_size=3, activation=gelu, eps=1e-5):
    x = x + layer_scale(pooling(x), p.ls1)
    return x + layer_scale(conv_mlp(x, p.mlp, activation, eps), p.ls2)


@wrong("pooling_block", "the input added again at the end", "x|residual|input")
def _(x, p, pool_size=3, activation=gelu, eps=1e-5):
    y = x + layer_scale(pooling(x, pool_size), p.ls1)
    return x + layer_scale(conv_mlp(y, p.mlp, activation, eps), p.ls2)


@wrong("pooling_block", "residual scaled as well", "scale|x|residual|γ|ls2")
def _(x, p, pool_size=3, activation=gelu, eps=1e-5):
    x = x + layer_scale(pooling(x, pool_size), p.ls1)
    return layer_scale(x + conv_mlp(x, p.mlp, activation, eps), p.ls2)


@right("pooling_block", "branches by hand")
def _(x, p, pool_size=3, activation=gelu, eps=1e-5):
    y = pooling(x, pool_size)
    x = x + (y if p.ls1 is None else p.ls1.gamma * y)
    y = conv_mlp(x, p.mlp, activation, eps)
    return (y if p.ls2 is None else p.ls2.gamma * y) + x


# pooling_block_backward


def pool_back(
    dy,
    x,
    p,
    pool_size,
    activation,
    eps,
    tape,
    middle=None,
    skip1=True,
    skip2=True,
    scale=True,
    order=True,
):
    middle = x + tape["ls1"] if middle is None else middle
    b, dls2 = layer_scale_backward(dy, tape["mlp"], p.ls2) if scale else (dy, p.ls2)
    b, dmlp = conv_mlp_backward(b, middle, p.mlp, activation, eps, tape.within("mlp"))
    dy = dy + b if skip2 else b
    b, dls1 = layer_scale_backward(dy, tape["token_mixer"], p.ls1)
    dx = pooling_backward(b, pool_size)
    return dx + dy if skip1 else dx, PoolingBlock(dls1, dmlp, dls2)


A = dict(pool_size=3, activation=gelu, eps=1e-5, tape=None)
wrong(
    "pooling_block_backward",
    "the gradient does not flow past the mlp",
    "dy|residual|branch",
    lambda dy, x, p, pool_size=3, activation=gelu, eps=1e-5, tape=None: pool_back(
        dy, x, p, pool_size, activation, eps, tape, skip2=False
    ),
)
wrong(
    "pooling_block_backward",
    "the gradient does not flow past the pooling",
    "dy|residual|branch",
    lambda dy, x, p, pool_size=3, activation=gelu, eps=1e-5, tape=None: pool_back(
        dy, x, p, pool_size, activation, eps, tape, skip1=False
    ),
)
wrong(
    "pooling_block_backward",
    "the mlp's input is the block's",
    "middle|x|mlp|saw",
    lambda dy, x, p, pool_size=3, activation=gelu, eps=1e-5, tape=None: pool_back(
        dy, x, p, pool_size, activation, eps, tape, middle=x
    ),
)
wrong(
    "pooling_block_backward",
    "the mlp's input is the branch",
    "middle|x|ls1",
    lambda dy, x, p, pool_size=3, activation=gelu, eps=1e-5, tape=None: pool_back(
        dy, x, p, pool_size, activation, eps, tape, middle=tape["ls1"]
    ),
)
wrong(
    "pooling_block_backward",
    "size fixed",
    "size",
    lambda dy, x, p, pool_size=3, activation=gelu, eps=1e-5, tape=None: pool_back(
        dy, x, p, 3, activation, eps, tape
    ),
)


@wrong("pooling_block_backward", "layer scale's gradient from its output", "ls1|token_mixer|output")
def _(dy, x, p, pool_size=3, activation=gelu, eps=1e-5, tape=None):
    dx, d = pool_back(dy, x, p, pool_size, activation, eps, tape)
    if p.ls2 is None:
        return dx, d
    return dx, d._replace(ls2=layer_scale_backward(dy, tape["ls2"], p.ls2)[1])


@wrong("pooling_block_backward", "pooling's gradient by the forward function", "pooling|forward")
def _(dy, x, p, pool_size=3, activation=gelu, eps=1e-5, tape=None):
    b, dls2 = layer_scale_backward(dy, tape["mlp"], p.ls2)
    b, dmlp = conv_mlp_backward(b, x + tape["ls1"], p.mlp, activation, eps, tape.within("mlp"))
    dy = dy + b
    b, dls1 = layer_scale_backward(dy, tape["token_mixer"], p.ls1)
    return dy + pooling(b, pool_size), PoolingBlock(dls1, dmlp, dls2)


@wrong("pooling_block_backward", "first branch gets the block's gradient", "dy|branch")
def _(dy, x, p, pool_size=3, activation=gelu, eps=1e-5, tape=None):
    b, dls2 = layer_scale_backward(dy, tape["mlp"], p.ls2)
    b, dmlp = conv_mlp_backward(b, x + tape["ls1"], p.mlp, activation, eps, tape.within("mlp"))
    c, dls1 = layer_scale_backward(dy, tape["token_mixer"], p.ls1)
    return dy + b + pooling_backward(c, pool_size), PoolingBlock(dls1, dmlp, dls2)


right(
    "pooling_block_backward",
    "a helper",
    lambda dy, x, p, pool_size=3, activation=gelu, eps=1e-5, tape=None: pool_back(
        dy, x, p, pool_size, activation, eps, tape
    ),
)

# attention_block


def att(
    x,
    p,
    activation,
    eps,
    n1="norm1",
    n2="norm2",
    s1="ls1",
    s2="ls2",
    skip1=True,
    skip2=True,
    post=False,
):
    y = layer_norm(x, getattr(p, n1), eps) if n1 else x
    y = (
        layer_scale(attention(y, p.token_mixer), getattr(p, s1))
        if s1
        else attention(y, p.token_mixer)
    )
    x = x + y if skip1 else y
    y = layer_norm(x, getattr(p, n2), eps) if n2 else x
    y = mlp(y, p.mlp, activation)
    y = layer_scale(y, getattr(p, s2)) if s2 else y
    return x + y if skip2 else y


wrong(
    "attention_block",
    "first norm missing",
    "norm1|norm",
    lambda x, p, activation=gelu, eps=1e-12: att(x, p, activation, eps, n1=""),
)
wrong(
    "attention_block",
    "second norm missing",
    "norm2|norm",
    lambda x, p, activation=gelu, eps=1e-12: att(x, p, activation, eps, n2=""),
)
wrong(
    "attention_block",
    "norm1 used twice",
    "norm1",
    lambda x, p, activation=gelu, eps=1e-12: att(x, p, activation, eps, n2="norm1"),
)
wrong(
    "attention_block",
    "norms exchanged",
    "norm1|norm2|exchang",
    lambda x, p, activation=gelu, eps=1e-12: att(x, p, activation, eps, "norm2", "norm1"),
)
wrong(
    "attention_block",
    "scales exchanged",
    "ls1|ls2|exchang",
    lambda x, p, activation=gelu, eps=1e-12: att(x, p, activation, eps, s1="ls2", s2="ls1"),
)
wrong(
    "attention_block",
    "second scale missing",
    "ls2|scale",
    lambda x, p, activation=gelu, eps=1e-12: att(x, p, activation, eps, s2=""),
)
wrong(
    "attention_block",
    "no residual around attention",
    "x|residual",
    lambda x, p, activation=gelu, eps=1e-12: att(x, p, activation, eps, skip1=False),
)
wrong(
    "attention_block",
    "no residual around the mlp",
    "x|residual",
    lambda x, p, activation=gelu, eps=1e-12: att(x, p, activation, eps, skip2=False),
)
wrong(
    "attention_block",
    "epsilon of 1e-5 everywhere",
    "eps|ε|1e-05",
    lambda x, p, activation=gelu, eps=1e-12: att(x, p, activation, 1e-5),
)
wrong(
    "attention_block",
    "mlp always with gelu",
    "gelu|activation",
    lambda x, p, activation=gelu, eps=1e-12: att(x, p, gelu, eps),
)


@wrong("attention_block", "norm after the branch", "norm|after|order|post")
def _(x, p, activation=gelu, eps=1e-12):
    x = layer_norm(x + layer_scale(attention(x, p.token_mixer), p.ls1), p.norm1, eps)
    return layer_norm(x + layer_scale(mlp(x, p.mlp, activation), p.ls2), p.norm2, eps)


@wrong("attention_block", "residual from the normalized x", "norm|y|residual")
def _(x, p, activation=gelu, eps=1e-12):
    y = layer_norm(x, p.norm1, eps)
    x = y + layer_scale(attention(y, p.token_mixer), p.ls1)
    return x + layer_scale(mlp(layer_norm(x, p.norm2, eps), p.mlp, activation), p.ls2)


right(
    "attention_block",
    "a helper",
    lambda x, p, activation=gelu, eps=1e-12: att(x, p, activation, eps),
)

# attention_block_backward


def att_back(
    dy,
    x,
    p,
    activation,
    eps,
    tape,
    skip1=True,
    skip2=True,
    middle=None,
    mixer_in="norm1",
    mlp_in="norm2",
    ln2=True,
    last=None,
):
    middle = x + tape["ls1"] if middle is None else middle
    b, dls2 = layer_scale_backward(dy, tape["mlp"], p.ls2)
    b, dmlp = mlp_backward(
        b, tape[mlp_in] if mlp_in else middle, p.mlp, activation, tape.within("mlp")
    )
    c, dn2 = layer_norm_backward(b, middle, p.norm2, eps)
    b = c if ln2 else b
    dy = dy + b if skip2 else b
    b, dls1 = layer_scale_backward(dy, tape["token_mixer"], p.ls1)
    b, dm = attention_backward(
        b, tape[mixer_in] if mixer_in else x, p.token_mixer, tape.within("token_mixer")
    )
    b, dn1 = layer_norm_backward(b, x if last is None else last(tape), p.norm1, eps)
    return dy + b if skip1 else b, AttentionBlock(dn1, dm, dls1, dn2, dmlp, dls2)


wrong(
    "attention_block_backward",
    "skip around the mlp missing",
    "dy|residual|branch",
    lambda dy, x, p, activation=gelu, eps=1e-12, tape=None: att_back(
        dy, x, p, activation, eps, tape, skip2=False
    ),
)
wrong(
    "attention_block_backward",
    "skip around attention missing",
    "dy|residual|branch",
    lambda dy, x, p, activation=gelu, eps=1e-12, tape=None: att_back(
        dy, x, p, activation, eps, tape, skip1=False
    ),
)
wrong(
    "attention_block_backward",
    "second norm saw x",
    "middle|x|norm2",
    lambda dy, x, p, activation=gelu, eps=1e-12, tape=None: att_back(
        dy, x, p, activation, eps, tape, middle=x
    ),
)
wrong(
    "attention_block_backward",
    "attention's input taken before the norm",
    "norm1|x",
    lambda dy, x, p, activation=gelu, eps=1e-12, tape=None: att_back(
        dy, x, p, activation, eps, tape, mixer_in=""
    ),
)
wrong(
    "attention_block_backward",
    "mlp's input taken before the norm",
    "norm2|middle",
    lambda dy, x, p, activation=gelu, eps=1e-12, tape=None: att_back(
        dy, x, p, activation, eps, tape, mlp_in=""
    ),
)
wrong(
    "attention_block_backward",
    "second norm's gradient skipped in dx",
    "norm2|layer_norm",
    lambda dy, x, p, activation=gelu, eps=1e-12, tape=None: att_back(
        dy, x, p, activation, eps, tape, ln2=False
    ),
)
wrong(
    "attention_block_backward",
    "first norm's input is its output",
    "norm1|x",
    lambda dy, x, p, activation=gelu, eps=1e-12, tape=None: att_back(
        dy, x, p, activation, eps, tape, last=lambda t: t["norm1"]
    ),
)
wrong(
    "attention_block_backward",
    "epsilon fixed",
    "eps|ε|1e-12",
    lambda dy, x, p, activation=gelu, eps=1e-12, tape=None: att_back(
        dy, x, p, activation, 1e-12, tape
    ),
)
right(
    "attention_block_backward",
    "a helper",
    lambda dy, x, p, activation=gelu, eps=1e-12, tape=None: att_back(
        dy, x, p, activation, eps, tape
    ),
)

# stem


def two(
    x, p, eps, act=relu, last=True, n=("norm1", "norm2"), stride=(2, 2), padding=1, order="cna"
):
    for i, (conv, norm) in enumerate(((p.conv1, getattr(p, n[0])), (p.conv2, getattr(p, n[1])))):
        x = conv2d(x, conv, stride[i], padding)
        if order == "can":
            x = batch_norm(act(x), norm, eps)
            continue
        x = batch_norm(x, norm, eps)
        if i == 0 or last:
            x = act(x)
    return x


wrong(
    "stem", "last activation missing", "relu|act", lambda x, p, eps=1e-5: two(x, p, eps, last=False)
)
wrong("stem", "gelu", "gelu|relu", lambda x, p, eps=1e-5: two(x, p, eps, gelu))
wrong(
    "stem",
    "stride one in the second",
    "stride",
    lambda x, p, eps=1e-5: two(x, p, eps, stride=(2, 1)),
)
wrong("stem", "no padding", "padding", lambda x, p, eps=1e-5: two(x, p, eps, padding=0))
wrong(
    "stem",
    "activation before the norm",
    "relu|norm|order",
    lambda x, p, eps=1e-5: two(x, p, eps, order="can"),
)
wrong(
    "stem", "no activation at all", "relu|act", lambda x, p, eps=1e-5: two(x, p, eps, lambda x: x)
)
wrong("stem", "epsilon forgotten", "eps|ε", lambda x, p, eps=1e-5: two(x, p, 1e-5))
wrong(
    "stem",
    "only the first convolution has a norm",
    "norm2",
    lambda x, p, eps=1e-5: relu(
        conv2d(relu(batch_norm(conv2d(x, p.conv1, 2, 1), p.norm1, eps)), p.conv2, 2, 1)
    ),
)
wrong("stem", "padding two", "padding", lambda x, p, eps=1e-5: two(x, p, eps, padding=2))
right("stem", "a loop", lambda x, p, eps=1e-5: two(x, p, eps))


def stem_gradient(
    dy, x, p, eps, tape, act2=True, pre1="norm1", in2="act1", stride=2, padding=1, w=True
):
    within = tape.within if w else lambda name: ()
    if act2:
        dy = activation_backward(dy, tape["norm2"], relu)
    dy, dn2 = batch_norm_backward(dy, tape["conv2"], p.norm2, eps, within("norm2"))
    dy, dc2 = conv2d_backward(dy, tape[in2], p.conv2, stride, padding)
    dy = activation_backward(dy, tape[pre1], relu)
    dy, dn1 = batch_norm_backward(dy, tape["conv1"], p.norm1, eps, within("norm1"))
    dx, dc1 = conv2d_backward(dy, x, p.conv1, 2, 1)
    return dx, Stem(dc1, dn1, dc2, dn2)


wrong(
    "stem_backward",
    "second activation forgotten",
    "act|relu|norm2",
    lambda dy, x, p, eps=1e-5, tape=None: stem_gradient(dy, x, p, eps, tape, act2=False),
)
wrong(
    "stem_backward",
    "first activation's input before the norm",
    "conv1|norm1",
    lambda dy, x, p, eps=1e-5, tape=None: stem_gradient(dy, x, p, eps, tape, pre1="conv1"),
)
wrong(
    "stem_backward",
    "second convolution's input before the activation",
    "norm1|act1",
    lambda dy, x, p, eps=1e-5, tape=None: stem_gradient(dy, x, p, eps, tape, in2="norm1"),
)
wrong(
    "stem_backward",
    "tape of the norms forgotten",
    "tape|running|statistics|norm",
    lambda dy, x, p, eps=1e-5, tape=None: stem_gradient(dy, x, p, eps, tape, w=False),
)
wrong(
    "stem_backward",
    "epsilon forgotten",
    "eps|ε",
    lambda dy, x, p, eps=1e-5, tape=None: stem_gradient(dy, x, p, 1e-5, tape),
)


@wrong("stem_backward", "convolutions exchanged in the result", "conv1|conv2|exchang|shape")
def _(dy, x, p, eps=1e-5, tape=None):
    dx, d = stem_gradient(dy, x, p, eps, tape)
    return dx, Stem(d.conv2, d.norm1, d.conv1, d.norm2)


@wrong("stem_backward", "gelu's derivative", "gelu|relu")
def _(dy, x, p, eps=1e-5, tape=None):
    dy = activation_backward(dy, tape["norm2"], gelu)
    dy, dn2 = batch_norm_backward(dy, tape["conv2"], p.norm2, eps, tape.within("norm2"))
    dy, dc2 = conv2d_backward(dy, tape["act1"], p.conv2, 2, 1)
    dy = activation_backward(dy, tape["norm1"], gelu)
    dy, dn1 = batch_norm_backward(dy, tape["conv1"], p.norm1, eps, tape.within("norm1"))
    dx, dc1 = conv2d_backward(dy, x, p.conv1, 2, 1)
    return dx, Stem(dc1, dn1, dc2, dn2)


right(
    "stem_backward",
    "a helper",
    lambda dy, x, p, eps=1e-5, tape=None: stem_gradient(dy, x, p, eps, tape),
)

# downsample

wrong(
    "downsample",
    "no norm",
    "norm",
    lambda x, p, stride=2, padding=1, eps=1e-5: conv2d(x, p.conv, stride, padding),
)
wrong(
    "downsample",
    "relu at the end",
    "relu|activation|max",
    lambda x, p, stride=2, padding=1, eps=1e-5: relu(
        batch_norm(conv2d(x, p.conv, stride, padding), p.norm, eps)
    ),
)
wrong(
    "downsample",
    "stride fixed to two",
    "stride|2",
    lambda x, p, stride=2, padding=1, eps=1e-5: batch_norm(
        conv2d(x, p.conv, 2, padding), p.norm, eps
    ),
)
wrong(
    "downsample",
    "no padding",
    "padding",
    lambda x, p, stride=2, padding=1, eps=1e-5: batch_norm(conv2d(x, p.conv, stride), p.norm, eps),
)
wrong(
    "downsample",
    "epsilon not passed",
    "eps|ε",
    lambda x, p, stride=2, padding=1, eps=1e-5: batch_norm(
        conv2d(x, p.conv, stride, padding), p.norm
    ),
)
wrong(
    "downsample",
    "stride and padding exchanged",
    "stride|padding",
    lambda x, p, stride=2, padding=1, eps=1e-5: batch_norm(
        conv2d(x, p.conv, padding, stride), p.norm, eps
    ),
)
wrong(
    "downsample",
    "gelu at the end",
    "gelu|activation",
    lambda x, p, stride=2, padding=1, eps=1e-5: gelu(
        batch_norm(conv2d(x, p.conv, stride, padding), p.norm, eps)
    ),
)
wrong(
    "downsample",
    "norm before the convolution",
    "norm|order|exception|broadcast|shape",
    lambda x, p, stride=2, padding=1, eps=1e-5: conv2d(
        batch_norm(x, p.norm, eps), p.conv, stride, padding
    ),
)
wrong(
    "downsample",
    "subsampled after a convolution of stride one, at odd pixels",
    "stride|start|slice|offset|odd",
    lambda x, p, stride=2, padding=1, eps=1e-5: batch_norm(
        conv2d(x, p.conv, 1, padding)[:, stride - 1 :: stride, stride - 1 :: stride], p.norm, eps
    ),
)
right(
    "downsample",
    "convolution of stride one, every other pixel",
    lambda x, p, stride=2, padding=1, eps=1e-5: batch_norm(
        conv2d(x, p.conv, 1, padding)[:, ::stride, ::stride], p.norm, eps
    ),
)


@wrong("downsample_backward", "norm's gradient skipped", "norm")
def _(dy, x, p, stride=2, padding=1, eps=1e-5, tape=None):
    _, dn = batch_norm_backward(dy, tape["conv"], p.norm, eps, tape.within("norm"))
    dx, dc = conv2d_backward(dy, x, p.conv, stride, padding)
    return dx, Downsample(dc, dn)


@wrong("downsample_backward", "norm's input is its output", "norm|conv")
def _(dy, x, p, stride=2, padding=1, eps=1e-5, tape=None):
    dy, dn = batch_norm_backward(dy, tape["norm"], p.norm, eps, tape.within("norm"))
    dx, dc = conv2d_backward(dy, x, p.conv, stride, padding)
    return dx, Downsample(dc, dn)


@wrong("downsample_backward", "tape not passed", "tape|running|statistics")
def _(dy, x, p, stride=2, padding=1, eps=1e-5, tape=None):
    dy, dn = batch_norm_backward(dy, tape["conv"], p.norm, eps)
    dx, dc = conv2d_backward(dy, x, p.conv, stride, padding)
    return dx, Downsample(dc, dn)


@wrong("downsample_backward", "eps not passed", "eps|ε")
def _(dy, x, p, stride=2, padding=1, eps=1e-5, tape=None):
    dy, dn = batch_norm_backward(dy, tape["conv"], p.norm, tape=tape.within("norm"))
    dx, dc = conv2d_backward(dy, x, p.conv, stride, padding)
    return dx, Downsample(dc, dn)


@wrong("downsample_backward", "gradients averaged over the batch", "mean|batch|factor|divi|average")
def _(dy, x, p, stride=2, padding=1, eps=1e-5, tape=None):
    dy, dn = batch_norm_backward(dy, tape["conv"], p.norm, eps, tape.within("norm"))
    dx, dc = conv2d_backward(dy, x, p.conv, stride, padding)
    return dx, Downsample(type(dc)(*(a / len(x) for a in dc)), type(dn)(*(a / len(x) for a in dn)))


@wrong(
    "downsample_backward",
    "convolution's parameters get the gradient from before the norm",
    "conv|dy|norm",
)
def _(dy, x, p, stride=2, padding=1, eps=1e-5, tape=None):
    d, dn = batch_norm_backward(dy, tape["conv"], p.norm, eps, tape.within("norm"))
    dx, _ = conv2d_backward(d, x, p.conv, stride, padding)
    _, dc = conv2d_backward(dy, x, p.conv, stride, padding)
    return dx, Downsample(dc, dn)


@right("downsample_backward", "keywords")
def _(dy, x, p, stride=2, padding=1, eps=1e-5, tape=None):
    d, dn = batch_norm_backward(dy=dy, x=tape["conv"], p=p.norm, eps=eps, tape=tape.within("norm"))
    dx, dc = conv2d_backward(d, x, p.conv, padding=padding, stride=stride)
    return dx, Downsample(norm=dn, conv=dc)
