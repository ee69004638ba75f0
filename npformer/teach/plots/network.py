"""Pictures of a network itself: its architecture, and its attention biases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...layers import Array
from ...network import stage_sizes
from ...network.configuration import EfficientFormerConfig
from .axes import COLORS, axes_or_new, without_frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def architecture(config: EfficientFormerConfig, ax: Axes | None = None) -> Axes:
    """Draw a network as boxes, one for each block; larger feature maps make higher boxes.

    Parameters
    ----------
    config : EfficientFormerConfig
    ax : Axes, optional

    Returns
    -------
    Axes
        Heights are the square roots of the sides of the maps, so that the last stages stay visible.

    Raises
    ------
    MissingPackage
        If matplotlib is not installed.
    """
    ax = axes_or_new(ax, (9, 2.9))
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
    return without_frame(ax)


def bias_tables(biases: Array, ax: Axes | None = None) -> Axes:
    """Show the attention biases: how each head favors or avoids each distance.

    Parameters
    ----------
    biases : ndarray, shape (heads, rows, columns)
        Indexed by head, |Δy|, |Δx|.
    ax : Axes, optional

    Returns
    -------
    Axes
        For each head the whole neighborhood of a token in the middle, mirrored from the table. The
        head attends less to orange places and more to purple ones.

    Raises
    ------
    MissingPackage
        If matplotlib is not installed.
    """
    count, rows, columns = biases.shape
    per_row = min(count, 8)
    lines = -(-count // per_row)
    high, wide = 2 * rows - 1, 2 * columns - 1
    ax = axes_or_new(ax, (9, 9 * lines * (high + 2) / (per_row * (wide + 1)) + 0.3))
    sheet = np.full((lines * (high + 2) - 2, per_row * (wide + 1) - 1), np.nan)
    down, across = abs(np.arange(high) - rows + 1), abs(np.arange(wide) - columns + 1)
    for i, table in enumerate(biases):
        top, left = i // per_row * (high + 2), i % per_row * (wide + 1)
        sheet[top : top + high, left : left + wide] = table[np.ix_(down, across)]
        ax.text(left + wide / 2 - 0.5, top - 0.9, f"head {i}", ha="center", fontsize=8)
    limit = float(abs(biases).max()) or 1.0
    picture = ax.imshow(sheet, cmap="PuOr", vmin=-limit, vmax=limit, interpolation="nearest")
    ax.figure.colorbar(picture, ax=ax, fraction=0.012, pad=0.02)
    return without_frame(ax)
