# %% [markdown]
# # 01 · Convolution, and the stem
#
# **Aim.** Understand what a convolution computes, see that it is one matrix product, and look at the
# first layers of the network, where the kernels can still be read by eye.
#
# A convolution slides a small window over the image. At each place it multiplies the numbers in the
# window by the numbers of a *kernel* and adds everything up:
#
# $$y_{i,j,o} = b_o + \sum_{u,v,c} \hat x_{\,s i + u,\; s j + v,\; c} \; W_{u,v,c,o}$$
#
# $u, v$ run over the window and $c$ over the channels of the input; $o$ is the output channel, and each
# has its own kernel. $s$ is the *stride*, the step of the window, and $\hat x$ is the image with zeros
# around it (*padding*).

# %%
import matplotlib.pyplot as plt
import numpy as np

import npformer
from npformer import plots
from npformer.data import photograph
from npformer.layers import Conv2d, conv2d, im2col

classifier = npformer.load("tiny", engine="numpy")  # the plain layers keep every array
x = classifier.processor.pixels(photograph("coffee"))[None]  # (1, H, W, 3): channels last
x.shape

# %% [markdown]
# ## Kernels made by hand
#
# Three kernels, each 3×3: one averages, one subtracts left from right, one subtracts above from below.
# The input is the photograph in gray, so there is one input channel.

# %%
average = np.full((3, 3), 1 / 9)
across = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4
down = across.T
weight = np.stack([average, across, down], axis=-1)[:, :, None]  # (kh, kw, C_in, C_out)
kernels = Conv2d(weight.astype(np.float32), np.zeros(3, np.float32))

gray = x.mean(-1, keepdims=True)  # (1, H, W, 3) -> (1, H, W, 1)
y = conv2d(gray, kernels, padding=1)
print("input", gray.shape, "  kernels", kernels.weight.shape, "  output", y.shape)
plots.feature_maps(y, title="average, change from left to right, change from top to bottom")
# %% [markdown]
# The handle and the rim of the cup stand out, because the brightness changes there. Nobody gives such
# kernels to a network: training finds them.
#
# ## The same as a matrix product
#
# Write each window as one row of a table. Then all windows meet all kernels in one matrix product,
# which is what computers do fastest. `im2col` makes the table.

# %%
windows = im2col(gray, 3, 3, padding=1)  # (1, H, W, 1) -> (1, H, W, 9)
by_hand = windows @ kernels.weight.reshape(9, 3) + kernels.bias
print("windows", windows.shape, "  largest difference", abs(by_hand - y).max())

# %% [markdown]
# ## Stride
#
# With stride 2 the window moves two pixels at a time, and the result is half as wide and half as high.
# Only a quarter of the numbers have to be computed.

# %%
for stride in (1, 2, 4):
    print("stride", stride, "->", conv2d(gray, kernels, stride, padding=1).shape)

# %% [markdown]
# ## What training found
#
# The stem of EfficientFormer is two convolutions with stride 2, each followed by batch norm (notebook 02)
# and by ReLU, $\max(x, 0)$. These are the 16 kernels of the first one. As the input is a color
# photograph, each kernel is itself a small color picture of 3×3 pixels; it responds most strongly to
# places that look like it.

# %%
stem = classifier.params.stem
W = np.asarray(stem.conv1.weight, np.float64)  # (3, 3, 3, 16)
figure, axes = plt.subplots(2, 8, figsize=(9, 2.7), layout="constrained")
for i, ax in enumerate(axes.flat):
    kernel = W[..., i]
    ax.imshow(0.5 + 0.5 * kernel / abs(kernel).max())
    ax.set_title(i, fontsize=8)
    ax.axis("off")

# %% [markdown]
# Gray means that the kernel ignores a pixel. Which of these kernels compare colors, and which look for edges in one
# direction? This is what each of them finds in the photograph:

# %%
trace = classifier.trace(photograph("coffee"), "stem*")
plots.feature_maps(
    trace["stem.act1"], title="after the first convolution, batch norm and ReLU: 64×64"
)
# %% [markdown]
# And after the second convolution, whose kernels see the 16 channels above:

# %%
plots.feature_maps(trace["stem"], title="after the stem: 32×32")

# %% [markdown]
# A notebook shows a trace as a table: each array of the stem with its shape, its range, and the mean of its channels
# as a small picture. Where `min` is 0, ReLU has been applied.

# %%
trace

# %% [markdown]
# ## Why two small convolutions and not one large one
#
# Earlier vision transformers cut the image into patches with a single convolution of 16×16 pixels and
# stride 16. The paper found that such large windows with large strides are slow on a phone, since
# compilers have no fast implementation for them. Its first observation is therefore: use a stem of 3×3
# convolutions. The reason is not the number of multiplications, as this count shows:


# %%
def multiply_adds(size, k, stride, C_in, C_out):
    """Output positions times weights."""
    return (size // stride) ** 2 * k * k * C_in * C_out


C = classifier.config.hidden_sizes[0]
two = multiply_adds(128, 3, 2, 3, C // 2) + multiply_adds(64, 3, 2, C // 2, C)
one = multiply_adds(128, 4, 4, 3, C)
print(f"two 3×3 convolutions with stride 2: {two:>9,} multiply-adds")
print(f"one 4×4 convolution with stride 4:  {one:>9,} multiply-adds")

# %% [markdown]
# The two small ones do more arithmetic. They also see more: each number after the stem depends on a
# window of 7×7 pixels, and these windows overlap, so no edge can fall between two patches.
#
# ## Questions
#
# 1. The kernel `average` above and the token mixer of notebook 03 do nearly the same. What does each of
#    them do at the border of the image?
# 2. A 1×1 convolution has a window of a single pixel. What does it compute, and what is `im2col`
#    then? (The MLPs of all pooling blocks are 1×1 convolutions.)
# 3. Two 3×3 convolutions of stride 1 see a window of 5×5. Why is it 7×7 in the stem?
#
# **In the paper:** section 3, observation 1; equation 3. **Exercises:** `exercises/01_linear.ipynb`,
# `exercises/02_conv2d.ipynb`.
