"""Pictures of what goes on inside the network, each as matplotlib Axes.

Every function takes arrays and an optional ``ax`` to draw on, and returns the Axes. matplotlib is
imported when the first picture is drawn; install it with ``pip install npformer[plot]``.

Colors: viridis and cividis for amounts, PuOr for signed numbers, and the palette of Okabe and Ito
(2008) for kinds. All of them can be told apart with any kind of color vision, and the first two in
gray print.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..layers import Array
from ..network import stage_sizes
from ..network.configuration import EfficientFormerConfig

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..classification import Predictions

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

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def photograph(
    pixel_values: Array,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    ax: Axes | None = None,
) -> Axes:
    """Show an image as the network sees it: resized and cropped, with the colors undone.

    Parameters
    ----------
    pixel_values : ndarray, shape (3, H, W)
        A preprocessed image.
    mean, std : sequence of float
        What preprocessing subtracted and divided by.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = _axes(ax, (4, 4))
    ax.imshow(colors(pixel_values, mean, std))
    return _bare(ax)


def colors(
    pixel_values: Array,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
) -> Array:
    """Undo the normalization: (3, H, W) of any numbers -> (H, W, 3) from 0 to 1."""
    image = np.moveaxis(np.asarray(pixel_values, np.float64), 0, -1)  # (3, H, W) -> (H, W, 3)
    return np.clip(image * np.asarray(std) + np.asarray(mean), 0, 1)


def channels(pixel_values: Array, ax: Axes | None = None) -> Axes:
    """Show the red, green and blue plane of a preprocessed image side by side, with their numbers.

    Parameters
    ----------
    pixel_values : ndarray, shape (3, H, W)
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = _axes(ax, (8, 2.7))
    H, W = pixel_values.shape[1:]
    gap = max(W // 20, 1)
    sheet = np.full((H, 3 * W + 2 * gap), np.nan)
    for i, plane in enumerate(pixel_values):
        sheet[:, i * (W + gap) : i * (W + gap) + W] = plane
        ax.text(i * (W + gap) + W / 2, -0.03 * H, ("red", "green", "blue")[i], ha="center")
    picture = ax.imshow(sheet, cmap="cividis")
    ax.figure.colorbar(picture, ax=ax, fraction=0.015, pad=0.02)
    return _bare(ax)


def feature_maps(
    maps: Array, count: int = 32, columns: int = 8, title: str = "", ax: Axes | None = None
) -> Axes:
    """Show channels of an activation as small gray pictures.

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
        Each tile uses the whole range of colors for itself: dark is the channel's smallest number,
        bright its largest. The number of the channel stands in its corner.
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
        sheet[top : top + H, left : left + W] = stretched(maps[:, :, i])
    ax = _axes(ax, (8, 8 * sheet.shape[0] / sheet.shape[1] + 0.3))
    ax.imshow(sheet, cmap="viridis", interpolation="nearest")
    for i in range(count):
        ax.text(
            i % columns * (W + gap) - 0.4, i // columns * (H + gap) - 0.4, str(i), va="top",
            fontsize=6, color="white",
            bbox={"facecolor": "black", "alpha": 0.6, "pad": 0.8, "linewidth": 0},
        )  # fmt: skip
    ax.set_title(title or f"{count} of {C} channels, {H}×{W} each", fontsize=10)
    return _bare(ax)


