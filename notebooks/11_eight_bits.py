# %% [markdown]
# # 11 · Eight bits: whole numbers instead of real ones
#
# **Aim.** Round all the weights and activations of a network to 256 values, multiply whole numbers, and see what that costs: layer by
# layer, in the answers, and in a picture. Then get most of it back.
#
# A `float32` takes 32 bits. Eight are a quarter of the memory, and processors multiply four times as many of them at once. But the numbers
# of a network were learned in `float32`, so something is lost. What, and where?

# %%
import matplotlib.pyplot as plt
import numpy as np

import npformer
from npformer import plots
from npformer.engine.compensate import quantize_compensated
from npformer.engine.fold import fold, folded_forward
from npformer.engine.quantize import IN_FLOAT, float_layers, quantize
from npformer.images.dead_leaves import dead_leaves
from npformer.layers import (
    dequantize_linear,
    linear,
    quantize_linear,
    quantize_rows,
    quantized_linear,
)

model = npformer.load("tiny")
config = model.config
# Batch norms and layer scales multiplied into the weights: notebook 02.
folded = fold(model.params, config)
photographs = [npformer.data.photograph(name) for name in npformer.data.PHOTOGRAPHS]
x = np.stack([model.processor.pixels(photograph) for photograph in photographs])
real = folded_forward(x, folded, config).logits
print(x.shape, "->", real.shape)

# %% [markdown]
# ## 1. What there is to round
#
# We take the first linear layer of the MLP in the last pooling block of stage 3, and the rows that it meets: one for each pixel. The
# function `multiply` of `folded_forward` runs every linear layer (a convolution meets its windows as rows, notebook 01), so it can look on.

# %%
path = f"stages.2.blocks.{config.depths[2] - 1}.mlp.fc1"
layers = iter(float_layers(folded))
met = {}


def look(rows, layer):
    met[next(layers)] = rows, layer
    return linear(rows, layer)


folded_forward(x, folded, config, multiply=look)
rows, layer = met[path]
rows = rows.reshape(-1, rows.shape[-1])
print(f"{path}: rows {rows.shape}, weight {layer.weight.shape}")
ax = plots.histograms(
    {"weights": layer.weight, "one column": layer.weight[:, 0], "rows": rows, "one row": rows[0]}
)

# %% [markdown]
# Most numbers are near zero, few are far away, and a single row or column is narrower than all together. So each gets a scale of its own.
#
# ## 2. Scale and rounding
#
# Weights lie on both sides of zero alike. A column $W$ becomes whole numbers from −127 to 127:
#
# $$\text{scale} = \frac{\max |W|}{127}, \qquad w = \operatorname{round}(W / \text{scale})$$
#
# A row of activations begins at its least number and has 255 steps, $q$ from 0 to 255:
#
# $$s = \frac{\max x - \min x}{255}, \qquad q = \operatorname{round}\big((x - \min x) / s\big)$$
#
# By hand, for one row:

# %%
row = rows[0]
least, greatest = row.min(), row.max()
step = (greatest - least) / 255
q = np.rint((row - least) / step)
back = least + step * q
print(
    f"from {least:.3f} to {greatest:.3f} in steps of {step:.4f}; the first numbers of the row, q, and back:"
)
print(row[:5].round(3), q[:5].astype(int), back[:5].round(3), sep="\n")
print(f"largest error {abs(back - row).max():.4f}, half a step is {step / 2:.4f}")

# %%
figure, axes = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
fine = np.linspace(least, least + 12 * step, 500)
axes[0].plot(fine, fine, color="0.7", label="x")
axes[0].step(
    fine, least + step * np.rint((fine - least) / step), color=plots.COLORS["blue"], label="rounded"
)
axes[0].set_title("the first steps")
axes[0].legend(frameon=False)
axes[1].hist((back - row) / step, bins=25, color=plots.COLORS["blue"])
axes[1].set_title("error of a row, in steps")
for ax in axes:
    ax.spines[["top", "right"]].set_visible(False)

# %% [markdown]
# Any error between −½ and ½ is about as likely as any other, so its standard deviation is $s / \sqrt{12}$.
#
# ## 3. The product of whole numbers
#
# What depends only on the row, or only on the column, comes out of the sum:
#
# $$\sum_k x_k W_k \approx \sum_k (\text{least} + s\,q_k)(\text{scale}\; w_k)
#   = \Big(s \sum_k q_k w_k + \text{least} \sum_k w_k\Big)\; \text{scale}$$
#
# Two sums of whole numbers remain. They are exact: no order of adding, no number of threads and no processor can change them.

# %%
p = quantize_linear(layer)
q, s, least = quantize_rows(rows[:1])
w = p.weight[:, 0].astype(int)  # one column
whole = int((q[0].astype(int) * w).sum())
y = (np.float32(whole) * s[0, 0] + np.float32(w.sum()) * least[0, 0]) * p.scale[0] + p.bias[0]
print(
    f"Σ q w = {whole},  Σ w = {w.sum()},  so y = {y:.6f};  in real numbers {linear(rows[:1], layer)[0, 0]:.6f}"
)
assert y == quantized_linear(rows[:1], p)[0, 0]  # to the last bit

# %% [markdown]
# How large can the sum become? The largest product is $255 \cdot 127$, and an `int32` ends at $2^{31}$:

# %%
print(f"{2**31 // (255 * 127):,} products fit; the longest row of this network has", end=" ")
print(f"{max(rows.shape[-1] for rows, _ in met.values()):,} numbers")

# %% [markdown]
# ## 4. Why a scale for each row and column
#
# With one scale for everything, the widest row decides how coarse all others are.


