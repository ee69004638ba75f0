"""Photographs as the network sees them, and what the network makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...images.layout import channels_last
from ...images.settings import IMAGENET_MEAN, IMAGENET_STD
from ...layers import Array
from .axes import COLORS, axes_or_new, without_frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def photograph(
    pixel_values: Array,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    ax: Axes | None = None,
) -> Axes:
    """Show a preprocessed image, resized and cropped, in its original colors.

    Parameters
    ----------
    pixel_values : ndarray, shape (3, H, W)
        A preprocessed image.
    mean, std : sequence of float
        What preprocessing subtracted and divided by, for each color.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    MissingPackage
        If matplotlib is not installed.
    """
    ax = axes_or_new(ax, (4, 4))
    ax.imshow(denormalize(pixel_values, mean, std))
    return without_frame(ax)


def denormalize(
    pixel_values: Array,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
) -> Array:
    """Undo the normalization of an image.

    Parameters
    ----------
    pixel_values : ndarray, shape (3, H, W)
        A preprocessed image.
    mean, std : sequence of float
        What preprocessing subtracted and divided by, for each color.

    Returns
    -------
    ndarray of float64, shape (H, W, 3)
        From 0 to 1.
    """
    image = channels_last(np.asarray(pixel_values, np.float64))
    return np.clip(image * np.asarray(std) + np.asarray(mean), 0, 1)


def channels(pixel_values: Array, ax: Axes | None = None) -> Axes:
    """Show the red, green and blue channel of a preprocessed image side by side.

    Parameters
    ----------
    pixel_values : ndarray, shape (3, H, W)
    ax : Axes, optional

    Returns
    -------
    Axes
        A color bar tells the numbers.

    Raises
    ------
    MissingPackage
        If matplotlib is not installed.
    """
    ax = axes_or_new(ax, (8, 2.7))
    H, W = pixel_values.shape[1:]
    gap = max(W // 20, 1)
    sheet = np.full((H, 3 * W + 2 * gap), np.nan)
    for i, plane in enumerate(pixel_values):
        sheet[:, i * (W + gap) : i * (W + gap) + W] = plane
        ax.text(i * (W + gap) + W / 2, -0.03 * H, ("red", "green", "blue")[i], ha="center")
    picture = ax.imshow(sheet, cmap="cividis")
    ax.figure.colorbar(picture, ax=ax, fraction=0.015, pad=0.02)
    return without_frame(ax)


def feature_maps(
    maps: Array, count: int = 32, columns: int = 8, title: str = "", ax: Axes | None = None
) -> Axes:
    """Show channels of an activation as small pictures.

    Parameters
    ----------
    maps : ndarray, shape (H, W, C) or (1, H, W, C)
    count : int
        How many channels, from the first.
    columns : int
    title : str
    ax : Axes, optional

    Returns
    -------
    Axes
        Each channel uses the full range of colors: its smallest number is dark, its largest bright.
        Its index is in the corner.

    Raises
    ------
    MissingPackage
        If matplotlib is not installed.
    """
    maps = maps.reshape((-1, *maps.shape)[-3:])
    H, W, C = maps.shape
    count = min(count, C)
    columns = min(columns, count)
    rows = -(-count // columns)
    gap = max(W // 14, 1)
    sheet = np.full((rows * (H + gap) - gap, columns * (W + gap) - gap), np.nan)
    for i in range(count):
        top, left = i // columns * (H + gap), i % columns * (W + gap)
        sheet[top : top + H, left : left + W] = to_unit_range(maps[:, :, i])
    ax = axes_or_new(ax, (8, 8 * sheet.shape[0] / sheet.shape[1] + 0.3))
    ax.imshow(sheet, cmap="viridis", interpolation="nearest")
    for i in range(count):
        ax.text(
            i % columns * (W + gap) - 0.4, i // columns * (H + gap) - 0.4, str(i), va="top",
            fontsize=6, color="white",
            bbox={"facecolor": "black", "alpha": 0.6, "pad": 0.8, "linewidth": 0},
        )  # fmt: skip
    ax.set_title(title or f"{count} of {C} channels, {H}×{W} each", fontsize=10)
    return without_frame(ax)


def heatmap(
    pixel_values: Array,
    amounts: Array,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Lay a coarse map of amounts over the photograph, as for Grad-CAM.

    Parameters
    ----------
    pixel_values : ndarray, shape (3, H, W)
    amounts : ndarray, shape (rows, columns)
        Any grid; it is upsampled smoothly to the size of the photograph.
    title : str
    ax : Axes, optional

    Returns
    -------
    Axes
        The photograph in gray, colored where the amount is high.

    Raises
    ------
    MissingPackage
        If matplotlib is not installed.
    """
    ax = axes_or_new(ax, (4, 4))
    gray = denormalize(pixel_values).mean(-1)
    H, W = pixel_values.shape[1:]
    ax.imshow(gray, cmap="gray", vmin=0, vmax=1)
    strength = upsample(to_unit_range(amounts), H, W)
    ax.imshow(strength, cmap="inferno", alpha=0.25 + 0.5 * strength, vmin=0, vmax=1)
    ax.set_title(title, fontsize=10)
    return without_frame(ax)


