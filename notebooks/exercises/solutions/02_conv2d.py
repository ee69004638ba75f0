# %% [markdown]
# # Convolution
#
# Fill in each function, then run the cell after it: `npformer.check` compares yours with the
# reference on random inputs and says what kind of mistake it finds. The last cell of each task is
# graded.

# %%
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import npformer
from npformer.layers import Conv2d, as_linear, linear, linear_backward

# %% [markdown]
# ## Windows
#
# A 3×3 convolution sees nine pixels at a time. Lay out the window of every output pixel along the
# last axis, in the order (row of the window, column of the window, channel):
# `(B, H, W, C) -> (B, H', W', kh·kw·C)`. Surround the image by `padding` zeros first. With
# $\hat H = H + 2\,\text{padding}$ there are $H' = (\hat H - k_h) \,//\, \text{stride} + 1$ rows of windows.
#
# `np.pad` and NumPy's `sliding_window_view` help: `sliding_window_view(x, (kh, kw), axis=(1, 2))` has every window of
# stride 1, as `(B, rows, columns, C, kh, kw)`. Loops are fine too. A window that is larger than the padded image is an
# error.


# %%
def im2col(x, kh, kw, stride=1, padding=0):
    ### BEGIN SOLUTION
    if padding:
        x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    _, H, W, C = x.shape
    if H < kh or W < kw:
        raise ValueError(f"a {kh}×{kw} window does not fit into a padded {H}×{W} image")
    windows = sliding_window_view(x, (kh, kw), axis=(1, 2))  # (B, H−kh+1, W−kw+1, C, kh, kw)
    windows = windows[:, ::stride, ::stride]  # -> (B, H', W', C, kh, kw)
    windows = windows.transpose(0, 1, 2, 4, 5, 3)  # -> (B, H', W', kh, kw, C)
    return windows.reshape(*windows.shape[:3], kh * kw * C)
    ### END SOLUTION


# %%
npformer.check("im2col", im2col)

# %%
assert npformer.check("im2col", im2col, seed=1000, raises=True)

# %% [markdown]
# ## Convolution
#
# Now it is one matrix product, since each window meets the same kernel:
#
# $$y_{b,i,j,o} = b_o + \sum_{u,v,c} \hat x_{b,\; s i + u,\; s j + v,\; c} \; W_{u,v,c,o}$$
#
# `p.weight` has shape `(kh, kw, C_in, C_out)`. `as_linear(p)` is the linear layer that meets each window: the same
# numbers, with a weight of shape `(kh·kw·C_in, C_out)`.


# %%
def conv2d(x, p, stride=1, padding=0):
    ### BEGIN SOLUTION
    kh, kw, _, _ = p.weight.shape
    return linear(im2col(x, kh, kw, stride, padding), as_linear(p))  # -> (B, H', W', C_out)
    ### END SOLUTION


# %%
npformer.check("conv2d", conv2d)

# %%
assert npformer.check("conv2d", conv2d, seed=1000, raises=True)

# %% [markdown]
# ## Backward of the windows
#
# A pixel lies in several windows. It receives the sum of what they all send back. `shape` is that of
# the images, without padding: `(B, H', W', kh·kw·C) -> (B, H, W, C)`.
#
# Two ways lead there: a loop over all windows, or one over the kh·kw taps. Tap (u, v) of window (i, j) is pixel
# (stride · i + u, stride · j + v), so for each tap the pixels of all windows are one slice of the padded images, with
# a step.


# %%
def col2im(dy, shape, kh, kw, stride=1, padding=0):
    ### BEGIN SOLUTION
    B, H, W, C = shape
    rows, columns = dy.shape[1:3]
    dy = dy.reshape(B, rows, columns, kh, kw, C)
    dx = np.zeros((B, H + 2 * padding, W + 2 * padding, C), dy.dtype)
    for u in range(kh):
        for v in range(kw):  # tap (u, v) of window (i, j) is pixel (stride i + u, stride j + v)
            last_row, last_column = u + stride * (rows - 1), v + stride * (columns - 1)
            dx[:, u : last_row + 1 : stride, v : last_column + 1 : stride] += dy[:, :, :, u, v]
    return dx[:, padding : padding + H, padding : padding + W]
    ### END SOLUTION


# %%
npformer.check("col2im", col2im)

# %%
assert npformer.check("col2im", col2im, seed=1000, raises=True)

# %% [markdown]
# ## Backward of the convolution
#
# Put it together: that of the matrix product, `linear_backward`, then each window's back to its pixels. Return `dx`
# and a `Conv2d(dW, db)`, with `dW` in the shape of `p.weight`.


# %%
def conv2d_backward(dy, x, p, stride=1, padding=0):
    ### BEGIN SOLUTION
    kh, kw, _, _ = p.weight.shape
    dwindows, dp = linear_backward(dy, im2col(x, kh, kw, stride, padding), as_linear(p))
    dx = col2im(dwindows, x.shape, kh, kw, stride, padding)
    return dx, Conv2d(dp.weight.reshape(p.weight.shape), dp.bias)
    ### END SOLUTION


# %%
npformer.check("conv2d_backward", conv2d_backward)

# %%
assert npformer.check("conv2d_backward", conv2d_backward, seed=1000, raises=True)
