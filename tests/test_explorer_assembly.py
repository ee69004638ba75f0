"""The page of the explorer: one whole file, and the modules that are laid together in it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from explorer_cases import NODE, needs_node, noise_image, small
from PIL import Image
from readme import ROOT

import npformer
from npformer.commands import main as cli
from npformer.errors import ConfigError
from npformer.explorer import page as pages
from npformer.explorer.bundle import bundle
from npformer.explorer.page import MAX_SIDE, WEB, described, explore, photographs
from npformer.explorer.sources import ACTIVATIONS, FUNCTIONS, sources
from npformer.explorer.weights import pack, rounded

PHOTOGRAPHS = npformer.data.PHOTOGRAPHS


@pytest.fixture(scope="module")
def photo(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("photo") / "noise.png"
    noise_image(40, 50).save(file)
    return file


@pytest.fixture(scope="module")
def page(photo) -> npformer.Exploration:
    return npformer.explore(photo)


def data_of(html: str) -> dict:
    """The data that a page holds."""
    return json.loads(re.search(r'id="explorer-data">(.*?)</script>', html, re.S)[1])


def test_it_is_one_file_that_asks_nobody(page):
    assert len(page.html.encode()) < 14e6
    assert "{{" not in re.sub(r"<script.*?</script>", "", page.html, flags=re.S)
    assert not re.search(r'(?:src|href)="(?!data:|#|javascript)[^"]+"', page.html)
    assert not re.search(r"\b(?:fetch|XMLHttpRequest|importScripts|WebSocket)\b", page.html)
    assert not re.search(r"@import|url\((?!['\"]?(?:data:|#))", page.html)
    assert page.html.count("</script>") == page.html.count("<script")


def test_it_begins_with_the_photograph_and_has_the_others(page):
    shown = data_of(page.html)["photographs"]
    assert [p["name"] for p in shown] == ["noise.png", *PHOTOGRAPHS]
    assert all(p["url"].startswith("data:image/png;base64,") for p in shown)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_photograph_that_comes_with_npformer_is_there_once(name):
    """First, and under the name that the lessons know."""
    given = npformer.data.photograph(name)
    shown = photographs(given)
    assert [p["name"] for p in shown] == [name, *(each for each in PHOTOGRAPHS if each != name)]
    rotated = given.rotate(90)
    assert len(photographs(rotated)) == 1 + len(PHOTOGRAPHS)


@pytest.mark.parametrize("name", [*PHOTOGRAPHS, "own"])
def test_names_of_photographs_are_told_apart(tmp_path, name):
    noise_image(5, 6).save(tmp_path / name, "PNG")
    names = [p["name"] for p in photographs(tmp_path / name)]
    assert names == [f"{name}, from a file", *PHOTOGRAPHS]


def test_it_knows_the_network(page):
    data, model = data_of(page.html), npformer.load("tiny", engine="numpy")
    assert data["labels"] == list(model.labels)
    assert data["parameters"] == model.summary().parameters
    assert data["imageSize"] == {"height": 128, "width": 128}
    assert data["weights"] == {"type": "float16", "exact": True}
    assert set(FUNCTIONS) | set(ACTIVATIONS) == set(data["sources"]) | {"tanh"}  # of NumPy


def test_sources_are_those_of_the_package():
    for name, quoted in sources().items():
        text = (ROOT / quoted["file"]).read_text("utf-8")
        lines = quoted["code"].splitlines()
        assert lines[0].startswith(("def ", "@")), name
        assert all(line in text for line in lines), name
        assert '"""' not in quoted["code"]
    assert sources()["conv2d"]["equation"].startswith("y[b, i, j, o] = bias[o] + Σ")


def test_a_notebook_shows_it_in_place(page):
    shown = page._repr_html_()
    assert shown.startswith("<iframe ")
    assert "<script" not in shown
    assert "MB" in repr(page)


def test_save(page, tmp_path):
    file = page.save(tmp_path / "page.html")
    assert file.read_text("utf-8") == page.html
    with pytest.raises(ConfigError, match=r"page\.txt: expected a name that ends in \.html"):
        page.save(tmp_path / "page.txt")


