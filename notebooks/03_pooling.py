# %% [markdown]
# # 03 · Pooling as a token mixer
#
# **Aim.** See how a network can pass information between neighboring pixels without learning a single
# number for it, and what the small print says: about the border, and about the subtraction.
#
# A *block* of this network has two halves. The *token mixer* mixes places; the *MLP* then works on each place
# separately (a *multi-layer perceptron*: two linear layers with an activation between them). Yu et al. (2022)
# found that the mixer can be very simple, and took the average of the 3×3 window around each pixel:
#
# $$\operatorname{mix}(x) = \operatorname{average}_{3\times3}(x) - x$$
#
# The block adds it to its input, scaled by a learned number $\gamma_1$ for each channel:
# $x \leftarrow x + \gamma_1 \operatorname{mix}(x)$.

# %%
import matplotlib.pyplot as plt
import numpy as np

import npformer
from npformer import plots
from npformer.data import photograph
from npformer.layers import average_pool, pooling, pooling_block
from npformer.layers.pooling import window_area

classifier = npformer.load("tiny", engine="numpy")
trace = classifier.trace(photograph("coffee"))
block = classifier.params.stages[0].blocks[0]
x = trace["stem"]  # what the first pooling block is given
print("x", x.shape, "  pooling(x)", pooling(x).shape)

# %% [markdown]
# ## What it does
#
# Averaging blurs. The average minus the pixel is what the blur changes: large at edges and dots, zero where
# the picture is flat. With $\gamma_1 = 1$ the block would blur; with $\gamma_1 < 0$ it sharpens.

# %%
channel = 18
figure, axes = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained")
for ax, (title, y) in zip(
    axes, {"x": x, "average": average_pool(x), "average − x": pooling(x)}.items(), strict=True
):
    ax.imshow(y[0, :, :, channel], cmap="viridis")
    ax.set_title(title)
    ax.axis("off")

# %% [markdown]
# What did training make of it? These are the $\gamma_1$ of all pooling blocks. Each block has one for each
# channel, so each channel decides how much it takes from its neighbors.

# %%
gammas = {
    f"stage {i + 1}, block {j}": b.ls1.gamma
    for i, stage in enumerate(classifier.params.stages)
    for j, b in enumerate(stage.blocks)
    if hasattr(b, "ls1") and not hasattr(b, "token_mixer")
}
ax = plots.histograms(gammas, bins=60)
ax.set_xlabel("γ₁")
for name, gamma in gammas.items():
    print(
        f"{name}: {(gamma < 0).mean():4.0%} of the channels sharpen, {(gamma > 0).mean():4.0%} blur"
    )

# %% [markdown]
# Nobody told the blocks which of the two to do. Is there a pattern: do early blocks do something else than late ones,
# or the last block of a stage, just before the grid is halved, something else than the first?

# %% [markdown]
# ## The border
#
# A window at the border extends beyond the image. Pixels outside do not count: the average is over those
# inside. This is how many there are:

# %%
print(window_area(np.ones((1, 5, 7, 1)), 3)[:, :, 0])

# %% [markdown]
# If the sum were always divided by 9, *every* block would darken the border, although nothing is dark
# there. Take an image that is 1 everywhere and pool it eight times:

# %%
right, wrong = np.ones((1, 24, 24, 1)), np.ones((1, 24, 24, 1))
for _ in range(8):
    right = average_pool(right)
    wrong = average_pool(wrong) * window_area(wrong, 3) / 9
figure, axes = plt.subplots(1, 2, figsize=(6.4, 3), layout="constrained")
for ax, (title, y) in zip(axes, {"as it is": right, "border counted": wrong}.items(), strict=True):
    picture = ax.imshow(y[0, :, :, 0], cmap="cividis", vmin=0, vmax=1)
    ax.set_title(title)
    ax.axis("off")
figure.colorbar(picture, ax=axes, fraction=0.05)
# %% [markdown]
# ## How far a pixel travels
#
# One block passes information on by one pixel. Put a single bright pixel into an empty image, and pool it
# again and again: after $n$ blocks it has spread $n$ pixels, like ink in water.

# %%
ink = np.zeros((1, 33, 33, 1))
ink[0, 16, 16, 0] = 1
figure, axes = plt.subplots(1, 5, figsize=(10, 2.3), layout="constrained")
for n, ax in enumerate(axes):
    ax.imshow(ink[0, :, :, 0] ** 0.5, cmap="viridis")
    ax.set_title(f"pooled {2**n - 1} times", fontsize=9)
    ax.axis("off")
    for _ in range(2**n):
        ink = average_pool(ink)

# %% [markdown]
# That is why the grid is halved between stages: one step on an 8×8 grid is 16 pixels of the photograph. It
# is also why attention comes at the end, where everything should see everything.
#
# ## The whole block
#
# After the mixing, an MLP of two 1×1 convolutions works on each pixel; it expands 32 channels to 128, applies
# GELU, and reduces them again. GELU is a soft ReLU: it keeps large numbers, turns very negative ones into
# nearly 0, and is smooth in between. Without an activation the two linear layers would be one. Both halves
# are added to their input.

# %%
inside = npformer.Trace()
y = pooling_block(x, block, run=inside)
for name, array in inside.items():
    print(f"{name:12} {array.shape}")
sizes = {name: np.abs(inside[name]).mean() for name in ("ls1", "ls2")}
print(
    f"\nmean size of x {np.abs(x).mean():.3f}, of what pooling adds {sizes['ls1']:.3f}, "
    f"of what the MLP adds {sizes['ls2']:.3f}"
)

# %% [markdown]
# ## What it costs, and what it is worth
#
# Pooling has no parameters and needs no multiplications. The MetaFormer paper (Yu et al. 2022) tried other
# mixers in the same network (PoolFormer-S12; the chart shows how often its first answer is right for the
# 50,000 photographs of ImageNet's validation set):

# %%
plots.bars(
    {
        "nothing at all": 74.3,
        "a random matrix": 75.8,
        "3×3 pooling": 77.2,
        "3×3 depthwise convolution": 78.1,
    },
    "top-1 accuracy, %",
).set_xlim(70, 79.5)

# %% [markdown]
# (The axis starts at 70.) A network whose blocks do not mix at all still reaches 74 %: the MLPs and the steps
# to coarser grids do most of the work. Pooling adds three points for free.
#
# ## Questions
#
# 1. Why is $x$ subtracted, if the block adds it back? (What would $\gamma_1 = 0$ mean with and without
#    the subtraction?)
# 2. Pooling treats all channels alike and all directions alike. How can the network still compare a pixel with
#    its *left* neighbor?
# 3. Pool an image very many times. What does it become?
#
# **In the paper:** section 4.1, equation 4 (MB4D). **Exercises:** `exercises/07_pooling.ipynb`,
# `exercises/11_blocks.ipynb`.
