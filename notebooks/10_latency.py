# %% [markdown]
# # 10 · The paper's latency analysis, repeated on this machine
#
# **Aim.** Do what the authors did before they designed anything: measure where the time goes, operator by operator, in their
# network and in the one they wanted to beat, MobileNetV2×1.4; then repeat their search for a faster network that loses little.
#
# The paper's title promises *MobileNet speed*. That was measured on an iPhone 12, whose neural engine ran both networks in 1.6 ms.
# You have another machine and another program, plain NumPy. So the numbers will differ, and that is the lesson: **latency is a
# property of a network *and* a machine *and* a program**. Counting multiplications does not predict it.

# %%
import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # one core, before NumPy is imported: times are steadier

import time

import matplotlib.pyplot as plt
import numpy as np

import npformer
from npformer import plots
from npformer.data import PHOTOGRAPHS, photograph
from npformer.layers import (
    BatchNorm,
    Conv2d,
    Flat,
    Linear,
    Run,
    attention_block,
    batch_norm,
    conv2d,
    linear,
    pooling_block,
    softmax,
)
from npformer.layers.more_activations import relu6
from npformer.network import forward
from npformer.network.params import initialize
from npformer.network.summary import summarize

rng = np.random.default_rng(0)

# %% [markdown]
# ## What the paper found
#
# Accuracy on ImageNet against latency on an iPhone 12, read from the paper's figure 1 (to about ±0.02 ms and ±0.1 points).

# %%
figure_1 = {
    "MobileNetV2×1.0": (1.3, 71.8, "sky blue"),
    "MobileNetV2×1.4": (1.6, 74.7, "sky blue"),
    "ResNet50": (3.0, 78.5, "sky blue"),
    "EfficientNet-B0": (2.7, 77.1, "sky blue"),
    "EfficientNet-B3": (6.6, 81.6, "sky blue"),
    "DeiT-T": (9.2, 72.2, "orange"),
    "DeiT-S": (11.8, 79.8, "orange"),
    "PoolFormer-S12": (6.1, 77.2, "green"),
    "PoolFormer-S24": (6.2, 80.3, "green"),
    "LeViT-256": (11.9, 81.6, "green"),
    "MobileViT-XS": (7.2, 74.8, "green"),
    "EfficientFormer-L1": (1.6, 79.2, "vermilion"),
    "EfficientFormer-L3": (3.0, 82.4, "vermilion"),
    "EfficientFormer-L7": (7.0, 83.3, "vermilion"),
}
figure, ax = plt.subplots(figsize=(8, 4.4), layout="constrained")
for name, (ms, accuracy, color) in figure_1.items():
    ax.scatter(ms, accuracy, color=plots.COLORS[color], s=45, edgecolor="0.3", zorder=2)
    right = ms > 10
    ax.annotate(
        name,
        (ms, accuracy),
        (-7 if right else 7, 0),
        textcoords="offset points",
        ha="right" if right else "left",
        va="center",
        fontsize=8,
    )
for kind, color in (
    ("convolutions", "sky blue"),
    ("attention", "orange"),
    ("both, or pooling", "green"),
    ("EfficientFormer", "vermilion"),
):
    ax.scatter([], [], color=plots.COLORS[color], s=45, edgecolor="0.3", label=kind)
ax.legend(fontsize=8, frameon=False, loc="lower right")
ax.set_xlabel("latency on an iPhone 12, ms")
ax.set_ylabel("top-1 on ImageNet, %")
ax.spines[["top", "right"]].set_visible(False)

# %% [markdown]
# Its four observations: (1) a stem of small convolutions instead of large patches, notebook 01; (2) no switching between images and tokens, notebook 05; (3)
# batch norm, which folds away, instead of layer norm, notebook 02; (4) whether an activation is slow depends on hardware and compiler: on the iPhone
# GELU took little longer than ReLU, but HardSwish made LeViT-256 take 44.5 ms instead of 11.9.
#
# ## A stopwatch for every operator
#
# Every layer of npformer passes its results through its last argument, `run`. A `Trace` remembers them; here is a run that looks at
# the clock instead. The time since the last call belongs to the operator whose result has just arrived.


# %%
KINDS = {
    "conv": "3×3 convolution",
    "fc": "1×1 convolution, linear",
    "head": "1×1 convolution, linear",
    "depthwise": "depthwise 3×3",
    "norm": "norm",
    "act": "activation",
    "token_mixer": "pooling",
    "ls": "layer scale",
    "residual": "residual",
}