@pytest.mark.parametrize("size", [(MAX_SIDE, 5), (5, 2 * MAX_SIDE), (3, 4)])
def test_a_large_photograph_is_made_smaller(size):
    found = described("x", Image.new("RGB", size))
    assert max(found["width"], found["height"]) == min(max(size), MAX_SIDE)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"hidden_act": "mish"}, "hidden_act is 'mish'"),
        ({"num_labels": 0}, "no head"),
        ({"num_channels": 1}, "num_channels is 1"),
    ],
    ids=str,
)
def test_a_network_that_it_cannot_compute_gets_a_sentence(changes, says):
    config = npformer.EfficientFormerConfig(
        depths=[1], hidden_sizes=[8], dim=8, num_attention_heads=2, key_dim=4, **changes
    )
    params = npformer.network.initialize(config)
    model = npformer.EfficientFormerForImageClassificationWithTeacher(
        config, params, engine="numpy"
    )
    with pytest.raises(ConfigError, match=says):
        explore(None, npformer.Classifier(model, npformer.EfficientFormerImageProcessor()))


def test_eight_bits_get_a_sentence():
    with pytest.raises(ConfigError, match="in eight bits"):
        explore(None, npformer.load("tiny", dtype="int8", engine="numpy"))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"resample": 0}, "nearest"),
        ({"do_center_crop": False, "size": {"shortest_edge": 128}}, "any size"),
    ],
    ids=str,
)  # fmt: skip
def test_preprocessing_that_it_cannot_do_gets_a_sentence(settings, says):
    model = npformer.load("tiny", engine="numpy")
    processor = npformer.EfficientFormerImageProcessor(**settings)
    with pytest.raises(ConfigError, match=says):
        explore(None, npformer.Classifier(model.model, processor))


def test_weights_are_rounded_to_float16_and_it_is_said():
    params = npformer.load("tiny", engine="numpy").params
    assert pack(params).exact
    moved = params._replace(norm=params.norm._replace(weight=params.norm.weight * 1.1))
    assert pack(moved).exact, "what has one axis stays in float32"
    head = params.head._replace(weight=params.head.weight * np.float32(1.1))
    moved = params._replace(head=head)
    assert not pack(moved).exact
    expected = head.weight.astype(np.float16).astype(np.float32)
    assert np.array_equal(rounded(moved).head.weight, expected)
    head = head._replace(weight=head.weight * np.float32(1e6))
    assert np.array_equal(rounded(params._replace(head=head)).head.weight, head.weight)


def test_a_page_says_that_its_weights_were_rounded(page):
    model = npformer.load("tiny", engine="numpy")
    head = model.params.head._replace(weight=model.params.head.weight * np.float32(1.1))
    network = type(model.model)(model.config, model.params._replace(head=head), engine="numpy")
    rounded_page = explore(None, npformer.Classifier(network, model.processor))
    assert "rounded to float16" in rounded_page.title
    assert data_of(rounded_page.html)["weights"] == {"type": "float16", "exact": False}
    assert "rounded" not in page.title


def modules(folder, **texts):
    """Write modules, and return the first."""
    for name, text in texts.items():
        (folder / f"{name}.js").write_text(text)
    return folder / f"{next(iter(texts))}.js"


def test_a_bundle_lays_modules_behind_those_that_they_import(tmp_path):
    entry = modules(
        tmp_path,
        a='import { b } from "./b.js";\nimport {\n  c,\n} from "./c.js";\nself.found = b + c;\n',
        b='import { c } from "./c.js";\nexport const b = c + 1;\n',
        c="export const c = 2;\n",
    )
    text = bundle(entry)
    assert text.index("const c") < text.index("const b") < text.index("self.found")
    assert text.count("const c") == 1
    assert not re.search(r"^(import|export)", text, re.M)


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        ({"a": 'import * as b from "./b.js";\n', "b": ""}, "not a form that a bundle can take"),
        ({"a": 'import { b as c } from "b";\n'}, "not a form"),
        ({"a": "export default 3;\n"}, "not a form"),
        ({"a": 'export { b } from "./b.js";\n', "b": ""}, "not a form"),
        ({"a": 'import { b } from "./b.js";\nconst x = 1;\n', "b": "function x() {}\n"}, "both"),
        ({"a": 'import { b } from "./b.js";\n', "b": 'import { a } from "./a.js";\n'}, "itself"),
    ],
    ids=str,
)
def test_what_a_bundle_cannot_take_is_refused(tmp_path, texts, says):
    with pytest.raises(ValueError, match=says):
        bundle(modules(tmp_path, **texts))


