# %% [markdown]
# # 00 · A tour: one photograph through the whole network
#
# **Aim.** Follow a photograph from its pixels to its label, and see every array on the way. No deep
# learning is needed to read this, only Python and arrays.
#
# A network like this is one long formula. It takes an image, an array of numbers, and applies a few
# dozen simple functions to it, one after the other. Each function has *parameters*, numbers that were
# found in training. The result is 200 numbers, one for each class that the network knows.
#
# The network is *EfficientFormer* (Li et al. 2022), here in a small version that comes with npformer.

# %%
import matplotlib.pyplot as plt

import npformer
from npformer import plots
from npformer.data import PHOTOGRAPHS, photograph
from npformer.layers import softmax

classifier = npformer.load("tiny", engine="numpy")  # the plain layers keep every array
classifier

# %% [markdown]
# ## The photograph

# %%
coffee = photograph("coffee")  # or a photograph of yours: PIL.Image.open("photograph.jpg")
plt.imshow(coffee)
plt.axis("off")
# %% [markdown]
# ## Preprocessing: from a photograph to numbers
#
# The shorter side is scaled to 128 pixels and a square is cut from the middle. Then each color is
# shifted and scaled, so that over many photographs its mean is 0 and its standard deviation is 1:
#
# $$\text{pixel value} = \frac{\text{color}/255 - \text{mean}}{\text{std}}$$
#
# The result has the shape `(3, 128, 128)`: three channels, red, green and blue.

# %%
pixel_values = classifier.preprocess(coffee)
print(
    pixel_values.shape,
    pixel_values.dtype,
    f"from {pixel_values.min():.2f} to {pixel_values.max():.2f}",
)
plots.channels(pixel_values)
# %% [markdown]
# The cup is red, and white inside: where in the three channels is each of them bright?
#
# ## The network at a glance

# %%
plots.architecture(classifier.config)
# %% [markdown]
# From left to right the grid becomes coarser (32×32 cells, then 16×16, 8×8, 4×4), and each cell is
# described by more numbers, its *channels* (32, 64, 128, 256). What was "how bright is this pixel"
# becomes "what is in this sixteenth of the picture".
#
# | part | what it does | notebook |
# |---|---|---|
# | stem | two convolutions: finds edges and colors | 01 |
# | batch norm, layer norm | keep the numbers in a sensible range | 02 |
# | pooling blocks | mix neighboring cells, then work on each cell | 03 |
# | attention blocks | let every cell look at every other | 04 |
# | the whole | why it is built like this | 05 |
#
# ## All arrays at once
#
# `trace` runs the network and records every array, under the name of its place. The first axis of each array is
# the *batch*: how many photographs go through together, here one. From `stages.3` on, the 4×4 cells form a list of
# 16, so the shape no longer shows the grid. (Names count from 0: `stages.3` is the fourth stage.)

# %%
trace = classifier.trace(coffee)
print(len(trace), "arrays; some of them, with their shapes (batch, rows, columns, channels):\n")
for name in ("stem", "stages.0", "stages.1", "stages.2", "stages.3", "norm", "pooled", "head"):
    print(f"{name:10} {trace[name].shape}")

# %% [markdown]
# ## After the stem
#
# 32 small pictures, each of which answers its own question about every place: is there an edge that is
# light above and dark below? Is this place red? Bright means "very much so".

# %%
plots.feature_maps(trace["stem"], title="after the stem: 32 channels of 32×32")
# %% [markdown]
# ## After the third stage
#
# The pictures have only 8×8 pixels now, and we find them hard to read. For the network they are more useful:
# they say less about *where* and more about *what*.

# %%
plots.feature_maps(trace["stages.2"], 32, 16, title="after stage 3: 32 of 128 channels of 8×8")
# %% [markdown]
# ## How the numbers are distributed
#
# Each ridge is a histogram of all numbers at one place. From the first layer to the last they stay around 0, and
# their range stays of the same order. The norms (notebook 02) ensure that: without them the numbers would grow or
# shrink from layer to layer.

# %%
places = ("stem.conv1", "stem", "stages.0", "stages.1", "stages.2", "stages.3", "norm")
plots.histograms({name: trace[name] for name in places})
# %% [markdown]
# ## From numbers to a label
#
# The last stage gives 16 cells ("tokens") of 256 numbers. Their mean describes the whole photograph, and
# two linear classifiers turn it into 200 numbers each, the *logits*, which are averaged. (There are two because in
# the paper one learned from the right labels, the other from the answers of a larger network.) `softmax` turns
# logits into probabilities:
#
# $$p_i = \frac{\exp(\text{logit}_i)}{\sum_j \exp(\text{logit}_j)}$$

# %%
logits = (trace["head"] + trace["head_dist"]) / 2
p = softmax(logits)[0]
best = int(p.argmax())
print(
    f"logits {logits.shape}, largest {logits.max():.2f} for class {best}, {classifier.labels[best]!r}"
)
print(f"its probability: {p[best]:.3f}; the sum of all 200: {p.sum():.3f}")

# %% [markdown]
# The same in one call, with a picture:

# %%
answers = classifier.classify(coffee)
print(answers)
plots.predictions(answers)
# %% [markdown]
# ## Four photographs
#
# This network knows 200 classes. Person and rocket are not among them, so for two of these photographs every answer
# must be wrong. Look at the scores: would they have told you? (`npformer evaluate` measures how far scores can be
# trusted.)

# %%
figure, axes = plt.subplots(1, 4, figsize=(12, 3.4), layout="constrained")
for name, ax in zip(PHOTOGRAPHS, axes, strict=True):
    image = photograph(name)
    plots.photograph(classifier.preprocess(image), ax=ax)
    top = classifier.classify(image, top=3)
    ax.set_title("\n".join(f"{a.label}, {a.score:.0%}" for a in top), fontsize=10)

# %% [markdown]
# ## Questions
#
# 1. The network always answers with one of its 200 classes. What in the last step forces it to? How
#    would you notice that a photograph shows something else?
# 2. The classifier sees the *mean* over the 16 tokens. What does it no longer know about the photograph?
#    Turn the photograph upside down (`np.flipud`) and classify it: does the answer change, and why might
#    it?
# 3. Print `classifier.summary()`. Which stage has the most parameters? Which has the most
#    multiplications?
#
# **In the paper:** section 4.1 and figure 3 (the design), equations 1 and 2.
