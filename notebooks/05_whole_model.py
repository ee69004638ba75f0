# %% [markdown]
# # 05 · The whole model, and why "dimension-consistent" is fast
#
# **Aim.** Put the pieces together in one short loop, see where the parameters and the work are, and
# understand the design principle that makes the network fast.

# %%
import time

import matplotlib.pyplot as plt
import numpy as np

import npformer
from npformer import plots
from npformer.data import photograph
from npformer.layers import flat
from npformer.network import forward
from npformer.network.summary import summarize

classifier = npformer.load("tiny", engine="numpy")
classifier.summary()

# %% [markdown]
# ## One loop
#
# All of it: a stem, a chain of blocks, a norm, a mean, two linear classifiers. This is `npformer/network/model.py`,
# without its docstrings:
#
# <!-- source: npformer/network/model.py forward features -->
# ```python
# def forward(
#     x: Array, p: EfficientFormer, config: EfficientFormerConfig, run: Run = EVALUATION
# ) -> Logits:
#     tokens = features(x, p, config, run)
#     pooled = run("pooled", mean64(tokens, 1))  # (B, N, C) -> (B, C)
#     return heads(pooled, p, run)
#
#
# def features(
#     x: Array, p: EfficientFormer, config: EfficientFormerConfig, run: Run = EVALUATION
# ) -> Array:
#     check_input(x, p, config)
#     x = x.astype(p.norm.weight.dtype, copy=False)
#     x = run("stem", stem(x, p.stem, config.batch_norm_eps, run.within("stem")))
#     for i, params in enumerate(p.stages):
#         first, inside = sum(config.depths[:i]), run.within(f"stages.{i}")
#         x = run(f"stages.{i}", stage(x, params, config, first, inside))
#     return run("norm", layer_norm(x, p.norm, config.layer_norm_eps))
# ```
#
# and a stage, in `npformer/network/stage.py`:
#
# <!-- source: npformer/network/stage.py stage block -->
# ```python
# def stage(
#     x: Array, p: Stage, config: EfficientFormerConfig, first: int = 0, run: Run = EVALUATION
# ) -> Array:
#     if p.downsample is not None:
#         stride, padding, eps = downsampling(config)
#         x = downsample(x, p.downsample, stride, padding, eps, run.within("downsample"))
#         x = run("downsample", x)
#     number = first
#     for i, params in enumerate(p.blocks):
#         inside = run.within(f"blocks.{i}").at(number, sum(config.depths))
#         x = run(f"blocks.{i}", block(x, params, config, inside))
#         number += not isinstance(params, Flat)  # a reshape, not a block of its own
#     return x
#
#
# def block(x: Array, p: Block, config: EfficientFormerConfig, run: Run = EVALUATION) -> Array:
#     activation = ACTIVATIONS[config.hidden_act]
#     if isinstance(p, PoolingBlock):
#         return pooling_block(x, p, config.pool_size, activation, config.batch_norm_eps, run)
#     if isinstance(p, AttentionBlock):
#         return attention_block(x, p, activation, config.layer_norm_eps, run)
#     return flat(x)  # (B, H, W, C) -> (B, N, C)
# ```
#
# Run it with a `Trace` and watch the shape change. Until the last blocks, all arrays have four axes.

# %%
x = classifier.processor.pixels(photograph("coffee"))[None]  # (1, 128, 128, 3)
trace = npformer.Trace(
    "stem", "stages.?", "stages.?.downsample", "stages.?.blocks.?", "norm", "pooled"
)
logits = forward(x, classifier.params, classifier.config, trace).logits
for name, array in trace.items():
    print(f"{name:22} {array.shape}")

# %% [markdown]
# ## Dimension-consistent
#
# Earlier networks that combined convolutions with attention kept switching: convolutions need images `(B, C, H, W)`,
# attention needs tokens `(B, N, C)`, and at each switch the whole array is rearranged in memory. The paper's second
# observation is that this is what is slow on a phone, not attention itself: LeViT-256, which must reshape at each
# attention, took 11.9 ms on an iPhone 12, as long as DeiT-S, which uses tokens throughout and has about four times the
# multiplications; PoolFormer-S24, which uses images throughout, took 6.2 ms.
#
# EfficientFormer therefore has two parts with *one* switch between them: images first, then tokens, and never back.
#
# How much does a switch cost here? In npformer channels are the last axis in both parts, so pixels are already in
# memory as tokens are, and `flat` copies nothing:

# %%
image = trace["stages.0"]
tokens = flat(image)
print(image.shape, "->", tokens.shape, "  same memory:", np.shares_memory(image, tokens))

