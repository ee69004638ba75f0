# %% [markdown]
# # The two blocks, and the stem
#
# Fill in each function, then run the cell after it: `npformer.check` compares yours with the
# reference on random inputs and says what kind of mistake it finds. The last cell of each task is
# graded.

# %%
import numpy as np

import npformer
from npformer.layers import (
    AttentionBlock,
    Downsample,
    PoolingBlock,
    Stem,
    activation_backward,
    attention,
    attention_backward,
    batch_norm,
    batch_norm_backward,
    conv2d,
    conv2d_backward,
    conv_mlp,
    conv_mlp_backward,
    gelu,
    layer_norm,
    layer_norm_backward,
    layer_scale,
    layer_scale_backward,
    mlp,
    mlp_backward,
    pooling,
    pooling_backward,
    relu,
)

# %% [markdown]
# ## Stem
#
# Convolution, batch norm, ReLU; then the same again. Both convolutions have stride 2 and padding 1. `p` has `conv1`,
# `norm1`, `conv2`, `norm2`; `eps` is the ε of the batch norms.


# %%
def stem(x, p, eps=1e-5):
    ### BEGIN SOLUTION
    x = conv2d(x, p.conv1, stride=2, padding=1)  # -> (B, H/2, W/2, C₁/2)
    x = batch_norm(x, p.norm1, eps)
    x = relu(x)
    x = conv2d(x, p.conv2, stride=2, padding=1)  # -> (B, H/4, W/4, C₁)
    x = batch_norm(x, p.norm2, eps)
    return relu(x)
    ### END SOLUTION


# %%
npformer.check("stem", stem)

# %%
assert npformer.check("stem", stem, seed=1000, raises=True)

# %% [markdown]
# ## Downsampling
#
# The step between two stages: convolution with stride 2 and padding 1, then batch norm. No activation. `p` has `conv` and `norm`.


# %%
def downsample(x, p, stride=2, padding=1, eps=1e-5):
    ### BEGIN SOLUTION
    x = conv2d(x, p.conv, stride, padding)
    return batch_norm(x, p.norm, eps)
    ### END SOLUTION


# %%
npformer.check("downsample", downsample)

# %%
assert npformer.check("downsample", downsample, seed=1000, raises=True)

# %% [markdown]
# ## Pooling block (the paper's MB4D)
#
# $$x \leftarrow x + \gamma_1 \cdot \operatorname{pooling}(x) \qquad x \leftarrow x + \gamma_2 \cdot \operatorname{conv\_mlp}(x)$$
#
# `p` has `ls1`, `mlp` and `ls2`. Name what a branch computes `y`, and scale it before you add it.


# %%
def pooling_block(x, p, pool_size=3, activation=gelu, eps=1e-5):
    ### BEGIN SOLUTION
    y = pooling(x, pool_size)
    x = x + layer_scale(y, p.ls1)
    y = conv_mlp(x, p.mlp, activation, eps)
    return x + layer_scale(y, p.ls2)
    ### END SOLUTION


# %%
npformer.check("pooling_block", pooling_block)

# %%
assert npformer.check("pooling_block", pooling_block, seed=1000, raises=True)

# %% [markdown]
# ## Attention block (the paper's MB3D)
#
# $$x \leftarrow x + \gamma_1 \cdot \operatorname{attention}(\operatorname{LN}_1(x)) \qquad x \leftarrow x + \gamma_2 \cdot \operatorname{mlp}(\operatorname{LN}_2(x))$$
#
# `p` has `norm1`, `token_mixer`, `ls1`, `norm2`, `mlp`, `ls2`; the ε of the layer norms, `eps`, is 1e-12.


# %%
def attention_block(x, p, activation=gelu, eps=1e-12):
    ### BEGIN SOLUTION
    y = layer_norm(x, p.norm1, eps)
    y = attention(y, p.token_mixer)
    x = x + layer_scale(y, p.ls1)
    y = layer_norm(x, p.norm2, eps)
    y = mlp(y, p.mlp, activation)
    return x + layer_scale(y, p.ls2)
    ### END SOLUTION


# %%
npformer.check("attention_block", attention_block)

# %%
assert npformer.check("attention_block", attention_block, seed=1000, raises=True)

