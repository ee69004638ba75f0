"""Training a network on a folder of photographs.

    for each batch:    forward → loss → backward → clip → optimizer step → moving average
    for each epoch:    evaluate → save everything

A step is a function of the state before it and of numbers drawn for it alone
(`npformer.learn.data.generator`). So training may stop anywhere, and goes on from the state that
was saved last as if nothing had happened, bit for bit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from math import isfinite
from os import PathLike, fspath
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from .. import checkpoints
from ..checkpoints.processor import default_processor
from ..engine import make_forward, make_gradients
from ..errors import ConfigError, NpformerError
from ..files.atomic import replacing
from ..images.processor import EfficientFormerImageProcessor
from ..layers import Array
from ..network import EfficientFormer, Logits, heads, heads_backward, update_statistics
from ..network.configuration import EfficientFormerConfig
from ..network.params import initialize
from ..network.tree import combine, leaves, transform
from ..network.variants import VARIANTS
from . import curves, state
from .augment import Augmentation, mixup
from .data import (
    Batch,
    Photographs,
    Unreadable,
    find_photographs,
    generator,
    steps_of,
    training_batches,
)
from .evaluation import measure
from .losses import classification, hard_distillation, soft_distillation
from .optimizers import SGD, AdamW, average, clip, cosine, learned
from .state import State, contiguous
from .teacher import Teacher, read_teacher

LOG = "log.jsonl"
CURVES = "curves.png"

BODY = ("stem.*", "stages.*", "norm.*")
"""What ``"body"`` stands for among the frozen patterns: everything but the heads."""


class LearningError(NpformerError, ArithmeticError):
    """Training that leads nowhere."""


@dataclass(frozen=True)
class Recipe:
    """All choices that the result depends on, beside the photographs and the first weights."""

    epochs: int = 10
    batch_size: int = 32
    optimizer: str = "adamw"
    """or ``"sgd"``, with momentum 0.9"""
    rate: float = 1e-3
    """the highest learning rate; it rises in a straight line, then falls along a cosine to 0"""
    warmup: float = 0.5
    """epochs of the rise"""
    weight_decay: float = 0.025
    label_smoothing: float = 0.1
    distillation: str = "hard"
    """with a teacher: ``"hard"``, its first choice is learned as in the paper, or ``"soft"``"""
    alpha: float = 0.5
    """share of a soft teacher in the loss"""
    temperature: float = 3.0
    """the higher, the more a soft teacher's second choices count"""
    dropout: float = 0.0
    drop_path: float = 0.0
    clip: float = 1.0
    """longest gradient; 0: any"""
    average: float = 0.0
    """decay of a moving average of the parameters, which then is the result; 0: none is kept"""
    freeze: tuple[str, ...] = ()
    """patterns of paths that stay as they are, such as ``"stages.0.*"``; ``"body"``: see `BODY`"""
    seed: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        for name, low, high in (
            ("epochs", 1, 10**6), ("batch_size", 1, 10**6), ("seed", 0, 2**63),
            ("rate", 0, 10**6), ("warmup", 0, 10**6), ("weight_decay", 0, 10**6),
            ("label_smoothing", 0, 1), ("dropout", 0, 1), ("drop_path", 0, 1),
            ("clip", 0, 1e30), ("average", 0, 1), ("alpha", 0, 1), ("temperature", 1e-3, 1e3),
        ):  # fmt: skip
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f"{name} is {value!r}; expected a number from {low} to {high:g}")
        if self.optimizer not in ("adamw", "sgd"):
            raise ConfigError(f"optimizer is {self.optimizer!r}; expected 'adamw' or 'sgd'")
        if self.distillation not in ("hard", "soft"):
            raise ConfigError(f"distillation is {self.distillation!r}; expected 'hard' or 'soft'")

    def frozen(self) -> tuple[str, ...]:
        """Return the patterns of `freeze`, written out."""
        named = [BODY if pattern == "body" else (pattern,) for pattern in self.freeze]
        return tuple(pattern for patterns in named for pattern in patterns)

    def stepper(self) -> AdamW | SGD:
        """Return the optimizer."""
        if self.optimizer == "sgd":
            return SGD(weight_decay=self.weight_decay)
        return AdamW(weight_decay=self.weight_decay)


