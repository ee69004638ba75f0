# %% [markdown]
# # Activations: ReLU and GELU
#
# Fill in each function, then run the cell after it: `npformer.check` compares yours with the
# reference on random inputs and says what kind of mistake it finds. The last cell of each task is
# graded.

# %%
from math import pi, sqrt

import numpy as np

import npformer
from npformer.layers import erf

# %% [markdown]
# Without a nonlinear function between them, two linear layers are one. ReLU sets negative numbers to 0;
# GELU does so smoothly, with the normal distribution function $\Phi$:
#
# $$\operatorname{relu}(x) = \max(x, 0) \qquad \operatorname{gelu}(x) = x\,\Phi(x) = \frac{x}{2}\left(1 + \operatorname{erf}\frac{x}{\sqrt 2}\right)$$
#
# NumPy has no `erf`; use `npformer.layers.erf`.


# %%
def relu(x):
    ### BEGIN SOLUTION
    return np.maximum(x, 0)
    ### END SOLUTION


# %%
npformer.check("relu", relu)

# %%
assert npformer.check("relu", relu, seed=1000, raises=True)


# %%
def gelu(x):
    ### BEGIN SOLUTION
    return 0.5 * x * (1 + erf(x * sqrt(0.5)))
    ### END SOLUTION


# %%
npformer.check("gelu", gelu)

# %%
assert npformer.check("gelu", gelu, seed=1000, raises=True)

# %% [markdown]
# ## Backward
#
# The chain rule: $dx = dy \cdot f'(x)$, in two steps: first the derivative $f'$, then the gradient. The derivative of
# ReLU is 1 where $x$ is positive, else 0, in the dtype of `x`. For GELU
# use the product rule, and the fact that the derivative of $\Phi$ is the density $\exp(-x^2/2)/\sqrt{2\pi}$.


# %%
def relu_derivative(x):
    ### BEGIN SOLUTION
    return (x > 0).astype(x.dtype)
    ### END SOLUTION


def relu_backward(dy, x):
    ### BEGIN SOLUTION
    return dy * relu_derivative(x)
    ### END SOLUTION


# %%
npformer.check("relu_backward", relu_backward)

# %%
assert npformer.check("relu_backward", relu_backward, seed=1000, raises=True)


# %%
def gelu_derivative(x):
    ### BEGIN SOLUTION
    return 0.5 * (1 + erf(x * sqrt(0.5))) + x * np.exp(-0.5 * x * x) / sqrt(2 * pi)
    ### END SOLUTION


def gelu_backward(dy, x):
    ### BEGIN SOLUTION
    return dy * gelu_derivative(x)
    ### END SOLUTION


# %%
npformer.check("gelu_backward", gelu_backward)

# %%
assert npformer.check("gelu_backward", gelu_backward, seed=1000, raises=True)
