"""The page about one photograph: its parts, each a heading, a text and a picture, and its HTML."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import display
from ..errors import MissingPackage
from ..layers import Array
from ..network.model import stage_sizes
from ..version import __version__
from . import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

    from .explaining import Explanation

WIDTH = 10.0
"""Width of every picture, in inches."""

SCALE = 8
"""Pixels along the side of a token in the picture that shows attention under the mouse."""


@dataclass(frozen=True)
class Part:
    """A part of the page."""

    heading: str
    text: str
    height: float
    """of the picture, in inches"""
    draw: Callable[[Any], None]
    """draws the picture on a Figure or SubFigure"""
    html: str = ""
    """what comes before the picture"""


def parts(explanation: Explanation) -> Iterator[Part]:
    """Yield the parts of the page, from the top."""
    yield _answer(explanation)
    yield _stages(explanation)
    if explanation.attention is not None:
        yield _attention(explanation, explanation.attention)
    yield _evidence(explanation)


def figure(title: str, shown: Iterable[Part]) -> Figure:
    """Draw the parts below each other, as one figure.

    Raises
    ------
    MissingPackage
        If matplotlib is not installed.
    """
    shown = list(shown)
    heights = [part.height + 0.3 for part in shown]
    page = _figure(sum(heights) + 0.4)
    page.suptitle(title, fontsize=14, fontweight="bold")
    places: Any = page.subfigures(len(shown), 1, height_ratios=heights)
    for part, place in zip(shown, places, strict=True):
        place.suptitle(part.heading, fontsize=11, x=0.01, ha="left")
        part.draw(place)
    return page


def article(title: str, shown: Iterable[Part]) -> str:
    """Write the parts as an HTML element, which brings its style and its pictures.

    Raises
    ------
    MissingPackage
        If matplotlib is not installed.
    """
    sections = []
    for part in shown:
        drawn = _figure(part.height)
        part.draw(drawn)
        sections.append(
            f"<section>\n<h2>{escape(part.heading)}</h2>\n<p>{escape(part.text)}</p>\n"
            f"{part.html}<div class='wide'>{_png(drawn, part.heading)}</div>\n</section>"
        )
    body = "\n".join(sections)
    return (
        f"<article class='npformer-page'>\n<style>{STYLE}</style>\n"
        f"<h1>{escape(title)}</h1>\n{body}\n"
        f"<footer>Made by npformer {__version__}.</footer>\n</article>"
    )


def document(title: str, body: str) -> str:
    """Write an HTML document, which needs no other file and no connection."""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<title>{escape(title)}</title>\n'
        f"<style>:root {{ color-scheme: light dark; }}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _answer(explanation: Explanation) -> Part:
    _, H, W = explanation.pixel_values.shape
    count = len(explanation.classifier.labels)

    def draw(figure: Figure | SubFigure) -> None:
        left, right = figure.subplots(1, 2, width_ratios=[1, 2])
        plots.photograph(_photograph(explanation), ax=left)
        plots.predictions(explanation.predictions, ax=right)

    return Part(
        "The photograph, and the answer",
        f"This is all the network sees: the photograph, resized and cropped to {H}×{W} pixels. The "
        f"network knows {count} classes and divides 100 % among them; these got the most.",
        3.0,
        draw,
    )


def _stages(explanation: Explanation) -> Part:
    def draw(figure: Figure | SubFigure) -> None:
        maps = explanation.maps
        for ax, (name, array) in zip(figure.subplots(1, len(maps)), maps.items(), strict=True):
            rows, columns, C = array.shape
            title = f"{name}\n{rows}×{columns}, {C} channels"
            plots.feature_maps(array, count=16, columns=4, title=title, ax=ax)

    return Part(
        "What the stem and each stage make of it",
        "Each small picture is one channel. It is bright where the channel found what it has "
        "learned to look for. The first channels find edges and colors and are as sharp as a "
        "drawing; the last are coarse and tell what is there. Sixteen channels of each stage are "
        "shown, under the names that a trace gives them (stages count from 0).",
        2.4,
        draw,
    )


def _attention(explanation: Explanation, attn: Array) -> Part:
    grid = _grid(explanation)
    heads = [None, *range(len(attn))]
    lines = -(-len(heads) // 5)

    def draw(figure: Figure | SubFigure) -> None:
        places = figure.subplots(lines, 5).ravel()
        for ax in places[len(heads) :]:
            ax.set_axis_off()
        for ax, head in zip(places, heads, strict=False):
            plots.attention(_photograph(explanation), attn, explanation.token, grid, head, ax=ax)
            ax.set_title("all heads" if head is None else f"head {head}", fontsize=10)

    row, column = explanation.token
    return Part(
        f"Where the token in row {row}, column {column} looks",
        f"In the last stage the picture is a grid of {grid[0]}×{grid[1]} places, called tokens. In "
        "an attention block each token, such as the framed one, takes in something from every "
        "other token, most from where the color is bright. It does so in several ways at once, "
        "called heads. This is the last attention block. Point at a place in the first picture to "
        "see where its token looks.",
        2.2 * lines,
        draw,
        _picker(explanation, attn),
    )


def _evidence(explanation: Explanation) -> Part:
    cams = explanation.cams

    def draw(figure: Figure | SubFigure) -> None:
        places = figure.subplots(1, max(len(cams), 3))
        for ax in places[len(cams) :]:
            ax.set_axis_off()
        for ax, answer, cam in zip(places, explanation.predictions, cams, strict=False):
            title = f"{answer.label}, {answer.score:.1%}"
            plots.heatmap(_photograph(explanation), cam, title, ax=ax)

    return Part(
        "Which places speak for which class",
        "Grad-CAM: the gradient of a class's score tells which channels of the last stage speak "
        "for the class, and the picture is bright where these channels are strong. Each picture "
        "uses the full range of colors, however small the score.",
        3.0,
        draw,
    )


def _picker(explanation: Explanation, attn: Array) -> str:
    """Write the photograph with a field for each token, which shows where that token looks."""
    from matplotlib import colormaps

    rows, columns = _grid(explanation)
    fields = []
    for i, looks in enumerate(attn.mean(0)):  # (N,)
        strength = plots.to_unit_range(looks.reshape(rows, columns))
        strength = plots.upsample(strength, SCALE * rows, SCALE * columns)
        overlay = colormaps["inferno"](strength)  # (SCALE·rows, SCALE·columns, 4)
        overlay[..., 3] = 0.25 + 0.5 * strength
        row, column = divmod(i, columns)
        chosen = " class='chosen'" if (row, column) == explanation.token else ""
        fields.append(
            f"<i tabindex='0'{chosen} title='token ({row}, {column})'>{display.image(overlay)}</i>"
        )
    gray = plots.denormalize(_photograph(explanation)).mean(-1)
    shape = f"grid-template: repeat({rows}, 1fr) / repeat({columns}, 1fr)"
    return (
        f"<div class='picker'>{display.image(gray, 'the photograph in gray')}"
        f"<div class='fields' style='{shape}'>{''.join(fields)}</div></div>\n"
    )


def _photograph(explanation: Explanation) -> Array:
    """Return the pixel values as `plots` expects them, whatever normalization the network has."""
    processor = explanation.classifier.processor
    normalized = processor.do_normalize
    mean, std = (processor.image_mean, processor.image_std) if normalized else ([0], [1])
    shown = plots.denormalize(explanation.pixel_values, mean, std)  # (H, W, 3)
    return np.moveaxis((shown - plots.IMAGENET_MEAN) / plots.IMAGENET_STD, -1, 0)


def _grid(explanation: Explanation) -> tuple[int, int]:
    """Return the rows and columns of the tokens."""
    _, H, W = explanation.pixel_values.shape
    return stage_sizes(H, W, explanation.classifier.config)[-1]


def _figure(height: float) -> Figure:
    """Return a figure that opens no window."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingPackage(
            "an explanation is drawn with matplotlib, which is not installed. Install it: "
            'pip install "npformer[plot]"'
        ) from error
    return Figure(figsize=(WIDTH, height), layout="constrained", facecolor="white")