class Progress(NamedTuple):
    """What the callback of `fit` is told after each step, and once more after each epoch."""

    epoch: int
    """from 1"""
    epochs: int
    step: int
    """of this epoch, from 1"""
    steps: int
    """of each epoch"""
    loss: float | None
    """mean over this epoch so far; None if nothing could be read"""
    rate: float
    """learning rate of the step"""
    unreadable: tuple[str, ...]
    """a message for each file that the batch lacks"""
    finished: dict[str, Any] | None
    """the line of the log, if the epoch is over"""


class Fitted(NamedTuple):
    """What `fit` returns."""

    folder: Path
    """what `npformer.load` and transformers load"""
    history: tuple[dict[str, Any], ...]
    """what was found at the end of each epoch, as in the log"""
    curves: Path | None
    """a picture of it; None without matplotlib"""


def fit(
    folder: str | PathLike[str],
    out: str | PathLike[str],
    recipe: Recipe = Recipe(),
    *,
    model: str | PathLike[str] = "tiny",
    scratch: bool = False,
    teacher: str | PathLike[str] | None = None,
    val: str | PathLike[str] | None = None,
    resume: bool = False,
    unreadable: Unreadable = "refuse",
    engine: str = "auto",
    callback: Callable[[Progress], None] | None = None,
) -> Fitted:
    """Train a network on photographs.

    Parameters
    ----------
    folder : str or path
        With one sub-folder a class, or with such folders ``train`` and ``val``.
    out : str or path
        Receives the network, ``log.jsonl``, ``curves.png`` and, for those who resume,
        ``training.safetensors``, all of them after each epoch.
    recipe : Recipe
    model : str or path
        Where to start from, as in `npformer.load`. If its classes are others, the heads start anew.
    scratch : bool
        Take only the architecture of `model`, and random weights.
    teacher : str or path, optional
        A network, as in `npformer.load`, whose answers the second head learns while the first
        learns the labels: see `Recipe.distillation`. It has the same classes and image size.
    val : str or path, optional
        Photographs to evaluate on after each epoch; by default `folder`'s ``val``, if it is there.
    resume : bool
        Go on with what `out` holds, if it holds anything. All else must be the same.
    unreadable : {"refuse", "skip"}
        What to do with a file that cannot be read.
    engine : {"auto", "numba", "numpy"}
        What computes, see `npformer.engine.make_gradients`: learning with dropout runs on the
        plain layers.
    callback : callable, optional
        Called with a `Progress`.

    Returns
    -------
    Fitted

    Raises
    ------
    DataError
        If there is nothing to learn from.
    ConfigError
        If the recipe is impossible, the teacher does not fit, or `resume` is to go on with other
        choices.
    FileExistsError
        If `out` holds a training and `resume` is not set.
    LearningError
        If the loss is no longer a number.
    ImageError
        If a file is not a usable image and is to be refused.
    KeyboardInterrupt
        On Ctrl-C, once everything has been saved.
    """
    train, test = split(Path(folder), None if val is None else Path(val))
    photos = find_photographs(train)
    checked = None if test is None else find_photographs(test, photos.classes)
    start = prepare(model, photos.classes, recipe.seed, scratch)
    guide = (
        None
        if teacher is None
        else read_teacher(teacher, start.params, start.config, start.processor, engine)
    )
    run = Training(
        Path(out),
        recipe,
        start,
        photos,
        checked,
        facts=_facts(recipe, model, scratch, photos, guide),
        teacher=guide,
        unreadable=unreadable,
        engine=engine,
        callback=callback,
    )
    now = run.first(resume)
    try:
        while len(now.history) < recipe.epochs:
            for after_step in run.epoch(now):
                now = after_step
            now = run.finish(now)
            run.tell(now, run.steps, run.rate(now.step - 1), finished=now.history[-1])
    except (KeyboardInterrupt, RuntimeError) as error:
        # A Ctrl-C just when Python takes a lock comes out as the RuntimeError of its release.
        if not any(isinstance(e, KeyboardInterrupt) for e in (error, error.__context__)):
            raise
        run.save(now)
        raise KeyboardInterrupt from error
    return Fitted(run.out, now.history, run.draw(now))


