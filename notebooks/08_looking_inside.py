# %% [markdown]
# # 08 · Looking inside
#
# **Aim.** Ask a trained network what it has learned and what it looks at, with six kinds of pictures, and know what each
# of them can and cannot tell.

# %%
import matplotlib.pyplot as plt
import numpy as np

import npformer
from npformer import plots
from npformer.data import PHOTOGRAPHS, photograph
from npformer.teach.saliency import grad_cam

classifier = npformer.load("tiny", engine="numpy")  # the plain layers keep every array
photo = photograph("coffee")
pixel_values = classifier.preprocess(photo)
trace = classifier.trace(photo)
print(classifier.classify(photo, top=3))

# %% [markdown]
# ## 1. Feature maps, stage by stage
#
# These are the first eight channels after each of the first three stages. For early channels we have names ("edge",
# "red"), for late ones hardly.

# %%
figure, axes = plt.subplots(3, 1, figsize=(9, 4.4), layout="constrained")
for stage, ax in enumerate(axes):
    plots.feature_maps(trace[f"stages.{stage}"], 8, title=f"stage {stage + 1}", ax=ax)

# %% [markdown]
# ## 2. What does a channel like?
#
# Take one channel, and search all photographs for the places where it is largest. Here are such places for some channels
# of the second stage, each with some of its surroundings. If a row shows the same kind of thing throughout, its channel
# has found its subject.

# %%
images = np.stack([classifier.preprocess(photograph(name)) for name in PHOTOGRAPHS])
many = npformer.Trace("stages.1")
classifier.forward(images, many)
maps = many["stages.1"]  # (4, 16, 16, 64)
pictures = [plots.denormalize(image) for image in images]
print("maps", maps.shape)

figure, axes = plt.subplots(5, 8, figsize=(9, 5.8), layout="constrained")
for row, channel in zip(axes, (1, 7, 12, 33, 50), strict=True):
    order = np.argsort(-maps[..., channel], axis=None)
    places, chosen = np.stack(np.unravel_index(order, maps.shape[:3]), axis=1), []
    for place in places:  # the largest first, but no two that are neighbors
        if all(place[0] != q[0] or abs(place[1:] - q[1:]).max() > 2 for q in chosen):
            chosen.append(place)
        if len(chosen) == 8:
            break
    for ax, (image, i, j) in zip(row, chosen, strict=True):
        top, left = np.clip([i * 8 - 12, j * 8 - 12], 0, 128 - 32)
        ax.imshow(pictures[image][top : top + 32, left : left + 32])
        ax.set_axis_off()
    row[0].set_title(f"channel {channel}", fontsize=8, loc="left")

# %% [markdown]
# ## 3. What is similar to the network?
#
# A list of numbers describes each cell. Two cells are similar if their lists point in the same direction (their cosine is
# near 1). The frame marks one cell on the rim of the cup; brighter cells are more similar to it. In the first stage,
# "similar" means the same color and edge; later it is closer to "part of the same thing".

# %%
figure, axes = plt.subplots(1, 4, figsize=(10, 2.8), layout="constrained")
y, x = 0.27, 0.36  # the marked place, as shares of the height and the width
for stage, ax in enumerate(axes):
    cells = trace[f"stages.{stage}"]
    side = int(np.sqrt(cells.size / cells.shape[-1]))
    cells = cells.reshape(side * side, -1)
    unit = cells / np.linalg.norm(cells, axis=1, keepdims=True)
    token = (int(y * side), int(x * side))
    alike = (unit @ unit.T)[None]  # as if it were the attention of one head
    plots.attention(pixel_values, alike, token, head=0, ax=ax)
    ax.set_title(f"stage {stage + 1}, {side}×{side}", fontsize=10)

# %% [markdown]
# ## 4. Attention and its biases
#
# This is where the marked cell looks in the two attention blocks, as a mean over the heads. Below are the two tables of
# biases, which are the same for every photograph.

