# %% [markdown]
# # 12 · Porting: find the first wrong number
#
# **Aim.** Take a port of the network to PyTorch that is wrong, find its three faults one after the other, each with proof, and end with a
# port that is known to be right.
#
# A network that somebody writes again runs at once and is wrong in silence: every array has the right shape, every number looks like a
# number, and often even the answer is right, only less sure. One wrong layer makes everything behind it wrong, so looking at the end tells
# nothing, and comparing array by array with a tolerance that somebody guessed tells little more: after twenty layers a right port is off
# too, by rounding. Two ideas help. Feed each layer of the reference with the *port's own* input, so that a fault accuses one layer and none
# behind it; and calculate, from the numbers at hand, how far rounding can take that layer. That is what `npformer.compare` does.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

import npformer
from npformer.checkpoints import convert

model = npformer.load("tiny")
config = model.config
photograph = npformer.data.photograph("coffee")
pixels = torch.from_numpy(model.preprocess(photograph)[None].copy())  # (1, 3, 128, 128)
print(tuple(pixels.shape), model.classify(photograph, top=1)[0].label)

# %% [markdown]
# ## 1. The port
#
# A colleague has written it from the paper, in an afternoon. Modules have timm's names, so that a checkpoint loads. It has three faults; do
# not look for them yet.


# %%
def conv(C_in, C_out, k=1, stride=1):
    return nn.Conv2d(C_in, C_out, k, stride, k // 2)


class Scale(nn.Module):
    def __init__(self, C):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(C))

    def forward(self, x):
        return x * (self.gamma[:, None, None] if x.ndim == 4 else self.gamma)


class Stem(nn.Module):
    def __init__(self, C):
        super().__init__()
        self.conv1, self.norm1 = conv(3, C // 2, 3, 2), nn.BatchNorm2d(C // 2)
        self.conv2, self.norm2 = conv(C // 2, C, 3, 2), nn.BatchNorm2d(C)

    def forward(self, x):
        x = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(x)))


class Downsample(nn.Module):
    def __init__(self, C_in, C_out):
        super().__init__()
        self.conv, self.norm = conv(C_in, C_out, 3, 2), nn.BatchNorm2d(C_out)

    def forward(self, x):
        return self.norm(self.conv(x))


class Pooling(nn.Module):
    def forward(self, x):
        return F.avg_pool2d(x, 3, stride=1, padding=1) - x


class ConvMlp(nn.Module):
    def __init__(self, C, wide):
        super().__init__()
        self.fc1, self.norm1 = conv(C, wide), nn.BatchNorm2d(wide)
        self.act = nn.GELU(approximate="tanh")
        self.fc2, self.norm2 = conv(wide, C), nn.BatchNorm2d(C)

    def forward(self, x):
        return self.norm2(self.fc2(self.act(self.norm1(self.fc1(x)))))


class Mlp(nn.Module):
    def __init__(self, C, wide):
        super().__init__()
        self.fc1, self.act, self.fc2 = nn.Linear(C, wide), nn.GELU(), nn.Linear(wide, C)

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x)))


class Attention(nn.Module):
    def __init__(self, C, heads, K, V, side):
        super().__init__()
        self.heads, self.K, self.V = heads, K, V
        self.qkv, self.proj = nn.Linear(C, heads * (2 * K + V)), nn.Linear(heads * V, C)
        self.attention_biases = nn.Parameter(torch.zeros(heads, side * side))
        y, x = torch.arange(side * side) // side, torch.arange(side * side) % side
        distance = (y[:, None] - y).abs() * side + (x[:, None] - x).abs()
        self.register_buffer("attention_bias_idxs", distance)

    def split(self, qkv):
        heads, K, V = self.heads, self.K, self.V
        parts = qkv.split([heads * K, heads * K, heads * V], dim=-1)
        return [part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in parts]

    def forward(self, x):
        q, k, v = self.split(self.qkv(x))
        bias = self.attention_biases[:, self.attention_bias_idxs]
        attn = (q @ k.transpose(-1, -2) / self.K**0.5 + bias).softmax(-1)
        return self.proj((attn @ v).transpose(1, 2).flatten(2))


