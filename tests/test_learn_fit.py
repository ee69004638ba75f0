"""Training: what it learns and leaves alone, what it saves, and that it resumes bit for bit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pytest
from photo_cases import network, photographs
from PIL import Image

import npformer
from npformer import checkpoints
from npformer.checkpoints import safetensors_file
from npformer.errors import ConfigError, ImageError, WeightsError
from npformer.images.processor import EfficientFormerImageProcessor
from npformer.layers import Array, Trace, layer_norm
from npformer.learn import (
    NONE,
    Augmentation,
    DataError,
    Fitted,
    LearningError,
    Progress,
    Recipe,
    evaluate,
    find_photographs,
    fit,
    state,
)
from npformer.learn import curves as drawing
from npformer.learn.class_folders import split
from npformer.learn.data import Batch
from npformer.learn.evaluation import evaluate_network
from npformer.learn.objectives import classification_loss
from npformer.learn.student import prepare_student
from npformer.learn.trainer import Trainer
from npformer.network import EfficientFormer, Logits, backward, forward, heads
from npformer.network.tree import leaves
from npformer.teach import grad_cam, input_gradient

EVERYTHING = Recipe(
    epochs=3, batch_size=4, lr=3e-3, dropout=0.1, drop_path=0.2, average=0.9, seed=7,
    augmentation=Augmentation(erase=0.3, mixup=0.4),
)  # fmt: skip
DRAW = drawing.draw
PLAIN = Recipe(epochs=2, batch_size=4, lr=3e-3, augmentation=NONE)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return network(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photographs(tmp_path_factory.mktemp("photos"))


@pytest.fixture(autouse=True)
def curves(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Paths of pictures that would have been drawn; drawing takes longer than these trainings."""
    drawn: list[Path] = []
    monkeypatch.setattr("npformer.learn.curves.draw", lambda history, path: drawn.append(path))
    return drawn


@pytest.fixture
def learn(model: Path, photos: Path, tmp_path: Path) -> Callable[..., Fitted]:
    def run(recipe: Recipe = PLAIN, out: str = "out", **options: Any) -> Fitted:
        options = {"model": model, "engine": "numpy", **options}
        return fit(options.pop("folder", photos), tmp_path / out, recipe, **options)

    return run


def weights(folder: Path) -> dict[str, Array]:
    return dict(leaves(checkpoints.read(folder).params))


def same(a: dict[str, Array], b: dict[str, Array]) -> bool:
    return a.keys() == b.keys() and all(a[k].tobytes() == b[k].tobytes() for k in a)


def test_it_learns(learn: Any, photos: Path, tmp_path: Path, curves: list[Path]) -> None:
    recipe = replace(PLAIN, epochs=30, lr=1e-2, label_smoothing=0.0)
    fitted = learn(recipe, val=photos)
    assert fitted.folder == tmp_path / "out"
    losses = [row["loss"] for row in fitted.history]
    assert losses[0] > 2 * losses[-1]
    assert fitted.history[-1]["val_top1"] == 1
    assert fitted.history[-1]["val_loss"] < 0.3
    assert [row["step"] for row in fitted.history] == [3 * i for i in range(1, 31)]
    log = [json.loads(line) for line in (fitted.folder / "log.jsonl").read_text().splitlines()]
    assert log == list(fitted.history)
    assert [fitted.curves] == curves == [tmp_path / "out" / "curves.png"]

    found = evaluate(photos, fitted.folder, engine="numpy")
    assert (found.images, found.top1, found.top5) == (12, 1.0, 1.0)
    assert found.loss == pytest.approx(fitted.history[-1]["val_loss"], rel=1e-6)
    assert [(s.label, s.images, s.top1) for s in found.classes] == [("lime", 6, 1), ("plum", 6, 1)]
    answers = npformer.load(fitted.folder, engine="numpy").classify(photos / "plum" / "3.png")
    assert answers[0].label == "plum"


