"""The contenders in training: each takes steps (forward, backward, AdamW) on the same images.

A step returns the loss before it, so two steps tell whether a contender computes the same as
npformer: the first loss depends on the forward pass alone, the second on gradients and optimizer
as well. There is no augmentation, no dropout and no clipping.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..checkpoints import read
from ..engine import set_num_threads
from ..layers import Array
from ..learn import NONE, Recipe
from ..learn.class_folders import Photographs
from ..learn.data import Batch
from ..learn.optimizers import decays
from ..learn.state import TrainingState, contiguous
from ..learn.student import Student
from ..learn.trainer import Trainer
from . import peers

RECIPE = Recipe(lr=1e-4, label_smoothing=0.1, clip=0.0, augmentation=NONE)


def training_step(folder: Path, threads: int, engine: str = "auto") -> peers.Contender:
    """Return npformer's step: images, (B, H, W, 3), to the loss before the step, (1,)."""
    found = read(folder)
    student = Student(contiguous(found.params), found.config, found.processor)
    none = Photographs(folder, (), (), np.array([], int))
    trainer = Trainer(folder, RECIPE, student, none, None, settings={}, engine=engine)
    now = TrainingState(0, student.params, trainer.optimizer.init(student.params), None)

    def step(x: Array) -> Array:
        nonlocal now
        set_num_threads(threads)
        targets = labels(len(x), found.config.num_labels)
        now = trainer.train_step(now._replace(losses=()), Batch(x, targets, ()), RECIPE.lr)
        return np.array(now.losses)

    return peers.Contender(step, lambda: peers.dtypes(now.params))


def torch_step(make: Callable[[Path], Any], compiled: bool) -> peers.Maker:
    """Return the maker of PyTorch's step: channels last, with its fused AdamW."""

    def maker(folder: Path, threads: int) -> peers.Contender:
        import torch

        torch.set_num_threads(threads)
        model = make(folder).train().to(memory_format=torch.channels_last)
        groups: dict[float, list[Any]] = {0.0: [], RECIPE.weight_decay: []}
        for name, parameter in model.named_parameters():
            groups[RECIPE.weight_decay if decays(name, parameter) else 0.0].append(parameter)
        optimizer = torch.optim.AdamW(
            [{"params": group, "weight_decay": decay} for decay, group in groups.items()],
            lr=RECIPE.lr,
            fused=True,
        )
        loss_of = torch.nn.CrossEntropyLoss(label_smoothing=RECIPE.label_smoothing)
        run = torch.compile(model, dynamic=False) if compiled else model

        def step(x: Array) -> Array:
            torch.set_num_threads(threads)
            outputs = run(peers.channels_first_view(x))
            logits: Any = getattr(outputs, "logits", outputs)
            loss = loss_of(logits, torch.from_numpy(labels(len(x), logits.shape[-1])))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return np.array([loss.item()])

        return peers.Contender(step, lambda: peers.torch_dtypes(model))

    return maker


def two_losses(step: peers.Contender, x: Array) -> Array:
    """Return the losses, (2,), before and after a step."""
    return np.concatenate([step(x), step(x)])


def labels(count: int, classes: int) -> Array:
    """Return a class, (count,), for each image."""
    return np.arange(count) % classes


MAKERS: dict[str, peers.Maker] = {
    "npformer": training_step,
    "numpy": lambda folder, threads: training_step(folder, threads, "numpy"),
    "timm": torch_step(peers.timm_model, compiled=False),
    "timm compiled": torch_step(peers.timm_model, compiled=True),
    "transformers": torch_step(peers.transformers_model, compiled=False),
    "transformers compiled": torch_step(peers.transformers_model, compiled=True),
}
