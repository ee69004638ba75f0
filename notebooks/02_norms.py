# %% [markdown]
# # 02 · Batch norm, layer norm, and folding
#
# **Aim.** See what the two norms do to the numbers, why one of them costs nothing once training is over,
# and why the paper prefers that one wherever possible.
#
# Both norms subtract a mean, divide by a standard deviation, and then scale and shift by two learned
# numbers for each channel, $w$ and $\beta$:
#
# $$y = \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}}\; w + \beta$$
#
# $\varepsilon$ is a tiny number, $10^{-5}$ or less. The two differ in where $\mu$ and $\sigma$ come from.
#
# | | $\mu$ and $\sigma^2$ | at inference |
# |---|---|---|
# | **batch norm** | one pair for each channel, an average over the training images | constants |
# | **layer norm** | one pair for each token, over its channels | computed for each token |

# %%
import matplotlib.pyplot as plt

import npformer
from npformer import plots
from npformer.data import photograph
from npformer.engine.fold import fold_batch_norm
from npformer.layers import batch_norm, batch_statistics, conv2d, layer_norm

classifier = npformer.load("tiny", dtype="float64", engine="numpy")
trace = classifier.trace(photograph("coffee"))
eps = classifier.config.batch_norm_eps

# %% [markdown]
# ## Batch norm: the same for every image
#
# After the second convolution of the stem, channels have very different ranges. Batch norm brings them to
# a common scale. Each ridge is one channel.

# %%
stem = classifier.params.stem
before = trace["stem.conv2"]
after = batch_norm(before, stem.norm2, eps)
print("before", before.shape, "  after", after.shape)

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained", sharey=True)
plots.histograms({f"channel {i}": before[..., i] for i in range(8)}, ax=left)
plots.histograms({f"channel {i}": after[..., i] for i in range(8)}, ax=right)
left.set_title("before batch norm")
right.set_title("after")
# %% [markdown]
# The statistics it uses were collected in training, over many photographs. Those of this single photograph
# differ; if they were used instead, the answer for an image would depend on the other images in its batch.

# %%
mean, variance = batch_statistics(before)
figure, ax = plt.subplots(figsize=(5, 4), layout="constrained")
ax.scatter(stem.norm2.running_mean, mean, color=plots.COLORS["blue"])
ax.axline((0, 0), slope=1, color="0.6", linewidth=1)
ax.set_xlabel("mean of a channel over the training images")
ax.set_ylabel("mean over this photograph")
# %% [markdown]
# ## Folding: batch norm disappears
#
# A convolution is linear, and so is batch norm with constant statistics. So both together are *one*
# convolution with other numbers:
#
# $$(x W + b - \mu)\, s + \beta = x\,(W s) + \big((b - \mu)\, s + \beta\big), \qquad s = \frac{w}{\sqrt{\sigma^2 + \varepsilon}}$$
#
# The right side is a convolution with weight $W s$ and bias $(b - \mu)s + \beta$. Nothing of the batch norm
# is left to compute at run time.

# %%
folded = fold_batch_norm(stem.conv2, stem.norm2, eps)
x = trace["stem.act1"]
two_layers = batch_norm(conv2d(x, stem.conv2, stride=2, padding=1), stem.norm2, eps)
one_layer = conv2d(x, folded, stride=2, padding=1)
print("one convolution:", folded.weight.shape, folded.bias.shape)
print(
    f"largest difference between both: {abs(two_layers - one_layer).max():.1e} (rounding of float64)"
)

# %% [markdown]
# npformer does this to the whole network when it is loaded, along with other simplifications of this
# kind: see `npformer/engine/fold.py`.
#
# ## Layer norm: each token separately
#
# In the attention blocks there are tokens, and each is normalized over its own channels. These are the
# first 6 of the 16 tokens, before and after.

# %%
block = classifier.params.stages[-1].blocks[-1]
tokens = trace["stages.3.blocks.2"]
normal = layer_norm(tokens, block.norm1, classifier.config.layer_norm_eps)
print("tokens", tokens.shape)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained", sharey=True)
plots.histograms({f"token {i}": tokens[0, i] for i in range(6)}, bins=30, ax=left)
plots.histograms({f"token {i}": normal[0, i] for i in range(6)}, bins=30, ax=right)
left.set_title("before layer norm")
right.set_title("after")
# %% [markdown]
# Mean and variance depend on the token, so they are not known before the image is: layer norm cannot be
# folded away. (Its $w$ and $\beta$ can be, into the linear layer that follows.) If a token becomes ten
# times as large, layer norm gives the same result (up to ε); batch norm does not:

# %%
louder = layer_norm(10 * tokens, block.norm1, classifier.config.layer_norm_eps)
print(f"layer norm of 10·x against that of x: {abs(louder - normal).max():.1e}")
louder = batch_norm(10 * before, stem.norm2, eps)
print(f"batch norm of 10·x against that of x: {abs(louder - after).max():.1e}")

# %% [markdown]
# ## What it means for speed
#
# The paper's third observation: a convolution with batch norm is faster than a linear layer with layer norm
# or group norm, at a small cost in accuracy. On an iPhone 12, layer norm took about 10 to 20 % of the time
# of networks that use it. EfficientFormer therefore uses batch norm wherever there are images, and layer
# norm only in the few blocks at the end that work on tokens.

# %%
kinds = {"batch norms": 0, "layer norms": 0}
for name in trace:
    last = name.split(".")[-1]
    if last.startswith("norm"):
        kinds["layer norms" if trace[name].ndim == 3 else "batch norms"] += 1
kinds

# %% [markdown]
# ## Questions
#
# 1. The normalization of the photograph itself (mean and std of preprocessing) is linear as well. Why can
#    it *not* be folded exactly into the first convolution? (What color do the zeros of the padding mean?)
# 2. A channel that is always 0 has variance 0. What would happen without ε?
# 3. Is there any input for which layer norm loses information that batch norm keeps?
#
# **In the paper:** section 3, observation 3. **Exercises:** `exercises/03_batch_norm.ipynb`,
# `exercises/04_layer_norm.ipynb`.