def test_new_classes_get_new_heads_and_the_body_stays(model: Path) -> None:
    before = checkpoints.read(model).params
    start = prepare_student(model, ("a", "b", "c"), seed=1)
    assert start.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert start.config.label2id == {"a": 0, "b": 1, "c": 2}
    assert start.params.head is not None
    assert start.params.head.weight.shape == (8, 3)
    assert start.params.head_dist is not None
    np.testing.assert_array_equal(start.params.stem.conv1.weight, before.stem.conv1.weight)
    again, other = (prepare_student(model, ("a", "b", "c"), seed) for seed in (1, 2))
    assert same(dict(leaves(again.params)), dict(leaves(start.params)))
    assert not same(dict(leaves(other.params)), dict(leaves(start.params)))


def test_the_same_classes_keep_their_heads(model: Path) -> None:
    names = tuple(f"LABEL_{i}" for i in range(4))
    assert same(dict(leaves(prepare_student(model, names).params)), weights(model))
    other = prepare_student(model, names[::-1]).params  # another order counts as other classes
    assert not same(dict(leaves(other)), weights(model))


def test_from_scratch_only_the_architecture_is_taken(model: Path) -> None:
    names = tuple(f"LABEL_{i}" for i in range(4))
    start = prepare_student(model, names, scratch=True)
    assert not same(dict(leaves(start.params)), weights(model))
    assert start.config.hidden_sizes == [4, 8]
    tiny = prepare_student("tiny", ("a", "b"), scratch=True)
    assert tiny.config.image_shape == (128, 128)
    assert tiny.processor["crop_size"] == {"height": 128, "width": 128}


def test_the_same_seed_gives_the_same_bits(learn: Any) -> None:
    once, again = (weights(learn(EVERYTHING, out).folder) for out in ("a", "b"))
    assert same(once, again)
    assert not same(once, weights(learn(replace(EVERYTHING, seed=8), "c").folder))


@pytest.mark.parametrize(("optimizer", "tolerance"), [("sgd", 1e-4), ("adamw", 5e-3)])
def test_kernels_learn_what_plain_layers_learn(
    learn: Any, photos: Path, optimizer: str, tolerance: float
) -> None:
    """AdamW takes full-size steps even where a gradient is only rounding, as for some biases."""
    recipe = replace(PLAIN, epochs=4, lr=1e-3, optimizer=optimizer)
    plain, fast, again = (
        learn(recipe, out=name, val=photos, engine=engine).history
        for name, engine in (("plain", "numpy"), ("fast", "numba"), ("again", "numba"))
    )
    for a, b, c in zip(plain, fast, again, strict=True):
        for key in ("loss", "val_loss"):
            assert b[key] == pytest.approx(a[key], rel=tolerance)
            assert b[key] == c[key]


@pytest.mark.parametrize(
    ("moment", "engine"),
    [*(((i, j), "numpy") for i, j in [(1, 1), (1, 3), (2, 2), (3, 3)]), ((2, 2), "numba")],
)
def test_ctrl_c_saves_and_resuming_gives_the_same_bits(
    learn: Any, tmp_path: Path, moment: tuple[int, int], engine: str, monkeypatch: Any
) -> None:
    recipe = EVERYTHING if engine == "numpy" else replace(EVERYTHING, dropout=0.0)
    monkeypatch.setenv("NPFORMER_NUM_THREADS", "2")
    whole = learn(recipe, "whole", engine=engine)
    monkeypatch.setenv("NPFORMER_NUM_THREADS", "1")

    def stop(progress: Progress) -> None:
        if (progress.epoch, progress.step) == moment:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learn(recipe, "cut", engine=engine, callback=stop)
    weights(tmp_path / "cut")  # can be used
    begun: list[tuple[int, int]] = []
    fitted = learn(
        recipe, "cut", engine=engine, resume=True,
        callback=lambda p: begun.append((p.epoch, p.step)),
    )  # fmt: skip
    assert begun[0] > moment or moment[1] == 3
    assert same(weights(fitted.folder), weights(whole.folder))
    for key in ("epoch", "loss"):
        assert [row[key] for row in fitted.history] == [row[key] for row in whole.history]