def attention(
    pixel_values: Array,
    attn: Array,
    token: tuple[int, int],
    grid: tuple[int, int] | None = None,
    head: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Show where a token looks: its row of the attention, over the photograph.

    Parameters
    ----------
    pixel_values : ndarray, shape (3, H, W)
    attn : ndarray, shape (heads, N, N) or (1, heads, N, N)
    token : (row, column)
        The token, which a frame marks.
    grid : (rows, columns), optional
        Shape of the grid of tokens; a square by default.
    head : int, optional
        The head; the mean over all heads by default.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    MissingPackage
        If matplotlib is not installed.
    """
    attn = attn.reshape((-1, *attn.shape)[-3:])
    N = attn.shape[-1]
    rows, columns = grid or (int(N**0.5), int(N**0.5))
    weights = attn.mean(0) if head is None else attn[head]  # (N, N)
    looks = weights[token[0] * columns + token[1]].reshape(rows, columns)
    who = "mean of the heads" if head is None else f"head {head}"
    ax = heatmap(pixel_values, looks, f"token ({token[0]}, {token[1]}), {who}", ax)
    H, W = pixel_values.shape[1:]
    high, wide = H / rows, W / columns
    from matplotlib.patches import Rectangle

    for color, width in (("black", 4.0), (COLORS["sky blue"], 2.0)):
        ax.add_patch(
            Rectangle(
                (token[1] * wide - 0.5, token[0] * high - 0.5), wide, high,
                fill=False, edgecolor=color, linewidth=width,
            )
        )  # fmt: skip
    return ax


def upsample(grid: Array, H: int, W: int) -> Array:
    """Interpolate smoothly between the cells of a grid.

    Parameters
    ----------
    grid : ndarray, shape (rows, columns)
    H, W : int

    Returns
    -------
    ndarray, shape (H, W)
    """
    for axis, length in enumerate((H, W)):
        cells = grid.shape[axis]
        at = np.clip((np.arange(length) + 0.5) * cells / length - 0.5, 0, cells - 1)
        low = np.minimum(at.astype(int), max(cells - 2, 0))
        share = at - low
        share = np.expand_dims(share * share * (3 - 2 * share), 1 - axis)
        high = np.minimum(low + 1, cells - 1)
        grid = (1 - share) * grid.take(low, axis) + share * grid.take(high, axis)
    return grid


def to_unit_range(x: Array) -> Array:
    """Scale numbers linearly so that they range from 0 to 1; a constant becomes 0."""
    low, high = float(x.min()), float(x.max())
    return (x - low) / (high - low) if high > low else np.zeros(x.shape)
