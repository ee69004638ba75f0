# %% [markdown]
# # Linear layer
#
# Fill in each function, then run the cell after it: `npformer.check` compares yours with the
# reference on random inputs and says what kind of mistake it finds. The last cell of each task is
# graded.

# %%
import numpy as np

import npformer

# %% [markdown]
# A linear layer multiplies the last axis of `x` by a matrix and adds a bias:
#
# $$y = x W + b$$
#
# `p.weight` has shape `(C_in, C_out)`, `p.bias` has `(C_out,)`; `x` may have any number of axes
# before the last: `(B, ..., C_in) -> (B, ..., C_out)`.
#
# The formula is one line of NumPy. npformer's answer has two more, about shapes: it lays out the positions of each
# image as the rows of a matrix, `(B, ·, C_in)`, and restores the axes afterwards. Then each image is a matrix product
# of its own, and its numbers do not depend on how many images are in the batch.


# %%
def linear(x, p):
    ### BEGIN SOLUTION
    C_in, C_out = p.weight.shape
    rows = x.reshape(len(x), -1, C_in) if x.size else x.reshape(len(x), 0, C_in)  # (B, ·, C_in)
    y = rows @ p.weight + p.bias  # (B, ·, C_in) -> (B, ·, C_out)
    return y.reshape(*x.shape[:-1], C_out)
    ### END SOLUTION


# %%
npformer.check("linear", linear)

# %%
assert npformer.check("linear", linear, seed=1000, raises=True)

# %% [markdown]
# ## Backward
#
# `dy` says how much the loss changes with each number of `y`. Find out how much it changes with each
# number of `x`, `W` and `b`:
#
# $$dx = dy\, W^\top \qquad dW = x^\top dy \qquad db = \sum dy$$
#
# The sums run over the batch and over all positions, because each of them used the same `W` and `b`.
# Return `dx` and a `Linear(dW, db)`.

# %%
from npformer.layers import Linear


# %%
def linear_backward(dy, x, p):
    ### BEGIN SOLUTION
    C_in, C_out = p.weight.shape
    columns = x.reshape(-1, C_in).T  # (C_in, B·positions)
    rows = dy.reshape(-1, C_out)  # (B·positions, C_out)
    dx = (rows @ p.weight.T).reshape(x.shape)  # (B·positions, C_out) -> (B, ..., C_in)
    return dx, Linear(columns @ rows, rows.sum(0))
    ### END SOLUTION


# %%
npformer.check("linear_backward", linear_backward)

# %%
assert npformer.check("linear_backward", linear_backward, seed=1000, raises=True)