class Start(NamedTuple):
    """A network before the first step."""

    params: EfficientFormer
    config: EfficientFormerConfig
    processor: dict[str, Any]


def split(folder: Path, val: Path | None) -> tuple[Path, Path | None]:
    """Return the folder to learn from, and that to evaluate on, if there is one."""
    if not (folder / "train").is_dir():
        return folder, val
    if val is None and (folder / "val").is_dir():
        val = folder / "val"
    return folder / "train", val


def prepare(
    model: str | PathLike[str], classes: tuple[str, ...], seed: int = 0, scratch: bool = False
) -> Start:
    """Return a network for some classes, whose body and, for the same classes, heads are known."""
    if scratch and fspath(model) in VARIANTS:
        config, processor, distilled = EfficientFormerConfig.variant(fspath(model)), {}, True
        known = None
    else:
        found = checkpoints.read(model)
        config, processor, known = found.config, found.processor, found.params
        distilled = known.head is None or known.head_dist is not None
    same = list(config.id2label.values()) == list(classes)
    config = EfficientFormerConfig.from_dict(config.to_dict(), id2label=dict(enumerate(classes)))
    drawn = int(generator(seed, "heads").integers(2**63))
    fresh = initialize(config, drawn, distilled)
    params = fresh if known is None or scratch else known
    if not same:
        params = params._replace(head=fresh.head, head_dist=fresh.head_dist)
    return Start(contiguous(params), config, processor or default_processor(config, "hf"))


