# %% [markdown]
# # Attention with attention biases
#
# Fill in each function, then run the cell after it: `npformer.check` compares yours with the
# reference on random inputs and says what kind of mistake it finds. The last cell of each task is
# graded.

# %%
import numpy as np

import npformer
from npformer.layers import (
    Attention,
    flat,
    head_sizes,
    linear,
    linear_backward,
    softmax,
    softmax_backward,
)

# %% [markdown]
# ## From image to tokens
#
# Read the image row by row as a sequence: `(B, H, W, C) -> (B, H·W, C)`.


# %%
def flat(x):
    ### BEGIN SOLUTION
    B, H, W, C = x.shape
    return x.reshape(B, H * W, C)
    ### END SOLUTION


# %%
npformer.check("flat", flat)

# %%
npformer.check("flat", flat, seed=1000, raises=True)

# %% [markdown]
# ## The bias of each pair
#
# For each head there is one learned number for each *distance* $(|\Delta y|, |\Delta x|)$ on the grid of tokens.
# Spread it over all pairs of tokens: `(heads, rows, columns) -> (heads, N, N)`, `N = rows·columns`,
# where token `t` is in row `t // columns` and column `t % columns`.


# %%
def relative_position_bias(biases):
    ### BEGIN SOLUTION
    heads, rows, columns = biases.shape
    y, x = np.divmod(np.arange(rows * columns), columns)
    return biases[:, abs(y[:, None] - y), abs(x[:, None] - x)]
    ### END SOLUTION


# %%
npformer.check("relative_position_bias", relative_position_bias)

# %%
npformer.check("relative_position_bias", relative_position_bias, seed=1000, raises=True)

# %% [markdown]
# ## Attention
#
# $$\text{attn} = \operatorname{softmax}\!\left(\frac{q\,k^\top}{\sqrt K} + \text{bias}\right) \qquad y = (\text{attn}\;v)\,W_\text{proj} + b_\text{proj}$$
#
# for each head separately. `p.qkv` computes q, k and v at once; its columns are ordered head by head, and
# within a head q (K numbers), k (K), v (V). `K, V = head_sizes(p)`. The bias is added after the scaling and is
# not scaled. Put the heads side by side again before the projection: `(B, heads, N, V) -> (B, N, heads·V)`.


# %%
def attention(x, p):
    ### BEGIN SOLUTION
    B, N, C = x.shape
    K, V = head_sizes(p)
    qkv = linear(x, p.qkv).reshape(B, N, -1, 2 * K + V).swapaxes(1, 2)
    q, k, v = np.split(qkv, [K, 2 * K], axis=-1)
    attn = softmax(q @ k.swapaxes(2, 3) * K**-0.5 + relative_position_bias(p.attention_biases))
    y = (attn @ v).swapaxes(1, 2).reshape(B, N, -1)
    return linear(y, p.proj)
    ### END SOLUTION


# %%
npformer.check("attention", attention)

# %%
npformer.check("attention", attention, seed=1000, raises=True)

# %% [markdown]
# ## Backward of the table
#
# A bias receives the sum over all pairs that used it: `(heads, N, N) -> (heads, rows, columns)`.


# %%
def relative_position_bias_backward(dtable, biases):
    ### BEGIN SOLUTION
    heads, rows, columns = biases.shape
    y, x = np.divmod(np.arange(rows * columns), columns)
    dbiases = np.zeros_like(biases)
    np.add.at(dbiases, (slice(None), abs(y[:, None] - y), abs(x[:, None] - x)), dtable)
    return dbiases
    ### END SOLUTION


# %%
npformer.check("relative_position_bias_backward", relative_position_bias_backward)

# %%
npformer.check(
    "relative_position_bias_backward", relative_position_bias_backward, seed=1000, raises=True
)

# %% [markdown]
# ## Backward of attention
#
# This is the hardest one. `tape["qkv"]` is the output of `p.qkv`, and `tape["attn"]` has the weights. Go back step by step:
#
# $$dv = \text{attn}^\top dy \quad d\text{attn} = dy\,v^\top \quad dq = \frac{d\text{scores}\;k}{\sqrt K} \quad dk = \frac{d\text{scores}^\top q}{\sqrt K}$$
#
# Every image of the batch used the same biases. Return `dx` and an `Attention(dqkv, dproj, dbiases)`.


# %%
def attention_backward(dy, x, p, tape):
    ### BEGIN SOLUTION
    B, N, C = x.shape
    K, V = head_sizes(p)
    attn = tape["attn"]
    qkv = tape["qkv"].reshape(B, N, -1, 2 * K + V).swapaxes(1, 2)
    q, k, v = np.split(qkv, [K, 2 * K], axis=-1)
    merged = (attn @ v).swapaxes(1, 2).reshape(B, N, -1)
    dy, dproj = linear_backward(dy, merged, p.proj)
    dy = dy.reshape(B, N, -1, V).swapaxes(1, 2)
    dv = attn.swapaxes(2, 3) @ dy
    dscores = softmax_backward(dy @ v.swapaxes(2, 3), attn)
    dq = dscores @ k * K**-0.5
    dk = dscores.swapaxes(2, 3) @ q * K**-0.5
    dqkv = np.concatenate([dq, dk, dv], -1).swapaxes(1, 2).reshape(B, N, -1)
    dx, dlinear = linear_backward(dqkv, x, p.qkv)
    return dx, Attention(
        dlinear, dproj, relative_position_bias_backward(dscores.sum(0), p.attention_biases)
    )
    ### END SOLUTION


# %%
npformer.check("attention_backward", attention_backward)

# %%
npformer.check("attention_backward", attention_backward, seed=1000, raises=True)
