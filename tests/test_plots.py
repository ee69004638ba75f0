"""The pictures: each is drawn, shows the numbers it was given, and clips no label."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

from npformer import plots  # noqa: E402
from npformer.classification import Prediction, Predictions  # noqa: E402
from npformer.errors import MissingPackage  # noqa: E402
from npformer.network.configuration import EfficientFormerConfig  # noqa: E402

RNG = np.random.default_rng(0)
PIXELS = RNG.standard_normal((3, 24, 32)).astype(np.float32)
ATTN = RNG.dirichlet(np.ones(12), (2, 12))  # (heads, N, N)

PICTURES = {
    "photograph": lambda ax: plots.photograph(PIXELS, ax=ax),
    "channels": lambda ax: plots.channels(PIXELS, ax=ax),
    "feature_maps": lambda ax: plots.feature_maps(RNG.random((1, 6, 8, 11)), 9, 4, ax=ax),
    "heatmap": lambda ax: plots.heatmap(PIXELS, RNG.random((3, 4)), "Grad-CAM", ax=ax),
    "attention": lambda ax: plots.attention(PIXELS, ATTN, (1, 2), grid=(3, 4), head=1, ax=ax),
    "bias_tables": lambda ax: plots.bias_tables(RNG.standard_normal((3, 2, 4)), ax=ax),
    "histograms": lambda ax: plots.histograms({"a.b": PIXELS, "constant": np.ones(9)}, ax=ax),
    "bars": lambda ax: plots.bars({"espresso": 98.0, "plate": 1.2}, "score, %", ax=ax),
    "stacked_bars": lambda ax: plots.stacked_bars(
        {"one": {"gemm": 3.0, "pool": 2.0}, "two": {f"part {i}": 1.0 for i in range(11)}},
        "ms",
        ax=ax,
    ),
    "architecture": lambda ax: plots.architecture(EfficientFormerConfig(), ax=ax),
    "predictions": lambda ax: plots.predictions(
        Predictions([Prediction("espresso", 0.98, 8), Prediction("a long name", 0.01, 3)]),
        ax=ax,
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_drawn_on_a_figure_of_its_own_with_nothing_clipped(name):
    figure = PICTURES[name](None).figure
    figure.canvas.draw()
    ink = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert (ink.x0 > -0.01, ink.y0 > -0.01) == (True, True)
    assert (ink.x1 < width + 0.01, ink.y1 < height + 0.01) == (True, True)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_drawn_where_it_is_told_to(name):
    figure, (left, right) = plt.subplots(1, 2)
    assert PICTURES[name](right) is right
    assert right.has_data()
    assert not left.has_data()
    assert len(plt.get_fignums()) == 1
    figure.canvas.draw()


def test_the_colors_of_a_photograph_are_undone():
    image = RNG.random((5, 4, 3))
    mean, std = np.array(plots.IMAGENET_MEAN), np.array(plots.IMAGENET_STD)
    pixel_values = ((image - mean) / std).transpose(2, 0, 1)
    np.testing.assert_allclose(plots.denormalize(pixel_values), image, atol=1e-12)
    shown = plots.photograph(pixel_values).images[0].get_array()
    np.testing.assert_allclose(shown, image, atol=1e-12)
    assert plots.denormalize(np.full((3, 1, 1), 99.0)).max() == 1


def test_feature_maps_show_every_channel_in_its_place():
    maps = RNG.random((3, 4, 5))
    sheet = np.asarray(plots.feature_maps(maps, columns=3).images[0].get_array())
    assert sheet.shape == (2 * 3 + 1, 3 * 4 + 2)
    for i in range(5):
        top, left = i // 3 * 4, i % 3 * 5
        tile = sheet[top : top + 3, left : left + 4]
        one = maps[:, :, i]
        np.testing.assert_allclose(tile, (one - one.min()) / np.ptp(one))
    constant = plots.feature_maps(np.ones((3, 4, 1))).images[0].get_array()
    np.testing.assert_array_equal(constant, 0)


def test_attention_shows_the_row_of_the_token():
    attn = np.zeros((2, 12, 12))
    attn[0, 6, 1] = attn[1, 6, 11] = 1  # token (1, 2) looks at (0, 1) in head 0, (2, 3) in head 1
    for head, where in ((0, (0, 1)), (1, (2, 3))):
        ax = plots.attention(PIXELS, attn, (1, 2), (3, 4), head)
        strength = np.asarray(ax.images[1].get_array())
        row, column = np.unravel_index(strength.argmax(), strength.shape)
        assert (row // 8, column // 8) == where
    frame = ax.patches[-1].get_bbox()
    np.testing.assert_allclose(frame.extents, [15.5, 7.5, 23.5, 15.5])
    square = plots.attention(PIXELS, np.ones((1, 1, 9, 9)) / 9, (0, 0))
    assert "mean of the heads" in square.get_title()


def test_bias_tables_are_mirrored_around_the_token():
    biases = np.arange(6.0).reshape(1, 2, 3)
    sheet = plots.bias_tables(biases).images[0].get_array()
    np.testing.assert_array_equal(
        sheet, [[5, 4, 3, 4, 5], [2, 1, 0, 1, 2], [5, 4, 3, 4, 5]]
    )  # fmt: skip
    assert plots.bias_tables(np.zeros((1, 2, 2))).images[0].norm.vmax == 1


def test_architecture_has_a_box_for_each_block():
    config = EfficientFormerConfig()
    boxes = [p for p in plots.architecture(config).patches if p.get_height()]
    downsamples = sum(config.has_downsample(i) for i in range(1, 4))
    assert len(boxes) == 1 + sum(config.depths) + downsamples + 1


def test_bars_have_the_lengths_that_they_say():
    ax = plots.bars({"a": 2.5, "b": 1.0}, "ms")
    assert [bar.get_width() for bar in ax.patches] == [2.5, 1.0]
    ax = plots.stacked_bars({"x": {"p": 1.0, "q": 2.0}, "y": {"q": 4.0}}, "ms")
    assert [(b.get_x(), b.get_width()) for b in ax.patches] == [(0, 1), (0, 0), (1, 2), (0, 4)]
    assert {"3", "4"} <= {text.get_text().strip() for text in ax.texts}


def test_heat_keeps_the_mean_of_a_flat_map_and_finds_the_peak():
    flat = plots.upsample(np.full((3, 1), 0.25), 10, 7)
    np.testing.assert_allclose(flat, np.full((10, 7), 0.25))
    peak = plots.upsample(np.eye(4)[[2]].T @ np.eye(4)[[1]], 40, 40)
    assert np.unravel_index(peak.argmax(), peak.shape) in {(24, 14), (25, 14), (24, 15), (25, 15)}


def test_without_matplotlib_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(MissingPackage, match=re.escape('pip install "npformer[plot]"')) as error:
        plots.photograph(PIXELS)
    assert isinstance(error.value, ModuleNotFoundError)


def test_every_picture_is_offered_and_drawn_here():
    helpers = {"denormalize", "to_unit_range", "upsample"}
    assert {name for name in plots.__all__ if name.islower()} - helpers == set(PICTURES)
