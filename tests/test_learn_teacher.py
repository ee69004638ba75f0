"""Distillation while training: the second head learns a teacher's answers, or says why not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from photo_cases import network, photographs

from npformer import checkpoints
from npformer.errors import ConfigError
from npformer.learn import NONE, Augmentation, Fitted, Recipe, fit
from npformer.learn.objectives import hard_distillation_loss, soft_distillation_loss
from npformer.learn.student import Student, prepare_student
from npformer.learn.teacher import read_teacher
from npformer.learn.trainer import Trainer
from npformer.network import forward
from npformer.network.tree import leaves

RECIPE = Recipe(epochs=2, batch_size=4, lr=3e-3, augmentation=Augmentation(mixup=0.4), alpha=0.3)


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Path]:
    photos = photographs(tmp_path / "photos")
    model = network(tmp_path / "model")
    teacher = tmp_path / "teacher"
    fit(photos, teacher, replace(RECIPE, seed=9), model=model, engine="numpy")
    return {"photos": photos, "model": model, "teacher": teacher, "out": tmp_path / "out"}


def train(places: dict[str, Path], recipe: Recipe = RECIPE, **options: Any) -> Fitted:
    options = {"model": places["model"], "teacher": places["teacher"], "out": "out", **options}
    out = places["out"].with_name(options.pop("out"))
    return fit(places["photos"], out, recipe, engine="numpy", **options)


def weights(folder: Path) -> dict[str, bytes]:
    return {path: leaf.tobytes() for path, leaf in leaves(checkpoints.read(folder).params)}


@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_the_first_loss_is_that_of_the_teachers_answers(
    places: dict[str, Path], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    examples = Trainer.examples

    def watch(self: Any, *arguments: Any) -> Any:
        seen.append(examples(self, *arguments))
        return seen[-1]

    monkeypatch.setattr(Trainer, "examples", watch)
    recipe = replace(RECIPE, epochs=1, batch_size=12, distillation=kind, freeze=("body",))
    found = train(places, recipe).history[0]["loss"]
    (x, targets), = seen  # fmt: skip
    start = prepare_student(places["model"], ("lime", "plum"), recipe.seed)
    answers, taught = (
        forward(x, p, start.config)
        for p in (checkpoints.read(places["teacher"]).params, start.params)
    )
    arguments = (taught, targets, answers.logits, recipe.label_smoothing)
    expected = (
        hard_distillation_loss(*arguments)
        if kind == "hard"
        else soft_distillation_loss(*arguments, recipe.alpha, recipe.temperature)
    )
    assert found == pytest.approx(expected[0], rel=1e-5)


@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_it_resumes_bit_for_bit(places: dict[str, Path], kind: str) -> None:
    recipe = replace(RECIPE, distillation=kind)
    whole = weights(train(places, recipe, out="whole").folder)

    def stop(progress: Any) -> None:
        if progress.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(places, recipe, callback=stop)
    assert weights(train(places, recipe, resume=True).folder) == whole
    assert weights(train(places, recipe, out="alone", teacher=None).folder) != whole


def test_another_teacher_cannot_go_on(places: dict[str, Path]) -> None:
    train(places)
    with pytest.raises(ConfigError, match="begun with teacher = "):
        train(places, resume=True, teacher=None)
    fit(places["photos"], places["teacher"].with_name("other"), RECIPE, model=places["model"],
        engine="numpy")  # fmt: skip
    places["teacher"].rename(places["teacher"].with_name("old"))
    places["teacher"].with_name("other").rename(places["teacher"])  # other weights, same name
    with pytest.raises(ConfigError, match="begun with teacher = "):
        train(places, resume=True)


def test_a_teacher_that_does_not_fit_is_refused(places: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match=r"has 4 classes, the photographs 2.*first train the"):
        train(places, teacher=places["model"])
    found = checkpoints.read(places["teacher"])
    student = Student(found.params, found.config, found.processor)
    one_head = student._replace(params=student.params._replace(head_dist=None))
    with pytest.raises(ConfigError, match="has one head; begin with one"):
        read_teacher(places["teacher"], one_head)
    larger = type(found.config).from_dict(found.config.to_dict(), image_size=32, resolution=4)
    with pytest.raises(ConfigError, match="images of 16×16, the network to train 32×32"):
        read_teacher(places["teacher"], student._replace(config=larger))
    path = places["teacher"] / "preprocessor_config.json"
    changed = json.loads(path.read_text()) | {"image_mean": [0.1, 0.2, 0.3]}
    path.write_text(json.dumps(changed))
    with pytest.raises(ConfigError, match=r"normalizes images by .*0\.1.*write the same"):
        train(places)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"distillation": "firm"}, "'firm'; expected 'hard' or 'soft'"),
     ({"alpha": 2.0}, "alpha is 2.0"), ({"temperature": 0.0}, "temperature is 0.0")],
)  # fmt: skip
def test_impossible_choices_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Recipe(augmentation=NONE, **changes)
