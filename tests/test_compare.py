"""`npformer.compare` finds the first wrong layer and its cause, and accuses no right network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import compare_cases as cases
import numpy as np
import pytest

import npformer
from npformer.errors import RecordingError
from npformer.network.tree import build
from npformer.testing import CAUSES
from npformer.testing.compare.arrangement import arrangements
from npformer.testing.compare.names import layer_of
from npformer.testing.compare.variants import variants

RIGHT = cases.run(cases.pixels())


def shown_at(path: str) -> str:
    """The layer that shows a wrong step of the network of these tests."""
    has_norm = any(step.path == f"{path.rpartition('.')[0]}.norm2" for step in cases.chain())
    return layer_of(path, has_norm)


def kinds() -> list[tuple[str, int, str | None]]:
    """One step of each kind, with the number and the word of each mistake that changes it."""
    found, seen = [], set()
    for step in cases.chain():
        kind = (step.layer, step.options.get("name"), len(step.inputs))
        if kind in seen:
            continue
        seen.add(kind)
        inputs = [RIGHT[path].astype(np.float64) for path in step.inputs]
        for number, variant in enumerate(variants(step.astype(np.float64), inputs, cases.config())):
            arrays = variant.arrays
            finite = all(np.all(np.isfinite(a)) for a in arrays.values())
            same_shape = all(a.shape == RIGHT[p].shape for p, a in arrays.items())
            changed = any(
                abs(a - RIGHT[p]).max() > 1e-4 * abs(RIGHT[p]).max()
                for p, a in arrays.items()
                if same_shape
            )
            if finite and same_shape and changed:
                found.append((step.path, number, variant.word))
    return found


ALL = kinds()
FIRST = {word: (path, number) for path, number, word in reversed(ALL) if word}
"""One mistake for each word."""


def compare(arrays: dict[str, Any], **more: Any) -> npformer.Comparison:
    return npformer.compare(cases.reference(), arrays, **more)


@pytest.mark.parametrize("order", ["first", "last"])
@pytest.mark.parametrize(
    "keep",
    [
        lambda path: True,
        lambda path: path in cases.TRACED,
        lambda path: path.count(".") <= 3,
        lambda path: path in ("pixel_values", "stem", "logits"),
        lambda path: path in ("pixel_values", "logits"),
        lambda path: path in ("pixel_values", "stages.0.blocks.0.mlp.fc1", "stages.1"),
    ],
    ids=["all", "modules", "blocks", "ends", "logits", "some"],
)
def test_a_right_network_is_right(keep: Any, order: str) -> None:
    found = compare(cases.as_recorded(RIGHT, keep, order))
    assert found
    assert found.first_wrong is None
    assert found.cause is None
    assert found.layers
    assert all(layer.ratio <= 1 for layer in found.layers)


def test_any_order_of_axes_and_any_batch_is_recognized() -> None:
    arrays = cases.run(cases.pixels(batch=3))
    rng = np.random.default_rng(0)
    turned = {
        f"x{i}": array.transpose(rng.permutation(array.ndim)) if i else np.moveaxis(array, -1, 1)
        for i, array in enumerate(arrays.values())
    }
    found = compare(turned)
    assert found
    assert len(found.layers) > 90


@pytest.mark.parametrize("word", FIRST)
def test_a_mistake_is_found_and_named(word: str) -> None:
    """With every array under a foreign name, and with those of modules under their own."""
    path, number = FIRST[word]
    wrong = cases.run(cases.pixels(), cases.mistake(path, number))
    for arrays in (
        cases.as_recorded(wrong, lambda path: True, "first"),
        {p: a for p, a in wrong.items() if p in cases.TRACED},
    ):
        found = compare(arrays)
        assert not found
        assert found.first_wrong == shown_at(path)
        assert found.cause == word
        assert found.layers[-1].ratio > 1 or found.layers[-1].path != found.step


def test_words_are_documented() -> None:
    assert {*FIRST} <= set(CAUSES)
    page = Path(__file__).parents[1] / "docs" / "howto" / "compare.md"
    text = page.read_text(encoding="utf-8")
    assert [word for word in CAUSES if f"| `{word}` |" not in text] == []


def test_all_mistakes_of_every_kind() -> None:
    """Every fourth, which takes seconds."""
    wrong = []
    for path, number, word in ALL[::4]:
        arrays = cases.run(cases.pixels(), cases.mistake(path, number))
        found = compare(cases.as_recorded(arrays, lambda path: True, "last"))
        if (found.first_wrong, found.cause) != (shown_at(path), word):
            wrong.append((path, number, word, found.first_wrong, found.cause))
    assert wrong == []


@pytest.mark.parametrize(
    ("leaf", "change", "word"),
    [
        ("stages.1.blocks.0.mlp.fc1.weight", lambda a: 1.5 * a, "parameter"),
        ("stages.1.blocks.0.mlp.fc1.bias", lambda a: 0 * a, "bias_zero"),
        ("stem.conv2.weight", lambda a: np.random.default_rng(3).normal(size=a.shape) * 0.02,
         "random_start"),
        ("stages.2.blocks.2.token_mixer.attention_biases", lambda a: a + 0.01 * (a > 0),
         "parameter"),
        ("stages.2.blocks.2.ls1.gamma", lambda a: 0 * a + 0.37, "random_start"),
        ("head.weight", lambda a: a.astype(np.float16), "half_precision"),
    ],
)  # fmt: skip
def test_a_parameter_that_differs(leaf: str, change: Any, word: str) -> None:
    """In recorded arrays, where nobody sees the parameters, and in a checkpoint."""
    known = cases.reference()
    params = build(
        lambda path, a: change(a).astype(np.float32) if path == leaf else a, known.params
    )
    other = type(known)(**{**vars(known), "params": params})
    found = npformer.compare(known, other)
    holder = next(step.path for step in cases.chain() if leaf in step.parameters())
    assert (found.first_wrong, found.cause) == (shown_at(holder), word)
    assert leaf in found.more or word == "half_precision"


def test_a_checkpoint_is_equal_to_itself(tmp_path: Path) -> None:
    known = cases.folder(tmp_path / "model")
    npformer.checkpoints.convert(known, tmp_path / "other.pth", to="original")
    assert npformer.compare(known, tmp_path / "model")
    assert npformer.compare(known, known / "model.safetensors")  # which does not tell its ε


def test_another_network_is_no_port_of_it(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"depths is .*expected a checkpoint of the same"):
        npformer.compare(cases.folder(tmp_path / "model"), "tiny")


@pytest.mark.parametrize(
    ("word", "prepare"),
    [
        ("mean_std", {"image_mean": 0.5, "image_std": 0.5}),
        ("mean_std", {"do_normalize": False}),
        ("rescale", {"do_rescale": False}),
        ("resize", {"resample": 2}),
        ("resize", {"size": {"height": cases.SIZE, "width": cases.SIZE}}),
        ("bgr", {}),
    ],
)
def test_a_picture_that_is_prepared_otherwise(word: str, prepare: dict[str, Any]) -> None:
    """Recorded; and, where only what follows from it was recorded."""
    image = npformer.data.photograph("cat")
    processor = cases.reference().processor
    made = processor.preprocess(image, **prepare).pixel_values[0]
    if word == "bgr":
        made = processor.preprocess(np.asarray(image)[..., ::-1].copy()).pixel_values[0]
    x = np.moveaxis(np.asarray(made, np.float32), 0, -1)[None]
    arrays = cases.run(x)
    found = compare(arrays, image=image)
    assert (found.first_wrong, found.cause) == ("pixel_values", word)
    del arrays["pixel_values"]
    found = compare(arrays, image=image)
    assert (found.first_wrong, found.cause) == ("pixel_values", word)


def test_a_picture_that_is_prepared_rightly() -> None:
    image = npformer.data.photograph("cat")
    x = cases.reference().processor.pixels(image)[None]
    arrays = cases.run(x)
    assert compare(arrays, image=image)
    assert compare(arrays)
    del arrays["pixel_values"]
    assert compare(arrays, image=image)


def test_colors_are_proved_wrong_without_the_photograph() -> None:
    image = npformer.data.photograph("cat")
    made = cases.reference().processor.preprocess(image, image_mean=0.5, image_std=0.5)
    x = np.moveaxis(made.pixel_values[0], 0, -1)[None]
    found = compare(cases.run(x))
    assert (found.first_wrong, found.cause) == ("pixel_values", "mean_std")


def test_arrangements_do_not_reinterpret() -> None:
    """Axes exchanged, merged or split; never (C, N) read as (N, C)."""
    x = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    merged = x.transpose(0, 3, 1, 2).reshape(2, 5, 12)
    ways = arrangements(merged.shape, x.shape)
    assert any(np.array_equal(way(merged), x) for way in ways)
    reshaped = x.reshape(2, 5, 12)
    assert not any(np.array_equal(way(reshaped), x) for way in arrangements((2, 5, 12), x.shape))
    places = np.array([3, 17, 99])
    for way in ways:
        assert np.array_equal(way.sample(merged, places), way(merged).reshape(-1)[places])


def test_the_result_says_what_was_found(tmp_path: Path) -> None:
    path, number = FIRST["gelu_tanh"]
    found = compare(cases.run(cases.pixels(), cases.mistake(path, number)))
    text = repr(found)
    assert f"first wrong: {path}" in text
    assert "gelu_tanh: GELU is computed by its tanh approximation" in text
    values = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert (values["first_wrong"], values["cause"]) == (path, "gelu_tanh")
    assert values["layers"][-1]["path"] == path
    assert values["layers"][-1]["ratio"] > 1 >= values["layers"][-2]["ratio"]
    page = found.save(tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<img ") == 4
    assert path in page
    assert "http" not in page.replace("http-equiv", "")
    with pytest.raises(npformer.ConfigError, match="expected a name that ends in"):
        found.save(tmp_path / "page.pdf")
