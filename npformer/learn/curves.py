"""A picture of the course of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..files.atomic import replacing
from ..files.optional import optional


def draw(history: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the loss and accuracy of each epoch as a PNG.

    Parameters
    ----------
    history : sequence of mapping
        The rows of the log.
    path : Path
        Replaced atomically.

    Raises
    ------
    MissingPackage
        If matplotlib is not installed.
    """
    with optional("matplotlib", "a picture of a training", "npformer[plot]"):
        from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained", facecolor="white")
    loss, accuracy = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in history]
    for ax, key, label, scale, color in (
        (loss, "loss", "training", 1, "#0072B2"),
        (loss, "val_loss", "validation", 1, "#D55E00"),
        (accuracy, "val_top1", "top-1", 100, "#D55E00"),
        (accuracy, "val_top5", "top-5", 100, "#E69F00"),
    ):
        if all(key in row for row in history):
            values = [scale * row[key] for row in history]
            ax.plot(epochs, values, color=color, label=label, marker="o", markersize=3)
            ax.legend(frameon=False)
    loss.set(xlabel="epoch", ylabel="loss (nats)", ylim=(0, None))
    accuracy.set(xlabel="epoch", ylabel="validation accuracy (%)", ylim=(0, 100))
    for ax in (loss, accuracy):
        ax.grid(alpha=0.3)
        ax.xaxis.get_major_locator().set_params(integer=True)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130)
