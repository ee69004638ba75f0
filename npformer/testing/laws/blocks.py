"""Laws of the MLPs and the blocks, and those that hold of every layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...files.optional import optional
from ...layers import (
    Array,
    AttentionBlock,
    Conv2d,
    ConvMlp,
    LayerScale,
    Mlp,
    PoolingBlock,
)
from ..array_strategies import LAYOUTS, arrange
from ..layer_strategies import arguments
from ..layer_table import LAYERS
from .draws import (
    attention_parameters,
    batch_norm_parameters,
    layer_norm_parameters,
    linear_layer,
    normal,
)
from .law import Draw, close, law

with optional("hypothesis", "drawing test data", "npformer[testing]"):
    from hypothesis import strategies as st

Layer = Callable[..., Any]


def _pixel_mlp(draw: Draw, C: int = 4, wide: int = 5) -> ConvMlp:
    fc1, fc2 = linear_layer(draw, C, wide), linear_layer(draw, wide, C)
    return ConvMlp(
        Conv2d(fc1.weight[None, None], fc1.bias), batch_norm_parameters(draw, wide),
        Conv2d(fc2.weight[None, None], fc2.bias), batch_norm_parameters(draw, C),
    )  # fmt: skip


@law("mlp")
def tokens_stand_alone(draw: Draw, layer: Layer) -> None:
    """Tokens in another order give the same results in that order."""
    order, x = draw(st.permutations(range(6))), normal(draw, 2, 6, 4)
    p = Mlp(linear_layer(draw, 4, 5), linear_layer(draw, 5, 4))
    close(layer(x[:, order], p), layer(x, p)[:, order])


@law("conv_mlp")
def pixels_stand_alone(draw: Draw, layer: Layer) -> None:
    """Rows of pixels in another order give the same results in that order."""
    order, x = draw(st.permutations(range(5))), normal(draw, 2, 5, 5, 4)
    p = _pixel_mlp(draw)
    close(layer(x[:, order], p), layer(x, p)[:, order])
    close(layer(x[:, :, order], p), layer(x, p)[:, :, order])


@law("pooling_block")
def pooling_block_with_closed_branches_changes_nothing(draw: Draw, layer: Layer) -> None:
    """With layer scales of 0 the residual connections alone are left: x passes as it is."""
    x, closed = normal(draw, 2, 3, 4, 4), LayerScale(np.zeros(4))
    close(layer(x, PoolingBlock(closed, _pixel_mlp(draw), closed)), x)


@law("pooling_block")
def pooling_block_passes_a_constant_to_its_mlp(draw: Draw, layer: Layer) -> None:
    """In a constant image nothing is mixed: all pixels of the result are equal."""
    x = np.broadcast_to(normal(draw, 2, 1, 1, 4), (2, 5, 6, 4))
    gamma = LayerScale(normal(draw, 4))
    y = layer(x, PoolingBlock(gamma, _pixel_mlp(draw), gamma))
    close(y, np.broadcast_to(y[:, :1, :1], y.shape))


@law("attention_block")
def attention_block_with_closed_branches_changes_nothing(draw: Draw, layer: Layer) -> None:
    """With layer scales of 0 the residual connections alone are left: x passes as it is."""
    x, closed, norm = normal(draw, 2, 6, 4), LayerScale(np.zeros(4)), layer_norm_parameters(draw, 4)
    mixer = attention_parameters(draw, normal(draw, 2, 2, 3))
    p = Mlp(linear_layer(draw, 4, 5), linear_layer(draw, 5, 4))
    close(layer(x, AttentionBlock(norm, mixer, closed, norm, p, closed)), x)


@law("attention_block")
def attention_block_forgets_a_shift_in_its_branches(draw: Draw, layer: Layer) -> None:
    """What a block adds to its tokens stays the same if all numbers of a token are moved."""
    x, gamma, norm = (
        normal(draw, 2, 6, 4),
        LayerScale(normal(draw, 4)),
        layer_norm_parameters(draw, 4),
    )
    mixer = attention_parameters(draw, normal(draw, 2, 2, 3))
    p = AttentionBlock(norm, mixer, gamma, norm, Mlp(linear_layer(draw, 4, 5),
                       linear_layer(draw, 5, 4)), LayerScale(np.zeros(4)))  # fmt: skip
    shift = draw(st.integers(-3, 3))
    moved, still = layer(x + shift, p) - shift, layer(x, p)
    limit = 1e-3 if moved.dtype == np.float32 else 1e-8
    spread = x.std(-1, keepdims=True).min()  # which the norm divides the rounding by
    np.testing.assert_allclose(moved, still, rtol=0, atol=limit * max(1, 1 / spread))


def _nearly(found: Array, expected: Array) -> None:
    """Assert that only the order of sums differs."""
    double = found.dtype == np.float64
    limit = (1e-9 if double else 1e-3) * np.abs(expected).max(initial=1.0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=limit)


def _of_every_layer(name: str) -> None:
    """Register the laws that hold of every layer for one of them."""

    @law(name)
    def samples_stand_alone(draw: Draw, layer: Layer) -> None:
        """What becomes of a sample does not depend on the others of its batch."""
        x, *rest = draw(arguments(name, "float64", layouts=("C",)))
        together = layer(x, *rest)
        for i in range(len(x)):
            _nearly(layer(x[i : i + 1], *rest), together[i : i + 1])

    @law(name)
    def arrangement_in_memory_does_not_matter(draw: Draw, layer: Layer) -> None:
        """The same numbers, otherwise arranged in memory, give the same result."""
        x, *rest = draw(arguments(name, "float64", layouts=("C",)))
        _nearly(layer(arrange(x, draw(st.sampled_from(LAYOUTS))), *rest), layer(x, *rest))

    @law(name)
    def inputs_stay_as_they_are(draw: Draw, layer: Layer) -> None:
        """The layer does not write into its input."""
        x, *rest = draw(arguments(name, "float64", layouts=("C",)))
        mine = x.copy()
        layer(mine, *rest)
        np.testing.assert_array_equal(mine, x)


for _name in LAYERS:
    _of_every_layer(_name)
