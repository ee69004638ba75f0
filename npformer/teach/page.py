"""A page of parts, each a heading, a text and a picture: as one figure, or as HTML in one file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING, Any

from .. import display
from ..files.optional import optional
from ..version import __version__

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 10.0
"""Width of every picture, in inches."""


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


def _figure(height: float) -> Figure:
    """Return a figure that opens no window."""
    with optional("matplotlib", "the page of an explanation", "npformer[plot]"):
        from matplotlib.figure import Figure
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
