# %% [markdown]
# # 04 · Attention with attention biases
#
# **Aim.** Understand attention from its arrays, see where the tokens of a photograph look, and find out how
# attention knows where a token is: only from one small table.
#
# After the last pooling block the 4×4 grid is read row by row as 16 *tokens* of 256 numbers. Attention lets
# each token collect information from all others:
#
# $$\text{attn} = \operatorname{softmax}\!\Big(\frac{q\,k^\top}{\sqrt{K}} + \text{bias}\Big), \qquad y = \text{attn}\; v$$
#
# Each token computes three vectors: a *query* $q$ (what am I looking for?), a *key* $k$ (what do I have?) and a
# *value* $v$ (what do I tell those that look at me?). The product of a query and a key says how well they match;
# softmax turns these scores into weights that sum to one. Eight *heads* do this side by side, each with its
# own $q$, $k$, $v$.

# %%
import matplotlib.pyplot as plt
import numpy as np

import npformer
from npformer import plots
from npformer.data import photograph
from npformer.layers import attend, attention, head_sizes, linear, relative_position_bias

classifier = npformer.load("tiny", dtype="float64", engine="numpy")
photo = photograph("cat")
pixel_values = classifier.preprocess(photo)
trace = classifier.trace(photo)

name = "stages.3.blocks.3.token_mixer"  # the last block of the network
p = classifier.params.stages[3].blocks[3].token_mixer
x = trace["stages.3.blocks.3.norm1"]  # what it is given
attn = trace[f"{name}.attn"]
print("tokens x      ", x.shape)
print(
    "q, k, v of all",
    trace[f"{name}.qkv"].shape,
    f" = {len(p.attention_biases)} heads × (K + K + V), (K, V) = {head_sizes(p)}",
)
print("attn          ", attn.shape, " sums of the rows:", np.unique(attn.sum(-1).round(12)))

# %% [markdown]
# ## Three steps
#
# The layer is a linear layer, in which each token computes its q, k and v; attention itself, in which they meet; and
# another linear layer, which mixes what the heads found. In the middle stands `attend`, the equation above:
#
# <!-- source: npformer/layers/attend.py attend -->
# ```python
# @half_in_float32
# def attend(qkv: Array, bias: Array, K: int, scale: float, run: Run = EVALUATION) -> Array:
#     q, k, v = split_heads(qkv, len(bias), K)  # (B, heads, N, K or V)
#     scores = q @ k.swapaxes(2, 3) * scale  # -> (B, heads, N, N)
#     attn = run("attn", softmax(scores + bias))
#     return merge_heads(attn @ v)  # (B, heads, N, V) -> (B, N, heads·V)
# ```
#
# (`run` records `attn`, from which the pictures below are made.) Let us take the steps one by one, and compare with what the
# network computed:

# %%
K, V = head_sizes(p)
qkv = linear(x, p.qkv)
y = attend(qkv, relative_position_bias(p.attention_biases), K, K**-0.5)
result = linear(y, p.proj)
for step, array in (("qkv", qkv), ("attend", y), ("proj", result)):
    print(f"{step:7} {array.shape}")
print("the same as in the network:", np.array_equal(result, trace[name]))

# %% [markdown]
# ## Where a token looks
#
# The frame marks a token. The brighter a place, the more the token takes from there. Each head looks for
# something different.

# %%
token = (1, 2)
figure, axes = plt.subplots(2, 4, figsize=(10, 5.4), layout="constrained")
for head, ax in enumerate(axes.flat):
    plots.attention(pixel_values, attn, token, head=head, ax=ax)

# %% [markdown]
# And the mean over the heads, for several tokens:

# %%
figure, axes = plt.subplots(1, 4, figsize=(10, 2.9), layout="constrained")
for token, ax in zip([(0, 1), (1, 1), (2, 2), (3, 3)], axes, strict=True):
    plots.attention(pixel_values, attn, token, ax=ax)

# %% [markdown]
# ## The whole matrix
#
# These are all 16×16 weights of four heads. A row is a token that looks, a column a token that is looked at. A
# vertical stripe is a token that all others look at; a bright diagonal would mean that each token looks at itself.

# %%
figure, axes = plt.subplots(1, 4, figsize=(10, 2.9), layout="constrained")
for head, ax in enumerate(axes):
    picture = ax.imshow(attn[0, head], cmap="viridis", vmin=0)
    ax.set_title(f"head {head}", fontsize=9)
    ax.set_xlabel("looked at")
    ax.set_xticks([0, 5, 10, 15])
    ax.set_yticks([0, 5, 10, 15])
axes[0].set_ylabel("looks")
# %% [markdown]
# ## The bias: all that attention knows about places
#
# $q\,k^\top$ compares only contents. If you shuffle the tokens, the results are shuffled in the same way, and
# nothing else changes. To test that, remove the biases (set them to 0), shuffle, and shuffle back:

# %%
rng = np.random.default_rng(0)
order = rng.permutation(x.shape[1])
back = np.argsort(order)

without = p._replace(attention_biases=np.zeros_like(p.attention_biases))
for title, q in (("without biases", without), ("with biases", p)):
    difference = attention(x[:, order], q)[:, back] - attention(x, q)
    print(f"{title:15} change by shuffling: {abs(difference).max():.1e}")

# %% [markdown]
# Without the biases attention cannot tell near from far. The remedy is a table: for each head, one learned number
# for each *distance* $(|\Delta y|, |\Delta x|)$, which is added to the scores. Here it is, mirrored so that the
# looking token is in the middle; purple means "look there more", orange "look there less".

# %%
print(
    "biases",
    p.attention_biases.shape,
    " spread over all pairs:",
    relative_position_bias(p.attention_biases).shape,
)
plots.bias_tables(p.attention_biases)
# %% [markdown]
# These are few numbers: 8 heads × 16 distances = 128, compared with 16 × 256 for a position vector added to each
# token. And as only the distance matters, what was learned in one corner of the picture also holds in the others. The
# idea comes from LeViT (Graham et al. 2021), where using position vectors instead of biases cost 1.5 points.
#
# The bias is added after the division by $\sqrt K$, and is not divided itself.
#
# ## Why only at the end
#
# Attention compares all pairs, so its cost grows with the *square* of the number of tokens:

# %%
for i, side in enumerate((32, 16, 8, 4)):
    N, C = side * side, classifier.config.hidden_sizes[i]
    pairs = len(p.attention_biases) * N * N * (K + V)
    print(
        f"stage {i + 1}: {N:5} tokens, {N * N:9,} pairs, {pairs / 1e6:8.1f} million multiply-adds for one layer"
    )
print(f"\nthe whole network: {classifier.summary().macs / 1e6:.0f} million")

# %% [markdown]
# In the first stage a single attention layer would cost many times as much as the whole network. That is why
# EfficientFormer has attention only in the last blocks; besides, early layers look for small things anyway.
#
# ## Questions
#
# 1. Leave out the division by $\sqrt K$. What happens to the rows of `attn`? Try it: replace `p.qkv` by one whose
#    weight and bias are multiplied by $K^{1/4}$, about 2.4. (Why that power?)
# 2. The table depends on $|\Delta x|$, not on $\Delta x$. What can a head therefore not learn? What does it gain?
# 3. These weights are made for grids of 4×4. What would have to change for a photograph of 256×256 pixels?
#
# **In the paper:** section 4.1, equations 5 and 6 (MB3D). **Exercises:** `exercises/06_softmax.ipynb`,
# `exercises/09_attention.ipynb`.
