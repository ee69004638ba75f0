"""The training loop.

    for each batch:    forward → loss → backward → clip → optimizer step → moving average
    for each epoch:    evaluate → save everything

A step is a function of the state before it and of random numbers drawn for it alone
(`npformer.learn.data.generator`). So training may stop anywhere and resume from the last saved
state, bit for bit as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from ..engine import make_forward, make_gradients
from ..errors import ConfigError, NpformerError
from ..images.processor import EfficientFormerImageProcessor
from ..layers import Array
from ..network import EfficientFormer, Logits, heads, heads_backward, update_statistics
from ..network.tree import combine, leaves, transform
from . import curves, results, state
from .augment import mixup
from .class_folders import DataError, Photographs
from .data import Batch, Unreadable, generator, steps_per_epoch, training_batches
from .evaluation import evaluate_network
from .objectives import classification_loss, hard_distillation_loss, soft_distillation_loss
from .optimizers import OptimizerState, clip_grad_norm, cosine_schedule, ema, trainable
from .progress import Progress
from .recipe import Recipe
from .state import TrainingState, contiguous
from .student import Student
from .teacher import Teacher


class LearningError(NpformerError, ArithmeticError):
    """The loss, or what the network answers, is no longer a finite number."""


class Trainer:
    """Everything about a training that stays the same from step to step.

    Parameters
    ----------
    out : Path
        Folder for the results.
    recipe : Recipe
    student : Student
        The network to train.
    photos : Photographs
        To learn from.
    val : Photographs or None
        To evaluate on after each epoch.
    settings : dict
        What a resumed training must share with the one that was interrupted.
    teacher : Teacher, optional
    unreadable : {"refuse", "skip"}
    engine : {"auto", "numba", "numpy"}
    callback : callable, optional
        Called with a `Progress`.

    Raises
    ------
    ConfigError
        If a frozen pattern matches no parameter, all parameters are frozen, or the engine cannot
        run this training.
    """

    def __init__(
        self,
        out: Path,
        recipe: Recipe,
        student: Student,
        photos: Photographs,
        val: Photographs | None,
        *,
        settings: dict[str, Any],
        teacher: Teacher | None = None,
        unreadable: Unreadable = "refuse",
        engine: str = "auto",
        callback: Callable[[Progress], None] | None = None,
    ) -> None:
        self.out, self.recipe, self.student = out, recipe, student
        self.photos, self.val, self.settings = photos, val, settings
        self.unreadable, self.engine, self.callback = unreadable, engine, callback
        self.teacher = None if teacher is None else teacher.forward
        self.processor = EfficientFormerImageProcessor.from_dict(student.processor)
        self.noted: dict[str, bool] = {}
        """about each file that could not be read, and whether it was reported"""
        self.optimizer = recipe.make_optimizer()
        self.steps_per_epoch = steps_per_epoch(photos, recipe.batch_size)
        self.is_trainable = trainable(recipe.frozen_patterns())
        paths = [path for path, _ in leaves(student.params)]
        for pattern in recipe.frozen_patterns():
            if not any(fnmatchcase(path, pattern) for path in paths):
                raise ConfigError(
                    f"freeze has {pattern!r}, which matches no path such as {paths[0]}"
                )
        learned = [path for path in paths if self.is_trainable(path)]
        if not learned:
            raise ConfigError(f"freeze is {', '.join(recipe.freeze)}; nothing is left to learn")
        self.frozen_body: Callable[..., Logits] | None = None
        """images to pooled features, if only heads are trained"""
        if all(path.startswith("head") for path in learned):
            body = student.params._replace(head=None, head_dist=None)
            self.frozen_body = make_forward(body, student.config, engine)
        else:
            self.network_gradients = make_gradients(
                student.params, student.config, engine, recipe.dropout, recipe.drop_path
            )

    def initial_state(self, resume: bool) -> TrainingState:
        """Return the saved state, if there is one to resume, or a new one.

        The network and the log are written again as the saved state has them: a kill while they
        were saved may have left those of the epoch before.

        Raises
        ------
        ConfigError
            If the saved training was begun with other settings.
        WeightsError
            If the saved state is damaged.
        OSError
            If the folder cannot be written to.
        """
        path, params = self.out / state.NAME, self.student.params
        now = TrainingState(
            0, params, self.optimizer.init(params), params if self.recipe.average else None
        )
        if resume and path.is_file():
            now = state.load(path, now, self.settings)
            results.write(self.out, now, self.student, self.result(now))
        self.out.mkdir(parents=True, exist_ok=True)
        results.remove_left_overs(self.out)
        return now

    def run_epoch(self, now: TrainingState) -> Iterator[TrainingState]:
        """Take the steps left in the epoch, and yield the state after each.

        Raises
        ------
        LearningError
            If the loss is no longer a finite number.
        ImageError
            If a file cannot be read and `unreadable` is ``"refuse"``.
        """
        recipe, epoch = self.recipe, len(now.history)
        clock = perf_counter()
        for batch in training_batches(
            self.photos,
            self.processor,
            recipe.augmentation,
            seed=recipe.seed,
            epoch=epoch,
            batch_size=recipe.batch_size,
            first=now.step - epoch * self.steps_per_epoch,
            unreadable=self.unreadable,
        ):
            lr = self.learning_rate(now.step)
            now = self.train_step(now, batch, lr)
            before, clock = clock, perf_counter()
            now = now._replace(seconds=now.seconds + clock - before)
            yield now
            self.note_unreadable(batch.unreadable)
            self.report(now, now.step - epoch * self.steps_per_epoch, lr)

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        recipe, per_epoch = self.recipe, self.steps_per_epoch
        steps = recipe.epochs * per_epoch
        warmup = min(round(recipe.warmup * per_epoch), steps - 1)
        return cosine_schedule(step, steps, recipe.lr, warmup, start_lr=recipe.lr / (warmup + 1))

    def train_step(self, now: TrainingState, batch: Batch, lr: float) -> TrainingState:
        """Learn from one batch.

        Raises
        ------
        LearningError
            If the loss is not a finite number.
        """
        recipe, is_trainable = self.recipe, self.is_trainable
        if not len(batch.x):  # none of its photographs could be read
            return now._replace(step=now.step + 1)
        loss, p, dp = self.gradients(now, *self.examples(batch, now.step))
        if not isfinite(loss):
            raise LearningError(f"the loss is {loss} at step {now.step}; {self.remedy()}")
        dp = combine(lambda path, g: g if is_trainable(path) else np.zeros_like(g), dp)
        if recipe.clip:
            dp, _ = clip_grad_norm(dp, recipe.clip)
        p, optimizer = self.optimizer.update(p, dp, now.optimizer, lr, is_trainable)
        p = contiguous(p)
        return now._replace(
            step=now.step + 1,
            params=p,
            optimizer=OptimizerState(optimizer.step, *map(contiguous, optimizer[1:])),
            ema_params=None if now.ema_params is None else ema(now.ema_params, p, recipe.average),
            losses=(*now.losses, loss),
        )

    def examples(self, batch: Batch, step: int) -> tuple[Array, Array]:
        """Return images and targets of a batch, with mixup if the recipe asks for it."""
        alpha = self.recipe.augmentation.mixup
        if not alpha:
            return batch.x, batch.labels
        one_hot = np.eye(len(self.photos.classes), dtype=batch.x.dtype)[batch.labels]  # (B, K)
        return mixup(batch.x, one_hot, alpha, generator(self.recipe.seed, "mixup", step))

    def loss(self, outputs: Logits, targets: Array, x: Array) -> tuple[float, Logits]:
        """Return the loss of a batch, and its gradient with respect to the outputs.

        Parameters
        ----------
        outputs : Logits
        targets : ndarray of int, shape (B,), or of float, shape (B, K)
        x : ndarray, shape (B, H, W, 3)
            Images, which a teacher sees too.

        Returns
        -------
        loss : float
        dlogits : Logits

        Raises
        ------
        ValueError
            If a teacher is given and the network has no distillation head.
        """
        recipe = self.recipe
        if self.teacher is None:
            return classification_loss(outputs, targets, recipe.label_smoothing)
        answers = self.teacher(x).logits  # (B, K)
        if recipe.distillation == "hard":
            return hard_distillation_loss(outputs, targets, answers, recipe.label_smoothing)
        return soft_distillation_loss(
            outputs, targets, answers, recipe.label_smoothing, recipe.alpha, recipe.temperature
        )

    def gradients(
        self, now: TrainingState, x: Array, targets: Array
    ) -> tuple[float, EfficientFormer, EfficientFormer]:
        """Return the loss, the parameters with updated running statistics, and the gradients."""
        recipe, p = self.recipe, now.params
        if self.frozen_body is not None:
            pooled = self.frozen_body(x).logits  # (B, C): without heads, logits are the features
            loss, dlogits = self.loss(heads(pooled, p), targets, x)
            _, dhead, dhead_dist = heads_backward(dlogits, pooled, p)
            zeros = transform(np.zeros_like, p)
            return loss, p, zeros._replace(head=dhead, head_dist=dhead_dist)
        rng = generator(recipe.seed, "noise", now.step)
        loss, tape, dp = self.network_gradients(
            x, p, lambda outputs: self.loss(outputs, targets, x), rng
        )
        frozen = recipe.frozen_patterns()

        def keep_frozen(path: str, updated: Array, old: Array) -> Array:
            return old if any(fnmatchcase(path, pattern) for pattern in frozen) else updated

        return loss, combine(keep_frozen, update_statistics(p, tape), p), dp

    def finish_epoch(self, now: TrainingState) -> TrainingState:
        """Look at the network of the last step, add a row to the log, and save.

        Raises
        ------
        LearningError
            If the network's answers are not finite numbers; nothing is saved.
        DataError
            If no photograph of this epoch could be read.
        OSError
            If a file cannot be written.
        """
        if not now.losses:
            raise DataError(f"{self.photos.root}: no photograph of this epoch could be read")
        row: dict[str, Any] = {
            "epoch": len(now.history) + 1,
            "step": now.step,
            "lr": self.learning_rate(now.step - 1),
            "loss": now.mean_loss(),
            "seconds": round(now.seconds, 3),
        }
        forward = make_forward(self.result(now), self.student.config, self.engine)
        photos = self.photos.few() if self.val is None else self.val
        skip: Unreadable = "skip" if self.val is None else self.unreadable
        found = evaluate_network(forward, photos, self.processor, unreadable=skip)
        if not isfinite(found.loss):
            raise LearningError(
                f"after step {now.step} the network answers photographs of {photos.root} with "
                f"numbers that are not finite (loss {found.loss}); {self.remedy()}"
            )
        if self.val is not None:
            row |= {"val_loss": found.loss, "val_top1": found.top1, "val_top5": found.top5}
            self.note_unreadable(found.unreadable)
        now = now._replace(losses=(), seconds=0.0, history=(*now.history, row))
        self.save(now)
        return now

    def remedy(self) -> str:
        """Say what to do where numbers grow too large."""
        return f"lower the learning rate, {self.recipe.lr:g}"

    def result(self, now: TrainingState) -> EfficientFormer:
        """Return the parameters to use: the moving average, if there is one."""
        return now.params if now.ema_params is None else now.ema_params

    def save(self, now: TrainingState) -> None:
        """Write the state, the network and the log; each file is replaced atomically."""
        state.save(self.out / state.NAME, now, self.settings)
        results.write(self.out, now, self.student, self.result(now))

    def note_unreadable(self, messages: tuple[str, ...]) -> None:
        """Keep what is to be reported about files that could not be read: each of them once."""
        new = [message for message in messages if message not in self.noted]
        self.noted |= dict.fromkeys(new, False)

    def draw_curves(self, now: TrainingState) -> Path | None:
        """Draw the curves, or return None if matplotlib is not installed."""
        path = self.out / results.CURVES
        try:
            curves.draw(now.history, path)
        except ModuleNotFoundError:
            return None
        return path

    def report(
        self, now: TrainingState, step: int, lr: float, finished: dict[str, Any] | None = None
    ) -> None:
        """Call the callback.

        Parameters
        ----------
        now : TrainingState
        step : int
            Of the epoch, from 1.
        lr : float
        finished : dict, optional
            The row of the log, if the epoch is over.
        """
        if self.callback is None:
            return
        epoch, epochs = len(now.history) + (finished is None), self.recipe.epochs
        loss = now.mean_loss() if finished is None else finished["loss"]
        unreadable = tuple(message for message, told in self.noted.items() if not told)
        self.noted |= dict.fromkeys(unreadable, True)
        self.callback(
            Progress(epoch, epochs, step, self.steps_per_epoch, loss, lr, unreadable, finished)
        )