def _png(drawn: Figure, alt: str) -> str:
    """Write a figure as an ``<img>``."""
    file = BytesIO()
    drawn.savefig(file, format="png", dpi=160)
    data = display.encoded(file.getvalue())
    return f"<img alt='{escape(alt)}' src='data:image/png;base64,{data}'>"


STYLE = """
.npformer-page { max-width: 62rem; margin: 0 auto; padding: 1rem;
  font: 1rem/1.5 system-ui, sans-serif; }
.npformer-page h1 { font-size: 1.5rem; }
.npformer-page h2 { font-size: 1.15rem; margin: 2rem 0 0.3rem; }
.npformer-page p { max-width: 44rem; margin: 0.3rem 0 0.8rem; }
.npformer-page .wide { overflow-x: auto; border-radius: 6px; }
.npformer-page .wide img { display: block; width: 100%; min-width: 36rem; height: auto; }
.npformer-page .picker { position: relative; width: min(22rem, 100%); margin-bottom: 0.8rem; }
.npformer-page .picker img { display: block; width: 100%; height: 100%; border-radius: 6px; }
.npformer-page .fields { position: absolute; inset: 0; display: grid; }
.npformer-page .fields i { cursor: crosshair; outline: none; }
.npformer-page .fields i img { position: absolute; inset: 0; opacity: 0; pointer-events: none; }
.npformer-page .fields i::after { content: ""; display: block; position: relative; z-index: 1;
  height: 100%; outline-offset: -2px; }
.npformer-page .fields i:is(:hover, :focus)::after,
.npformer-page .fields:not(:hover, :focus-within) .chosen::after { outline: 2px solid #56b4e9; }
.npformer-page .fields i:is(:hover, :focus) img,
.npformer-page .fields:not(:hover, :focus-within) .chosen img { opacity: 1; }
.npformer-page footer { margin-top: 2rem; opacity: 0.7; font-size: 0.85rem; }
"""
