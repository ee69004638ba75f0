# %% [markdown]
# # Softmax and cross-entropy
#
# Fill in each function, then run the cell after it: `npformer.check` compares yours with the
# reference on random inputs and says what kind of mistake it finds. The last cell of each task is
# graded.

# %%
import numpy as np

import npformer

# %% [markdown]
# Softmax turns each row of scores (the last axis) into positive weights that sum to one:
#
# $$\operatorname{softmax}(x)_i = \frac{\exp x_i}{\sum_j \exp x_j}$$
#
# Beware: `np.exp(1000)` is infinite. What happens to the result if you subtract the same number from all
# scores of a row?


# %%
def softmax(x):
    ### BEGIN SOLUTION
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)
    ### END SOLUTION


# %%
npformer.check("softmax", softmax)

# %%
assert npformer.check("softmax", softmax, seed=1000, raises=True)

# %% [markdown]
# ## Backward
#
# If $y = \operatorname{softmax}(x)$, then $\partial y_i/\partial x_j = y_i(\delta_{ij} - y_j)$. The function
# takes `dy` and the *output* `y`.


# %%
def softmax_backward(dy, y):
    ### BEGIN SOLUTION
    return y * (dy - (dy * y).sum(-1, keepdims=True))
    ### END SOLUTION


# %%
npformer.check("softmax_backward", softmax_backward)

# %%
assert npformer.check("softmax_backward", softmax_backward, seed=1000, raises=True)

# %% [markdown]
# ## Cross-entropy
#
# The loss of a classifier is small if it gives the right class a high probability: it is the mean over
# the batch of $-\log \operatorname{softmax}(x)_{y}$. `logits` is `(B, K)`, `labels` is `(B,)`, integers.
# Very wrong answers must give a large number, not infinity: the first step is $\log\operatorname{softmax}$ itself, written
# so that no logarithm of 0 can occur. The second picks the right class of each row: multiply by *targets* that are 1 there and 0
# elsewhere, and add up (`np.take_along_axis` does it too).


# %%
def log_softmax(x):
    ### BEGIN SOLUTION
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))
    ### END SOLUTION


def cross_entropy(logits, labels):
    ### BEGIN SOLUTION
    targets = labels[:, None] == np.arange(logits.shape[-1])  # (B, K)
    log_p = log_softmax(logits)
    return -(targets * log_p).sum(-1).mean()
    ### END SOLUTION


# %%
npformer.check("cross_entropy", cross_entropy)

# %%
assert npformer.check("cross_entropy", cross_entropy, seed=1000, raises=True)

# %% [markdown]
# Its gradient with respect to the logits is very simple: what the network says minus what it should say,
# divided by the number of images.


# %%
def cross_entropy_backward(logits, labels):
    ### BEGIN SOLUTION
    targets = labels[:, None] == np.arange(logits.shape[-1])  # (B, K)
    return (softmax(logits) - targets) / len(labels)
    ### END SOLUTION


# %%
npformer.check("cross_entropy_backward", cross_entropy_backward)

# %%
assert npformer.check("cross_entropy_backward", cross_entropy_backward, seed=1000, raises=True)
