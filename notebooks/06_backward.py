# %% [markdown]
# # 06 · Backward by hand
#
# **Aim.** Understand how a network knows in which direction to change its numbers. You only need to know what a
# slope is: everything is checked with simple differences.
#
# Training asks one question of each of the four million parameters: *if I make you a little larger, does the loss
# grow or shrink, and how fast?* That is a slope, the *gradient*. One could try the parameters one by one, at the
# cost of four million runs of the network. The backward pass answers for all of them at the cost of about two.

# %%
import matplotlib.pyplot as plt
import numpy as np

import npformer
from npformer import plots
from npformer.data import photograph
from npformer.images import channels_first, channels_last
from npformer.layers import (
    Linear,
    Mlp,
    Trace,
    cross_entropy,
    cross_entropy_backward,
    gelu,
    linear,
    linear_backward,
    mlp,
    mlp_backward,
    softmax,
)
from npformer.network import Logits, backward, forward
from npformer.network.tree import leaves

rng = np.random.default_rng(0)

# %% [markdown]
# ## One parameter
#
# Take a linear layer $y = x W + b$ and a loss: how far $y$ is from a target $t$, as a sum of squares. Increase one
# weight by a small $h$ and look at how the loss changes:
#
# $$\text{slope} \approx \frac{\text{loss}(w + h) - \text{loss}(w - h)}{2h}$$

# %%
x, t = rng.standard_normal((5, 3)), rng.standard_normal((5, 2))
p = Linear(rng.standard_normal((3, 2)), np.zeros(2))


def loss(p):
    """How far the output is from the target."""
    return np.square(linear(x, p) - t).sum()


h = 1e-6
step = np.zeros((3, 2))
step[1, 0] = h
slope = (loss(p._replace(weight=p.weight + step)) - loss(p._replace(weight=p.weight - step))) / (
    2 * h
)
print("slope by trying:  ", slope)

# %% [markdown]
# Now we calculate it. The loss depends on $y$ with slope $dy = 2\,(y - t)$. From there `linear_backward` goes back to
# the input and to both parameters:
#
# $$dx = dy\,W^\top \qquad dW = x^\top dy \qquad db = \textstyle\sum dy$$

# %%
dy = 2 * (linear(x, p) - t)
dx, dp = linear_backward(dy, x, p)
print("slope by backward:", dp.weight[1, 0])
print("shapes:", {"x": x.shape, "dx": dx.shape, "W": p.weight.shape, "dW": dp.weight.shape})

# %% [markdown]
# A gradient always has the shape of the array it belongs to. In npformer it even has the same *type*: the gradient of
# a `Linear` is a `Linear`.
#
# ## A chain of functions
#
# A network is a chain of functions. The **chain rule** says: slopes multiply. So the gradient is passed from layer to
# layer, from the last to the first; each layer turns the slope at its output into the slope at its input. Here is an
# MLP, linear → GELU → linear:
#
# ```
# forward:   x ──fc1──▶ hidden ──gelu──▶ act ──fc2──▶ y ──▶ loss
# backward: dx ◀──────  dhidden ◀─────  dact ◀─────  dy ◀── 1
# ```
#
# To go back through GELU, one must know its input, since its slope depends on it. So forward records its intermediate
# arrays on a *tape*, a `Trace`.

# %%
p = Mlp(
    Linear(rng.standard_normal((3, 12)), np.zeros(12)),
    Linear(rng.standard_normal((12, 2)), np.zeros(2)),
)
x, t = rng.standard_normal((1, 5, 3)), rng.standard_normal((1, 5, 2))
tape = Trace()
y = mlp(x, p, run=tape)
print({name: array.shape for name, array in tape.items()})
dx, dp = mlp_backward(2 * (y - t), x, p, gelu, tape)
print({name: leaf.shape for name, leaf in leaves(dp)})

# %% [markdown]
# Is it right? Try every single parameter, and compare. If all points are on the line, backward is right; npformer's
# tests prove it in the same way, for every layer.

# %%
tried, calculated = [], []
for k, name in enumerate(("fc1", "fc2")):
    weight = p[k].weight
    for index in np.ndindex(weight.shape):
        step = np.zeros_like(weight)
        step[index] = h
        up, down = (
            p._replace(**{name: p[k]._replace(weight=weight + sign * step)}) for sign in (1, -1)
        )
        slope = (np.square(mlp(x, up) - t).sum() - np.square(mlp(x, down) - t).sum()) / (2 * h)
        tried.append(slope)
        calculated.append(dp[k].weight[index])
figure, ax = plt.subplots(figsize=(4.2, 4), layout="constrained")
ax.axline((0, 0), slope=1, color="0.7", linewidth=1)
ax.scatter(tried, calculated, s=16, color=plots.COLORS["vermilion"])
ax.set_xlabel("slope by trying")
ax.set_ylabel("slope by backward")
print(
    f"{len(tried)} parameters, largest difference {np.abs(np.subtract(tried, calculated)).max():.1e}"
)

