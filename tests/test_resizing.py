import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npformer.errors import ConfigError
from npformer.layers import (
    AttentionBlock,
    attention,
    relative_position_bias,
    relative_position_bias_backward,
)
from npformer.layers.attention import Attention
from npformer.layers.linear import Linear
from npformer.network import forward
from npformer.network.configuration import EfficientFormerConfig
from npformer.network.params import initialize
from npformer.network.resizing import bicubic_weights, linear_weights, resize, resize_biases
from npformer.network.tree import leaves

SMALL = EfficientFormerConfig(
    depths=[1, 1, 1, 3], hidden_sizes=[4, 6, 8, 10], dim=10, key_dim=2, num_attention_heads=2,
    num_meta3d_blocks=2, resolution=3, image_size=96,
)  # fmt: skip

sides = st.integers(1, 9)
grids = st.tuples(sides, sides)


def drawn(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def params_with_biases(seed=0):
    params = initialize(SMALL, seed, dtype="float64")
    *stages, last = params.stages
    blocks = tuple(
        block._replace(token_mixer=block.token_mixer._replace(attention_biases=drawn((2, 3, 3), i)))
        if isinstance(block, AttentionBlock)
        else block
        for i, block in enumerate(last.blocks)
    )
    return params._replace(stages=(*stages, last._replace(blocks=blocks)))


@settings(max_examples=40, deadline=None)
@given(grids, grids)
def test_offsets_are_looked_up_bilinearly_in_steps_of_the_old_grid(old, new):
    biases = drawn((2, *old))
    resized = resize_biases(biases, new)
    assert resized.shape == (2, *new)
    for dy in range(new[0]):
        for dx in range(new[1]):
            y = dy * (old[0] - 1) / max(new[0] - 1, 1)
            x = dx * (old[1] - 1) / max(new[1] - 1, 1)
            y0, x0 = min(int(y), max(old[0] - 2, 0)), min(int(x), max(old[1] - 2, 0))
            y1, x1 = min(y0 + 1, old[0] - 1), min(x0 + 1, old[1] - 1)
            ty, tx = y - y0, x - x0
            above = (1 - tx) * biases[:, y0, x0] + tx * biases[:, y0, x1]
            below = (1 - tx) * biases[:, y1, x0] + tx * biases[:, y1, x1]
            expected = (1 - ty) * above + ty * below
            np.testing.assert_allclose(resized[:, dy, dx], expected, atol=1e-13)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30))
def test_weights_sum_to_one_and_the_same_size_is_the_identity(old, new):
    for weights in (linear_weights, bicubic_weights):
        np.testing.assert_allclose(weights(old, new).sum(1), 1, atol=1e-14)
        np.testing.assert_allclose(weights(old, old), np.eye(old), atol=1e-15)


def test_nearest_and_farthest_keep_their_bias():
    biases = drawn((3, 7, 7))
    resized = resize_biases(biases, (12, 9))
    np.testing.assert_array_equal(resized[:, 0, 0], biases[:, 0, 0])
    np.testing.assert_allclose(resized[:, -1, -1], biases[:, -1, -1], atol=1e-14)
    np.testing.assert_allclose(resized[:, 0, -1], biases[:, 0, -1], atol=1e-14)


def test_cubic_weights_of_a_doubling():
    # New pixel 7 is at 3¼ in old coordinates; Keys' kernel with a = −3/4, by hand.
    expected = np.array([0, 0, -27, 225, 67, -9, 0, 0]) / 256
    np.testing.assert_allclose(bicubic_weights(8, 16)[7], expected, atol=1e-15)


def test_the_same_grid_gives_the_same_arrays():
    biases = drawn((2, 3, 3))
    assert resize_biases(biases, (3, 3)) is biases
    assert resize_biases(biases, (3, 3), "original") is biases


def test_original_is_a_table_of_pairs_that_is_no_function_of_distance():
    table = relative_position_bias(resize_biases(drawn((2, 3, 3)), (4, 4), "original"))
    assert table.shape == (2, 16, 16)
    assert abs(table[:, 0, 1] - table[:, 1, 2]).min() > 1e-3  # both are neighbors in a row