def test_sgd_and_a_frozen_body_resume_too(learn: Any) -> None:
    recipe = replace(EVERYTHING, optimizer="sgd", freeze=("body",), average=0.0, epochs=2)
    whole = weights(learn(recipe, "whole").folder)

    def stop(progress: Progress) -> None:
        if progress.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learn(recipe, "cut", callback=stop)
    assert same(weights(learn(recipe, "cut", resume=True).folder), whole)


SCRIPT = """
import sys
from dataclasses import replace
from npformer.learn import fit
sys.path.insert(0, {tests!r})
from test_learn_fit import EVERYTHING
print("ready", flush=True)
fit({photos!r}, {out!r}, replace(EVERYTHING, epochs=12), model={model!r}, engine="numpy",
    resume=True, callback=lambda p: print(p.epoch, p.step, flush=True))
"""


def test_killed_at_any_moment_it_resumes_bit_for_bit(
    learn: Any, model: Path, photos: Path, tmp_path: Path
) -> None:
    recipe = replace(EVERYTHING, epochs=12)
    whole = weights(learn(recipe, "whole").folder)
    script = textwrap.dedent(SCRIPT).format(
        tests=str(Path(__file__).parent),
        photos=str(photos),
        out=str(tmp_path / "cut"),
        model=str(model),
    )
    rng = np.random.default_rng(0)
    kills = 0
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        assert process.stdout is not None
        with process, process.stdout as lines:
            wanted = int(rng.integers(1, 12))
            assert lines.readline() == "ready\n"
            for _ in range(wanted):
                lines.readline()
            time.sleep(float(rng.uniform(0, 0.02)))
            process.send_signal(signal.SIGKILL)
        kills += process.returncode == -signal.SIGKILL
    assert kills
    fitted = learn(recipe, "cut", resume=True)
    assert same(weights(fitted.folder), whole)
    assert not list(fitted.folder.glob(f".{state.NAME}.*"))


def test_a_state_has_no_strides_that_a_file_would_lose() -> None:
    tree = state.contiguous((np.zeros((3, 4)).T, np.arange(6)[::2]))
    assert [leaf.flags.c_contiguous for leaf in tree] == [True, True]
    assert tree[1].tolist() == [0, 2, 4]


def test_resuming_what_is_finished_changes_nothing(learn: Any) -> None:
    fitted = learn()
    before = weights(fitted.folder)
    assert learn(resume=True).history == fitted.history
    assert same(weights(fitted.folder), before)


def test_frozen_parameters_stay(learn: Any, model: Path) -> None:
    before = weights(model)
    after = weights(learn(replace(PLAIN, freeze=("stem.*", "*.blocks.*"))).folder)
    stay = [path for path in before if path.startswith("stem.") or ".blocks." in path]
    assert any("running" in path for path in stay)
    for path in before:
        assert (after[path].tobytes() == before[path].tobytes()) == (path in stay), path


def test_a_frozen_body_is_used_as_it_is(learn: Any, model: Path) -> None:
    before = weights(model)
    after = weights(learn(replace(PLAIN, freeze=("body",))).folder)
    changed = [path for path in before if after[path].tobytes() != before[path].tobytes()]
    assert changed == ["head.weight", "head.bias", "head_dist.weight", "head_dist.bias"]


def test_the_gradient_of_heads_is_that_of_the_whole_network(
    model: Path, photos: Path, tmp_path: Path
) -> None:
    start = prepare_student(model, ("lime", "plum"))
    listed = find_photographs(photos)

    def run(freeze: tuple[str, ...]) -> Trainer:
        recipe = replace(PLAIN, freeze=freeze)
        return Trainer(tmp_path, recipe, start, listed, None, settings={}, engine="numpy")

    x = np.random.default_rng(0).standard_normal((4, 16, 16, 3)).astype(np.float32)
    labels = np.array([0, 1, 1, 0])
    only_heads = run(("body",))
    now = only_heads.initial_state(resume=False)
    loss, _, dp = only_heads.gradients(now, x, labels)
    outputs = forward(x, start.params, start.config)
    expected, dlogits = classification_loss(outputs, labels, PLAIN.label_smoothing)
    assert loss == pytest.approx(expected, rel=1e-5)
    tape = Trace()
    forward(x, start.params, start.config, tape)
    _, whole = backward(dlogits, x, start.params, start.config, tape)
    assert dp.head is not None
    assert whole.head is not None
    np.testing.assert_allclose(dp.head.weight, whole.head.weight, rtol=1e-3, atol=1e-5)
    assert not dp.norm.weight.any()


