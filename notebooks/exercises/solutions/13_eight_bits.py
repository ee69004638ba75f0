# %% [markdown]
# # Eight bits: whole numbers instead of real ones
#
# Fill in each function, then run the cell after it: `npformer.check` compares yours with the
# reference on random inputs and says what kind of mistake it finds. The last cell of each task is
# graded.

# %%
import numpy as np

import npformer
from npformer.layers import QuantizedLinear, QuantizedRows
from npformer.layers.quantized_linear import LARGEST_WEIGHT, STEPS

# %% [markdown]
# ## Quantize the weights
#
# Each column of $W$, one for each output, gets a scale of its own:
#
# $$W \approx \text{scale}\; w, \qquad \text{scale} = \frac{\max |W|}{127}, \qquad w = \operatorname{round}(W / \text{scale})$$
#
# `p` is a `Linear` with `weight` `(C_in, C_out)` and `bias` `(C_out,)`. Return a `QuantizedLinear`: the whole numbers as `np.int8`, the
# scales, and the bias as it is. A column of nothing but zeros gets the scale 1/127.


# %%
def quantize_linear(p):
    ### BEGIN SOLUTION
    largest = np.abs(p.weight).max(0, initial=0)  # (C_in, C_out) -> (C_out,)
    scale = np.where(largest > 0, largest, 1) / p.weight.dtype.type(LARGEST_WEIGHT)
    return QuantizedLinear(np.rint(p.weight / scale).astype(np.int8), scale, p.bias)
    ### END SOLUTION


# %%
npformer.check("quantize_linear", quantize_linear)

# %%
assert npformer.check("quantize_linear", quantize_linear, seed=1000, raises=True)

# %% [markdown]
# ## Quantize the rows
#
# A row of $x$, a pixel or a token, seldom has as much below zero as above. So its steps begin at its least number:
#
# $$x \approx \text{least} + s\, q, \qquad s = \frac{\max x - \min x}{255}, \qquad q = \operatorname{round}\!\big((x - \text{least}) / s\big)$$
#
# Return `QuantizedRows(q, step, least)`, with `q` as `np.uint8` and the two others of shape `(..., 1)`. (Here every row has numbers that
# differ, and all are finite; `npformer.layers.quantize_rows` handles the rest.)


# %%
def quantize_rows(x):
    ### BEGIN SOLUTION
    least = x.min(-1, keepdims=True)  # (..., C) -> (..., 1)
    width = x.max(-1, keepdims=True) - least
    q = np.rint((x - least) * (STEPS / width))
    return QuantizedRows(q.astype(np.uint8), width / STEPS, least)
    ### END SOLUTION


# %%
npformer.check("quantize_rows", quantize_rows)

# %%
assert npformer.check("quantize_rows", quantize_rows, seed=1000, raises=True)

# %% [markdown]
# ## The product of whole numbers, and back to real ones
#
# Put both into $xW + b$. What depends on the row or the column alone comes out of the sum:
#
# $$y = \Big(s \sum_k q_k w_k + \text{least} \sum_k w_k\Big)\; \text{scale} + b$$
#
# Both sums are whole numbers. An `np.uint8` times an `np.int8` overflows, so convert before you multiply: `np.float64` holds every whole
# number below $2^{53}$, and NumPy multiplies it faster than integers. Round the rows with your `quantize_rows`, and give the sums the dtype of `x`.


# %%
def quantized_linear(x, p):
    ### BEGIN SOLUTION
    q, step, least = quantize_rows(x)
    w = p.weight.astype(np.float64)
    products = (q.astype(np.float64) @ w).astype(x.dtype)  # (..., C_in) -> (..., C_out)
    sums = w.sum(0).astype(x.dtype)  # (C_in, C_out) -> (C_out,)
    return (products * step + sums * least) * p.scale + p.bias
    ### END SOLUTION


# %%
npformer.check("quantized_linear", quantized_linear)

# %%
assert npformer.check("quantized_linear", quantized_linear, seed=1000, raises=True)
