# %% [markdown]
# # Two MLPs: for tokens and for images
#
# Fill in each function, then run the cell after it: `npformer.check` compares yours with the
# reference on random inputs and says what kind of mistake it finds. The last cell of each task is
# graded.

# %%
import numpy as np

import npformer
from npformer.layers import (
    ConvMlp,
    Mlp,
    activation_backward,
    batch_norm,
    batch_norm_backward,
    conv2d,
    conv2d_backward,
    gelu,
    linear,
    linear_backward,
)

# %% [markdown]
# ## Tokens
#
# $$\operatorname{mlp}(x) = \operatorname{gelu}(x W_1 + b_1)\,W_2 + b_2$$
#
# The first layer makes four times as many numbers of each token, the second reduces them again. `p.fc1` and
# `p.fc2` are linear layers. From here on use the layers of npformer as building blocks.


# %%
def mlp(x, p):
    ### BEGIN SOLUTION
    return linear(gelu(linear(x, p.fc1)), p.fc2)
    ### END SOLUTION


# %%
npformer.check("mlp", mlp)

# %%
npformer.check("mlp", mlp, seed=1000, raises=True)

# %% [markdown]
# ## Images
#
# The same for each pixel. The matrices are 1×1 convolutions, and a batch norm follows each:
# conv `fc1`, norm `norm1`, GELU, conv `fc2`, norm `norm2`.


# %%
def conv_mlp(x, p):
    ### BEGIN SOLUTION
    x = gelu(batch_norm(conv2d(x, p.fc1), p.norm1))
    return batch_norm(conv2d(x, p.fc2), p.norm2)
    ### END SOLUTION


# %%
npformer.check("conv_mlp", conv_mlp)

# %%
npformer.check("conv_mlp", conv_mlp, seed=1000, raises=True)

# %% [markdown]
# ## Backward
#
# Take the steps in reverse, each with its own input: the tape holds what each step of forward returned,
# under `"fc1"`, `"act"`, `"fc2"`. `activation_backward(dy, x, activation)` is the chain rule
# through the activation, and `x` is what the activation was *given*.


# %%
def mlp_backward(dy, x, p, activation, tape):
    ### BEGIN SOLUTION
    dhidden, dfc2 = linear_backward(dy, tape["act"], p.fc2)
    dhidden = activation_backward(dhidden, tape["fc1"], activation)
    dx, dfc1 = linear_backward(dhidden, x, p.fc1)
    return dx, Mlp(dfc1, dfc2)
    ### END SOLUTION


# %%
npformer.check("mlp_backward", mlp_backward)

# %%
npformer.check("mlp_backward", mlp_backward, seed=1000, raises=True)

# %% [markdown]
# For images the tape holds `"fc1"`, `"norm1"`, `"act"`, `"fc2"` and `"norm2"`; the batch norms use their running
# statistics.


# %%
def conv_mlp_backward(dy, x, p, activation, eps, tape):
    ### BEGIN SOLUTION
    dy, dnorm2 = batch_norm_backward(dy, tape["fc2"], p.norm2, eps)
    dhidden, dfc2 = conv2d_backward(dy, tape["act"], p.fc2)
    dhidden = activation_backward(dhidden, tape["norm1"], activation)
    dhidden, dnorm1 = batch_norm_backward(dhidden, tape["fc1"], p.norm1, eps)
    dx, dfc1 = conv2d_backward(dhidden, x, p.fc1)
    return dx, ConvMlp(dfc1, dnorm1, dfc2, dnorm2)
    ### END SOLUTION


# %%
npformer.check("conv_mlp_backward", conv_mlp_backward)

# %%
npformer.check("conv_mlp_backward", conv_mlp_backward, seed=1000, raises=True)