def test_frozen_gradients_do_not_count_in_clipping(
    model: Path, photos: Path, tmp_path: Path
) -> None:
    recipe = replace(PLAIN, optimizer="sgd", weight_decay=0.0, clip=0.01, freeze=("stages.*",))
    start = prepare_student(model, ("lime", "plum"))
    listed = find_photographs(photos)
    run = Trainer(tmp_path, recipe, start, listed, None, settings={}, engine="numpy")
    x = np.random.default_rng(0).standard_normal((4, 16, 16, 3)).astype(np.float32)
    now = run.initial_state(resume=False)
    after = run.train_step(now, Batch(x, np.array([0, 1, 1, 0]), ()), lr=2.0).params
    old = dict(leaves(now.params))
    moved = [(a - old[path]).ravel() for path, a in leaves(after) if "running" not in path]
    assert np.linalg.norm(np.concatenate(moved)) == pytest.approx(2.0 * 0.01, rel=1e-3)


def test_an_epoch_reports_its_own_losses(model: Path, photos: Path, tmp_path: Path) -> None:
    start = prepare_student(model, ("lime", "plum"))
    listed = find_photographs(photos)
    run = Trainer(tmp_path, PLAIN, start, listed, None, settings={}, engine="numpy")
    now = run.initial_state(resume=False)._replace(step=3, losses=(1.0, 2.0, 6.0), seconds=5.0)
    after = run.finish_epoch(now)
    assert after.history[0]["loss"] == 3.0
    assert (after.losses, after.seconds) == ((), 0.0)


def test_the_average_is_the_result(learn: Any, model: Path) -> None:
    recipe = replace(PLAIN, average=0.999, epochs=1)
    slow = weights(learn(recipe, "slow").folder)
    fast = weights(learn(replace(recipe, average=0.0), "fast").folder)
    name = "stem.conv1.weight"
    start = weights(model)[name]
    assert 0 < abs(slow[name] - start).max() < 0.02 * abs(fast[name] - start).max()


def test_the_rate_rises_then_falls(learn: Any) -> None:
    rates: list[float] = []
    recipe = replace(PLAIN, epochs=4, warmup=1.0, lr=1.0, freeze=("body",))
    learn(recipe, callback=lambda p: None if p.finished else rates.append(p.lr))
    assert len(rates) == 12
    np.testing.assert_allclose(rates[:4], [0.25, 0.5, 0.75, 1.0])
    assert rates[3:] == sorted(rates[3:], reverse=True)
    assert 0 < rates[-1] < 0.05