# %% [markdown]
# ## Backward of the pooling block
#
# The gradient of $x + f(x)$ is $dy + f_\text{backward}(dy)$: it flows past each branch unchanged, and the gradient from
# the branch is added. The tape holds `"token_mixer"`, `"ls1"`, `"mlp"` and `"ls2"`; `tape.within("mlp")` is the tape
# of the MLP. Be careful: what was the input of the MLP?


# %%
def pooling_block_backward(dy, x, p, pool_size, activation, eps, tape):
    ### BEGIN SOLUTION
    middle = x + tape["ls1"]  # what the MLP saw
    branch = dy
    branch, dls2 = layer_scale_backward(branch, tape["mlp"], p.ls2)
    branch, dmlp = conv_mlp_backward(branch, middle, p.mlp, activation, eps, tape.within("mlp"))
    dy = dy + branch
    branch = dy
    branch, dls1 = layer_scale_backward(branch, tape["token_mixer"], p.ls1)
    return dy + pooling_backward(branch, pool_size), PoolingBlock(dls1, dmlp, dls2)
    ### END SOLUTION


# %%
npformer.check("pooling_block_backward", pooling_block_backward)

# %%
assert npformer.check("pooling_block_backward", pooling_block_backward, seed=1000, raises=True)

# %% [markdown]
# ## Backward of the attention block
#
# The same with a layer norm before each branch. The tape also holds `"norm1"` and `"norm2"`, and
# `tape.within("token_mixer")` is the tape of the attention.


# %%
def attention_block_backward(dy, x, p, activation, eps, tape):
    ### BEGIN SOLUTION
    middle = x + tape["ls1"]  # what the second norm saw
    branch = dy
    branch, dls2 = layer_scale_backward(branch, tape["mlp"], p.ls2)
    branch, dmlp = mlp_backward(branch, tape["norm2"], p.mlp, activation, tape.within("mlp"))
    branch, dnorm2 = layer_norm_backward(branch, middle, p.norm2, eps)
    dy = dy + branch
    branch = dy
    branch, dls1 = layer_scale_backward(branch, tape["token_mixer"], p.ls1)
    branch, dmixer = attention_backward(
        branch, tape["norm1"], p.token_mixer, tape.within("token_mixer")
    )
    branch, dnorm1 = layer_norm_backward(branch, x, p.norm1, eps)
    return dy + branch, AttentionBlock(dnorm1, dmixer, dls1, dnorm2, dmlp, dls2)
    ### END SOLUTION


# %%
npformer.check("attention_block_backward", attention_block_backward)

# %%
assert npformer.check("attention_block_backward", attention_block_backward, seed=1000, raises=True)

# %% [markdown]
# ## Backward of the stem and of the downsampling
#
# The steps in reverse, each with its own input. The tape of the stem holds what each step returned, under `"conv1"`,
# `"norm1"`, `"act1"`, `"conv2"`, `"norm2"` and `"act2"`; that of the downsampling has `"conv"` and `"norm"`. Give each batch norm its own
# tape, such as `tape.within("norm1")`.


# %%
def stem_backward(dy, x, p, eps, tape):
    ### BEGIN SOLUTION
    dy = activation_backward(dy, tape["norm2"], relu)
    dy, dnorm2 = batch_norm_backward(dy, tape["conv2"], p.norm2, eps, tape.within("norm2"))
    dy, dconv2 = conv2d_backward(dy, tape["act1"], p.conv2, stride=2, padding=1)
    dy = activation_backward(dy, tape["norm1"], relu)
    dy, dnorm1 = batch_norm_backward(dy, tape["conv1"], p.norm1, eps, tape.within("norm1"))
    dx, dconv1 = conv2d_backward(dy, x, p.conv1, stride=2, padding=1)
    return dx, Stem(dconv1, dnorm1, dconv2, dnorm2)
    ### END SOLUTION


# %%
npformer.check("stem_backward", stem_backward)

# %%
assert npformer.check("stem_backward", stem_backward, seed=1000, raises=True)


# %%
def downsample_backward(dy, x, p, stride, padding, eps, tape):
    ### BEGIN SOLUTION
    dy, dnorm = batch_norm_backward(dy, tape["conv"], p.norm, eps, tape.within("norm"))
    dx, dconv = conv2d_backward(dy, x, p.conv, stride, padding)
    return dx, Downsample(dconv, dnorm)
    ### END SOLUTION


# %%
npformer.check("downsample_backward", downsample_backward)

# %%
assert npformer.check("downsample_backward", downsample_backward, seed=1000, raises=True)
