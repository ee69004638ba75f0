"""`npformer.learn.evaluate` and its command: what is right, what is confused, what scores say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from readme import ROOT

import npformer
from npformer.commands import main as cli
from npformer.commands.evaluate import report, to_dict
from npformer.images.processor import EfficientFormerImageProcessor
from npformer.layers import Array
from npformer.learn import DataError, Evaluation, evaluate, find_photographs
from npformer.learn.evaluation import (
    ClassScore,
    Confusion,
    Reliability,
    answers,
    evaluate_network,
    reliability,
)
from npformer.network import Logits

IMAGES = ROOT / "notebooks" / "images"
NAN, INF = np.nan, np.inf


def photographs(root: Path, counts: dict[str, int]) -> Path:
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", (8, 8), (20 * i, 90, 10)).save(root / name / f"{i}.png")
    return root


@pytest.fixture
def evaluated(tmp_path: Path) -> Callable[..., Evaluation]:
    """Evaluate on three photographs of "a" and two of "b", whose logits are given."""
    listed = find_photographs(photographs(tmp_path, {"a": 3, "b": 2}), ["a", "b", *"cdefgh"])
    processor = EfficientFormerImageProcessor(size=16, crop_size=16)

    def run(*logits: list[float], batch_size: int = 5) -> Evaluation:
        rows = iter(logits)

        def forward(x: Array) -> Logits:
            return Logits(np.array([next(rows) for _ in x], np.float32), None, None)

        return evaluate_network(forward, listed, processor, batch_size)

    return run


def one(k: int, size: float = 5.0) -> list[float]:
    return [size * (i == k) for i in range(8)]


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_confusions_by_hand(evaluated: Callable[..., Evaluation], batch_size: int) -> None:
    found = evaluated(one(0), one(2), one(2), one(0), one(1), batch_size=batch_size)
    assert found.top1 == 2 / 5
    assert found.classes == (ClassScore("a", 3, 1 / 3), ClassScore("b", 2, 1 / 2))
    assert found.confusions == (Confusion("a", "c", 2), Confusion("b", "a", 1))


@pytest.mark.parametrize("bad", [NAN, INF])
def test_what_is_no_number_is_not_right(evaluated: Callable[..., Evaluation], bad: float) -> None:
    """Not even where every class is among the first five, and in no range of scores."""
    with np.errstate(invalid="ignore"):
        found = evaluated([bad] * 8, [NAN, *one(0)[1:]], one(0), [*one(1)[:7], NAN], one(1))
        (row,) = answers(np.array([[bad, bad, bad]]), np.array([0]))
    assert (found.top1, found.top5) == (2 / 5, 2 / 5)
    assert found.confusions == ()
    assert sum(r.images for r in found.reliability) == 2
    assert np.isnan(found.loss)
    assert (row["answer"], row["rank"] >= 5) == (-1, True)


def test_of_equal_scores_the_first_class_is_the_answer_as_in_classify(
    evaluated: Callable[..., Evaluation],
) -> None:
    found = evaluated(*[[1.0] * 8] * 5)
    assert found.top1 == 3 / 5
    assert found.confusions == (Confusion("b", "a", 2),)
    ties = np.zeros((6, 6))
    assert list(answers(ties, np.arange(6))["rank"]) == list(range(6))
    model = npformer.load("tiny", engine="numpy")
    (first,) = model._answers(Logits(np.zeros((1, 200), np.float32), None, None), 1)
    assert first[0].index == answers(np.zeros((1, 200), np.float32), np.array([0]))["answer"]


def test_an_impossible_class_is_a_number() -> None:
    (row,) = answers(np.array([[2.0, -INF, 1.0]]), np.array([1]))
    assert (row["answer"], row["rank"], row["loss"]) == (0, 2, INF)


def test_reliability_by_hand() -> None:
    scores = np.array([0.0, 0.05, 0.65, 0.69, 0.7, 0.7999, 1.0, 0.95, NAN])
    right = np.array([1, 0, 1, 0, 1, 1, 1, 0, 0], bool)
    rows = reliability(scores, right)
    assert [(r.low, r.high, r.images, r.top1) for r in rows] == [
        (0.0, 0.1, 2, 0.5), (0.6, 0.7, 2, 0.5), (0.7, 0.8, 2, 1.0), (0.9, 1.0, 2, 0.5)
    ]  # fmt: skip
    assert [r.score for r in rows] == pytest.approx([0.025, 0.67, 0.74995, 0.975])
    assert reliability(np.zeros(0), np.zeros(0, bool)) == ()


def test_scores_that_are_right_as_often_as_they_say_lie_on_the_diagonal() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(100_000)
    for row in reliability(scores, rng.random(100_000) < scores):
        assert row.top1 == pytest.approx(row.score, abs=0.02)


FOUND = Evaluation(
    6, 0.5, 4 / 6, 1.0,
    (ClassScore("a", 2, 0.5), ClassScore("big cat", 4, 0.75)),
    (Confusion("big cat", "a", 1), Confusion("a", "no", 1)),
    (Reliability(0.0, 0.1, 1, 0.07, 0.0), Reliability(0.9, 1.0, 5, 0.95, 0.8)),
    (),
)  # fmt: skip


def test_the_report() -> None:
    assert report(FOUND).splitlines() == [
        "class   images   right",
        "big cat      4   75.0% ███████████████",
        "a            2   50.0% ██████████",
        "",
        "class   images  taken for",
        "big cat      1  a",
        "a            1  no",
        "",
        "score      images  mean score   right",
        "90% – 100%      5       95.0%   80.0% ████████████████",
        "0% – 10%        1        7.0%    0.0%",
        "",
        "6 photographs: top-1 66.7%, top-5 100.0%, loss 0.500",
    ]
    assert "…            1  in 1 other ways" in report(FOUND, most=1).splitlines()
    nothing = Evaluation(0, 0.0, 0.0, 0.0, (), (), (), ("left out",))
    assert report(nothing).endswith("0 photographs: top-1 0.0%, top-5 0.0%, loss 0.000")


def test_json_has_no_number_for_nan() -> None:
    values = json.loads(
        json.dumps(to_dict(FOUND._replace(loss=NAN)), allow_nan=False),
        object_hook=lambda row: SimpleNamespace(**row),
    )
    assert values.loss is None
    assert values.confusions[0] == SimpleNamespace(label="big cat", answer="a", images=1)
    assert values.reliability[1].top1 == 0.8


def test_some_classes_by_label_or_wordnet_id(tmp_path: Path, capsys: Any) -> None:
    model = npformer.load("tiny")
    taken = model.classify([IMAGES / "cat.png", IMAGES / "coffee.png"], top=200)
    for folder, name in {"n02124075": "cat", "ESPRESSO": "coffee", "ice_cream": "coffee"}.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.png").write_bytes((IMAGES / f"{name}.png").read_bytes())
    found = evaluate(tmp_path)
    assert [s.label for s in found.classes] == sorted(
        ["Egyptian cat", "espresso", "ice cream"], key=model.labels.index
    )
    expected = {
        ("Egyptian cat", taken[0][0].label), ("espresso", taken[1][0].label),
        ("ice cream", taken[1][0].label),
    }  # fmt: skip
    assert {(c.label, c.answer) for c in found.confusions} == {
        (a, b) for a, b in expected if a != b
    }
    rank = next(i for i, answer in enumerate(taken[1]) if answer.label == "ice cream")
    assert found.top5 >= (rank < 5) / 3
    assert cli.main(["evaluate", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(to_dict(found)))
    assert cli.main(["evaluate", str(tmp_path)]) == 0
    assert capsys.readouterr().out == report(found) + "\n"


def test_a_wordnet_id_of_another_class_is_refused(tmp_path: Path) -> None:
    photographs(tmp_path, {"n01440764": 1})  # the tench is none of the 200
    with pytest.raises(DataError, match=r"'n01440764' is not one of the 200 .* --classes lists"):
        evaluate(tmp_path)


def test_a_class_whose_name_is_a_wordnet_id_comes_first(tmp_path: Path) -> None:
    photographs(tmp_path, {"n02124075": 1})
    assert list(find_photographs(tmp_path, ["Egyptian cat", "n02124075"]).labels) == [1]
    assert list(find_photographs(tmp_path, ["my own", "Egyptian cat"]).labels) == [1]
