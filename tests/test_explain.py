"""The page on a photograph: it tells the truth, needs no other file, and fails clearly."""

from __future__ import annotations

import builtins
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from readme import ROOT
from stored_answers import COFFEE_IS

pytest.importorskip("matplotlib")

import npformer
from npformer.commands import main as cli
from npformer.errors import MissingPackage, NpformerError
from npformer.images.processor import EfficientFormerImageProcessor
from npformer.layers import Trace
from npformer.network import forward
from npformer.network.params import initialize
from npformer.teach import saliency
from npformer.teach.explanation import _photograph

COFFEE = ROOT / "notebooks/images/coffee.png"


@pytest.fixture(scope="module")
def model():
    return npformer.load("tiny", dtype="float64", engine="numpy")


@pytest.fixture(scope="module")
def page(model):
    return npformer.explain(COFFEE, model)


def fresh(**changes):
    """A small network of arbitrary shape with random weights."""
    sizes = {
        "depths": [1, 1, 1, 2], "hidden_sizes": [8, 8, 8, 8], "dim": 8, "key_dim": 4,
        "num_attention_heads": 2, "num_labels": 6, "image_size": (64, 96), "resolution": (2, 3),
    }  # fmt: skip
    config = npformer.EfficientFormerConfig(**{**sizes, **changes})
    processor = EfficientFormerImageProcessor(
        size={"height": 64, "width": 96}, do_center_crop=False, do_normalize=False
    )
    params = initialize(config)
    model = npformer.EfficientFormerForImageClassificationWithTeacher(
        config, params, engine="numpy"
    )
    return npformer.Classifier(model, processor)


def test_it_holds_what_the_network_computed(page, model):
    trace = model.trace(COFFEE)
    assert page.predictions == model.classify(COFFEE)
    assert list(page.maps) == ["stem", "stages.0", "stages.1", "stages.2", "stages.3"]
    assert np.array_equal(page.maps["stages.1"], trace["stages.1"][0])
    assert np.array_equal(page.maps["stages.3"].reshape(16, -1), trace["stages.3"][0])
    assert np.array_equal(page.attention, trace["stages.3.blocks.3.token_mixer.attn"][0])
    assert page.cams[0][page.token] == page.cams[0].max()
    assert len(page.cams) == 3


def test_grad_cam_is_the_gradient_times_the_map(model):
    """Against finite differences of the logit, by pushing one channel of the last stage."""
    x = np.moveaxis(model.preprocess(COFFEE)[None], 1, -1)
    tape = Trace()
    forward(x, model.params, model.config, tape)
    maps, p = tape["stages.3"], model.params

    def logit(maps: np.ndarray) -> float:
        tokens = tail(maps, model)
        return float(((tokens @ p.head.weight + tokens @ p.head_dist.weight) / 2)[0, 8])

    gradient = np.zeros(maps.shape[-1])
    for c in range(maps.shape[-1]):
        step = np.zeros_like(maps)
        step[..., c] = 1e-6
        gradient[c] = (logit(maps + step) - logit(maps - step)) / 2e-6 / maps.shape[1]
    expected = np.maximum(maps[0] @ gradient, 0)
    cam = saliency.grad_cam(8, tape, model.params, model.config)
    assert cam.max() > 0
    assert np.allclose(cam, expected, rtol=1e-6, atol=1e-8)


def tail(maps, model):
    norm = model.params.norm
    centered = maps - maps.mean(-1, keepdims=True)
    spread = np.sqrt((centered**2).mean(-1, keepdims=True) + model.config.layer_norm_eps)
    return (centered / spread * norm.weight + norm.bias).mean(1)


class Links(HTMLParser):
    """Everything that a page would fetch, and every element that was opened and not closed."""

    def __init__(self):
        super().__init__()
        self.fetched, self.open, self.images = [], [], 0

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.fetched += [attrs[k] for k in ("src", "href") if k in attrs]
        self.images += tag == "img"
        if tag not in ("img", "meta", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_html_is_one_file_and_well_formed(page, tmp_path):
    text = page.save(tmp_path / "page.html").read_text("utf-8")
    links = Links()
    links.feed(text)
    assert links.open == []
    assert all(link.startswith("data:") for link in links.fetched)
    assert links.images == 4 + 1 + 16, "four pictures, the gray photograph, an overlay a token"
    assert "url(" not in text
    assert f"coffee.png: {COFFEE_IS}, " in text
    assert text.count("class='chosen'") == 1


def test_a_picture_and_a_notebook(page, tmp_path):
    with Image.open(page.save(tmp_path / "page.png")) as picture:
        assert picture.size[0] == 1100
        assert picture.size[1] > 1300
    assert page._repr_html_().startswith("<article")
    assert repr(page) == f"<npformer.Explanation of coffee.png: {COFFEE_IS}>"


def test_nothing_of_the_page_lies_outside_it(page):
    figure = page.figure()
    figure.canvas.draw()
    ink = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert min(ink.x0, ink.y0) > -0.02
    assert ink.x1 < width + 0.02
    assert ink.y1 < height + 0.02


def test_names_are_escaped(model):
    page = npformer.explain(np.zeros((8, 8, 3), np.uint8), model, top=1)
    assert page.name == "the photograph"
    object.__setattr__(page, "name", "<script>alert(1)</script>.png")
    assert "<script>" not in page.to_html()


def test_an_oblong_network_that_normalizes_nothing(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    page = npformer.explain(image, fresh(), token=(1, 2), top=2)
    assert page.attention.shape == (2, 6, 6)
    assert page.cams[0].shape == (2, 3)
    shown = _photograph(page) * np.reshape([0.229, 0.224, 0.225], (3, 1, 1))
    shown = shown + np.reshape([0.485, 0.456, 0.406], (3, 1, 1))
    assert np.allclose(shown, page.pixel_values)
    assert page.save(tmp_path / "page.html").read_text("utf-8").count("<i ") == 6


def test_a_network_without_attention(tmp_path):
    page = npformer.explain(COFFEE, fresh(num_meta3d_blocks=0))
    assert page.attention is None
    assert "Where the token" not in page.to_html()
    page.save(tmp_path / "page.png")


@pytest.mark.parametrize("token", [(4, 0), (0, -1)])
def test_a_token_that_is_not_there(model, token):
    with pytest.raises(ValueError, match=r"\(row, column\) on the grid of 4×4 tokens"):
        npformer.explain(COFFEE, model, token=token)


def test_a_file_name_that_says_nothing(page, tmp_path):
    with pytest.raises(ValueError, match=r"page\.doc.*expected it to end in \.html"):
        page.save(tmp_path / "page.doc")


def test_without_matplotlib_the_error_says_what_to_install(page, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingPackage, match=re.escape('pip install "npformer[plot]"')) as error:
        page.to_html()
    assert isinstance(error.value, NpformerError)


def test_the_command_writes_the_page(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["explain", str(COFFEE), "--token", "1,2"]) == 0
    assert capsys.readouterr().out == f"{COFFEE_IS}; the page is explained.html\n"
    assert "row 1, column 2 looks" in (tmp_path / "explained.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "page"], "the name does not say what to write"),
        (["--token", "3"], "'3' is not ROW,COLUMN"),
        (["--token", "a,b"], "is not ROW,COLUMN"),
        (["--token", "9,9"], "expected (row, column) on the grid of 4×4"),
    ],
)
def test_wrong_usage(words, message, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["explain", str(COFFEE), *words]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
