"""Tables in notebooks: every row is there, text is escaped, pictures show the right numbers."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image
from readme import ROOT

import npformer
from npformer import display as tables


@pytest.fixture(scope="module")
def model():
    return npformer.load("tiny", engine="numpy")


def pixels_of(html: str) -> np.ndarray:
    data = re.search(r"base64,([^']+)'", html).group(1)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def test_a_summary_shows_each_row_and_the_sums(model):
    summary = model.summary()
    html = summary._repr_html_()
    assert html.count("<tr>") == len(summary.rows) + 2
    for row in summary.rows:
        assert f">{row.name}<" in html
    assert "4,012,496" in html


def test_a_trace_shows_each_array_with_its_range(model):
    trace = model.trace(ROOT / "notebooks/images/coffee.png", "*.attn", "stem.act1", "head")
    html = trace._repr_html_()
    assert html.count("<tr>") == len(trace) + 1
    assert html.count("<img") == len(trace) - 1, "logits have no picture"
    assert "1×8×16×16" in html
    assert f">{trace['head'].min():.3g}<" in html


def test_a_part_of_a_trace_shows_itself_too():
    trace = npformer.Trace()
    trace.within("stem").within("norm1")("mean", np.zeros(3))
    inside = trace.within("stem")
    assert isinstance(inside, npformer.Trace)
    assert ">norm1.mean<" in inside._repr_html_()


@pytest.mark.parametrize(
    ("path", "shape", "axis"), [("stem", (2, 4, 6, 5), -1), ("attn", (2, 5, 4, 4), 0)]
)
def test_a_picture_is_the_mean_of_the_first_image(path, shape, axis):
    array = np.random.default_rng(0).random(shape)
    plane = array[0].mean(axis)
    expected = 255 * (plane - plane.min()) / np.ptp(plane)
    assert abs(pixels_of(tables.picture(path, array)) - expected).max() <= 1


def test_tokens_are_laid_out_as_a_square():
    array = np.arange(9.0).reshape(1, 9, 1)
    assert np.array_equal(tables.as_plane("norm", array), [[0, 1, 2], [3, 4, 5], [6, 7, 8]])
    assert tables.as_plane("norm", np.zeros((1, 6, 4))) is None


def test_large_constant_and_broken_arrays_have_pictures():
    assert pixels_of(tables.picture("x", np.zeros((1, 300, 100, 2)))).shape == (60, 20)
    broken = np.full((1, 4, 4, 1), np.nan)
    broken[0, 0, 0] = 1
    assert pixels_of(tables.picture("x", broken))[0, 0] == 255


def test_text_is_escaped():
    assert "&lt;script&gt;" in tables.table(["a"], [["<script>"]])
