"""Charts: how numbers are distributed, and how amounts compare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ...layers import Array
from .axes import COLORS, axes_or_new, rounded

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ...classification import Predictions


def histograms(arrays: Mapping[str, Array], bins: int = 80, ax: Axes | None = None) -> Axes:
    """Show the distribution of the numbers of several arrays, a ridge for each, the first on top.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Such as a part of a `Trace`.
    bins : int
    ax : Axes, optional

    Returns
    -------
    Axes
        The horizontal axis covers 99.8 % of all numbers; a white mark is the mean.

    Raises
    ------
    MissingPackage
        If matplotlib is not installed.
    """
    ax = axes_or_new(ax, (7, 0.42 * len(arrays) + 1))
    everything = np.concatenate([np.ravel(a) for a in arrays.values()])
    low, high = np.quantile(everything, [0.001, 0.999])
    edges = np.linspace(low, high, bins + 1)
    middle = (edges[1:] + edges[:-1]) / 2
    for i, array in enumerate(arrays.values()):
        counts = np.histogram(array, edges)[0]
        shape = counts / max(counts.max(), 1)
        ax.fill_between(middle, -i, -i + 0.9 * shape, color=COLORS["blue"], alpha=0.75, linewidth=0)
        mean = float(np.mean(array))
        ax.plot([mean, mean], [-i, -i + 0.45], color="white", linewidth=1.5)
    ax.axvline(0, color="0.5", linewidth=0.6, zorder=0)
    ax.set_yticks([-i for i in range(len(arrays))], list(arrays), fontsize=8)
    ax.set_xlabel("value")
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(left=False)
    return ax


def predictions(answers: Predictions, ax: Axes | None = None) -> Axes:
    """Show the predictions for an image as bars, the likeliest on top.

    Parameters
    ----------
    answers : Predictions
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    MissingPackage
        If matplotlib is not installed.
    """
    return bars({answer.label: 100 * answer.score for answer in answers}, "score, %", ax=ax)


def bars(
    amounts: Mapping[str, float], unit: str, color: str = "blue", ax: Axes | None = None
) -> Axes:
    """Show amounts as horizontal bars, each with its name and number.

    Parameters
    ----------
    amounts : mapping of str to float
    unit : str
        Label of the axis.
    color : str
        A key of `COLORS`.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    MissingPackage
        If matplotlib is not installed.
    """
    ax = axes_or_new(ax, (6, 0.3 * len(amounts) + 0.7))
    drawn = ax.barh(list(amounts), list(amounts.values()), color=COLORS[color])
    ax.bar_label(drawn, [rounded(a) for a in amounts.values()], padding=3, fontsize=9)
    ax.set_ylim(len(amounts) - 0.4, -0.6)  # the first on top
    ax.margins(x=0.12)
    ax.set_xlabel(unit)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def stacked_bars(
    parts: Mapping[str, Mapping[str, float]], unit: str, ax: Axes | None = None
) -> Axes:
    """Show what several totals are made of, such as the time of each kind of operator.

    Parameters
    ----------
    parts : mapping of str to mapping of str to float
        The parts of each bar, by name; parts of the same name have the same color.
    unit : str
        Label of the axis.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    MissingPackage
        If matplotlib is not installed.
    """
    ax = axes_or_new(ax, (8, 0.6 * len(parts) + 1.6))
    names = list(dict.fromkeys(name for bar in parts.values() for name in bar))
    palette = [c for name, c in COLORS.items() if name != "black"] + ["0.45", "0.75", "0.2"]
    left = np.zeros(len(parts))
    for i, name in enumerate(names):
        lengths = np.array([bar.get(name, 0.0) for bar in parts.values()])
        ax.barh(
            list(parts), lengths, left=left, label=name, color=palette[i % len(palette)],
            hatch="" if i < len(palette) else "//", edgecolor="white", linewidth=0.5, height=0.65,
        )  # fmt: skip
        left += lengths
    for i, total in enumerate(left):
        ax.text(total, i, f" {rounded(total)}", va="center", fontsize=9)
    ax.set_ylim(len(parts) - 0.4, -0.6)  # the first on top
    ax.margins(x=0.1)
    ax.set_xlabel(unit)
    ax.legend(
        ncols=4, fontsize=8, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0
    )
    ax.spines[["top", "right"]].set_visible(False)
    return ax
