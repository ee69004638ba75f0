# %% [markdown]
# # Pooling as a token mixer
#
# Fill in each function, then run the cell after it: `npformer.check` compares yours with the
# reference on random inputs and says what kind of mistake it finds. The last cell of each task is
# graded.

# %%
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


# %%
def average_pool(x, size=3):
    ### BEGIN SOLUTION
    B, H, W, C = x.shape
    pad = size // 2
    y = np.empty_like(x)
    for i in range(H):
        for j in range(W):
            rows = slice(max(i - pad, 0), i + pad + 1)
            columns = slice(max(j - pad, 0), j + pad + 1)
            y[:, i, j] = x[:, rows, columns].mean((1, 2))
    return y
    ### END SOLUTION


# %%
npformer.check("average_pool", average_pool)

# %%
npformer.check("average_pool", average_pool, seed=1000, raises=True)


# %%
def pooling(x, size=3):
    ### BEGIN SOLUTION
    return average_pool(x, size) - x
    ### END SOLUTION


# %%
npformer.check("pooling", pooling)

# %%
npformer.check("pooling", pooling, seed=1000, raises=True)

# %% [markdown]
# ## Backward
#
# Pooling is linear, so its gradient does not need $x$. An output pixel sent `dy / count` to each
# pixel of its window; a pixel sums up what it is sent, and gets $-dy$ for the subtraction.


# %%
def pooling_backward(dy, size=3):
    ### BEGIN SOLUTION
    B, H, W, C = dy.shape
    pad = size // 2
    dx = -dy
    for i in range(H):
        for j in range(W):
            rows = slice(max(i - pad, 0), min(i + pad + 1, H))
            columns = slice(max(j - pad, 0), min(j + pad + 1, W))
            count = (rows.stop - rows.start) * (columns.stop - columns.start)
            dx[:, rows, columns] += dy[:, i : i + 1, j : j + 1] / count
    return dx
    ### END SOLUTION


# %%
npformer.check("pooling_backward", pooling_backward)

# %%
npformer.check("pooling_backward", pooling_backward, seed=1000, raises=True)