def test_curves_are_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    rows = [{"epoch": i, "loss": 2 / i, "val_loss": 3 / i, "val_top1": 0.3 * i} for i in (1, 2, 3)]
    DRAW(rows, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.format == "PNG"
        assert (np.asarray(picture.convert("RGB")) == (0xD5, 0x5E, 0)).all(-1).any()


def test_without_matplotlib_there_is_no_picture(
    learn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("npformer.learn.curves.draw", DRAW)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    fitted = learn(replace(PLAIN, epochs=1))
    assert fitted.curves is None
    assert not list(fitted.folder.glob("*.png"))


def test_train_and_val_are_found(tmp_path: Path, model: Path) -> None:
    photographs(tmp_path / "set" / "train", 4)
    assert split(tmp_path / "set", None) == (tmp_path / "set" / "train", None)
    photographs(tmp_path / "set" / "val", 1)
    assert split(tmp_path / "set", None)[1] == tmp_path / "set" / "val"
    assert split(tmp_path / "set", tmp_path)[1] == tmp_path
    fitted = fit(tmp_path / "set", tmp_path / "out", replace(PLAIN, epochs=1), model=model)
    assert "val_top1" in fitted.history[0]


def test_another_choice_cannot_be_resumed(learn: Any, tmp_path: Path) -> None:
    learn()
    with pytest.raises(ConfigError, match=r"training.safetensors: begun with lr = 0.003 and not"):
        learn(replace(PLAIN, lr=1e-4), resume=True)
    with pytest.raises(ConfigError, match="begun with optimizer = 'adamw' and not 'sgd'"):
        learn(replace(PLAIN, optimizer="sgd"), resume=True)  # whose tensors are others
    other = photographs(tmp_path / "other", 5)
    with pytest.raises(ConfigError, match="begun with photographs"):
        learn(resume=True, folder=other)


def test_nothing_is_overwritten(learn: Any, tmp_path: Path) -> None:
    learn()
    with pytest.raises(FileExistsError, match="not empty; resume"):
        learn()
    network(tmp_path / "mine")
    with pytest.raises(FileExistsError, match="holds no training"):
        learn(out="mine", resume=True)


def test_damaged_states_are_refused(learn: Any) -> None:
    path = learn().folder / state.NAME
    tensors, metadata = safetensors_file.read(path)
    fewer = {name: tensor for name, tensor in tensors.items() if name != "exp_avg.norm.bias"}
    safetensors_file.write(path, fewer, metadata)
    with pytest.raises(WeightsError, match=r"exp_avg\.norm\.bias is missing"):
        learn(resume=True)
    safetensors_file.write(path, {"exp_avg_sq.x": tensors["exp_avg.norm.bias"]}, metadata)
    with pytest.raises(WeightsError, match=r"params\.stem\.conv1\.weight is missing"):
        learn(resume=True)
    safetensors_file.write(path, tensors)
    with pytest.raises(WeightsError, match="not a training state"):
        learn(resume=True)
    halved = {name: tensor.astype("f2") for name, tensor in tensors.items()}
    safetensors_file.write(path, halved, metadata)
    with pytest.raises(WeightsError, match=r"stem\.conv1\.weight is float16 of .*expected float32"):
        learn(resume=True)


DAMAGE: list[tuple[Any, str]] = [
    (None, "step is missing"),
    ("", "is not JSON"),
    ("{", "is not JSON"),
    ("[" * 100_000, "is not JSON"),
    ("[1]", "step is missing"),
    ('{"step": 3}', "optimizer_step is missing"),
    *(({"step": value}, "step is") for value in (-1, 1.0, True, None, "3", 2**63, [])),
    ({"step": 0}, "step is 0 after an epoch that ended at step"),
    *(({"optimizer_step": value}, "optimizer_step is") for value in (-1, 0.5, None)),
    *(({"losses": value}, "losses is") for value in (3, None, ["a"], [None], {}, [10**400])),
    *(({"seconds": value}, "seconds is") for value in ("a", None, [], float("nan"))),
    *(({"history": value}, "history is") for value in (3, {}, [3], [{}], [{"epoch": 1, "step": []}],
                                                       [{"epoch": 1, "step": 1, "loss": "low"}])),
    *(({"settings": value}, "settings is") for value in (3, None, [])),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "message"), DAMAGE, ids=[str(d)[:40] for d, _ in DAMAGE])
def test_what_is_beside_the_tensors_of_a_state_is_checked(
    damage: Any, message: str, learn: Any
) -> None:
    path = learn().folder / state.NAME
    tensors, metadata = safetensors_file.read(path)
    rest = json.loads(metadata["npformer"])
    text = (
        damage if isinstance(damage, str) else json.dumps({} if damage is None else rest | damage)
    )
    safetensors_file.write(path, tensors, {"npformer": text})
    with pytest.raises(WeightsError, match=f"{state.NAME}: damaged: .*{message}") as error:
        learn(resume=True)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"lr": -1.0}, "lr is -1.0"),
        ({"label_smoothing": float("nan")}, "label_smoothing is nan"),
        ({"optimizer": "adam"}, "optimizer is 'adam'"),
        ({"freeze": "body"}, "freeze is 'body'; expected a tuple"),
        ({"augmentation": None}, "augmentation is None"),
        ({"epochs": 1.5}, "epochs is 1.5; expected a whole number"),
        ({"seed": True}, "seed is True"),
        ({"drop_path": 1.0}, "drop_path is 1.0; expected a number from 0 to below 1"),
    ],
)
def test_impossible_recipes_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Recipe(**changes)


