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
assert npformer.check("layer_scale", layer_scale, seed=1000, raises=True)


# %%
def layer_scale_backward(dy, x, p):
    ### BEGIN SOLUTION
    if p is None:
        return dy, None
    return dy * p.gamma, LayerScale((dy * x).reshape(-1, x.shape[-1]).sum(0))
    ### END SOLUTION


# %%
npformer.check("layer_scale_backward", layer_scale_backward)

# %%
assert npformer.check("layer_scale_backward", layer_scale_backward, seed=1000, raises=True)

# %% [markdown]
# ## Dropout and drop path
#
# Noise for training. Dropout sets single numbers to zero with probability `rate`; drop path does so with
# whole images of the batch. What survives is divided by `1 - rate`, so that the mean stays the same.
#
# Both multiply `x` by a mask of 0 and `1 / (1 - rate)`:
#
# * `survival`: draw it. A number survives where `rng.random(shape) >= rate`; draw once. A rate that is no probability
#   and a missing generator are errors; at rate 1 nothing survives, and nothing is divided by 0.
# * `dropout_mask` draws in the shape of `x`, `drop_path_mask` in `(B, 1, ...)`, one number for each image. Both have the
#   dtype of `x`.
# * `dropout` and `drop_path` return `x` if the rate is 0.


# %%
def survival(shape, rate, rng):
    ### BEGIN SOLUTION
    if not 0 <= rate <= 1:
        raise ValueError(f"a dropout rate is a probability, got {rate}")
    if rng is None:
        raise ValueError("dropout draws random numbers: pass a numpy.random.Generator")
    if rate == 1:
        return rng.random(shape) * 0
    return (rng.random(shape) >= rate) / (1 - rate)
    ### END SOLUTION


def dropout_mask(x, rate, rng):
    ### BEGIN SOLUTION
    return survival(x.shape, rate, rng).astype(x.dtype)
    ### END SOLUTION


def dropout(x, rate, rng):
    ### BEGIN SOLUTION
    return x if rate == 0 else x * dropout_mask(x, rate, rng)
    ### END SOLUTION


# %%
npformer.check("dropout", dropout)

# %%
assert npformer.check("dropout", dropout, seed=1000, raises=True)


# %%
def drop_path_mask(x, rate, rng):
    ### BEGIN SOLUTION
    return survival((len(x), *[1] * (x.ndim - 1)), rate, rng).astype(x.dtype)
    ### END SOLUTION


def drop_path(x, rate, rng):
    ### BEGIN SOLUTION
    return x if rate == 0 else x * drop_path_mask(x, rate, rng)
    ### END SOLUTION


# %%
npformer.check("drop_path", drop_path)

# %%
assert npformer.check("drop_path", drop_path, seed=1000, raises=True)
