"""Laws of attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...files.optional import optional
from ...layers import flat, linear, relative_position_bias
from ..array_strategies import sizes
from .draws import attention_parameters, normal
from .law import Draw, close, law

with optional("hypothesis", "drawing test data", "npformer[testing]"):
    from hypothesis import strategies as st

Layer = Callable[..., Any]


@law("attention")
def attention_sees_a_grid_as_its_mirror_image(draw: Draw, layer: Layer) -> None:
    """A mirrored grid of tokens gives the mirrored result, and exchanged axes do with biases."""
    rows, columns, heads = draw(sizes(1, 3)), draw(sizes(1, 3)), draw(sizes(1, 2))
    biases, x = normal(draw, heads, rows, columns), normal(draw, 2, rows, columns, 4)
    p = attention_parameters(draw, biases)
    y = layer(flat(x), p).reshape(x.shape)
    for axis in (1, 2):  # distances stay
        mirrored = layer(flat(np.flip(x, axis)), p)
        close(mirrored.reshape(x.shape), np.flip(y, axis))
    turned = layer(flat(x.swapaxes(1, 2)), p._replace(attention_biases=biases.swapaxes(1, 2)))
    close(turned, flat(y.swapaxes(1, 2)))


@law("relative_position_bias")
def biases_by_distance_are_biases_by_pair_of_places(draw: Draw, layer: Layer) -> None:
    """A table that is spread over all pairs of places already is left as it is."""
    rows, columns = draw(sizes(1, 3)), draw(sizes(1, 3))
    by_pair = layer(normal(draw, 2, rows, columns))
    again = layer(by_pair.reshape(2, rows, columns, rows, columns))
    np.testing.assert_array_equal(again, by_pair)


@law("relative_position_bias")
def biases_depend_on_the_distance(draw: Draw, layer: Layer) -> None:
    """The first token has the biases in their order, and a pair has one bias both ways."""
    biases = normal(draw, 2, draw(sizes(1, 3)), draw(sizes(1, 3)))
    table = layer(biases)
    np.testing.assert_array_equal(table[:, 0], biases.reshape(2, -1))
    np.testing.assert_array_equal(table, table.swapaxes(1, 2))
    np.testing.assert_array_equal(table, table[:, ::-1, ::-1])


@law("attention")
def attention_takes_biases_by_pair_too(draw: Draw, layer: Layer) -> None:
    """Biases by distance are biases by pair of places."""
    rows, columns = draw(sizes(1, 3)), draw(sizes(1, 3))
    biases, x = normal(draw, 2, rows, columns), normal(draw, 2, rows * columns, 4)
    p = attention_parameters(draw, biases)
    by_pair = relative_position_bias(biases).reshape(2, rows, columns, rows, columns)
    np.testing.assert_array_equal(layer(x, p._replace(attention_biases=by_pair)), layer(x, p))


@law("attention")
def attention_without_biases_knows_no_order(draw: Draw, layer: Layer) -> None:
    """Without biases, tokens in another order give the same results in that order."""
    order = draw(st.permutations(range(6)))
    p, x = attention_parameters(draw, np.zeros((2, 2, 3))), normal(draw, 2, 6, 4)
    close(layer(x[:, order], p), layer(x, p)[:, order])


@law("attention")
def a_bias_common_to_all_distances_changes_nothing(draw: Draw, layer: Layer) -> None:
    """A number added to all biases of a head changes nothing."""
    shift, x = draw(st.floats(-50, 50)), normal(draw, 2, 6, 4)
    p = attention_parameters(draw, normal(draw, 2, 2, 3))
    close(layer(x, p._replace(attention_biases=p.attention_biases + shift)), layer(x, p))


@law("attention")
def equal_tokens_are_not_changed_by_looking_at_each_other(draw: Draw, layer: Layer) -> None:
    """If all tokens are equal, each takes over its own value, whatever the biases."""
    p = attention_parameters(draw, normal(draw, 2, 2, 3))
    x = np.broadcast_to(normal(draw, 2, 1, 4), (2, 6, 4))
    values = linear(x, p.qkv).reshape(2, 6, 2, 8)[..., 6:].reshape(2, 6, 4)
    close(layer(x, p), linear(values, p.proj))
