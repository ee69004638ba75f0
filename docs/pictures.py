"""Make the pictures of the documentation: ``python docs/pictures.py [NAME…]``.

They are committed in ``docs/pictures``, so that the pages also read well on a code host. They show
what the package computes on its default weights; only the two block diagrams are drawn by hand.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

import npformer
from npformer import plots
from npformer.layers import ACTIVATIONS, pooling
from npformer.network.configuration import EfficientFormerConfig

HERE = Path(__file__).parent
COFFEE = HERE.parent / "notebooks/images/coffee.png"
plt.rcParams.update({"svg.hashsalt": "npformer", "font.size": 10})


def architectures() -> Figure:
    """The four networks, block by block."""
    figure, places = plt.subplots(4, 1, figsize=(9, 11.5), layout="constrained")
    for ax, name in zip(places, ("tiny", "l1", "l3", "l7"), strict=True):
        plots.architecture(EfficientFormerConfig.variant(name), ax=ax)
        if name != "tiny":
            ax.get_legend().remove()
        label = name if name == "tiny" else name.upper()
        ax.text(0, 1, label, transform=ax.transAxes, fontsize=14, fontweight="bold", va="top")
    return figure


def architecture() -> Figure:
    """EfficientFormer-L1."""
    return plots.architecture(EfficientFormerConfig.variant("l1")).figure


def blocks() -> Figure:
    """The two kinds of block, side by side."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 6.2), layout="constrained")
    draw_chain(
        left,
        "Pooling block, on images (B, H, W, C)",
        [
            ("pooling\n3×3 average − x", "sky blue", "mix neighboring pixels"),
            ("layer scale γ₁", "yellow", ""),
            ("+", "", ""),
            ("1×1 convolution, C → 4C\nbatch norm, GELU", "orange", "work on each pixel"),
            ("1×1 convolution, 4C → C\nbatch norm", "orange", ""),
            ("layer scale γ₂", "yellow", ""),
            ("+", "", ""),
        ],
    )
    draw_chain(
        right,
        "Attention block, on tokens (B, N, C)",
        [
            ("layer norm\nattention with biases", "vermilion", "let all tokens exchange"),
            ("layer scale γ₁", "yellow", ""),
            ("+", "", ""),
            ("layer norm\nlinear, C → 4C, GELU", "orange", "work on each token"),
            ("linear, 4C → C", "orange", ""),
            ("layer scale γ₂", "yellow", ""),
            ("+", "", ""),
        ],
    )
    return figure


def draw_chain(ax: Axes, title: str, steps: list[tuple[str, str, str]]) -> None:
    """Draw steps from top to bottom; a line leads past the steps before each plus sign."""
    arrow = {"arrowstyle": "-|>", "color": "0.2", "linewidth": 1.2}
    ax.set_title(title, fontsize=11, fontweight="bold")
    y, start = 0.0, 0.55
    ax.text(0, 0.62, "x", ha="center", va="bottom", fontsize=12, style="italic")
    for text, color, remark in steps:
        ax.annotate("", (0, y - 0.05), (0, y + 0.55), arrowprops=arrow)
        if text == "+":
            ax.plot(0, y - 0.25, "o", markersize=17, color="white", markeredgecolor="0.2", zorder=3)
            ax.text(0, y - 0.26, "+", ha="center", va="center", fontsize=13, zorder=4)
            past = 1.62
            ax.plot([0, past, past], [start - 0.2, start - 0.2, y - 0.25], color="0.2", lw=1.2)
            ax.annotate("", (0.16, y - 0.25), (past + 0.02, y - 0.25), arrowprops=arrow)
            y -= 1.0
            start = y + 0.5
            continue
        high = 0.9 if "\n" in text else 0.55
        box = plt.Rectangle(
            (-1.3, y - high - 0.05), 2.6, high, facecolor=plots.COLORS[color], alpha=0.55,
            edgecolor="0.2", linewidth=0.8,
        )  # fmt: skip
        ax.add_patch(box)
        ax.text(0, y - high / 2 - 0.05, text, ha="center", va="center", fontsize=10)
        ax.text(1.75, y - high / 2 - 0.05, remark, va="center", fontsize=9, style="italic")
        y -= high + 0.55
    ax.annotate("", (0, y + 0.1), (0, y + 0.55), arrowprops=arrow)
    ax.set_xlim(-1.6, 3.6)
    ax.set_ylim(y - 0.1, 1.1)
    ax.set_axis_off()


def explain() -> Figure:
    """The page that ``npformer explain`` makes of the cup of coffee."""
    return npformer.explain(COFFEE).figure()


