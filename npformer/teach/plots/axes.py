"""What all pictures share: colors, and the Axes that they are drawn on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...files.optional import optional

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky blue": "#56B4E9",
    "green": "#009E73",
    "yellow": "#F0E442",
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "purple": "#CC79A7",
}
"""Okabe and Ito, "Color universal design" (2008)."""


def axes_or_new(ax: Axes | None, size: tuple[float, float]) -> Axes:
    """Return the given Axes, or those of a new figure.

    Parameters
    ----------
    ax : Axes or None
    size : (width, height)
        Of a new figure, in inches.

    Returns
    -------
    Axes

    Raises
    ------
    MissingPackage
        If a figure is needed and matplotlib is not installed.
    """
    if ax is not None:
        return ax
    with optional("matplotlib", "npformer.plots", "npformer[plot]"):
        import matplotlib.pyplot as plt
    return plt.subplots(figsize=size, layout="constrained")[1]


def without_frame(ax: Axes) -> Axes:
    """Remove ticks and frame, which mean nothing around a picture."""
    ax.set_axis_off()
    return ax


def rounded(amount: float) -> str:
    """Print a number with three digits, and large ones without an exponent."""
    return f"{amount:,.0f}" if abs(amount) >= 1000 else f"{amount:.3g}"
