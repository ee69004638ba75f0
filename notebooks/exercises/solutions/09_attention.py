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
    return x.reshape(B, H * W, C)  # (B, H, W, C) -> (B, N, C)
    ### END SOLUTION


# %%
npformer.check("flat", flat)

# %%
assert npformer.check("flat", flat, seed=1000, raises=True)

# %% [markdown]
# ## The bias of each pair
#
# For each head there is one learned number for each *distance* $(|\Delta y|, |\Delta x|)$ on the grid of tokens.
# Spread it over all pairs of tokens: `(heads, rows, columns) -> (heads, N, N)`, `N = rows·columns`,
# where token `t` is in row `t // columns` and column `t % columns`.
#
# First the distances of all pairs, $|\Delta y|$ and $|\Delta x|$, `(N, N)` each; `np.divmod` gives row and column at once.
# They are the index into the biases.


# %%
def distances(rows, columns):
    ### BEGIN SOLUTION
    y, x = np.divmod(np.arange(rows * columns), columns)  # (N,) each: row and column of a token
    return abs(y[:, None] - y), abs(x[:, None] - x)
    ### END SOLUTION


def relative_position_bias(biases):
    ### BEGIN SOLUTION
    heads, rows, columns = biases.shape[:3]
    down, across = distances(rows, columns)
    return biases[:, down, across]
    ### END SOLUTION


# %%
npformer.check("relative_position_bias", relative_position_bias)

# %%
assert npformer.check("relative_position_bias", relative_position_bias, seed=1000, raises=True)

# %% [markdown]
# ## Attention
#
# $$\text{attn} = \operatorname{softmax}\!\left(\frac{q\,k^\top}{\sqrt K} + \text{bias}\right) \qquad y = (\text{attn}\;v)\,W_\text{proj} + b_\text{proj}$$
#
# for each head separately. One linear layer, `p.qkv`, computes q, k and v at once; another, `p.proj`, comes last. Between them
# the tokens attend to each other, in three steps:
#
# * `split_heads`: cut `(B, N, heads·(2K + V))` into q, k, `(B, heads, N, K)`, and v, `(B, heads, N, V)`. The columns are ordered
#   head by head, and within a head q (K numbers), k (K), v (V).
# * `merge_heads`: put the heads side by side again, `(B, heads, N, V) -> (B, N, heads·V)`.
# * `attend`: the formula above between the two. `scale` is $1/\sqrt K$; the bias, `(heads, N, N)`, is added after the scaling
#   and is not scaled.
#
# `K, _ = head_sizes(p)` is the width of a key. If the number of tokens is not that of the grid of `p.attention_biases`, say so.


# %%
def split_heads(qkv, heads, K):
    ### BEGIN SOLUTION
    B, N, width = qkv.shape
    qkv = qkv.reshape(B, N, heads, width // heads).swapaxes(1, 2)  # -> (B, heads, N, 2K + V)
    return np.split(qkv, [K, 2 * K], axis=-1)
    ### END SOLUTION


def merge_heads(x):
    ### BEGIN SOLUTION
    B, heads, N, V = x.shape
    return x.swapaxes(1, 2).reshape(B, N, heads * V)
    ### END SOLUTION


def attend(qkv, bias, K, scale):
    ### BEGIN SOLUTION
    q, k, v = split_heads(qkv, len(bias), K)  # (B, heads, N, K or V)
    scores = q @ k.swapaxes(2, 3) * scale  # -> (B, heads, N, N)
    attn = softmax(scores + bias)
    return merge_heads(attn @ v)  # (B, heads, N, V) -> (B, N, heads·V)
    ### END SOLUTION


def attention(x, p):
    ### BEGIN SOLUTION
    N = x.shape[1]
    rows, columns = p.attention_biases.shape[1:3]
    if N != rows * columns:
        raise ValueError(f"{N} tokens, but the attention biases are for a {rows}×{columns} grid")
    K, _ = head_sizes(p)
    qkv = linear(x, p.qkv)  # (B, N, C) -> (B, N, heads·(2K + V))
    y = attend(qkv, relative_position_bias(p.attention_biases), K, K**-0.5)
    return linear(y, p.proj)  # (B, N, heads·V) -> (B, N, C)
    ### END SOLUTION


# %%
npformer.check("attention", attention)

# %%
assert npformer.check("attention", attention, seed=1000, raises=True)

# %% [markdown]
# ## Backward of the table
#
# A bias receives the sum over all pairs that used it: `(heads, N, N) -> (heads, rows, columns)`. With `distances` you know which
# one each pair used. Beware: with an index that occurs several times, `a[i] += b` adds only once; `np.add.at(a, i, b)` adds
# every time.


# %%
def relative_position_bias_backward(dtable, biases):
    ### BEGIN SOLUTION
    heads, rows, columns = biases.shape[:3]
    down, across = distances(rows, columns)
    sums = np.zeros((rows * columns, heads), dtable.dtype)
    np.add.at(sums, down * columns + across, dtable.transpose(1, 2, 0))
    return sums.T.reshape(biases.shape)
    ### END SOLUTION


# %%
npformer.check("relative_position_bias_backward", relative_position_bias_backward)

# %%
assert npformer.check(
    "relative_position_bias_backward", relative_position_bias_backward, seed=1000, raises=True
)

# %% [markdown]
# ## Backward of attention
#
# This is the hardest one. `tape["qkv"]` is the output of `p.qkv`, and `tape["attn"]` has the weights. Go back step by step, first
# through `attend`; with $s$ for `scale`:
#
# $$dv = \text{attn}^\top dy \quad d\text{attn} = dy\,v^\top \quad dq = s\; d\text{scores}\;k \quad dk = s\; d\text{scores}^\top q$$
#
# where `softmax_backward` leads from $d\text{attn}$ to $d\text{scores}$. `attend_backward` returns the gradients of `qkv`, heads side by
# side, and of the bias, `(heads, N, N)`: every image of the batch used the same. `attention_backward` adds the two linear layers
# and the table; return `dx` and an `Attention(dqkv, dproj, dbiases)`.


# %%
def attend_backward(dy, qkv, attn, K, scale):
    ### BEGIN SOLUTION
    B, heads, N, _ = attn.shape
    q, k, v = split_heads(qkv, heads, K)
    dy = dy.reshape(B, N, heads, -1).swapaxes(1, 2)  # (B, N, heads·V) -> (B, heads, N, V)
    dv = attn.swapaxes(2, 3) @ dy
    dscores = softmax_backward(dy @ v.swapaxes(2, 3), attn)  # (B, heads, N, N)
    dq = dscores @ k * scale  # (B, heads, N, K)
    dk = dscores.swapaxes(2, 3) @ q * scale
    return merge_heads(np.concatenate([dq, dk, dv], axis=-1)), dscores.sum(0)
    ### END SOLUTION


def attention_backward(dy, x, p, tape):
    ### BEGIN SOLUTION
    K, _ = head_sizes(p)
    v = split_heads(tape["qkv"], len(p.attention_biases), K)[2]
    dy, dproj = linear_backward(dy, merge_heads(tape["attn"] @ v), p.proj)
    dqkv, dbias = attend_backward(dy, tape["qkv"], tape["attn"], K, K**-0.5)
    dx, dlinear = linear_backward(dqkv, x, p.qkv)
    dbiases = relative_position_bias_backward(dbias, p.attention_biases)
    return dx, Attention(dlinear, dproj, dbiases)
    ### END SOLUTION


# %%
npformer.check("attention_backward", attention_backward)

# %%
assert npformer.check("attention_backward", attention_backward, seed=1000, raises=True)