WRONG = (-1, float("nan"), float("inf"), None, "x", True, (1,), (0.5, 0.2), (-1, 2), 10**400)


@pytest.mark.parametrize("kind", [Recipe, Augmentation])
def test_every_field_has_its_type_and_range(kind: Any) -> None:
    for field in fields(kind):
        for value in WRONG:
            with pytest.raises(ConfigError, match=rf"^{field.name}(\[\d\])? is "):
                kind(**{field.name: value})


def test_numbers_of_numpy_become_those_of_python() -> None:
    recipe = Recipe(seed=np.int64(3), lr=np.float32(0.5), freeze=["stem.*"])  # type: ignore[arg-type]
    assert (type(recipe.seed), type(recipe.lr), recipe.freeze) == (int, float, ("stem.*",))
    assert Augmentation(scale=[np.float32(0.5), 1]).scale == (0.5, 1.0)  # type: ignore[arg-type]


def test_patterns_that_freeze_nothing_or_all_are_refused(learn: Any) -> None:
    with pytest.raises(ConfigError, match=r"'stam\.\*', which matches no path"):
        learn(replace(PLAIN, freeze=("stam.*",)))
    with pytest.raises(ConfigError, match="nothing is left to learn"):
        learn(replace(PLAIN, freeze=("*",)))


def test_a_loss_that_is_not_finite_ends_training(learn: Any) -> None:
    recipe = replace(PLAIN, optimizer="sgd", lr=1e5, clip=0.0, epochs=9, warmup=0.0)
    with np.errstate(all="ignore"), pytest.raises(LearningError, match="lower the learning rate"):
        learn(recipe)


def test_unreadable_files_are_told_or_refused(learn: Any, tmp_path: Path) -> None:
    folder = photographs(tmp_path / "bad")
    bad = folder / "lime" / "2.png"
    bad.write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"2\.png"):
        learn(folder=folder, val=folder)
    messages: list[str] = []
    fitted = learn(
        replace(PLAIN, batch_size=1), "ok", folder=folder, unreadable="skip",
        callback=lambda p: messages.extend(p.unreadable),
    )  # fmt: skip
    assert len(messages) == 1  # in two epochs
    assert str(bad) in messages[0]
    assert fitted.history[-1]["step"] == 24


@pytest.mark.parametrize("interrupted", [True, False])
def test_ctrl_c_while_python_takes_a_lock(learn: Any, interrupted: bool) -> None:
    """``with lock`` then releases a lock that it did not acquire, and only that error surfaces."""

    def stop(progress: Progress) -> None:
        if (progress.epoch, progress.step) == (2, 2):
            try:
                raise KeyboardInterrupt if interrupted else ValueError
            finally:
                Lock().release()

    with pytest.raises(KeyboardInterrupt if interrupted else RuntimeError):
        learn(PLAIN, "cut", callback=stop)
    begun: list[tuple[int, int]] = []
    learn(PLAIN, "cut", resume=True, callback=lambda p: begun.append((p.epoch, p.step)))
    assert begun[0] == ((2, 3) if interrupted else (2, 1))  # saved, or not


def test_a_step_without_a_photograph_resumes_too(learn: Any, tmp_path: Path) -> None:
    folder = photographs(tmp_path / "bad")
    (folder / "lime" / "2.png").write_bytes(b"no picture")
    recipe = replace(PLAIN, batch_size=1)
    whole = weights(learn(recipe, "whole", folder=folder, unreadable="skip").folder)

    def stop(progress: Progress) -> None:
        if progress.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learn(recipe, "cut", folder=folder, unreadable="skip", callback=stop)
    fitted = learn(recipe, "cut", folder=folder, unreadable="skip", resume=True)
    assert same(weights(fitted.folder), whole)


