# %% [markdown]
# # Layer norm
#
# Fill in each function, then run the cell after it: `npformer.check` compares yours with the
# reference on random inputs and says what kind of mistake it finds. The last cell of each task is
# graded.

# %%
import numpy as np

import npformer
from npformer.layers import LayerNorm

# %% [markdown]
# Layer norm treats each token by itself: it takes the mean and the (biased) variance over the
# channels, the last axis:
#
# $$y = \frac{x - \overline{x}}{\sqrt{\operatorname{var}(x) + \varepsilon}} \cdot w + \beta$$
#
# `x` is `(B, N, C)`, `p.weight` and `p.bias` are `(C,)`.


# %%
def layer_norm(x, p, eps=1e-12):
    ### BEGIN SOLUTION
    centered = x - x.mean(-1, keepdims=True)
    variance = np.square(centered).mean(-1, keepdims=True)  # (B, N, 1)
    return centered / np.sqrt(variance + eps) * p.weight + p.bias
    ### END SOLUTION


# %%
npformer.check("layer_norm", layer_norm)

# %%
assert npformer.check("layer_norm", layer_norm, seed=1000, raises=True)

# %% [markdown]
# ## Backward
#
# Mean and variance depend on $x$. With $g = dy\,w$, $\hat x = (x - \overline{x})/\sigma$:
#
# $$dx = \frac{g - \overline{g} - \hat x \cdot \overline{g\,\hat x}}{\sigma}$$
#
# where the bar is the mean over the channels of a token. Return `dx` and a `LayerNorm(dw, dβ)`, whose
# sums run over the batch and the tokens.


# %%
def layer_norm_backward(dy, x, p, eps=1e-12):
    ### BEGIN SOLUTION
    centered = x - x.mean(-1, keepdims=True)
    sigma = np.sqrt(np.square(centered).mean(-1, keepdims=True) + eps)  # (B, N, 1)
    x_hat = centered / sigma
    g = dy * p.weight
    dx = (g - g.mean(-1, keepdims=True) - x_hat * (g * x_hat).mean(-1, keepdims=True)) / sigma
    C = x.shape[-1]
    return dx, LayerNorm((dy * x_hat).reshape(-1, C).sum(0), dy.reshape(-1, C).sum(0))
    ### END SOLUTION


# %%
npformer.check("layer_norm_backward", layer_norm_backward)

# %%
assert npformer.check("layer_norm_backward", layer_norm_backward, seed=1000, raises=True)
