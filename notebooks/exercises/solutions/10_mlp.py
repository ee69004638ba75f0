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
# `p.fc2` are linear layers, `activation` is a function. From here on use the layers of npformer as building blocks. (In training
# dropout would follow the activation and the second layer; here and below the network runs in evaluation.)


# %%
def mlp(x, p, activation=gelu):
    ### BEGIN SOLUTION
    x = linear(x, p.fc1)  # (B, N, C) -> (B, N, 4C)
    x = activation(x)
    x = linear(x, p.fc2)  # (B, N, 4C) -> (B, N, C)
    return x
    ### END SOLUTION


# %%
npformer.check("mlp", mlp)

# %%
assert npformer.check("mlp", mlp, seed=1000, raises=True)

# %% [markdown]
# ## Images
#
# The same for each pixel. The matrices are 1×1 convolutions, and a batch norm follows each:
# conv `fc1`, norm `norm1`, activation, conv `fc2`, norm `norm2`. `eps` is the ε of both norms.


# %%
def conv_mlp(x, p, activation=gelu, eps=1e-5):
    ### BEGIN SOLUTION
    x = conv2d(x, p.fc1)  # (B, H, W, C) -> (B, H, W, 4C)
    x = batch_norm(x, p.norm1, eps)
    x = activation(x)
    x = conv2d(x, p.fc2)  # (B, H, W, 4C) -> (B, H, W, C)
    x = batch_norm(x, p.norm2, eps)
    return x
    ### END SOLUTION


# %%
npformer.check("conv_mlp", conv_mlp)

# %%
assert npformer.check("conv_mlp", conv_mlp, seed=1000, raises=True)

# %% [markdown]
# ## Backward
#
# Take the steps in reverse, each with its own input: the tape holds what each step of forward returned,
# under `"fc1"`, `"act"`, `"fc2"`. `activation_backward(dy, x, activation)` is the chain rule
# through the activation, and `x` is what the activation was *given*.


# %%
def mlp_backward(dy, x, p, activation, tape):
    ### BEGIN SOLUTION
    hidden = tape["act"]  # (B, N, 4C), what fc2 saw
    dhidden, dfc2 = linear_backward(dy, hidden, p.fc2)
    dhidden = activation_backward(dhidden, tape["fc1"], activation)
    dx, dfc1 = linear_backward(dhidden, x, p.fc1)
    return dx, Mlp(dfc1, dfc2)
    ### END SOLUTION


# %%
npformer.check("mlp_backward", mlp_backward)

# %%
assert npformer.check("mlp_backward", mlp_backward, seed=1000, raises=True)

# %% [markdown]
# For images the tape holds `"fc1"`, `"norm1"`, `"act"`, `"fc2"` and `"norm2"`. `tape.within("norm1")` is the tape of the first batch
# norm: give it to `batch_norm_backward`, which looks there whether forward used the statistics of the batch. (Here it did not.)


# %%
def conv_mlp_backward(dy, x, p, activation, eps, tape):
    ### BEGIN SOLUTION
    dy, dnorm2 = batch_norm_backward(dy, tape["fc2"], p.norm2, eps, tape.within("norm2"))
    hidden = tape["act"]  # (B, H, W, 4C), what fc2 saw
    dhidden, dfc2 = conv2d_backward(dy, hidden, p.fc2)
    dhidden = activation_backward(dhidden, tape["norm1"], activation)
    dhidden, dnorm1 = batch_norm_backward(dhidden, tape["fc1"], p.norm1, eps, tape.within("norm1"))
    dx, dfc1 = conv2d_backward(dhidden, x, p.fc1)
    return dx, ConvMlp(dfc1, dnorm1, dfc2, dnorm2)
    ### END SOLUTION


# %%
npformer.check("conv_mlp_backward", conv_mlp_backward)

# %%
assert npformer.check("conv_mlp_backward", conv_mlp_backward, seed=1000, raises=True)
