# %% [markdown]
# # Pooling as a token mixer
#
# Fill in each function, then run the cell after it: `npformer.check` compares yours with the
# reference on random inputs and says what kind of mistake it finds. The last cell of each task is
# graded.

# %%
from functools import reduce

import numpy as np

import npformer

# %% [markdown]
# The token mixer of most blocks learns nothing: it takes the average of the `size`×`size` window
# around each pixel, and subtracts the pixel.
#
# $$\operatorname{mix}(x) = \operatorname{average}(x) - x$$
#
# `x` is `(B, H, W, C)`, and so is the result. Pixels outside the image do not count: a corner of a 3×3
# pool averages 4 values, an edge 6, the inside 9.
#
# So an average is a sum of the window divided by the number of pixels that are inside the image:
#
# * `window_sum`: surround the image by zeros, which change no sum. A square window is a sum over rows, then over columns:
#   `size` shifted images are added each time. `reduce(np.add, list)` adds up a list of arrays. An even size has no middle,
#   and is an error.
# * `window_count`: along one axis, how many of the positions `i - size // 2` to `i + size // 2` are from 0 to `length - 1`?
# * `window_area`: the product of both axes' counts, `(H, W, 1)`, in the dtype of `x`.


# %%
def window_sum(x, size):
    ### BEGIN SOLUTION
    if size < 1 or size % 2 == 0:
        raise ValueError(f"pool size must be odd and positive, got {size}")
    _, H, W, _ = x.shape
    pad = size // 2
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))  # (B, H + 2 pad, W + 2 pad, C)
    rows = reduce(np.add, [padded[:, k : k + H] for k in range(size)])  # -> (B, H, W + 2 pad, C)
    return reduce(np.add, [rows[:, :, k : k + W] for k in range(size)])  # -> (B, H, W, C)
    ### END SOLUTION


def window_count(length, size):
    ### BEGIN SOLUTION
    position = np.arange(length)
    first = np.maximum(position - size // 2, 0)
    last = np.minimum(position + size // 2, length - 1)
    return last - first + 1
    ### END SOLUTION


def window_area(x, size):
    ### BEGIN SOLUTION
    _, H, W, _ = x.shape
    count = np.outer(window_count(H, size), window_count(W, size))  # (H, W)
    return count[:, :, None].astype(x.dtype)
    ### END SOLUTION


def average_pool(x, size=3):
    ### BEGIN SOLUTION
    return window_sum(x, size) / window_area(x, size)
    ### END SOLUTION


# %%
npformer.check("average_pool", average_pool)

# %%
assert npformer.check("average_pool", average_pool, seed=1000, raises=True)


# %%
def pooling(x, size=3):
    ### BEGIN SOLUTION
    return average_pool(x, size) - x
    ### END SOLUTION


# %%
npformer.check("pooling", pooling)

# %%
assert npformer.check("pooling", pooling, seed=1000, raises=True)

# %% [markdown]
# ## Backward
#
# Pooling is linear, so its gradient does not need $x$. An output pixel sends `dy / count` to each
# pixel of its window; a pixel sums up what it is sent, and gets $-dy$ for the subtraction.
#
# Which windows does a pixel lie in? Those of the pixels of its own window: so this sum is a `window_sum` again.


# %%
def pooling_backward(dy, size=3):
    ### BEGIN SOLUTION
    return window_sum(dy / window_area(dy, size), size) - dy
    ### END SOLUTION


# %%
npformer.check("pooling_backward", pooling_backward)

# %%
assert npformer.check("pooling_backward", pooling_backward, seed=1000, raises=True)
