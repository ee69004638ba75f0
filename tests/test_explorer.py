"""The explorer's network in JavaScript computes what Python's layers compute, and explains it."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from explorer_cases import (
    Explored,
    kinds_of_interventions,
    needs_node,
    noise_image,
    normals,
    small,
)
from PIL import Image

import npformer
from npformer.explorer.page import preprocessing
from npformer.network import forward

pytestmark = needs_node

TOLERANCE = 5e-6
"""Of float32, relative to the largest number of a layer, as everywhere."""

PHOTOGRAPHS = npformer.data.PHOTOGRAPHS


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Explored:
    model = npformer.load("tiny", engine="numpy")
    return Explored(model, tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def one(tmp_path_factory) -> Explored:
    """A small network with every kind of layer."""
    return small(tmp_path_factory.mktemp("one"))


def close(ours: np.ndarray, theirs: np.ndarray, tolerance: float = TOLERANCE) -> bool:
    """Whether arrays are equal to within float32, without NaN."""
    theirs = theirs.reshape(ours.shape)
    return bool(np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max())


def shaped(tensor: dict[str, Any]) -> np.ndarray:
    """The array of an answer about a tensor."""
    return tensor["data"].reshape(tensor["shape"])


def test_every_photograph_gets_the_pixels_and_the_answer_of_python(tiny):
    jobs: list[Any] = [["open"]]
    for name in PHOTOGRAPHS:
        image = npformer.data.photograph(name)
        jobs += [["show", tiny.photograph(name, image)], ["tensor", "pixel_values"], ["pixels"]]
    _, *answers = tiny.ask(*jobs)
    assert tiny.exact
    for name, (answer, pixels, seen) in zip(
        PHOTOGRAPHS, zip(*[iter(answers)] * 3, strict=True), strict=True
    ):
        image = npformer.data.photograph(name)
        expected = tiny.classifier.processor.pixels(image)
        assert np.array_equal(shaped(pixels), expected), name
        assert seen["width"] == seen["height"] == 128
        trace = tiny.trace(image)
        assert close(answer["logits"], trace["logits"]), name
        first = tiny.classifier.classify(image, top=1)[0]
        assert answer["top"][0]["label"] == first.label
        assert answer["top"][0]["score"] == pytest.approx(first.score, rel=1e-4)


def test_every_tensor_is_that_of_python(tiny):
    image = npformer.data.photograph("coffee")
    steps, _, tensors = tiny.ask(["open"], ["show", tiny.photograph("coffee", image)], ["all"])
    trace = tiny.trace(image)
    ours = {tensor["path"]: shaped(tensor) for tensor in tensors}
    assert set(trace) | {path for path in ours if path.endswith((".context", ".residual1"))} == set(
        ours
    )
    for path, array in trace.items():
        assert array.shape[1:] == ours[path].shape
        assert close(ours[path], array), path
    shown = {t["path"]: t["shape"] for step in steps for t in step["tensors"]}
    assert shown == {path: list(array.shape) for path, array in ours.items()}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"layer_norm_eps": 1e-2, "batch_norm_eps": 1e-2},
        {"use_layer_scale": False},
        {"distilled": False},
        {"num_meta3d_blocks": 0},
        {"num_meta3d_blocks": 2, "hidden_act": "relu"},
        {"pool_size": 5, "hidden_act": "silu"},
        {"depths": [0, 1, 0, 1], "hidden_sizes": [6, 7, 9, 11], "dim": 11, "num_labels": 5},
        {"downsamples": [True, False, True, True], "hidden_sizes": [8, 8, 8, 16],
         "image_size": (64, 64), "resolution": 4},
        {"downsample_patch_size": 5, "downsample_pad": 2},
        {"image_size": (63, 95)},
        {"attention_ratio": 2, "key_dim": 3, "mlp_expansion_ratio": 2.5},
    ],
    ids=str,
)  # fmt: skip
def test_networks_of_any_shape(tmp_path, changes):
    network = small(tmp_path, **changes)
    image = noise_image(40, 50)
    _, _, tensors = network.ask(["open"], ["show", network.photograph("noise", image)], ["all"])
    trace = network.trace(image)
    assert {tensor["path"] for tensor in tensors} >= set(trace) - {"stages.0"}
    for tensor in tensors:
        if tensor["path"] in trace:
            assert close(shaped(tensor), trace[tensor["path"]], 2 * TOLERANCE), tensor["path"]


def test_a_network_for_images_of_another_size(tmp_path):
    """Biases that were resized as the original code does stand for each pair of positions."""
    model = npformer.load("tiny", engine="numpy", image_size=(96, 160))
    network = Explored(model, tmp_path)
    image = npformer.data.photograph("cat")
    _, answer = network.ask(["open"], ["show", network.photograph("cat", image)])
    assert close(answer["logits"], network.trace(image)["logits"])


@pytest.mark.parametrize("resample", [1, 2, 3, 4, 5])
def test_a_resize_has_the_bits_of_pillow(one, resample):
    rng = np.random.default_rng(resample)
    jobs, expected = [], []
    for number in range(16):
        height, width = (int(side) for side in rng.integers(1, 90, 2))
        image = noise_image(height, width, number)
        crop_height, crop_width = (int(side) for side in rng.integers(1, 60, 2))
        short = int(rng.integers(1, 50))
        size = {"shortest_edge": short} if number % 2 else {"height": short, "width": crop_width}
        settings = {
            "size": size, "resample": resample, "do_center_crop": number % 5 != 0,
            "crop_size": {"height": crop_height, "width": crop_width},
            "crop_rounding": ("floor", "torchvision")[number % 3 == 0],
            "do_rescale": number % 7 != 0, "do_normalize": number % 4 != 0,
            "image_mean": [0.5] if number % 3 else [0.485, 0.456, 0.406],
            "do_resize": number != 8, "image_std": [0.229, 0.224, 0.225],
        }  # fmt: skip
        processor = npformer.EfficientFormerImageProcessor(**settings)
        stored = preprocessing(processor)
        jobs.append(["preprocess", one.photograph(f"resize{number}", image), stored])
        expected.append((processor.pixels(image), settings))
    for answer, (pixels, settings) in zip(one.ask(*jobs), expected, strict=True):
        assert list(pixels.shape[:2]) == answer["shape"], settings
        found = answer["pixel_values"]["data"].reshape(pixels.shape)
        assert np.array_equal(found, pixels.astype(np.float32)), settings


def test_what_is_transparent_lies_on_white(one):
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (300, 300, 4), np.uint8), "RGBA")
    processor = npformer.EfficientFormerImageProcessor(size=300, crop_size=300, do_normalize=False)
    stored = preprocessing(processor)
    (answer,) = one.ask(["preprocess", one.photograph("clear", image), stored])
    found = answer["pixel_values"]["data"].reshape(300, 300, 3)
    assert np.array_equal(found, processor.pixels(image))


MIXER = "stages.3.blocks.2.token_mixer"
INTERVENTIONS: list[dict[str, Any]] = [
    {"kind": "block", "path": "stages.1.blocks.0"},
    {"kind": "block", "path": "stages.3.blocks.2"},
    {"kind": "branch", "path": "stages.0.blocks.0.ls1"},
    {"kind": "branch", "path": "stages.3.blocks.2.ls2"},
    {"kind": "head", "path": MIXER, "head": 1},
    {"kind": "biases", "path": MIXER, "K": 4},
    {"kind": "subtraction", "path": "stages.0.blocks.0.token_mixer"},
    {"kind": "subtraction", "path": "stages.2.blocks.0.token_mixer"},
    {"kind": "scale", "path": "stages.1.blocks.0.ls1"},
    {"kind": "scale", "path": "stages.3.blocks.2.ls2"},
    {"kind": "channel", "path": "stem", "channel": 3},
    {"kind": "channel", "path": "stages.2", "channel": 0},
    {"kind": "channel", "path": "pixel_values", "channel": 2},
    {"kind": "channel", "path": "pooled", "channel": 5},
    {"kind": "activation", "path": "stages.0.blocks.0.mlp.act", "activation": "relu"},
    {"kind": "activation", "path": "stages.3.blocks.2.mlp.act", "activation": "relu"},
    {"kind": "activation", "path": "*", "activation": "relu"},
    {"kind": "activation", "path": "stages.1.blocks.0.mlp.act", "activation": "silu"},
    {"kind": "noise", "path": "stages.1.downsample", "strength": 0.5, "seed": 7},
    {"kind": "noise", "path": "norm", "strength": 2, "seed": 0},
    {"kind": "value", "path": "stem.act1", "index": [3, 5, 1], "value": 4.5},
    {"kind": "value", "path": "stages.3.blocks.2.norm1", "index": [4, 9], "value": -3},
]


def test_every_kind_of_intervention_is_compared():
    assert {each["kind"] for each in INTERVENTIONS} == kinds_of_interventions()


@pytest.mark.parametrize("network", ["one", "tiny"])
def test_an_intervention_is_that_of_python(network, request):
    explored = request.getfixturevalue(network)
    K = explored.classifier.config.key_dim
    chosen = [{**each, "K": K} if "K" in each else each for each in INTERVENTIONS]
    lists = [[each] for each in chosen] if network == "one" else []
    lists += [chosen[4:9], [chosen[0], chosen[11]], [chosen[16], chosen[5]], []]
    image = noise_image(70, 60) if network == "one" else npformer.data.photograph("cat")
    photograph = explored.photograph("image", image)
    jobs = [[method, each] for each in lists for method in ("intervene", "words")]
    jobs = [["open"], ["show", photograph], *jobs]
    _, clean, *answers = explored.ask(*jobs)
    before = explored.trace(image)["logits"]
    assert close(clean["logits"], before)
    for each, answer, (words, back) in zip(lists, answers[::2], answers[1::2], strict=True):
        assert "error" not in answer, answer
        expected = explored.trace(image, each)["logits"]
        assert close(answer["logits"], expected, 2 * TOLERANCE), each
        assert np.array_equal(answer["clean"]["logits"], clean["logits"])
        assert answer["changed"] == bool(each)
        if each:
            assert not close(answer["logits"], before, 20 * TOLERANCE), f"{each} changes nothing"
        assert back == [{k: v for k, v in one.items() if k != "K"} for one in each], words


def test_an_intervention_is_seen_in_the_tensors(one):
    photograph = one.photograph("image", noise_image(64, 96))
    each = {"kind": "channel", "path": "stages.1", "channel": 2}
    jobs = [["tensor", "stages.1", True], ["tensor", "stages.1"], ["tensor", "stem.act1"]]
    _, _, answer, before, after, early = one.ask(
        ["open"], ["show", photograph], ["intervene", [each]], *jobs
    )
    assert answer["recomputed"] == "stages.1.blocks.0"
    expected = shaped(before).copy()
    assert expected[..., 2].any()
    expected[..., 2] = 0
    assert np.array_equal(shaped(after), expected)
    assert early["data"].any()


@pytest.mark.parametrize(
    ("intervention", "says"),
    [
        ({"kind": "blok", "path": "stem"}, "no intervention is called"),
        ({"kind": "block"}, 'needs "path"'),
        ({"kind": "block", "path": "stages.9.blocks.0"}, "there is nothing to do"),
        ({"kind": "head", "path": MIXER, "head": 2}, "there is nothing to do"),
        ({"kind": "channel", "path": "stem", "channel": 8}, "there is nothing to do"),
        ({"kind": "subtraction", "path": MIXER}, "there is nothing to do"),
        ({"kind": "value", "path": "stem", "index": [0, 0], "value": 1}, "there is nothing to do"),
        ({"kind": "activation", "path": "stem.act1", "activation": "relu"}, "nothing to do"),
        ({"kind": "activation", "path": "*", "activation": "toString"}, "nothing to do"),
    ],
    ids=str,
)
def test_an_impossible_intervention_gets_a_sentence(one, intervention, says):
    photograph = one.photograph("image", noise_image(64, 96))
    *_, answer = one.ask(["open"], ["show", photograph], ["intervene", [intervention]])
    assert says in answer["error"]


@pytest.mark.parametrize("words", ["block", "toString:stem", "head:stem", "block:stem:1"])
def test_an_address_that_is_none_gets_a_sentence(one, words):
    (answer,) = one.ask(["parse", words])
    assert "is not an intervention" in answer["error"]


OPERATIONS = {
    "sum": lambda t: sum(x["value"] for x in t),
    "products": lambda t: sum(x["a"]["value"] * x["b"]["value"] for x in t),
    "mean": lambda t: sum(x["value"] for x in t) / len(t),
    "squares": lambda t: sum(x["value"] ** 2 for x in t) / len(t),
    "difference": lambda t: t[0]["value"] - t[1]["value"],
    "product": lambda t: np.prod([x["value"] for x in t]),
    "quotient": lambda t: t[0]["value"] / t[1]["value"],
    "max": lambda t: max(x["value"] for x in t),
    "deviation": lambda t: np.sqrt(t[0]["value"] + t[1]["value"]),
    "exp": lambda t: np.exp(t[0]["value"]),
    "gelu": lambda t: t[0]["value"] * t[0]["phi"],
    "relu": lambda t: max(t[0]["value"], 0),
    "same": lambda t: t[0]["value"],
}


@pytest.mark.parametrize("network", ["one", "tiny"])
def test_an_explanation_adds_up(network, request):
    """Of some numbers of every tensor: its terms are what they say, and give the number shown."""
    explored = request.getfixturevalue(network)
    image = noise_image(64, 96) if network == "one" else npformer.data.photograph("coffee")
    photograph = explored.photograph("image", image)
    steps, _, tensors = explored.ask(["open"], ["show", photograph], ["all"])
    arrays = {tensor["path"]: shaped(tensor) for tensor in tensors}
    rng = np.random.default_rng(0)
    chosen = [
        (path, [int(rng.integers(n)) for n in array.shape])
        for path, array in arrays.items()
        for _ in range(2 if network == "one" else 1)
    ]
    jobs = [["explainNumber", path, index] for path, index in chosen]
    _, _, *explanations = explored.ask(["open"], ["show", photograph], *jobs)
    kinds = {t["path"]: t["layer"] for step in steps for t in step["tensors"]}
    for explained, (path, index) in zip(explanations, chosen, strict=True):
        assert "error" not in explained, (path, index, explained)
        assert explained["value"] == arrays[path][tuple(index)]
        assert explained["layer"] == kinds[path]
        assert len(explained["sentence"]) > 20
        parts = explained["parts"]
        scale = float(np.abs(arrays[path]).max())
        assert abs(parts[-1]["total"] - explained["value"]) <= TOLERANCE * scale, (path, index)
        for number, part in enumerate(parts):
            total = OPERATIONS[part["op"]](part["terms"])
            assert total == pytest.approx(part["total"], rel=1e-12, abs=1e-12 * scale), path
            for term in part["terms"]:
                check_term(explored, arrays, term, parts[:number], path)


def check_term(explored, arrays, term, earlier, path) -> None:
    """Compare a term with where it says it comes from."""
    for half in ("a", "b"):
        if half in term:
            check_term(explored, arrays, term[half], earlier, path)
    if "part" in term:
        assert term["value"] == earlier[term["part"]]["total"]
    elif "parameter" in term:
        assert term["value"] == parameter(explored.params, term["parameter"], term["index"])
    elif "path" in term and not re.search("^exp|^score|less the mean", term["label"]):
        assert term["value"] == arrays[term["path"]][tuple(term["index"])], (path, term)


def parameter(tree, key: str, index: list[int]) -> float:
    """A parameter by timm's key; matrices have the output first."""
    for name in key.split("."):
        tree = tree[int(name)] if name.isdecimal() else getattr(tree, name)
    return float((np.moveaxis(tree, -1, 0) if key.endswith("weight") else tree)[tuple(index)])