def test_classes_of_validation_must_be_known(learn: Any, tmp_path: Path) -> None:
    other = photographs(tmp_path / "other", 1, ("sky",))
    with pytest.raises(DataError, match="'sky' is not one of the 2 classes"):
        learn(val=other)


def test_evaluation_ranks_by_hand(model: Path, photos: Path, tmp_path: Path) -> None:
    root = photographs(tmp_path / "named", 3)
    (root / "lime").rename(root / "LABEL_1")
    (root / "plum").rename(root / "LABEL_3")
    seen: list[tuple[int, int]] = []
    found = evaluate(
        root, model, batch_size=4, engine="numpy", callback=lambda *done: seen.append(done)
    )
    classifier = npformer.load(model, engine="numpy")
    paths = sorted(root.rglob("*.png"))
    answers = classifier.classify([str(path) for path in paths], top=4)
    scores = [
        next(a.score for a in answer if a.label == path.parent.name)
        for path, answer in zip(paths, answers, strict=True)
    ]
    hits = [a[0].label == path.parent.name for path, a in zip(paths, answers, strict=True)]
    assert found.loss == pytest.approx(-np.log(scores).mean(), rel=1e-5)
    assert found.top1 == np.mean(hits)
    assert found.top5 == 1
    assert [(s.label, s.top1) for s in found.classes] == [
        ("LABEL_1", np.mean(hits[:3])), ("LABEL_3", np.mean(hits[3:])),
    ]  # fmt: skip
    assert seen == [(4, 6), (6, 6)]


def test_the_fifth_answer_counts_and_the_sixth_does_not(photos: Path) -> None:
    listed = find_photographs(photos, ["lime", "plum", *"abcdef"])
    processor = EfficientFormerImageProcessor(size=16, crop_size=16)
    logits = np.array([3.0, 2.0, 9.0, 8.0, 7.0, 6.0, 0.0, 0.0])

    def forward(x: Array) -> Logits:
        return Logits(np.tile(logits, (len(x), 1)), None, None)

    found = evaluate_network(forward, listed, processor)
    assert (found.images, found.top1, found.top5) == (12, 0.0, 0.5)


def _network(model: Path) -> tuple[EfficientFormer, Any, Array]:
    found = checkpoints.read(model, dtype="float64")
    x = np.random.default_rng(0).standard_normal((1, 16, 16, 3))
    return found.params, found.config, x


def test_the_input_gradient_tells_what_a_pixel_changes(model: Path) -> None:
    p, config, x = _network(model)
    gradient = input_gradient(2, x, p, config)
    assert gradient.shape == (16, 16, 3)
    step = np.zeros_like(x)
    step[0, 5, 7, 1] = 1e-5
    ahead, behind = (forward(x + s, p, config).logits[0, 2] for s in (step, -step))
    assert gradient[5, 7, 1] == pytest.approx((ahead - behind) / 2e-5, rel=1e-6)


def test_grad_cam_is_the_mean_gradient_times_the_map(model: Path) -> None:
    p, config, x = _network(model)
    tape = Trace()
    forward(x, p, config, tape)
    maps = tape["stages.1"]  # (1, N, C)
    gradient = np.zeros(maps.shape[-1])
    for c in range(maps.shape[-1]):
        step = np.zeros_like(maps)
        step[..., c] = 1e-6  # at all tokens: the sum over them
        logits = [
            heads(layer_norm(maps + s, p.norm, config.layer_norm_eps).mean(1), p).logits[0, 1]
            for s in (step, -step)
        ]
        gradient[c] = (logits[0] - logits[1]) / 2e-6 / maps.shape[1]
    expected = np.maximum(maps[0] @ gradient, 0)
    np.testing.assert_allclose(grad_cam(1, tape, p, config), expected, rtol=1e-5, atol=1e-9)
    assert expected.any()