# %%
figure, axes = plt.subplots(1, 4, figsize=(10, 2.9), layout="constrained")
for pair, block in zip((axes[:2], axes[2:]), (2, 3), strict=True):
    for token, ax in zip(((1, 1), (2, 2)), pair, strict=True):
        plots.attention(
            pixel_values, trace[f"stages.3.blocks.{block}.token_mixer.attn"], token, ax=ax
        )
        ax.set_title(f"block {block}, token {token}", fontsize=10)

# %%
for block in (2, 3):
    plots.bias_tables(classifier.params.stages[3].blocks[block].token_mixer.attention_biases)

# %% [markdown]
# ## 5. Covering things up
#
# The most direct question: cover a part of the photograph with gray, and see how far the score of the class falls. Where it
# falls, the network needs what was there. That takes one run for each place.

# %%
label = classifier.classify(photo, top=1)[0]
size, places = 32, range(0, 97, 12)
covered = []
for top in places:
    for left in places:
        image = pixel_values.copy()
        image[:, top : top + size, left : left + size] = 0  # gray: the mean color
        covered.append(image)
answers = [
    next(answer.score for answer in answers if answer.index == label.index)
    for answers in npformer.load("tiny").predict(np.stack(covered), top=200)  # the fast kernels
]
fall = label.score - np.reshape(answers, (len(places), -1))
print(f"{len(covered)} runs; the score {label.score:.1%} falls by at most {fall.max():.1%}")

# %% [markdown]
# ## 6. Grad-CAM
#
# One backward pass answers the same question (Selvaraju et al. 2017): take the activations $A_k$ of a late stage and the
# gradient of the logit $s$ with respect to them. A channel whose gradient is positive on average speaks for the class:
#
# $$\text{map} = \max\Big(0, \sum_k \alpha_k A_k\Big), \qquad \alpha_k = \text{mean over all places of } \frac{\partial s}{\partial A_k}$$

# %%
figure, axes = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained")
plots.photograph(pixel_values, ax=axes[0])
plots.heatmap(pixel_values, fall, f"covering: loss of score for {label.label!r}", ax=axes[1])
cam = grad_cam(label.index, trace, classifier.params, classifier.config).reshape(
    4, 4
)  # (N,) -> (rows, columns)
plots.heatmap(
    pixel_values,
    cam,
    f"Grad-CAM for {label.label!r}",
    ax=axes[2],
)

# %% [markdown]
# The two may differ: covering asks what the network *needs*, Grad-CAM what it *uses*. Here is Grad-CAM for all four
# photographs, for whatever the network takes them to be:

# %%
figure, axes = plt.subplots(1, 4, figsize=(11, 3.2), layout="constrained")
for name, image, ax in zip(PHOTOGRAPHS, images, axes, strict=True):
    best = classifier.classify(photograph(name), top=1)[0]
    kept = classifier.trace(photograph(name))
    cam = grad_cam(best.index, kept, classifier.params, classifier.config)
    plots.heatmap(image, cam.reshape(4, 4), f"{best.label}, {best.score:.0%}", ax=ax)

# %% [markdown]
# `npformer.explain(photograph("coffee"))` puts such pictures on one page, for any photograph; `npformer explain` does the
# same on the command line.
#
# ## What such pictures do not say
#
# They show where, not why. A bright spot on the tower beside the rocket would not tell whether the network sees "tower" or
# "tall and thin against blue". Attention weights in particular are not an explanation: what one token takes from another
# still goes through an MLP. Use such pictures to form a hypothesis, and then test it by covering or changing parts of the
# photograph.
#
# ## Questions
#
# 1. Compute Grad-CAM for the second best class of the coffee. Does it look elsewhere?
# 2. Cover with the color of the table instead of gray. What changes, and what does that tell about covering?
# 3. Is there a channel of stage 3 (`"stages.2"`) that likes faces?
#
# **In the paper:** the biases are part of equation 6; the paper shows no such pictures.