# %% [markdown]
# With channels first it would be different. We measure both layouts on this machine, for the feature map of the first
# stage of EfficientFormer-L1 (56×56, 48 channels), and for comparison a step that does useful work:


# %%
def milliseconds(f, repeat=200):
    """Shortest time of several, in milliseconds."""
    best = np.inf
    for _ in range(repeat):
        start = time.perf_counter()
        f()
        best = min(best, time.perf_counter() - start)
    return 1000 * best


last = np.random.default_rng(0).standard_normal((1, 56, 56, 48)).astype(np.float32)
first = np.ascontiguousarray(np.moveaxis(last, -1, 1))  # (1, 48, 56, 56)
times = {
    "channels last: flat": milliseconds(lambda: flat(last)),
    "channels first: to tokens": milliseconds(
        lambda: np.ascontiguousarray(first.reshape(1, 48, -1).swapaxes(1, 2))
    ),
    "channels first: to tokens and back": milliseconds(
        lambda: np.ascontiguousarray(
            np.ascontiguousarray(first.reshape(1, 48, -1).swapaxes(1, 2)).swapaxes(1, 2)
        )
    ),
    "for comparison: adding two maps": milliseconds(lambda: last + last),
}
plots.bars(times, "milliseconds, this machine")
# %% [markdown]
# Rearranging computes nothing, yet it takes longer than a residual connection.
#
# ## Where the work is
#
# These are multiply-adds and parameters, block by block. The first stages have few parameters and large maps, the
# last stages many parameters and small maps; the design keeps the work about even.

# %%
rows = [row for row in classifier.summary().rows if row.parameters]
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 5), layout="constrained", sharey=True)
plots.bars({row.name: row.macs / 1e6 for row in rows}, "multiply-adds, millions", ax=left)
plots.bars(
    {row.name: row.parameters / 1e3 for row in rows}, "parameters, thousands", "orange", ax=right
)
# %% [markdown]
# ## The family
#
# The published networks differ only in depth, in width, and in the number of attention blocks at the end. Their sizes
# follow from the configuration, so nothing has to be loaded.

# %%
family = {
    "L1": ((3, 2, 6, 4), (48, 96, 224, 448), 1),
    "L3": ((4, 4, 12, 6), (64, 128, 320, 512), 4),
    "L7": ((6, 6, 18, 8), (96, 192, 384, 768), 8),
}
published = {"L1": (12.3, 1.3, 79.2), "L3": (31.3, 3.9, 82.4), "L7": (82.1, 10.2, 83.3)}
print("      parameters  (published)   multiply-adds  (published)   ImageNet top-1")
for name, (depths, widths, attending) in family.items():
    config = npformer.EfficientFormerConfig(
        depths=depths,
        hidden_sizes=widths,
        dim=widths[-1],
        num_meta3d_blocks=attending,
        num_labels=1000,
    )
    total = summarize(config)
    millions, billions, accuracy = published[name]
    print(
        f"{name}   {total.parameters / 1e6:8.1f} M  ({millions} M)  {total.macs / 1e9:12.2f} G   ({billions} G)   {accuracy:10} %"
    )

# %%
depths, widths, attending = family["L1"]
plots.architecture(npformer.EfficientFormerConfig(num_labels=1000))
# %% [markdown]
# ## Each block adds a little
#
# Every block computes $x + \text{something}$. How large is that something, compared with $x$?

# %%
full = classifier.trace(
    photograph("coffee"), "*.ls1", "*.ls2", "stem", "stages.?.downsample", "stages.?.blocks.?"
)
size = {}
before = full["stem"]
for name, array in full.items():
    if name.endswith("downsample"):
        before = array
    elif ".blocks." in name and name.endswith(("ls1", "ls2")):
        size[name.replace(".blocks", "").replace("stages.", "")] = float(
            np.linalg.norm(array) / np.linalg.norm(before)
        )
    elif ".blocks." in name:
        before = array
ax = plots.bars(size, "size of the branch, relative to the input of the block", "green")
ax.set_ylabel("stage . block . branch")

# %% [markdown]
# ## Questions
#
# 1. Which block has the most parameters, and why, although all blocks of a stage do the same?
# 2. Set the `ls1` and `ls2` of one block to zero (`_replace`). What does the block do now? How much does the answer for the
#    coffee change?
# 3. Stage 3 could have attention blocks as well. Count the multiply-adds that one would take there (14×14 tokens; 224
#    channels in L1, 320 in L3). The authors' search allowed it, but did not choose it for any size.
#
# **In the paper:** section 3, observation 2; section 4.1, figure 3. Latencies are from figure 1. **Exercises:**
# `exercises/08_layer_scale.ipynb`, `exercises/10_mlp.ipynb`, `exercises/11_blocks.ipynb`.