def test_an_explanation_says_what_an_intervention_changed(one):
    photograph = one.photograph("image", noise_image(64, 96))
    each = {"kind": "value", "path": "stem.conv1", "index": [1, 2, 3], "value": 9}
    *_, explained = one.ask(
        ["open"], ["show", photograph], ["intervene", [each]],
        ["explainNumber", "stem.conv1", [1, 2, 3]],
    )  # fmt: skip
    assert explained["value"] == explained["parts"][-1]["total"] == 9
    assert "intervention" in explained["parts"][-1]["name"]


def test_a_receptive_field_holds_every_pixel_that_counts(one):
    """Noise outside of it leaves the number as it is; noise in its first or last row does not."""
    image = noise_image(64, 96)
    photograph = one.photograph("image", image)
    places = [
        ("pixel_values", [5, 7, 1]), ("stem.conv1", [0, 0, 0]), ("stem.norm2", [8, 10, 2]),
        ("stages.0.blocks.0.token_mixer", [7, 9, 1]), ("stages.0.blocks.0.mlp.fc1", [7, 9, 1]),
        ("stages.0.blocks.0", [15, 23, 1]), ("stages.1.downsample.conv", [3, 5, 1]),
        ("stages.1", [3, 5, 1]), ("stages.2.blocks.0.ls2", [2, 3, 0]),
        ("stages.3.blocks.2.norm1", [4, 3]), ("stages.3.blocks.2", [0, 1]), ("logits", [2]),
    ]  # fmt: skip
    jobs = [["receptiveField", path, index] for path, index in places]
    _, _, *fields = one.ask(["open"], ["show", photograph], *jobs)
    x = one.classifier.processor.pixels(image)[None].astype(np.float64)
    rng = np.random.default_rng(0)

    def number(pixels, path, index):
        trace = npformer.Trace(path)
        logits = forward(pixels, one.params, one.classifier.config, trace).logits
        array = {"pixel_values": pixels, "logits": logits}.get(path)
        return (trace[path] if array is None else array)[0][tuple(index)]

    for field, (path, index) in zip(fields, places, strict=True):
        top, left, bottom, right = (field[side] for side in ("top", "left", "bottom", "right"))
        value = number(x, path, index)
        outside = x + rng.standard_normal(x.shape)
        outside[:, top:bottom, left:right] = x[:, top:bottom, left:right]
        assert number(outside, path, index) == value, path
        assert field["whole"] == (
            field == {**field, "top": 0, "left": 0, "bottom": 64, "right": 96}
        )
        if path == "stages.3.blocks.2.norm1":
            assert not field["whole"] or x.shape[1] <= 64
        for row in {top, bottom - 1}:
            changed = x.copy()
            changed[:, row, left:right] += 3 * rng.standard_normal(
                changed[:, row, left:right].shape
            )
            assert number(changed, path, index) != value, (path, row, field)