# %%
def error(found, right):
    """Root of the mean square of the differences, relative to the standard deviation."""
    return float(np.sqrt(((found - right) ** 2).mean()) / right.std())


right = linear(rows, layer)
one = np.abs(layer.weight).max() / 127
coarse = layer._replace(weight=np.rint(layer.weight / one) * one)
least, width = rows.min(), np.ptp(rows)
flat = np.rint((rows - least) / width * 255) * width / 255 + least
fine = dequantize_linear(p)
q, s, least = quantize_rows(rows)
ax = plots.bars(
    {
        "one scale for W": 100 * error(linear(rows, coarse), right),
        "a scale for each column": 100 * error(linear(rows, fine), right),
        "one range for x": 100 * error(linear(flat, layer), right),
        "a range for each row": 100 * error(linear(q * s + least, layer), right),
        "both, each its own": 100 * error(quantized_linear(rows, p), right),
    },
    "error of the layer, %",
)

# %% [markdown]
# ## 5. Which layer hurts most
#
# Now the network, with one layer in eight bits and all others in `float32`. The bars show what that does to the logits.

# %%
price = {}
for path in float_layers(folded):
    others = tuple(name for name in float_layers(folded) if name != path)
    tree = quantize(model.params, config, in_float=others)
    price[path] = 100 * error(folded_forward(x, tree, config).logits, real)
worst = dict(sorted(price.items(), key=lambda item: -item[1])[:12])
ax = plots.bars(worst, "error of the logits, %")

# %% [markdown]
# The errors of early layers pass through everything else. So `npformer` leaves the stem, a thirtieth of the multiplications, in `float32`.
# What has no matrix stays in `float32` as well: the residual stream, poolings, layer norms, softmax. And if the errors of the layers are
# independent, their squares add up:

# %%
nearest = quantize(model.params, config)
found = folded_forward(x, nearest, config).logits
together = np.sqrt(sum(e**2 for path, e in price.items() if not path.startswith(IN_FLOAT)))
print(f"added up {together:.2f} %; the network in eight bits {100 * error(found, real):.2f} %")

# %% [markdown]
# ## 6. Errors that make up for one another
#
# Rounding each weight to the nearest whole number looks best, and is not. If two inputs vary together, then a weight that was rounded up can
# be made up for by its neighbor, rounded down. Which inputs vary together, the rows tell: their covariance $H$. GPTQ (Frantar et al. 2022)
# rounds one input after the other, and passes each error on to those that are still to come; `npformer.engine.compensate` has it in thirty
# lines. Photographs are not even needed: pictures of nothing, disks that cover one another, vary like photographs.

# %%
leaves = dead_leaves(32, *config.image_shape)
compensated = quantize_compensated(model.params, config, leaves)
figure, axes = plt.subplots(1, 4, figsize=(8, 2), layout="constrained")
for ax, picture in zip(axes, leaves, strict=False):
    ax.imshow((picture + 2.6) / 5.2)
    ax.axis("off")
again = folded_forward(x, compensated, config).logits
print(
    f"to the nearest {100 * error(found, real):.2f} %, made up for {100 * error(again, real):.2f} %"
)

# %% [markdown]
# Do the answers change?

# %%
print(f"{'':14} {'float32':28} {'nearest':28} made up for")
for name, *logits in zip(npformer.data.PHOTOGRAPHS, real, found, again, strict=True):
    best = [int(row.argmax()) for row in logits]
    scores = [np.exp(row - row.max()).max() / np.exp(row - row.max()).sum() for row in logits]
    print(
        f"{name:14}",
        *(f"{f'{model.labels[i]} {s:.1%}':28}" for i, s in zip(best, scores, strict=True)),
    )

# %% [markdown]
# ## 7. In a picture
#
# A channel of the second stage, in `float32` and in eight bits, and thirty times their difference.

# %%
traces = []
for tree in (folded, compensated):
    trace = npformer.Trace("stages.1")
    folded_forward(x[:1], tree, config, trace)
    traces.append(trace["stages.1"][0])
channel = int(traces[0].std((0, 1)).argmax())
a, b = (trace[..., channel] for trace in traces)
figure, axes = plt.subplots(1, 3, figsize=(8, 2.8), layout="constrained")
for ax, picture, title in zip(
    axes, (a, b, 30 * (b - a)), ("float32", "eight bits", "30 × the difference"), strict=True
):
    ax.imshow(picture, cmap="RdBu_r", vmin=-abs(a).max(), vmax=abs(a).max())
    ax.set_title(title)
    ax.axis("off")

# %% [markdown]
# `npformer quantize tiny tiny-int8` writes such a network into a folder, and `npformer bench --model l1 --peers` shows how fast it is beside
# `float32` and beside other runtimes. Write the three functions of section 2 and 3 yourself:
# [exercise 13](exercises/13_eight_bits.ipynb).
#
# ## Questions
#
# 1. Repeat section 5 with four bits for the weights (15 values instead of 255): which layers suffer most now, and why others?
# 2. The activations after GELU are never below −0.17. What does a range of its own for each row make of that? What would a symmetric range
#    lose?
# 3. Section 6 with the photographs of section 1 instead of pictures of nothing: on which of the four does it become better, and on
#    photographs that it has not seen?
# 4. A processor without an instruction for it multiplies an unsigned by a signed byte and adds two such products into 16 bits. Can that
#    overflow? What could one do?
#
# **In the paper:** nothing; EfficientFormer was published in 16 and 32 bits. Jacob et al. 2018 (arXiv:1712.05877) describe products of
# whole numbers, Dettmers et al. 2022 (arXiv:2208.07339) a scale for each row, Frantar et al. 2022 (arXiv:2210.17323) errors that make up
# for one another, and Lee, Mumford and Huang 2001 pictures of nothing.
