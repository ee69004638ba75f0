# %% [markdown]
# # Folding: two layers become one
#
# Fill in each function, then run the cell after it: `npformer.check` compares yours with the
# reference on random inputs and says what kind of mistake it finds. The last cell of each task is
# graded.

# %%
import numpy as np

import npformer
from npformer.engine.fold import times
from npformer.layers import Conv2d, Linear

# %% [markdown]
# ## Batch norm into its convolution
#
# In evaluation batch norm is linear, and so is the convolution before it. Find the single convolution that does
# both:
#
# $$\operatorname{BN}(x W + b) = x\,(W s) + \big((b - \mu)\,s + \beta\big), \qquad s = \frac{w}{\sqrt{\sigma^2 + \varepsilon}}$$
#
# `conv.weight` is `(kh, kw, C_in, C_out)`; the norm has `weight` ($w$), `bias` ($\beta$), `running_mean` ($\mu$) and `running_var`
# ($\sigma^2$), each `(C_out,)`. Return a `Conv2d`.
#
# Folding happens once, so it can afford to be exact: compute in float64, and round the result once, to the dtype of the parameters.
# `times(weight, scale)` multiplies in this way; for the bias use `astype`.


# %%
def fold_batch_norm(conv, norm, eps):
    ### BEGIN SOLUTION
    scale = norm.weight / np.sqrt(norm.running_var.astype(np.float64) + eps)
    bias = (conv.bias - norm.running_mean.astype(np.float64)) * scale + norm.bias
    return Conv2d(times(conv.weight, scale), bias.astype(conv.bias.dtype))
    ### END SOLUTION


# %%
npformer.check("fold_batch_norm", fold_batch_norm)

# %%
assert npformer.check("fold_batch_norm", fold_batch_norm, seed=1000, raises=True)

# %% [markdown]
# ## Layer scale into the linear layer before it
#
# $$\gamma\,(x W + b) = x\,(W\gamma) + b\,\gamma$$
#
# `scale` is a `LayerScale` with `gamma`, or `None`. Return a `Linear`.


# %%
def fold_layer_scale(p, scale):
    ### BEGIN SOLUTION
    if scale is None:
        return p
    return Linear(times(p.weight, scale.gamma), times(p.bias, scale.gamma))
    ### END SOLUTION


# %%
npformer.check("fold_layer_scale", fold_layer_scale)

# %%
assert npformer.check("fold_layer_scale", fold_layer_scale, seed=1000, raises=True)

# %% [markdown]
# ## Layer norm's weight and bias into the linear layer after it
#
# The statistics of layer norm depend on the token, so they stay. Its weight and bias do not:
#
# $$(\hat x\, w + \beta)\, W + b = \hat x\,(w W) + (\beta W + b)$$


# %%
def fold_layer_norm(norm, p):
    ### BEGIN SOLUTION
    bias = norm.bias @ p.weight.astype(np.float64) + p.bias
    return Linear(times(p.weight, norm.weight[:, None]), bias.astype(p.bias.dtype))
    ### END SOLUTION


# %%
npformer.check("fold_layer_norm", fold_layer_norm)

# %%
assert npformer.check("fold_layer_norm", fold_layer_norm, seed=1000, raises=True)