def test_what_matters_is_ranked_by_what_python_says(one):
    image = noise_image(64, 96)
    _, answer, ranked = one.ask(
        ["open"], ["show", one.photograph("image", image)], ["rank", ["block", "head"]]
    )
    blocks = sum(one.classifier.config.depths)
    assert len(ranked) == blocks + one.classifier.config.num_attention_heads
    first = answer["top"][0]["index"]
    before = one.trace(image)["scores"][0, first]
    for each in ranked:
        after = one.trace(image, [each["intervention"]])["scores"][0]
        assert each["change"] == pytest.approx(after[first] - before, abs=1e-5)
        assert each["first"] == after.argmax()
        assert each["flipped"] == (each["first"] != first)


def test_where_a_token_looks(tiny):
    image = npformer.data.photograph("cat")
    *_, looks, wrong = tiny.ask(
        ["open"], ["show", tiny.photograph("cat", image)], ["attention", MIXER, 6],
        ["attention", MIXER, 16],
    )  # fmt: skip
    attn = tiny.trace(image)[f"{MIXER}.attn"][0]
    biases = tiny.params.stages[3].blocks[2].token_mixer.attention_biases
    assert len(looks["heads"]) == len(attn)
    for head, shown in enumerate(looks["heads"]):
        assert close(shown["weights"], attn[head, 6])
        assert np.array_equal(shown["table"], biases[head].ravel())
        e = np.exp((shown["scores"] + shown["biases"]).astype(np.float64))
        assert close(shown["weights"], e / e.sum(), 2e-5)
    assert "no token 16" in wrong["error"]