def test_attention_with_a_bias_for_each_pair_is_attention():
    by_distance = Attention(Linear(drawn((6, 14)), drawn(14)), Linear(drawn((6, 6)), drawn(6)),
                            drawn((2, 2, 3)))  # fmt: skip
    table = relative_position_bias(by_distance.attention_biases)
    by_pair = by_distance._replace(attention_biases=table.reshape(2, 2, 3, 2, 3))
    x = drawn((2, 6, 6), 1)
    np.testing.assert_array_equal(attention(x, by_pair), attention(x, by_distance))
    with pytest.raises(ValueError, match="5 tokens, but the attention biases are for a 2×3 grid"):
        attention(x[:, :5], by_pair)
    gradient = relative_position_bias_backward(table, by_pair.attention_biases)
    np.testing.assert_array_equal(gradient, by_pair.attention_biases)


@pytest.mark.parametrize("method", ["offsets", "original"])
@pytest.mark.parametrize(
    ("size", "resolution", "grid"),
    [(128, 4, (4, 4)), ((96, 160), [3, 5], (3, 5)), (32, 1, (1, 1)), (70, 3, (3, 3))],
)
def test_a_network_takes_images_of_another_size(method, size, resolution, grid):
    params, config = resize(params_with_biases(), SMALL, size, method)
    assert config.resolution == resolution
    assert config.token_grid == grid
    assert SMALL.resolution == 3  # the old configuration is unchanged
    height, width = config.image_shape
    logits = forward(drawn((2, height, width, 3)), params, config).logits
    assert logits.shape == (2, 2)
    assert np.isfinite(logits).all()


def test_only_biases_change_and_they_are_read_only():
    params = params_with_biases()
    for method in ("offsets", "original"):
        resized, _ = resize(params, SMALL, 128, method)
        for (path, old), (_, new) in zip(leaves(params), leaves(resized), strict=True):
            if path.endswith("attention_biases"):
                assert not new.flags.writeable
                assert new.dtype == old.dtype
            else:
                assert new is old


def test_a_bias_that_does_not_depend_on_the_distance_stays():
    for method in ("offsets", "original"):
        resized = resize_biases(np.full((2, 3, 3), 0.7), (5, 4), method)
        np.testing.assert_allclose(resized, 0.7, atol=1e-14)


@pytest.mark.parametrize("size", [0, -5, "224", (224,), 1e3, 10**9, None])
def test_impossible_sizes_are_refused(size):
    with pytest.raises((ConfigError, TypeError)):
        resize(params_with_biases(), SMALL, size)


def test_too_small_an_image_is_refused():
    config = EfficientFormerConfig(
        depths=[1, 1], hidden_sizes=[4, 8], dim=8, downsample_patch_size=7, downsample_pad=0
    )
    with pytest.raises(ConfigError, match="images of 16×16 pixels are too small"):
        resize(initialize(config), config, 16)


def test_other_methods_and_a_second_resizing_are_refused():
    with pytest.raises(ConfigError, match="method is 'cubic'; expected 'offsets' or 'original'"):
        resize_biases(drawn((2, 3, 3)), (4, 4), "cubic")
    params, config = resize(params_with_biases(), SMALL, 128, "original")
    with pytest.raises(ConfigError, match="load the weights from their file"):
        resize(params, config, 96)


@pytest.mark.case(46)
def test_the_error_of_a_size_that_does_not_fit_names_grid_and_remedy():
    with pytest.raises(
        ConfigError,
        match=r"images of 128×96 pixels give a grid of 4×3 tokens; .* are for 3×3\. "
        r"Resize the images to 96×96 pixels, or load the weights with image_size=\(128, 96\)",
    ):
        forward(drawn((1, 128, 96, 3)), params_with_biases(), SMALL)


@pytest.mark.case(47)
def test_a_grid_of_as_many_tokens_but_another_shape_is_refused():
    with pytest.raises(ConfigError, match="grid of 1×9 tokens"):
        forward(drawn((1, 32, 288, 3)), params_with_biases(), SMALL)
