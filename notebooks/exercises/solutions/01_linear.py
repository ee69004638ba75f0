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


# %%
def linear(x, p):
    ### BEGIN SOLUTION
    return x @ p.weight + p.bias
    ### END SOLUTION


# %%
npformer.check("linear", linear)

# %%
npformer.check("linear", linear, seed=1000, raises=True)

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
    rows = dy.reshape(-1, C_out)
    return dy @ p.weight.T, Linear(x.reshape(-1, C_in).T @ rows, rows.sum(0))
    ### END SOLUTION


# %%
npformer.check("linear_backward", linear_backward)

# %%
npformer.check("linear_backward", linear_backward, seed=1000, raises=True)