class PoolingBlock(nn.Module):
    def __init__(self, C, wide):
        super().__init__()
        self.token_mixer, self.ls1, self.mlp, self.ls2 = (
            Pooling(),
            Scale(C),
            ConvMlp(C, wide),
            Scale(C),
        )

    def forward(self, x):
        x = x + self.ls1(self.token_mixer(x))
        return x + self.ls2(self.mlp(x))


class AttentionBlock(nn.Module):
    def __init__(self, C, wide, eps, **sizes):
        super().__init__()
        self.norm1, self.token_mixer, self.ls1 = (
            nn.LayerNorm(C, eps),
            Attention(C, **sizes),
            Scale(C),
        )
        self.norm2, self.mlp, self.ls2 = nn.LayerNorm(C, eps), Mlp(C, wide), Scale(C)

    def forward(self, x):
        x = x + self.ls1(self.token_mixer(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class Stage(nn.Module):
    def __init__(self, downsample, blocks):
        super().__init__()
        self.downsample, self.blocks = downsample, nn.Sequential(*blocks)

    def forward(self, x):
        return self.blocks(self.downsample(x))


class Flat(nn.Module):
    def forward(self, x):
        return x.flatten(2).transpose(1, 2)  # (B, C, H, W) -> (B, N, C)


class Port(nn.Module):
    def __init__(self, c):
        super().__init__()
        widths, wider = c.hidden_sizes, c.mlp_expansion_ratio
        sizes = {
            "heads": c.num_attention_heads, "K": c.key_dim, "V": int(c.key_dim * c.attention_ratio), "side": c.resolution,
        }  # fmt: skip
        self.stem = Stem(widths[0])
        stages = []
        for i, (depth, C) in enumerate(zip(c.depths, widths, strict=True)):
            pools = depth - c.num_meta3d_blocks * (i == len(widths) - 1)
            blocks = [PoolingBlock(C, int(C * wider)) for _ in range(pools)]
            if pools < depth:
                blocks += [Flat()]
                blocks += [
                    AttentionBlock(C, int(C * wider), c.layer_norm_eps, **sizes)
                    for _ in range(depth - pools)
                ]
            stages.append(Stage(Downsample(widths[i - 1], C) if i else nn.Identity(), blocks))
        self.stages = nn.Sequential(*stages)
        self.norm = nn.LayerNorm(widths[-1], c.layer_norm_eps)
        self.head, self.head_dist = (nn.Linear(widths[-1], c.num_labels) for _ in range(2))

    def forward(self, x):
        x = self.norm(self.stages(self.stem(x))).mean(1)
        return (self.head(x) + self.head_dist(x)) / 2


with tempfile.TemporaryDirectory() as folder:
    convert("tiny", Path(folder) / "timm.safetensors", to="timm")
    state = load_file(Path(folder) / "timm.safetensors")
port = Port(config).eval()
port.load_state_dict(
    {name: tensor for name, tensor in state.items() if not name.endswith("bias_idxs")}, strict=False
)


def summary(found):
    """The last rows of the table and the verdict."""
    return "\n".join(str(found).splitlines()[-8:])


def answer(network):
    with torch.no_grad():
        scores = network(pixels).softmax(-1)[0]
    best = int(scores.argmax())
    return f"{model.labels[best]}, {scores[best]:.0%}"


print("port:     ", answer(port))
print("npformer: ", model.classify(photograph, top=1))

# %% [markdown]
# It loads, it runs, and its score is another. Is that rounding? The usual look, the difference of each array from the reference's, relative to the largest number:

# %%
reference = model.trace(photograph)
heard = {}
for path, module in port.named_modules():
    module.register_forward_hook(
        lambda m, args, result, path=path: heard.update({path: result.numpy()})
    )
answer(port)
rows = {}
for path, array in heard.items():
    if path in reference:
        expected = reference[path]
        array = array.transpose(0, 2, 3, 1) if array.ndim == 4 else array
        rows[path] = abs(array - expected).max() / abs(expected).max()
figure, ax = plt.subplots(figsize=(9, 2.6), layout="constrained")
ax.semilogy(list(rows.values()), ".-")
ax.set(xlabel="arrays, in order of computation; gray: ends of stages", ylabel="largest difference")
for path in ("stages.1", "stages.2", "stages.3"):
    ax.axvline(list(rows).index(path), color="0.8", zorder=0)

# %% [markdown]
# Nearly everything is off, almost from the beginning. Is there one fault or are there three? Where does the second one begin? This picture
# cannot tell.
#
# ## 2. The first fault

# %%
found = npformer.compare("tiny", port, photograph)
print(found)

# %% [markdown]
# The stem is right, to within what rounding explains. The first pooling is not, and the cause is named because it was *tried*: the
# reference's own pooling, changed so that it counts the zeros around the image, gives the port's numbers. Here is where they differ: only
# along the border.

# %%
path = found.first_wrong
x = np.moveaxis(heard["stem"], 1, -1)
right = npformer.layers.pooling(x)
wrong = np.moveaxis(heard[path], 1, -1)
figure, ax = plt.subplots(figsize=(3, 3), layout="constrained")
ax.imshow(abs(wrong - right)[0].mean(-1), cmap="magma")
ax.set_title(path)
ax.set_axis_off()

# %% [markdown]
# The repair is one word, and we ask again:

# %%
Pooling.forward = lambda self, x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=False) - x
print(answer(port))
found = npformer.compare("tiny", port, photograph)
print(summary(found))

# %% [markdown]
# ## 3. The second fault
#
# The score is nearly that of the reference by now, and a careless colleague would stop. The second fault moves no number by more than a
# thousandth:

# %%
z = torch.linspace(-5, 5, 400)
figure, ax = plt.subplots(figsize=(6, 2.2), layout="constrained")
ax.plot(z, F.gelu(z, approximate="tanh") - F.gelu(z))
ax.set(xlabel="x", title="GELU by tanh minus GELU")

for module in port.modules():
    if isinstance(module, ConvMlp):
        module.act = nn.GELU()
print(answer(port))
found = npformer.compare("tiny", port, photograph)
print(summary(found))

# %% [markdown]
# ## 4. The third fault
#
# Every layer up to the last block is right. In the attention the rows of `qkv` go head by head, within a head q, k, v; the port cuts all
# queries first, then all keys, then all values, as most other transformers have it. Shapes cannot tell: heads · K + heads · K + heads · V numbers
# are as many either way.


# %%
def head_by_head(self, qkv):
    B, N, _ = qkv.shape
    return qkv.reshape(B, N, self.heads, -1).transpose(1, 2).split([self.K, self.K, self.V], dim=-1)


Attention.split = head_by_head
print(answer(port))
found = npformer.compare("tiny", port, photograph)
print(summary(found))
assert found

# %% [markdown]
# Now everything is right, and "right" has a meaning: each result lies within the bound that follows from the arithmetic of `float32`. How much
# of the bound is used?

# %%
used = [(row.path, row.ratio) for row in found.layers]
figure, ax = plt.subplots(figsize=(9, 2.6), layout="constrained")
ax.semilogy([ratio for _, ratio in used], ".")
ax.axhline(1, color="tab:red")
ax.set(xlabel="steps, in order of computation", ylabel="error / bound")
print(answer(port))

# %% [markdown]
# ## 5. So that it stays right
#
# In a test of the port, `assert npformer.compare("tiny", port, photograph)` fails with the table above when somebody breaks a layer; on the
# command line `npformer compare tiny port.onnx` does it for any language, with an exit code. For a port without a Python, `npformer vectors`
# writes the same knowledge into files, which a reader of a hundred lines checks.
#
# ## Questions
#
# 1. Plant the three faults again, all at once. Why does `compare` name only the first, and what does the table say about the layers behind it?
# 2. Plant a fault of one part in a million in one weight. Which error does it make in its layer, and which has rounding? From how many
#    photographs could one still find it?
# 3. The picture of section 1 is never zero, even for the right port. Which layers add to the difference, and which reduce it?
# 4. Leave `.eval()` out. What is the first wrong layer, what is the cause, and which symptom would you have noticed?
#
# **In the paper:** nothing. Higham 2002, *Accuracy and Stability of Numerical Algorithms*, chapter 3, derives such bounds.
