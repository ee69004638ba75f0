"""The photographs that come with npformer."""

from __future__ import annotations

import numpy as np
import pytest
from readme import ROOT

import npformer
from npformer.data import PHOTOGRAPHS, photograph

IMAGES = ROOT / "notebooks" / "images"


def test_every_photograph_has_a_name_and_its_terms():
    files = {path.stem: path.name for path in IMAGES.iterdir() if path.suffix != ".md"}
    assert set(PHOTOGRAPHS) == set(files)
    terms = (IMAGES / "README.md").read_text("utf-8")
    for name in PHOTOGRAPHS:
        width, height = photograph(name).size
        assert f"| {files[name]} |" in terms
        assert f"| {width}×{height} |" in terms
        assert f"{width}×{height}" in npformer.data.__doc__


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_photograph_is_read_as_its_file_is(name):
    (path,) = IMAGES.glob(f"{name}.*")
    image = photograph(name)
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), np.asarray(npformer.open_image(path)))
    model = npformer.load("tiny", engine="numpy")
    assert np.array_equal(model.preprocess(image), model.preprocess(path))


def test_a_photograph_is_everybodys_own():
    photograph("cat").putpixel((0, 0), (1, 2, 3))
    assert photograph("cat").getpixel((0, 0)) != (1, 2, 3)


@pytest.mark.parametrize("name", ["dog", "cat.png", "", "../images/cat"])
def test_an_unknown_name_is_refused_with_the_known_ones(name):
    with pytest.raises(ValueError, match="there are coffee, cat, astronaut, rocket") as caught:
        photograph(name)
    assert repr(name) in str(caught.value)