def test_blocks_and_pictures(tiny):
    image = npformer.data.photograph("coffee")
    *_, block, mixed, picture, none, pictures = tiny.ask(
        ["open"], ["show", tiny.photograph("coffee", image)], ["block", "stages.1.blocks.1"],
        ["block", "stages.3.blocks.3"], ["picture", "stages.3.blocks.3.norm1", 5],
        ["picture", "pooled"], ["pictures"],
    )  # fmt: skip
    trace = tiny.trace(image)
    x, y = trace["stages.1.blocks.0"], trace["stages.1.blocks.1"]
    assert block["change"] == pytest.approx(np.linalg.norm(y - x) / np.linalg.norm(x), rel=1e-5)
    share = np.linalg.norm(trace["stages.1.blocks.1.ls2"]) / np.linalg.norm(x)
    assert block["branches"][1]["share"] == pytest.approx(share, rel=1e-5)
    assert mixed["kind"] == "attention_block"
    assert {t["path"] for t in mixed["tensors"]} >= {"stages.3", "stages.3.blocks.3.mlp.act"}
    expected = trace["stages.3.blocks.3.norm1"][0, :, 5]
    assert close(picture["values"], expected)
    assert picture["low"] == picture["values"].min()
    assert picture["width"] * picture["height"] == len(expected)
    assert none is None
    assert close(pictures["stem"]["values"], trace["stem"].mean(-1).ravel())


