# %% [markdown]
# # Layer scale, dropout, drop path
#
# Fill in each function, then run the cell after it: `npformer.check` compares yours with the
# reference on random inputs and says what kind of mistake it finds. The last cell of each task is
# graded.

# %%
import numpy as np

import npformer
from npformer.layers import LayerScale

# %% [markdown]
# ## Layer scale
#
# A learned factor for each channel of a residual branch: $y = \gamma\,x$. `p.gamma` is `(C,)`; in a network
# without layer scale `p` is `None`; then return `x` unchanged.


# %%
def layer_scale(x, p):
    ### BEGIN SOLUTION
    return x if p is None else x * p.gamma
    ### END SOLUTION


# %%
npformer.check("layer_scale", layer_scale)

# %%
npformer.check("layer_scale", layer_scale, seed=1000, raises=True)


# %%
def layer_scale_backward(dy, x, p):
    ### BEGIN SOLUTION
    if p is None:
        return dy, None
    return dy * p.gamma, LayerScale((dy * x).sum((0, 1, 2)))
    ### END SOLUTION


# %%
npformer.check("layer_scale_backward", layer_scale_backward)

# %%
npformer.check("layer_scale_backward", layer_scale_backward, seed=1000, raises=True)

# %% [markdown]
# ## Dropout and drop path
#
# Noise for training. Dropout sets single numbers to zero with probability `rate`; drop path does so with
# whole images of the batch. What survives is divided by `1 - rate`, so that the mean stays the same.
# A number survives where `rng.random(shape) >= rate`; draw once, with the shape of `x` for dropout and
# `(B, 1, 1, 1)` for drop path. If the rate is 0, return `x`. Mind the dtype.


# %%
def dropout(x, rate, rng):
    ### BEGIN SOLUTION
    if rate == 0:
        return x
    mask = (rng.random(x.shape) >= rate) / (1 - rate)
    return x * mask.astype(x.dtype)
    ### END SOLUTION


# %%
npformer.check("dropout", dropout)

# %%
npformer.check("dropout", dropout, seed=1000, raises=True)


# %%
def drop_path(x, rate, rng):
    ### BEGIN SOLUTION
    if rate == 0:
        return x
    mask = (rng.random((len(x), 1, 1, 1)) >= rate) / (1 - rate)
    return x * mask.astype(x.dtype)
    ### END SOLUTION


# %%
npformer.check("drop_path", drop_path)

# %%
npformer.check("drop_path", drop_path, seed=1000, raises=True)
