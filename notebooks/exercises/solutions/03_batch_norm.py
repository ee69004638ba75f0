# %% [markdown]
# # Batch norm
#
# Fill in each function, then run the cell after it: `npformer.check` compares yours with the
# reference on random inputs and says what kind of mistake it finds. The last cell of each task is
# graded.

# %%
import numpy as np

import npformer
from npformer.layers import BatchNorm

# %% [markdown]
# ## Evaluation
#
# Batch norm shifts and scales each channel, the last axis of `x`, by the mean and the variance that
# training left behind, the *running* statistics:
#
# $$y = \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} \cdot w + \beta$$
#
# `p` has `weight` ($w$), `bias` ($\beta$), `running_mean` ($\mu$) and `running_var` ($\sigma^2$), each `(C,)`.


# %%
def batch_norm(x, p, eps=1e-5):
    ### BEGIN SOLUTION
    mean, variance = p.running_mean, p.running_var
    return (x - mean) * (p.weight / np.sqrt(variance + eps)) + p.bias
    ### END SOLUTION


# %%
npformer.check("batch_norm", batch_norm)

# %%
assert npformer.check("batch_norm", batch_norm, seed=1000, raises=True)

# %% [markdown]
# ## Training
#
# In training the mean and the variance are those of the batch itself: for each channel over all axes
# but the last, which are the batch, the rows and the columns of images. The variance is the biased one, $\frac1n\sum(x-\mu)^2$. Return both,
# each of shape `(C,)`.


# %%
def batch_statistics(x):
    ### BEGIN SOLUTION
    axes = tuple(range(x.ndim - 1))
    return x.mean(axes), x.var(axes)
    ### END SOLUTION


# %%
npformer.check("batch_statistics", batch_statistics)

# %%
assert npformer.check("batch_statistics", batch_statistics, seed=1000, raises=True)

# %% [markdown]
# Normalize with them:


# %%
def batch_norm_training(x, p, eps=1e-5):
    ### BEGIN SOLUTION
    mean, variance = batch_statistics(x)
    return (x - mean) * (p.weight / np.sqrt(variance + eps)) + p.bias
    ### END SOLUTION


# %%
npformer.check("batch_norm_training", batch_norm_training)

# %%
assert npformer.check("batch_norm_training", batch_norm_training, seed=1000, raises=True)

# %% [markdown]
# ## The running statistics
#
# While it trains, the layer moves its running statistics a little towards those of each batch:
#
# $$\mu \leftarrow (1 - m)\,\mu + m\,\mu_\text{batch}$$
#
# and likewise the variance. The batch itself was normalized by its biased variance, which you are given; as in
# PyTorch, the *unbiased* one, $\frac n{n-1}$ times as large, enters the average. `n` is the number of values per
# channel; a single value has no unbiased variance, which is an error. Return a new `BatchNorm`; `p._replace(running_mean=..., running_var=...)` makes one.


# %%
def update_running_stats(p, mean, variance, n, momentum=0.1):
    ### BEGIN SOLUTION
    if n < 2:
        raise ValueError(f"batch statistics need at least 2 values a channel, got {n}")
    return p._replace(
        running_mean=(1 - momentum) * p.running_mean + momentum * mean,
        running_var=(1 - momentum) * p.running_var + momentum * variance * n / (n - 1),
    )
    ### END SOLUTION


# %%
npformer.check("update_running_stats", update_running_stats)

# %%
assert npformer.check("update_running_stats", update_running_stats, seed=1000, raises=True)

# %% [markdown]
# ## Backward
#
# With running statistics the layer is a constant scaling, and $dx = dy \cdot w / \sigma$. With those
# of the batch $\mu$ and $\sigma$ depend on $x$ as well. With $g = dy\, w$ and
# $\hat x = (x - \mu)/\sigma$:
#
# $$dx = \frac{g - \overline{g} - \hat x \cdot \overline{g\,\hat x}}{\sigma}$$
#
# where the bar is the mean of a channel over the batch. If forward used the batch, `tape` holds its
# `"mean"` and `"var"`; else it holds neither. Return `dx` and a `BatchNorm(dw, dβ, 0, 0)` with zeros
# for the running statistics, which are not learned.


# %%
def batch_norm_backward(dy, x, p, eps=1e-5, tape=()):
    ### BEGIN SOLUTION
    axes = tuple(range(x.ndim - 1))
    by_batch = "mean" in tape
    mean, variance = (tape["mean"], tape["var"]) if by_batch else (p.running_mean, p.running_var)
    sigma = np.sqrt(variance + eps)  # (C,)
    x_hat = (x - mean) / sigma
    g = dy * p.weight
    if by_batch:
        g = g - g.mean(axes) - x_hat * (g * x_hat).mean(axes)
    zero = np.zeros_like(p.running_mean)
    return g / sigma, BatchNorm((dy * x_hat).sum(axes), dy.sum(axes), zero, zero)
    ### END SOLUTION


# %%
npformer.check("batch_norm_backward", batch_norm_backward)

# %%
assert npformer.check("batch_norm_backward", batch_norm_backward, seed=1000, raises=True)
