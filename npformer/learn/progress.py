"""How far a training is."""

from __future__ import annotations

from typing import Any, NamedTuple


class Progress(NamedTuple):
    """What the callback of `npformer.learn.fit` receives: after each step and after each epoch."""

    epoch: int
    """from 1"""
    epochs: int
    step: int
    """of this epoch, from 1"""
    steps: int
    """of each epoch"""
    loss: float | None
    """mean over this epoch so far; None if no photograph could be read"""
    lr: float
    """learning rate of the step"""
    unreadable: tuple[str, ...]
    """a message for each file that was left out and not reported before"""
    finished: dict[str, Any] | None
    """the row of the log, if the epoch is over"""