def journey() -> Figure:
    """From the photograph to the answer, in a row."""
    page = npformer.explain(COFFEE)
    figure, places = plt.subplots(1, 6, figsize=(11, 2.1), layout="constrained")
    plots.photograph(page.pixel_values, ax=places[0])
    places[0].set_title("photograph", fontsize=10)
    for ax, name in zip(places[1:4], ("stem", "stages.1", "stages.3"), strict=True):
        plots.feature_maps(page.maps[name], 9, 3, name, ax=ax)
    assert page.attention is not None
    plots.attention(page.pixel_values, page.attention, page.token, ax=places[4])
    places[4].set_title("attention of a token", fontsize=10)
    answer = page.predictions[0]
    title = f"why {answer.label}, {answer.score:.0%}"
    plots.heatmap(page.pixel_values, page.cams[0], title, ax=places[5])
    return figure


def stages() -> Figure:
    """The first channels of the stem and of each stage, larger than in the page."""
    page = npformer.explain(COFFEE)
    figure, places = plt.subplots(1, 5, figsize=(11, 2.7), layout="constrained")
    for ax, (name, maps) in zip(places, page.maps.items(), strict=True):
        plots.feature_maps(maps, 9, 3, f"{name}\n{'×'.join(map(str, maps.shape))}", ax=ax)
    return figure


def attention() -> Figure:
    """Where four tokens look."""
    model = npformer.load("tiny", engine="numpy")
    attn = model.trace(COFFEE, "*.attn")["stages.3.blocks.2.token_mixer.attn"]
    figure, places = plt.subplots(1, 4, figsize=(9, 2.5), layout="constrained")
    for ax, token in zip(places, [(0, 0), (1, 1), (2, 2), (3, 1)], strict=True):
        plots.attention(model.preprocess(COFFEE), attn, token, ax=ax)
        ax.set_title(f"token {token}", fontsize=10)
    return figure


def biases() -> Figure:
    """What the heads of the first attention block learned about distances."""
    block = npformer.load("tiny", engine="numpy").params.stages[3].blocks[2]
    return plots.bias_tables(block.token_mixer.attention_biases).figure


def activations() -> Figure:
    """The activations that a configuration can name, as curves."""
    figure, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
    x = np.linspace(-4, 3, 400)
    styles = {"gelu": ("blue", "-", 2.5), "relu": ("vermilion", "--", 1.6),
              "silu": ("green", "-.", 1.6)}  # fmt: skip
    for name, (color, style, width) in styles.items():
        ax.plot(x, ACTIVATIONS[name](x), style, color=plots.COLORS[color], lw=width, label=name)
    ax.axhline(0, color="0.7", linewidth=0.6, zorder=0)
    ax.axvline(0, color="0.7", linewidth=0.6, zorder=0)
    ax.set_xlabel("x")
    ax.legend(frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return figure


def mixing() -> Figure:
    """What pooling as a token mixer does to a small picture."""
    x = np.zeros((1, 7, 7, 1))
    x[0, 1:4, 2:5] = 1
    x[0, 5, 5] = 1
    figure, places = plt.subplots(1, 3, figsize=(9, 3), layout="constrained")
    mixed = pooling(x)
    pictures = {"x": x, "average of 3×3": mixed + x, "average − x": mixed}
    for ax, (title, picture) in zip(places, pictures.items(), strict=True):
        ax.imshow(picture[0, :, :, 0], cmap="PuOr", vmin=-1, vmax=1)
        for i, j in np.ndindex(7, 7):
            value = picture[0, i, j, 0]
            ax.text(
                j, i, f"{value:.2g}" if value else "0", ha="center", va="center", fontsize=7,
                color="white" if abs(value) > 0.7 else "black",
            )  # fmt: skip
        ax.set_title(title, fontsize=10)
        ax.set_axis_off()
    return figure


PICTURES = {
    "architecture.svg": architecture,
    "architectures.svg": architectures,
    "blocks.svg": blocks,
    "activations.svg": activations,
    "mixing.svg": mixing,
    "biases.png": biases,
    "attention.png": attention,
    "journey.png": journey,
    "stages.png": stages,
    "explain.png": explain,
}


def save(figure: Figure, path: Path) -> None:
    """Write a figure; a PNG with 256 colors, which keeps it small."""
    if path.suffix == ".svg":
        figure.savefig(path, metadata={"Date": None}, facecolor="white")
        return
    file = io.BytesIO()
    figure.savefig(file, dpi=110, facecolor="white")
    image = Image.open(file).convert("RGB")
    palette = image.quantize(256)  # Pillow dithers only to a palette that it is given
    image.quantize(palette=palette).save(path, optimize=True)


if __name__ == "__main__":
    (HERE / "pictures").mkdir(exist_ok=True)
    for name, make in PICTURES.items():
        if not sys.argv[1:] or any(word in name for word in sys.argv[1:]):
            print(name)
            save(make(), HERE / "pictures" / name)
            plt.close("all")