class Stopwatch(Run):
    """A run that adds up the time between results, by kind of operator."""

    def __init__(self, times=None, inside=""):
        super().__init__()
        self.times = {"clock": time.perf_counter()} if times is None else times
        self.inside = inside

    def __call__(self, name, value):
        now = time.perf_counter()
        kind = next((kind for start, kind in KINDS.items() if name.startswith(start)), "other")
        if self.inside == "token_mixer":
            kind = "attention"
        self.times[kind] = self.times.get(kind, 0.0) + 1000 * (now - self.times["clock"])
        self.times["clock"] = time.perf_counter()
        return value

    def within(self, name):
        return Stopwatch(self.times, name)

    def wants(self, name):
        return True


def by_operator(run, repeat=4):
    """Milliseconds of each kind of operator in the fastest of several runs."""
    runs = []
    for _ in range(repeat):
        watch = Stopwatch()
        run(watch)
        del watch.times["clock"]
        runs.append(watch.times)
    return min(runs, key=lambda times: sum(times.values()))


config = npformer.EfficientFormerConfig(num_labels=1000)  # L1
params = initialize(config)
image = rng.standard_normal((1, 224, 224, 3)).astype(np.float32)

l1 = by_operator(lambda watch: forward(image, params, config, watch))
print(f"EfficientFormer-L1 in plain NumPy: {sum(l1.values()):.0f} ms")

# %% [markdown]
# ## MobileNetV2×1.4
#
# Its blocks (Sandler et al. 2018) widen with a 1×1 convolution, filter each channel by itself with a 3×3 *depthwise* convolution, and
# narrow again. The only operator that npformer lacks is the depthwise convolution: 9 multiplications for each number, and channels
# do not mix. We build the network's operators with random weights, to measure time and sizes, not to recognize anything.