@pytest.mark.parametrize(
    ("job", "says"),
    [
        (["tensor", "stem"], "no photograph was shown"),
        (["intervene", []], "no photograph was shown"),
        (["show", {"width": 2, "height": 2, "data": [0]}], "has 16 bytes; found 1"),
        (["show", {"width": 0, "height": 2, "data": []}], "0×2"),
        (["curve", "nothing", 0, 1, 2], "no activation"),
    ],
    ids=str,
)
def test_a_question_too_early_or_wrong_gets_a_sentence(one, job, says):
    _, answer = one.ask(["open"], job)
    assert says in answer["error"]


def test_a_path_or_index_that_is_not_there_gets_a_sentence(one):
    photograph = one.photograph("image", noise_image(64, 96))
    _, _, path, index = one.ask(
        ["open"], ["show", photograph], ["tensor", "stages.7"],
        ["explainNumber", "stem", [0, 0, 99]],
    )  # fmt: skip
    assert 'no tensor "stages.7"' in path["error"]
    assert "no number [0,0,99] in a tensor of 16×24×8" in index["error"]


def test_curves(one):
    _, *curves = one.ask(["open"], *(["curve", name, -4, 4, 33] for name in ("gelu", "relu")))
    for name, curve in zip(("gelu", "relu"), curves, strict=True):
        expected = npformer.layers.ACTIVATIONS[name](curve["x"].astype(np.float64))
        assert np.abs(curve["y"] - expected).max() < 1e-6


def test_weights_that_are_cut_off_get_a_sentence(one):
    import base64
    import zlib

    file = one.folder / "weights.txt"
    whole = file.read_text()
    data = zlib.decompress(base64.b64decode(whole))
    try:
        for part, says in ((data[:-2], "cut off"), (data + b"12", "another network")):
            file.write_text(base64.b64encode(zlib.compress(part)).decode())
            (answer,) = one.ask(["open"])
            assert says in answer["error"]
    finally:
        file.write_text(whole)


def test_noise_is_normal():
    drawn = np.array(normals(3, 20000))
    assert abs(drawn.mean()) < 0.02
    assert abs(drawn.std() - 1) < 0.02
