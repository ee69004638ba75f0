# %% [markdown]
# # Convolution
#
# Fill in each function, then run the cell after it: `npformer.check` compares yours with the
# reference on random inputs and says what kind of mistake it finds. The last cell of each task is
# graded.

# %%
import numpy as np

import npformer
from npformer.layers import Conv2d, Linear, linear, linear_backward

# %% [markdown]
# ## Windows
#
# A 3×3 convolution sees nine pixels at a time. Lay out the window of every output pixel along the
# last axis, in the order (row of the window, column of the window, channel):
# `(B, H, W, C) -> (B, H', W', kh·kw·C)`. Surround the image by `padding` zeros first. With
# $\hat H = H + 2\,\text{padding}$ there are $H' = (\hat H - k_h) \,//\, \text{stride} + 1$ rows of windows.
#
# `np.pad` and `np.lib.stride_tricks.sliding_window_view` help; loops are fine too.


# %%
def im2col(x, kh, kw, stride=1, padding=0):
    ### BEGIN SOLUTION
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    B, H, W, C = x.shape
    rows, columns = (H - kh) // stride + 1, (W - kw) // stride + 1
    y = np.empty((B, rows, columns, kh * kw * C), x.dtype)
    for i in range(rows):
        for j in range(columns):
            window = x[:, stride * i : stride * i + kh, stride * j : stride * j + kw]
            y[:, i, j] = window.reshape(B, -1)
    return y
    ### END SOLUTION


# %%
npformer.check("im2col", im2col)

# %%
npformer.check("im2col", im2col, seed=1000, raises=True)

# %% [markdown]
# ## Convolution
#
# Now it is one matrix product, since each window meets the same kernel:
#
# $$y_{b,i,j,o} = b_o + \sum_{u,v,c} \hat x_{b,\; s i + u,\; s j + v,\; c} \; W_{u,v,c,o}$$
#
# `p.weight` has shape `(kh, kw, C_in, C_out)`.


# %%
def conv2d(x, p, stride=1, padding=0):
    ### BEGIN SOLUTION
    kh, kw, C_in, C_out = p.weight.shape
    windows = im2col(x, kh, kw, stride, padding)
    return windows @ p.weight.reshape(kh * kw * C_in, C_out) + p.bias
    ### END SOLUTION


# %%
npformer.check("conv2d", conv2d)

# %%
npformer.check("conv2d", conv2d, seed=1000, raises=True)

# %% [markdown]
# ## Backward of the windows
#
# A pixel lies in several windows. It receives the sum of what they all send back. `shape` is that of
# the images, without padding: `(B, H', W', kh·kw·C) -> (B, H, W, C)`.


# %%
def col2im(dy, shape, kh, kw, stride=1, padding=0):
    ### BEGIN SOLUTION
    B, H, W, C = shape
    dx = np.zeros((B, H + 2 * padding, W + 2 * padding, C), dy.dtype)
    for i in range(dy.shape[1]):
        for j in range(dy.shape[2]):
            window = dy[:, i, j].reshape(B, kh, kw, C)
            dx[:, stride * i : stride * i + kh, stride * j : stride * j + kw] += window
    return dx[:, padding : padding + H, padding : padding + W]
    ### END SOLUTION


# %%
npformer.check("col2im", col2im)

# %%
npformer.check("col2im", col2im, seed=1000, raises=True)

# %% [markdown]
# ## Backward of the convolution
#
# Put it together: that of the matrix product, then each window's back to its pixels. Return `dx` and
# a `Conv2d(dW, db)`.


# %%
def conv2d_backward(dy, x, p, stride=1, padding=0):
    ### BEGIN SOLUTION
    kh, kw, C_in, C_out = p.weight.shape
    matrix = Linear(p.weight.reshape(kh * kw * C_in, C_out), p.bias)
    windows = im2col(x, kh, kw, stride, padding)
    dwindows, dmatrix = linear_backward(dy, windows, matrix)
    dx = col2im(dwindows, x.shape, kh, kw, stride, padding)
    return dx, Conv2d(dmatrix.weight.reshape(p.weight.shape), dmatrix.bias)
    ### END SOLUTION


# %%
npformer.check("conv2d_backward", conv2d_backward)

# %%
npformer.check("conv2d_backward", conv2d_backward, seed=1000, raises=True)