# %%
def depthwise(x, weight, stride):
    """3×3 convolution of each channel by itself, padding 1: (B, H, W, C) -> (B, H', W', C)."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    H, W = x.shape[1:3]
    taps = [
        padded[:, u : u + H : stride, v : v + W : stride] * weight[u, v]
        for u in range(3)
        for v in range(3)
    ]
    return sum(taps[1:], taps[0])


def rounded(v):
    """Round a width to a multiple of 8 that is at most a tenth below v."""
    n = max(8, int(v + 4) // 8 * 8)
    return n + 8 if n < 0.9 * v else n


def mobilenet(alpha=1.4):
    """Yield every operator: (kind, C_in, C_out, stride, whether a residual ends here)."""
    C = rounded(32 * alpha)
    yield "3×3 convolution", 3, C, 2, False
    for t, c, n, s in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)):  # fmt: skip
        for i in range(n):
            out, stride = rounded(c * alpha), s if i == 0 else 1
            if t > 1:
                yield "1×1, widen", C, C * t, 1, False
            yield "depthwise", C * t, C * t, stride, False
            yield "1×1, narrow", C * t, out, 1, stride == 1 and C == out
            C = out
    yield "1×1, widen", C, rounded(1280 * alpha), 1, False


def weights(shape, fan):
    """Random weights that keep the numbers in range."""
    return (rng.standard_normal(shape) * np.sqrt(2 / fan)).astype(np.float32)


def norm(C):
    """A batch norm that changes nothing, but takes the usual time."""
    return BatchNorm(*(np.full(C, v, np.float32) for v in (1, 0, 0, 1)))


operators, parameters, macs, side = [], 0, 0, 224
for kind, C_in, C_out, stride, ends in mobilenet():
    side = (side - 1) // stride + 1
    if kind == "depthwise":
        p = weights((3, 3, C_in), 9)
    elif kind == "3×3 convolution":
        p = Conv2d(weights((3, 3, C_in, C_out), 9 * C_in), np.zeros(C_out, np.float32))
    else:
        p = Conv2d(weights((1, 1, C_in, C_out), C_in), np.zeros(C_out, np.float32))
    size = p.size if kind == "depthwise" else p.weight.size
    parameters += size + 2 * C_out
    macs += side * side * size
    operators.append((kind, p, norm(C_out), stride, ends))
classes = Linear(weights((C_out, 1000), C_out), np.zeros(1000, np.float32))
parameters += classes.weight.size + 1000
macs += classes.weight.size
total = summarize(config)
print(
    f"MobileNetV2×1.4:    {parameters:>10,} parameters, {macs / 1e9:.3f} billion multiply-adds, {len(operators)} convolutions"
)
print(
    f"EfficientFormer-L1: {total.parameters:>10,} parameters, {total.macs / 1e9:.3f} billion multiply-adds"
)


# %%
def mobilenet_forward(run):
    """Run MobileNetV2×1.4 on the image, result by result."""
    x = image
    for kind, p, bn, stride, ends in operators:
        if kind == "1×1, widen":
            skip = x
        if kind == "depthwise":
            x = run("depthwise", depthwise(x, p, stride))
        elif kind == "3×3 convolution":
            x = run("conv", conv2d(x, p, 2, 1))
        else:
            x = run("fc", conv2d(x, p))
        x = run("norm", batch_norm(x, bn))
        if kind != "1×1, narrow":
            x = run("act", relu6(x))
        if ends:
            x = run("residual", x + skip)
    return run("head", linear(x.mean((1, 2)), classes))


mobile = by_operator(mobilenet_forward)
plots.stacked_bars(
    {
        f"EfficientFormer-L1\n{total.macs / 1e9:.2f} G": l1,
        f"MobileNetV2×1.4\n{macs / 1e9:.2f} G": mobile,
    },
    "milliseconds, plain NumPy, one core of this machine",
)

# %% [markdown]
# MobileNetV2 needs less than half of the multiplications. But look at its time: the depthwise convolutions are a small part of its arithmetic, yet
# they read and write large, widened maps and do almost nothing with each number. So do the norms and activations on these maps. Such operators are
# limited by memory, not by arithmetic (notebook 09).
#
# Look also at the activation of EfficientFormer. GELU needs the error function, which NumPy lacks; npformer computes it with about
# thirty operations for each number, and each operation is a pass over memory. On the iPhone the same GELU was nearly free: observation 4, seen
# from the other side. (npformer's compiled kernels compute it while the number is still in a register.)

# %%
share = {"depthwise": 0, "1×1": 0, "other": 0}
side = 224
for kind, p, _, stride, _ in operators:
    side = (side - 1) // stride + 1
    key = "depthwise" if kind == "depthwise" else "1×1" if kind.startswith("1×1") else "other"
    share[key] += side * side * (p.size if kind == "depthwise" else p.weight.size)
print("share of MobileNetV2's multiply-adds:", {k: f"{v / macs:.0%}" for k, v in share.items()})
print(f"share of its time here: depthwise {mobile['depthwise 3×3'] / sum(mobile.values()):.0%}")

# %% [markdown]
# Others have measured the two networks elsewhere. With compiled PyTorch on a desktop processor (Intel i9-10940X, batch 1) timm's tables give 6.1 ms for
# MobileNetV2×1.4 and 9.6 ms for L1. "The same speed" is true on the iPhone's neural engine, and that is what the paper says.
#
# ## Latency-driven slimming
#
# How did the authors find the depths and widths? In three steps (section 4.2):
#
# 1. train one large *supernet*, in which any block may also be absent, and learn how important each block is;
# 2. measure once how long a block of each kind, width and resolution takes: a **look-up table**. The latency of any network is then a sum;
# 3. start from the large network and repeatedly take the step that loses the least accuracy for each millisecond saved: leave out a block, turn
#    an attention block into a pooling block, or narrow a stage by 16 channels.
#
# The code of the search was never published. We repeat the idea: step 2 as in the paper; for step 1, instead of a supernet, a much cruder measure
# that is explained below.
#
# ### The look-up table of this machine


# %%
def block_time(kind, width, side, repeat=8):
    """Milliseconds of one block, plain NumPy."""
    attending = int(kind == "attention")
    c = npformer.EfficientFormerConfig(
        depths=(1,),
        hidden_sizes=(width,),
        dim=width,
        num_meta3d_blocks=attending,
        resolution=side,
        num_labels=0,
    )
    block = initialize(c).stages[0].blocks[-1 if attending else 0]
    shape = (1, side * side, width) if attending else (1, side, side, width)
    x = rng.standard_normal(shape).astype(np.float32)
    run = (lambda: attention_block(x, block)) if attending else (lambda: pooling_block(x, block))
    best = np.inf
    for _ in range(repeat):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return 1000 * best


widths = {56: (32, 48, 64), 28: (64, 96, 128), 14: (160, 224, 288), 7: (320, 384, 448)}
table = {
    (kind, C, side): block_time(kind, C, side)
    for side, row in widths.items()
    for C in row
    for kind in ("pooling", "attention")
    if kind == "pooling" or side <= 14
}

figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
for color, marker, kind, side in (
    ("blue", "o", "pooling", 56),
    ("sky blue", "s", "pooling", 28),
    ("green", "^", "pooling", 14),
    ("orange", "v", "pooling", 7),
    ("vermilion", "D", "attention", 14),
    ("purple", "*", "attention", 7),
):
    row = widths[side]
    ax.plot(
        row,
        [table[kind, C, side] for C in row],
        marker=marker,
        color=plots.COLORS[color],
        label=f"{kind}, {side}×{side}",
    )
ax.set_xlabel("width (channels)")
ax.set_ylabel("ms for a block, one core")
ax.set_ylim(0)
figure.legend(fontsize=8, frameon=False, ncols=3, loc="outside upper center")
ax.spines[["top", "right"]].set_visible(False)

# %% [markdown]
# ### How important is a block?
#
# The supernet learned that. We have a trained network, `tiny`, and ask instead: *if this block is left out, how much do the answers change?* We measure the share of
# probability that moves to other classes, over 16 crops of our four photographs. That is not accuracy, and the network is not retrained, as it would be in a real search:
# this shows the procedure and does not produce a network to use.

# %%
tiny = npformer.load("tiny", engine="numpy")
pieces = []
for name in PHOTOGRAPHS:
    picture = photograph(name)
    for _ in range(4):
        size = int(rng.integers(150, min(picture.size)))
        u, v = (int(rng.integers(0, s - size + 1)) for s in picture.size)
        pieces.append(tiny.processor.pixels(picture.crop((u, v, u + size, v + size))))
x = np.stack(pieces)


def answers(params):
    """Probabilities for all pieces, four at a time."""
    return np.concatenate(
        [softmax(forward(part, params, tiny.config).logits) for part in np.split(x, 4)]
    )


def without(params, stage, block):
    """Return the network with one block left out: its branches scaled by 0."""
    stages = list(params.stages)
    blocks = list(stages[stage].blocks)
    zero = blocks[block].ls1._replace(gamma=np.zeros_like(blocks[block].ls1.gamma))
    blocks[block] = blocks[block]._replace(ls1=zero, ls2=zero)
    stages[stage] = stages[stage]._replace(blocks=tuple(blocks))
    return params._replace(stages=tuple(stages))


sides = (32, 16, 8, 4)
candidates = {
    (i, j): block_time(
        "attention" if hasattr(b, "token_mixer") else "pooling",
        tiny.config.hidden_sizes[i],
        sides[i],
    )
    for i, s in enumerate(tiny.params.stages)
    for j, b in enumerate(s.blocks)
    if not isinstance(b, Flat)
}
reference = answers(tiny.params)


def change(params):
    """Share of probability that moves to other classes."""
    return float(abs(answers(params) - reference).sum(1).mean() / 2)


price = {place: change(without(tiny.params, *place)) / ms for place, ms in candidates.items()}
ax = plots.bars(
    {f"stage {i + 1}, block {j}": 100 * p for (i, j), p in price.items()},
    "change of the answers in %, for each millisecond that leaving the block out saves",
)

# %% [markdown]
# Now leave out the block with the lowest price, then the next, and watch the answers.

# %%
params, latency = tiny.params, sum(candidates.values())
path = [(latency, 0.0, "all blocks")]
for i, j in sorted(price, key=price.get)[:5]:
    params = without(params, i, j)
    latency -= candidates[i, j]
    path.append((latency, change(params), f"without stage {i + 1}, block {j}"))

for ms, harm, what in path:
    print(f"{ms:6.2f} ms   answers changed by {harm:5.1%}   {what}")

# %%
figure, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
ax.plot([p[0] for p in path], [100 * p[1] for p in path], "o-", color=plots.COLORS["vermilion"])
ax.set_xlabel("latency of the blocks by the table, ms")
ax.set_ylabel("change of the answers, %")
ax.spines[["top", "right"]].set_visible(False)

# %% [markdown]
# ## Questions
#
# 1. Fold the batch norms (notebook 02): which bars become shorter, and in which network more?
# 2. On your machine, does the time of a pooling block grow with the width or with its square? On every grid?
# 3. The search ended with attention only in the last stage, although stage 3 allowed it. Which entries of your table support that?
#
# **In the paper:** section 3, figures 1 and 2 (the times of single operators are only in the figure and are not repeated here); section
# 4.2 (the search). MobileNetV2: Sandler et al. 2018.