# %% [markdown]
# ## The whole network
#
# Now the same for the whole network, from the logits back to the pixels. The loss is cross-entropy,
# $-\log p_\text{right}$: it is small if the right class has a high probability. Its gradient at the logits is simply
# *what the network says minus what it should say*.

# %%
classifier = npformer.load("tiny", dtype="float64", engine="numpy")
config, params = classifier.config, classifier.params
image = classifier.preprocess(photograph("cat"))
x = channels_last(image[None]).astype(np.float64)  # (1, 3, H, W) -> (1, H, W, 3)
right = np.array([classifier.labels.index("Egyptian cat")])

tape = Trace()
logits = forward(x, params, config, tape).logits
dlogits = cross_entropy_backward(logits, right)
dx, dp = backward(Logits(dlogits, None, None), x, params, config, tape)
print(
    f"loss {cross_entropy(logits, right):.3f}; the network gives the cat {softmax(logits)[0, right[0]]:.1%}"
)
count = sum(leaf.size for path, leaf in leaves(dp) if "running" not in path)
print(f"gradients: {count:,} for parameters, {dx.size:,} for pixels")

# %% [markdown]
# Each part of the network receives its gradient. How long is it, compared with the parameters themselves? Where it is
# long, a training step changes much.

# %%
ratio = {}
for name in ("stem", "stages.0", "stages.1", "stages.2", "stages.3", "norm", "head", "head_dist"):
    of = [
        (np.square(g).sum(), np.square(w).sum())
        for (path, g), (_, w) in zip(leaves(dp), leaves(params), strict=True)
        if path.startswith(name + ".") and "running" not in path
    ]
    ratio[name] = float(np.sqrt(sum(g for g, _ in of) / sum(w for _, w in of)))
plots.bars(ratio, "length of the gradient, relative to the parameters")
# %% [markdown]
# ## Which pixels matter?
#
# `dx` tells for each pixel how the loss would change if the pixel became brighter. Its largest absolute value over the
# colors shows what the network reacts to. It is noisy, and its fine grid comes from the strides of the stem; notebook
# 08 has a clearer picture.

# %%
figure, axes = plt.subplots(1, 2, figsize=(7, 3.5), layout="constrained")
plots.photograph(image, ax=axes[0])
axes[1].imshow(np.abs(dx[0]).max(-1) ** 0.5, cmap="inferno")
axes[1].set_axis_off()
axes[1].set_title("how much each pixel matters", fontsize=10)
# %% [markdown]
# ## Going downhill in the pixels
#
# Training changes parameters against the gradient. One can also keep the network and change the *photograph*: move
# every pixel by a tiny amount in the direction that makes "espresso" more likely. No pixel changes by more than 2
# of 255 levels of brightness.

# %%
std = np.array(plots.IMAGENET_STD)
wanted = np.array([classifier.labels.index("espresso")])
changed = x.copy()
for _ in range(8):
    tape = Trace()
    logits = forward(changed, params, config, tape).logits
    dx, _ = backward(
        Logits(cross_entropy_backward(logits, wanted), None, None), changed, params, config, tape
    )
    changed = changed - np.sign(dx) * (0.5 / 255) / std
    changed = x + np.clip(changed - x, -2 / 255 / std, 2 / 255 / std)

figure, axes = plt.subplots(1, 3, figsize=(10, 3.8), layout="constrained")
for ax, (title, picture) in zip(axes, {"before": x, "after": changed}.items(), strict=False):
    pixel_values = channels_first(picture[0])
    plots.photograph(pixel_values, ax=ax)
    answer = classifier.predict(pixel_values[None], top=1)[0][0]
    ax.set_title(f"{title}: {answer.label}, {answer.score:.0%}", fontsize=10)
espresso = [softmax(forward(z, params, config).logits)[0, wanted[0]] for z in (x, changed)]
print(f"the score of espresso rose from {espresso[0]:.2%} to {espresso[1]:.1%}")
axes[2].imshow(np.clip(0.5 + 40 * ((changed - x) * std)[0], 0, 1))
axes[2].set_title("the change, 40 times as strong", fontsize=10)
axes[2].set_axis_off()

# %% [markdown]
# To us both photographs look the same. That is worth remembering when a network is sure of something.
#
# ## Questions
#
# 1. Trying a parameter takes two runs of the network. How many runs would all parameters of this network take? How
#    long is that, if a run takes a hundredth of a second?
# 2. Why must forward record its arrays? Which layers could go back without theirs? (Look at `relu`, `linear`, `pooling`.)
# 3. Change the loop above so that the network sees a *teddy* in the cat. How many steps does it need?
#
# **In the paper:** nothing; it is taken for granted. **Exercises:** the second half of each notebook in `exercises/`.
