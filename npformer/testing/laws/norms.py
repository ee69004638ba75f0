"""Laws of the norms and of layer scale."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...files.optional import optional
from ...layers import Conv2d, LayerNorm, LayerScale, conv2d
from ..array_strategies import sizes
from .draws import batch_norm_parameters, kernel, layer_norm_parameters, normal
from .law import Draw, close, law

with optional("hypothesis", "drawing test data", "npformer[testing]"):
    from hypothesis import assume
    from hypothesis import strategies as st

Layer = Callable[..., Any]


@law("batch_norm")
def batch_norm_folds_into_the_convolution_before_it(draw: Draw, layer: Layer) -> None:
    """A convolution with scaled weights and a moved bias does what a batch norm after it does."""
    conv, norm = kernel(draw), batch_norm_parameters(draw, 3)
    stride, padding = draw(sizes(1, 2)), draw(st.integers(0, 1))
    eps, x = draw(st.sampled_from([1e-5, 1e-2])), normal(draw, 2, 5, 4, 2)
    scale = norm.weight / np.sqrt(norm.running_var + eps)
    folded = Conv2d(conv.weight * scale, (conv.bias - norm.running_mean) * scale + norm.bias)
    two_steps = layer(conv2d(x, conv, stride, padding), norm, eps)
    close(conv2d(x, folded, stride, padding), two_steps)


@law("batch_norm")
def batch_norm_of_the_mean_is_the_bias(draw: Draw, layer: Layer) -> None:
    """Where a channel has its running mean, the result is its bias."""
    p = batch_norm_parameters(draw, 3)
    x = np.broadcast_to(p.running_mean, (2, 3, 4, 3))
    np.testing.assert_array_equal(layer(x, p, 1e-5), np.broadcast_to(p.bias, x.shape))


@law("layer_norm")
def layer_norm_forgets_scale_and_shift(draw: Draw, layer: Layer) -> None:
    """Without ε, a token that is stretched and moved as a whole gives the same result."""
    N, C = draw(sizes(1, 3)), draw(sizes(2, 5))
    scale, shift = draw(st.floats(0.01, 100)), draw(st.floats(-100, 100))
    x, p = normal(draw, 1, N, C), layer_norm_parameters(draw, C)
    assume(x.std(-1).min() > 0.1)  # which a shift by 100 drowns in rounding
    moved, still = layer(scale * x + shift, p, 0), layer(x, p, 0)
    limit = 1e-9 if moved.dtype == np.float64 else 0.1
    np.testing.assert_allclose(moved, still, rtol=0, atol=limit)


@law("layer_norm")
def layer_norm_has_mean_0_and_variance_1(draw: Draw, layer: Layer) -> None:
    """With weights of 1 and biases of 0, each token has the mean 0 and the biased variance 1."""
    N, C = draw(sizes(1, 3)), draw(sizes(2, 5))
    x = normal(draw, 2, N, C)
    assume(x.std(-1).min() > 0.1)
    y = layer(x, LayerNorm(np.ones(C), np.zeros(C)), 0)
    close(y.mean(-1), np.zeros((2, N)))
    close(y.var(-1), np.ones((2, N)))


@law("layer_scale")
def layer_scale_of_one_changes_nothing(draw: Draw, layer: Layer) -> None:
    """Factors of 1 change nothing, factors of 0 leave nothing, and none at all change nothing."""
    x = normal(draw, 2, draw(sizes()), 3)
    np.testing.assert_array_equal(layer(x, LayerScale(np.ones(3))), x)
    np.testing.assert_array_equal(layer(x, LayerScale(np.zeros(3))), 0 * x)
    np.testing.assert_array_equal(layer(x, None), x)


@law("layer_scale")
def layer_scale_has_a_factor_for_each_channel(draw: Draw, layer: Layer) -> None:
    """The result for ones is the factors."""
    p = LayerScale(normal(draw, 4))
    np.testing.assert_array_equal(layer(np.ones((2, 4, 4)), p), np.broadcast_to(p.gamma, (2, 4, 4)))
