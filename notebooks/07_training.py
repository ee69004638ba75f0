# %% [markdown]
# # 07 · Training and fine-tuning
#
# **Aim.** Watch a network learn from a little real data on this machine, in under a minute; and see why one nearly always
# starts from a network that already knows something.
#
# **The data.** The licenses of the usual training photographs do not allow us to ship them with this course. We have four
# free photographs, so we make a small task of them: *from which photograph was this little square cut?* The squares are
# 32×32 pixels of a reduced photograph; those for training come from its left part, those for testing from its right part, so that
# no pixel is in both. Brightness and colors are changed at random, so that color alone does not give the answer away. It is a toy
# task with real pictures: small enough to train here, hard enough that the network must look at texture and shape.

# %%
import time

import matplotlib.pyplot as plt
import numpy as np

import npformer
from npformer import plots
from npformer.data import photograph
from npformer.images import channels_first
from npformer.layers import (
    Linear,
    Trace,
    cross_entropy,
    cross_entropy_backward,
    linear,
    linear_backward,
    training,
)
from npformer.learn.objectives import classification_loss
from npformer.learn.optimizers import AdamW, cosine_schedule, trainable
from npformer.network import backward, forward, update_statistics
from npformer.network.params import initialize

NAMES = ("coffee", "cat", "astronaut", "rocket")
photos = [photograph(name).resize((240, 160)) for name in NAMES]


def draw(rng, count, part, size=32):
    """Cut `count` squares from the left or right part of the photographs, with other colors."""
    squares, labels = [], rng.integers(0, 4, count)
    for label in labels:
        left, right = (0, 150) if part == "train" else (155, 240)
        u, v = rng.integers(left, right - size + 1), rng.integers(0, 160 - size + 1)
        square = np.asarray(photos[label].crop((u, v, u + size, v + size)), np.float32) / 255
        if rng.random() < 0.5:
            square = square[:, ::-1]
        gains = rng.uniform(0.6, 1.4, 3) * rng.uniform(0.7, 1.3)
        squares.append(np.clip((square - 0.5) * gains + rng.uniform(0.35, 0.65), 0, 1))
    x = (np.stack(squares) - plots.IMAGENET_MEAN) / np.array(plots.IMAGENET_STD)
    return x.astype(np.float32), labels  # (count, 32, 32, 3), (count,)


rng = np.random.default_rng(0)
x_test, y_test = draw(rng, 200, "test")
x_show, y_show = draw(rng, 16, "train")
figure, axes = plt.subplots(2, 8, figsize=(9, 2.9), layout="constrained")
for ax, square, label in zip(axes.flat, x_show, y_show, strict=True):
    plots.photograph(channels_first(square), ax=ax)
    ax.set_title(NAMES[label], fontsize=8)

# %% [markdown]
# ## A small network from scratch
#
# An EfficientFormer of four stages with one block each, for 32×32 pixels. Its parameters are random numbers.

# %%
config = npformer.EfficientFormerConfig(
    depths=(1, 1, 1, 1),
    hidden_sizes=(16, 24, 32, 48),
    dim=48,
    key_dim=8,
    num_attention_heads=4,
    resolution=1,
    image_size=32,
    layer_scale_init_value=0.1,
    num_labels=4,
)
plots.architecture(config)

# %% [markdown]
# ## The training loop
#
# Draw squares; run forward; measure how wrong the answers are; run backward; let the optimizer move each parameter a
# little against its gradient. Repeat. That is all of training.
#
# The optimizer is AdamW: it divides the step of each parameter by the usual size of its gradients. The learning rate first
# rises, then falls along half a cosine wave.


# %%
def accuracy(params):
    """Share of the test squares that are classified correctly."""
    return float((forward(x_test, params, config).logits.argmax(-1) == y_test).mean())


def train(params, batch, steps):
    """Train, and yield step, loss and parameters after each step."""
    rng = np.random.default_rng(0)
    optimizer = AdamW(weight_decay=0.02)
    state = optimizer.init(params)
    for step in range(1, steps + 1):
        x, y = batch(rng)
        tape = Trace(mode=training(rng))
        outputs = forward(x, params, config, tape)
        loss, dlogits = classification_loss(outputs, y, label_smoothing=0.05)
        _, gradient = backward(dlogits, x, params, config, tape)
        params = update_statistics(params, tape)
        lr = cosine_schedule(step - 1, steps, 4e-3, warmup=10)
        params, state = optimizer.update(params, gradient, state, lr, trainable())
        yield step, loss, params


steps = 100
losses, scores = [], {}
start = time.perf_counter()
for step, loss, params in train(
    initialize(config, seed=0), lambda rng: draw(rng, 32, "train"), steps
):
    losses.append(loss)
    if step % 20 == 0:
        scores[step] = accuracy(params)