def test_no_part_may_end_its_element(monkeypatch, tmp_path):
    monkeypatch.setattr(pages, "bundle", lambda entry: 'const x = "</SCRIPT>";')
    with pytest.raises(ValueError, match="the engine of the page holds"):
        pages.assembled("title", {}, "")


def test_each_activation_of_the_page_is_known_to_python():
    text = (WEB / "layers/activations.js").read_text("utf-8")
    table = re.search(r"ACTIVATIONS = \{\n(.*?)\n\};", text, re.S)[1]
    assert tuple(re.findall(r"^  (\w+)", table, re.M)) == ACTIVATIONS
    assert set(ACTIVATIONS) <= set(npformer.layers.ACTIVATIONS)


@needs_node
def test_each_activation_of_the_page_is_that_of_python(tmp_path):
    one = small(tmp_path)
    _, *curves = one.ask(["open"], *(["curve", name, -6, 6, 49] for name in ACTIVATIONS))
    for name, curve in zip(ACTIVATIONS, curves, strict=True):
        expected = npformer.layers.ACTIVATIONS[name](curve["x"].astype(np.float64))
        assert np.abs(curve["y"] - expected).max() < 1e-6, name


@needs_node
def test_the_worker_of_a_page_answers(tmp_path):
    """The bundle, as it stands in the page: questions, progress, errors, and a ranking given up."""
    one = small(tmp_path)
    (tmp_path / "engine.js").write_text(bundle(WEB / "worker.js"))
    photograph = one.photograph("image", noise_image(64, 96))
    network = [{"text": "data.json"}, {"text": "weights.txt"}]
    messages = [
        {"id": 1, "method": "pixels", "args": []},
        {"id": 2, "method": "open", "args": network, "answered": 1},
        {"id": 3, "method": "show", "args": [photograph], "answered": 2},
        {"id": 4, "method": "constructor", "args": [], "answered": 3},
        {"id": 5, "method": "rank", "args": [["block"]], "answered": 4},
        {"id": 6, "method": "rank", "args": [["block", "head"]], "answered": 5},
        {"id": 7, "method": "stop", "args": [6], "told": 6},
        {"id": 8, "method": "rank", "args": [["block", "head"]], "answered": 6},
        {"id": 9, "method": "show", "args": [photograph], "told": 8},
    ]  # fmt: skip
    (tmp_path / "messages.json").write_text(json.dumps(messages))
    command = [str(NODE), str(ROOT / "tests/explorer_worker.mjs"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    back = json.loads(done.stdout)
    answers = {message["id"]: message for message in back if "progress" not in message}
    assert answers[1]["error"] == "the network was not opened"
    assert answers[2]["result"][0]["kind"] == "stem"
    assert len(answers[3]["result"]["top"]) == 6
    assert answers[4]["error"] == 'the network cannot answer "constructor"'
    told = [
        message["progress"][:2] for message in back if message["id"] == 5 and "progress" in message
    ]
    assert told == [[i, 5] for i in range(1, 6)]
    changes = [abs(each["change"]) for each in answers[5]["result"]]
    assert changes == sorted(changes, reverse=True)
    assert answers[6]["result"] is None
    assert answers[8]["result"] is None


def test_the_command(photo, tmp_path, capsys):
    out = tmp_path / "page.html"
    assert cli.main(["explore", str(photo), "-o", str(out)]) == 0
    assert "open it in a browser" in capsys.readouterr().out
    assert data_of(out.read_text("utf-8"))["photographs"][0]["name"] == "noise.png"
    assert cli.main(["explore", "-o", str(tmp_path / "page.png")]) == 1
    assert "ends in .html" in capsys.readouterr().err