class Training:
    """Everything of a training that does not change from step to step; arguments as in `fit`."""

    def __init__(
        self,
        out: Path,
        recipe: Recipe,
        start: Start,
        photos: Photographs,
        val: Photographs | None,
        *,
        facts: dict[str, Any],
        teacher: Teacher | None = None,
        unreadable: Unreadable = "refuse",
        engine: str = "auto",
        callback: Callable[[Progress], None] | None = None,
    ) -> None:
        self.out, self.recipe, self.start, self.photos, self.val = out, recipe, start, photos, val
        self.facts, self.unreadable, self.engine, self.callback = (
            facts,
            unreadable,
            engine,
            callback,
        )
        self.teacher = None if teacher is None else teacher.forward
        self.processor = EfficientFormerImageProcessor.from_dict(start.processor)
        self.stepper = recipe.stepper()
        self.steps = steps_of(photos, recipe.batch_size)  # of an epoch
        self.learns = learned(recipe.frozen())
        paths = [path for path, _ in leaves(start.params)]
        for pattern in recipe.frozen():
            if not any(fnmatchcase(path, pattern) for path in paths):
                raise ConfigError(f"freeze has {pattern!r}, which fits no path such as {paths[0]}")
        learning = [path for path in paths if self.learns(path)]
        if not learning:
            raise ConfigError(f"freeze is {', '.join(recipe.freeze)}; nothing is left to learn")
        self.features: Callable[..., Logits] | None = None
        if all(path.startswith("head") for path in learning):
            bare = start.params._replace(head=None, head_dist=None)
            self.features = make_forward(bare, start.config, engine)
        else:
            self.learn = make_gradients(
                start.params, start.config, engine, recipe.dropout, recipe.drop_path
            )

    def first(self, resume: bool) -> State:
        """Return the state to begin with: that which was saved last, or a new one."""
        path, params = self.out / state.NAME, self.start.params
        if resume and path.is_file():
            now, facts = state.load(path, params)
            for name, value in self.facts.items():
                if facts.get(name) != value:
                    raise ConfigError(
                        f"{path}: begun with {name} = {facts.get(name)!r} and not {value!r}; "
                        "resume with the same choices, or begin in another folder"
                    )
        else:
            if self.out.is_dir() and any(p.name[0] != "." for p in self.out.iterdir()):
                raise FileExistsError(
                    f"{self.out}: not empty; "
                    + ("it holds no training to resume" if resume else "resume, or take another")
                )
            self.out.mkdir(parents=True, exist_ok=True)
            mean = params if self.recipe.average else None
            now = State(0, params, self.stepper.start(params), mean)
        for left_over in self.out.glob(f".{state.NAME}.*"):  # by a kill
            left_over.unlink()
        return now

    def epoch(self, now: State) -> Iterator[State]:
        """Take the steps that are left of the epoch, and yield the state after each."""
        recipe, epoch = self.recipe, len(now.history)
        clock = perf_counter()
        for batch in training_batches(
            self.photos,
            self.processor,
            recipe.augmentation,
            seed=recipe.seed,
            epoch=epoch,
            batch_size=recipe.batch_size,
            first=now.step - epoch * self.steps,
            unreadable=self.unreadable,
        ):
            rate = self.rate(now.step)
            now = self.step(now, batch, rate)
            before, clock = clock, perf_counter()
            now = now._replace(seconds=now.seconds + clock - before)
            yield now
            self.tell(now, now.step - epoch * self.steps, rate, unreadable=batch.unreadable)

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        recipe = self.recipe
        warmup = min(round(recipe.warmup * self.steps), recipe.epochs * self.steps - 1)
        lowest = recipe.rate / (warmup + 1)
        return cosine(step, recipe.epochs * self.steps, recipe.rate, warmup=warmup, start=lowest)

    def step(self, now: State, batch: Batch, rate: float) -> State:
        """Learn from a batch."""
        recipe, learns = self.recipe, self.learns
        if not len(batch.x):  # nothing of it could be read
            return now._replace(step=now.step + 1)
        loss, p, dp = self.gradients(now, *self.examples(batch, now.step))
        if not isfinite(loss):
            raise LearningError(
                f"the loss is {loss} at step {now.step}; lower the learning rate, {recipe.rate:g}"
            )
        dp = combine(lambda path, g: g if learns(path) else np.zeros_like(g), dp)
        if recipe.clip:
            dp, _ = clip(dp, recipe.clip)
        p, optimizer = self.stepper.update(p, dp, now.optimizer, rate, learns)
        p = contiguous(p)
        mean = None if now.mean is None else average(now.mean, p, recipe.average)
        return now._replace(
            step=now.step + 1,
            params=p,
            optimizer=optimizer._replace(
                first=contiguous(optimizer.first), second=contiguous(optimizer.second)
            ),
            mean=mean,
            losses=(*now.losses, loss),
        )

    def examples(self, batch: Batch, step: int) -> tuple[Array, Array]:
        """Return images and targets of a batch, mixed if the recipe says so."""
        alpha = self.recipe.augmentation.mixup
        if not alpha:
            return batch.x, batch.labels
        known = np.eye(len(self.photos.classes), dtype=batch.x.dtype)[batch.labels]  # (B, K)
        return mixup(batch.x, known, alpha, generator(self.recipe.seed, "mixup", step))

    def loss(self, outputs: Logits, targets: Array, x: Array) -> tuple[float, Logits]:
        """Return the loss of a batch, and its gradient with respect to the outputs."""
        recipe = self.recipe
        if self.teacher is None:
            return classification(outputs, targets, recipe.label_smoothing)
        answers = self.teacher(x).logits  # (B, K)
        if recipe.distillation == "hard":
            return hard_distillation(outputs, targets, answers, recipe.label_smoothing)
        return soft_distillation(
            outputs, targets, answers, recipe.label_smoothing, recipe.alpha, recipe.temperature
        )

    def gradients(
        self, now: State, x: Array, targets: Array
    ) -> tuple[float, EfficientFormer, EfficientFormer]:
        """Return the loss, the parameters with moved running statistics, and the gradients."""
        recipe, p = self.recipe, now.params
        if self.features is not None:
            pooled = self.features(x).logits  # (B, C): without heads, the features themselves
            loss, dlogits = self.loss(heads(pooled, p), targets, x)
            _, dhead, dhead_dist = heads_backward(dlogits, pooled, p)
            zero = transform(np.zeros_like, p)
            return loss, p, zero._replace(head=dhead, head_dist=dhead_dist)
        rng = generator(recipe.seed, "noise", now.step)
        loss, tape, dp = self.learn(x, p, lambda outputs: self.loss(outputs, targets, x), rng)
        frozen = recipe.frozen()

        def choose(path: str, moved: Array, old: Array) -> Array:
            return old if any(fnmatchcase(path, pattern) for pattern in frozen) else moved

        return loss, combine(choose, update_statistics(p, tape), p), dp

    def finish(self, now: State) -> State:
        """Evaluate after an epoch, and save."""
        epoch = len(now.history) + 1
        line: dict[str, Any] = {
            "epoch": epoch,
            "step": now.step,
            "rate": self.rate(now.step - 1),
            "loss": mean_loss(now.losses),
            "seconds": round(now.seconds, 3),
        }
        if self.val is not None:
            network = make_forward(self.result(now), self.start.config, self.engine)
            found = measure(network, self.val, self.processor, unreadable=self.unreadable)
            line |= {"val_loss": found.loss, "val_top1": found.top1, "val_top5": found.top5}
        now = now._replace(losses=(), seconds=0.0, history=(*now.history, line))
        self.save(now)
        return now

    def result(self, now: State) -> EfficientFormer:
        """Return the parameters to use: the average, if there is one."""
        return now.params if now.mean is None else now.mean

    def save(self, now: State) -> None:
        """Write the state, the network and the log."""
        state.save(self.out / state.NAME, now, self.facts)
        checkpoints.write(self.out, self.start.config, self.result(now), self.start.processor)
        with replacing(self.out / LOG) as temporary:
            text = "".join(json.dumps(line) + "\n" for line in now.history)
            temporary.write_text(text, encoding="utf-8")

    def draw(self, now: State) -> Path | None:
        """Draw the curves, if matplotlib is installed."""
        try:
            curves.draw(now.history, self.out / CURVES)
        except ModuleNotFoundError:
            return None
        return self.out / CURVES

    def tell(
        self,
        now: State,
        step: int,
        rate: float,
        unreadable: tuple[str, ...] = (),
        finished: dict[str, Any] | None = None,
    ) -> None:
        """Call the callback, after a step or, with its line of the log, after an epoch."""
        if self.callback is None:
            return
        epoch, epochs = len(now.history) + (finished is None), self.recipe.epochs
        loss = mean_loss(now.losses) if finished is None else finished["loss"]
        self.callback(Progress(epoch, epochs, step, self.steps, loss, rate, unreadable, finished))


def mean_loss(losses: tuple[float, ...]) -> float | None:
    """Return the mean loss of an epoch; None if nothing could be read."""
    return float(np.mean(losses)) if losses else None


def _facts(
    recipe: Recipe,
    model: str | PathLike[str],
    scratch: bool,
    photos: Photographs,
    teacher: Teacher | None,
) -> dict[str, Any]:
    """Return what must be the same for whoever resumes, as JSON gives it back."""
    names = [path.relative_to(photos.root).as_posix() for path in photos.paths]
    facts = {
        **asdict(recipe),
        "augmentation": recipe.augmentation._asdict(),
        "model": fspath(model),
        "scratch": scratch,
        "teacher": None if teacher is None else teacher.name,
        "photographs": f"{len(names)}, {hashlib.sha256(json.dumps(names).encode()).hexdigest()}",
    }
    described: dict[str, Any] = json.loads(json.dumps(facts))
    return described