print(
    f"{steps} steps in {time.perf_counter() - start:.0f} s; {scores[steps]:.0%} of the test squares are correct"
)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
left.plot(losses, color=plots.COLORS["blue"], linewidth=1)
left.set_xlabel("step")
left.set_ylabel("loss")
left.axhline(np.log(4), color="0.6", linestyle="--", linewidth=1)
left.text(steps, np.log(4), "guessing ", ha="right", va="bottom", fontsize=8)
right.plot(list(scores), [100 * s for s in scores.values()], "o-", color=plots.COLORS["vermilion"])
right.axhline(25, color="0.6", linestyle="--", linewidth=1)
right.text(steps, 25, "guessing ", ha="right", va="bottom", fontsize=8)
right.set_ylim(0, 100)
right.set_xlabel("step")
right.set_ylabel("correct on test squares, %")
# %% [markdown]
# ## Starting from a network that has seen photographs
#
# `tiny` was trained on photographs of 200 other classes. It knows nothing about our task, but it knows what
# photographs are made of. We keep everything except its heads: enlarge each square to 128 pixels, run the body once, and use
# the 256 numbers before the heads as a description. Only one linear layer, 256 → 4, is trained on top, on just 120
# squares. The small network saw a new batch of 32 squares at each step; for a fair comparison we also train it from
# scratch on these same 120.

# %%
tiny = npformer.load("tiny")


def describe(x):
    """Squares -> the pooled features of tiny: (B, 32, 32, 3) -> (B, 256)."""
    large = x.repeat(4, axis=1).repeat(4, axis=2)  # (B, 32, 32, 3) -> (B, 128, 128, 3)
    parts = []
    for batch in np.array_split(large, max(len(x) // 20, 1)):
        trace = Trace("pooled")
        tiny.model.network(batch, trace)
        parts.append(trace["pooled"])
    return np.concatenate(parts)


x_few, y_few = draw(np.random.default_rng(1), 120, "train")
start = time.perf_counter()
few, test = describe(x_few), describe(x_test)
print(
    f"described {len(few) + len(test)} squares in {time.perf_counter() - start:.0f} s: {few.shape}, {test.shape}"
)

# %%
optimizer = AdamW(weight_decay=0.02)
head = Linear(np.zeros((256, 4), np.float32), np.zeros(4, np.float32))
state = optimizer.init(head)
curve = []
for _ in range(60):
    logits = linear(few, head)
    _, dhead = linear_backward(cross_entropy_backward(logits, y_few), few, head)
    head, state = optimizer.update(head, dhead, state, 0.01, trainable())
    curve.append(
        (
            float(cross_entropy(logits, y_few)),
            float((linear(test, head).argmax(-1) == y_test).mean()),
        )
    )


def some_of_the_few(rng):
    """Draw a batch from the 120 squares."""
    chosen = rng.integers(0, len(x_few), 32)
    return x_few[chosen], y_few[chosen]


*_, (_, _, from_few) = train(initialize(config, seed=0), some_of_the_few, 60)
print(
    f"with {len(few)} squares: loss {curve[-1][0]:.3f}, {curve[-1][1]:.0%} of the test squares are correct"
)
plots.bars(
    {
        f"on top of tiny, {len(few)} squares": 100 * curve[-1][1],
        f"from scratch, the same {len(few)} squares": 100 * accuracy(from_few),
        f"from scratch, {steps * 32:,} squares": 100 * scores[steps],
        "guessing": 25,
    },
    "correct on test squares, %",
)
# %% [markdown]
# ## What goes wrong
#
# The confusion matrix: what the squares of each photograph were taken for.

# %%
answers = linear(test, head).argmax(-1)
table = np.zeros((4, 4), int)
np.add.at(table, (y_test, answers), 1)
figure, ax = plt.subplots(figsize=(4.4, 3.6), layout="constrained")
ax.imshow(table / table.sum(1, keepdims=True), cmap="cividis", vmin=0, vmax=1)
for i, j in np.ndindex(4, 4):
    ax.text(
        j, i, table[i, j], ha="center", va="center", color="white" if table[i, j] < 25 else "black"
    )
ax.set_xticks(range(4), NAMES)
ax.set_yticks(range(4), NAMES)
ax.set_xlabel("answer")
ax.set_ylabel("photograph")

# %% [markdown]
# ## Questions
#
# 1. Train the small network without `update_statistics`. The training loss falls as before; what happens on the test
#    squares, and why?
# 2. Leave out the random colors in `draw`. The accuracy rises. Is that good?
# 3. Give the linear layer 20 squares instead of 120, then 1000. How much do ten times more data help?
#
# **In the paper:** section 5.1 (AdamW, 300 epochs on ImageNet, cosine schedule, hard distillation from a RegNetY-16GF).
# The published networks also learned from a teacher; see `npformer.learn.objectives.hard_distillation_loss`. To train on your
# own photographs, use `npformer train`.