def heat(
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
        Any grid; it is enlarged smoothly to the photograph.
    title : str
    ax : Axes, optional

    Returns
    -------
    Axes
        The photograph in gray, colored where the amount is high.
    """
    ax = _axes(ax, (4, 4))
    gray = colors(pixel_values).mean(-1)
    H, W = pixel_values.shape[1:]
    ax.imshow(gray, cmap="gray", vmin=0, vmax=1)
    strength = enlarged(stretched(amounts), H, W)
    ax.imshow(strength, cmap="inferno", alpha=0.25 + 0.5 * strength, vmin=0, vmax=1)
    ax.set_title(title, fontsize=10)
    return _bare(ax)


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
        Which token; a frame marks it.
    grid : (rows, columns), optional
        Of the tokens; a square by default.
    head : int, optional
        Which head; their mean by default.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    attn = attn.reshape((-1, *attn.shape)[-3:])
    N = attn.shape[-1]
    rows, columns = grid or (int(N**0.5), int(N**0.5))
    weights = attn.mean(0) if head is None else attn[head]  # (N, N)
    looks = weights[token[0] * columns + token[1]].reshape(rows, columns)
    who = "mean of the heads" if head is None else f"head {head}"
    ax = heat(pixel_values, looks, f"token ({token[0]}, {token[1]}), {who}", ax)
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


def bias_tables(biases: Array, ax: Axes | None = None) -> Axes:
    """Show the attention biases: how much each head likes each distance.

    Parameters
    ----------
    biases : ndarray, shape (heads, rows, columns)
        Indexed by head, |Δy|, |Δx|.
    ax : Axes, optional

    Returns
    -------
    Axes
        For each head the whole neighborhood of a token that sits in the middle, mirrored from the
        table. Orange: looks there less; purple: looks there more.
    """
    count, rows, columns = biases.shape
    per_row = min(count, 8)
    lines = -(-count // per_row)
    high, wide = 2 * rows - 1, 2 * columns - 1
    ax = _axes(ax, (9, 9 * lines * (high + 2) / (per_row * (wide + 1)) + 0.3))
    sheet = np.full((lines * (high + 2) - 2, per_row * (wide + 1) - 1), np.nan)
    down, across = abs(np.arange(high) - rows + 1), abs(np.arange(wide) - columns + 1)
    for i, table in enumerate(biases):
        top, left = i // per_row * (high + 2), i % per_row * (wide + 1)
        sheet[top : top + high, left : left + wide] = table[np.ix_(down, across)]
        ax.text(left + wide / 2 - 0.5, top - 0.9, f"head {i}", ha="center", fontsize=8)
    limit = float(abs(biases).max()) or 1.0
    picture = ax.imshow(sheet, cmap="PuOr", vmin=-limit, vmax=limit, interpolation="nearest")
    ax.figure.colorbar(picture, ax=ax, fraction=0.012, pad=0.02)
    return _bare(ax)


def histograms(arrays: Mapping[str, Array], bins: int = 80, ax: Axes | None = None) -> Axes:
    """Show how the numbers of several arrays are spread, one ridge each, the first on top.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Such as a part of a `Trace`.
    bins : int
    ax : Axes, optional

    Returns
    -------
    Axes
        The horizontal axis holds 99.8 % of all numbers; the white mark is the mean.
    """
    ax = _axes(ax, (7, 0.42 * len(arrays) + 1))
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
    """Show the answers for an image as bars, the likeliest on top.

    Parameters
    ----------
    answers : Predictions
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    return bars({answer.label: 100 * answer.score for answer in answers}, "score, %", ax=ax)


def bars(
    amounts: Mapping[str, float], unit: str, color: str = "blue", ax: Axes | None = None
) -> Axes:
    """Show named amounts as horizontal bars, each with its number.

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
    """
    ax = _axes(ax, (6, 0.3 * len(amounts) + 0.7))
    drawn = ax.barh(list(amounts), list(amounts.values()), color=COLORS[color])
    ax.bar_label(drawn, [_number(a) for a in amounts.values()], padding=3, fontsize=9)
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
        For each bar its parts by name; parts of the same name have the same color.
    unit : str
        Label of the axis.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = _axes(ax, (8, 0.6 * len(parts) + 1.6))
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
        ax.text(total, i, f" {_number(total)}", va="center", fontsize=9)
    ax.set_ylim(len(parts) - 0.4, -0.6)  # the first on top
    ax.margins(x=0.1)
    ax.set_xlabel(unit)
    ax.legend(
        ncols=4, fontsize=8, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0
    )
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def architecture(config: EfficientFormerConfig, ax: Axes | None = None) -> Axes:
    """Draw the network: a box for each block, as high as the side of its feature maps.

    Parameters
    ----------
    config : EfficientFormerConfig
    ax : Axes, optional

    Returns
    -------
    Axes
        Heights are to the scale of the square root, else the last stages could not be seen.
    """
    ax = _axes(ax, (9, 2.9))
    from matplotlib.patches import Patch

    sizes = stage_sizes(*config.image_shape, config)
    conv, pool, attend, head = (
        COLORS[name] for name in ("yellow", "sky blue", "vermilion", "green")
    )
    last = len(sizes) - 1
    columns = [("stem", sizes[0], config.hidden_sizes[0], [conv])]
    for i, (depth, size) in enumerate(zip(config.depths, sizes, strict=True)):
        attending = config.num_meta3d_blocks if i == last else 0
        boxes = [pool] * (depth - attending) + [attend] * attending
        if i > 0 and config.has_downsample(i):
            boxes.insert(0, conv)
        columns.append((f"stage {i + 1}", size, config.hidden_sizes[i], boxes))
    columns.append(("head", (1, 1), config.num_labels, [head]))

    bottom = -(sizes[0][0] ** 0.5) / 2
    text: dict[str, Any] = {"va": "top", "fontsize": 8, "linespacing": 1.5}
    x = 0.0
    for name, (rows, cols), width, boxes in columns:
        start, high = x, rows**0.5
        for color in boxes:
            ax.bar(x + 0.4, high, 0.8, -high / 2, color=color, edgecolor="0.3", linewidth=0.6)
            x += 0.95
        grid = f"{rows}×{cols}" if name != "head" else ""
        middle = (start + x - 0.15) / 2
        ax.text(middle, bottom * 1.1, f"{name}\n{grid}\n{width}", ha="center", **text)
        x += 0.7
    end = x - 0.7
    ax.text(0.4 - 0.037 * end, bottom * 1.1, "\ngrid\nchannels", ha="right", **text)
    ax.set_xlim(0.4 - 0.12 * end, end)
    ax.set_ylim(bottom * 1.75, -bottom * 1.05)
    kinds = {
        "convolution": conv,
        "pooling block, on images": pool,
        "attention block, on tokens": attend,
        "classifier": head,
    }
    keys = [Patch(facecolor=c, edgecolor="0.3", label=kind) for kind, c in kinds.items()]
    ax.legend(
        handles=keys, ncols=4, fontsize=8, frameon=False, loc="lower center",
        bbox_to_anchor=(0.5, 0.98),
    )  # fmt: skip
    return _bare(ax)


def _axes(ax: Axes | None, size: tuple[float, float]) -> Axes:
    """Return the Axes to draw on: the given one, or those of a new figure."""
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "npformer.plots draws with matplotlib: pip install 'npformer[plot]'"
        ) from error
    return plt.subplots(figsize=size, layout="constrained")[1]


def _bare(ax: Axes) -> Axes:
    """Take away ticks and frame, which say nothing about a picture."""
    ax.set_axis_off()
    return ax


def _number(amount: float) -> str:
    """Print three digits, without an exponent for what is not tiny."""
    return f"{amount:,.0f}" if abs(amount) >= 1000 else f"{amount:.3g}"


def enlarged(grid: Array, H: int, W: int) -> Array:
    """Interpolate smoothly between the cells of a grid: (rows, columns) -> (H, W)."""
    for axis, length in enumerate((H, W)):
        cells = grid.shape[axis]
        at = np.clip((np.arange(length) + 0.5) * cells / length - 0.5, 0, cells - 1)
        low = np.minimum(at.astype(int), max(cells - 2, 0))
        share = at - low
        share = np.expand_dims(share * share * (3 - 2 * share), 1 - axis)
        high = np.minimum(low + 1, cells - 1)
        grid = (1 - share) * grid.take(low, axis) + share * grid.take(high, axis)
    return grid


def stretched(x: Array) -> Array:
    """Spread numbers over the whole range from 0 to 1; a constant becomes 0."""
    low, high = float(x.min()), float(x.max())
    return (x - low) / (high - low) if high > low else np.zeros(x.shape)
